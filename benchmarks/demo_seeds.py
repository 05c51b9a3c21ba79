"""Put several demos side by side that differ in the seed of training: means, and PPO minus SFT with its interval.

    python benchmarks/demo_seeds.py runs/demo runs/demo_seed1 runs/demo_seed2 [--split synthetic_test]

The interval of the difference is a crossed bootstrap: seeds and tasks are both drawn anew (95 %, 4000 draws). With
three seeds it is a rough one. All demos must share their data (`atomforge demo --data DIR`).
"""

import argparse
import json
from pathlib import Path

import numpy as np

from lightning_modules.evaluation.records import Evaluation
from lightning_modules.evaluation.statistics import mean_interval

NUM_DRAWS = 4000


def main() -> None:
    """Read, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--split", default="synthetic_test")
    args = parser.parse_args()
    for metric in ("greedy", 1, 8):
        scores = {model: [scores_of(run, model, args.split, metric) for run in args.runs] for model in ("sft", "ppo")}
        name = "pass@1 greedy" if metric == "greedy" else f"pass@{metric} sampled"
        for model, runs in scores.items():
            cells = ", ".join("{:.3f} ({:.3f}-{:.3f})".format(*mean_interval(run)) for run in runs)
            print(f"{name:16s} {model:4s} {cells}")
        tasks = sorted(scores["sft"][0])
        difference = np.array(
            [[after[t] - before[t] for t in tasks] for after, before in zip(scores["ppo"], scores["sft"], strict=True)]
        )
        low, high = crossed_interval(difference)
        print(f"{name:16s} PPO - SFT over {len(args.runs)} seeds: {difference.mean():+.3f} ({low:+.3f} to {high:+.3f})")


def scores_of(run: Path, model: str, split: str, metric: str | int) -> dict[str, float]:
    """Scores of one model of one demo by task."""
    content = json.loads((run / "evaluation" / f"{model}_{split}.json").read_text(encoding="utf-8"))
    evaluation = Evaluation.from_json(content)
    return evaluation.greedy_scores() if isinstance(metric, str) else evaluation.scores(metric)


def crossed_interval(values: np.ndarray) -> tuple[float, float]:
    """95 % bootstrap interval of the mean of `[num_seeds, num_tasks]`, rows and columns drawn with replacement."""
    random = np.random.default_rng(0)
    num_seeds, num_tasks = values.shape
    means = [
        values[random.integers(num_seeds, size=num_seeds)][:, random.integers(num_tasks, size=num_tasks)].mean()
        for _ in range(NUM_DRAWS)
    ]
    low, high = np.percentile(means, [2.5, 97.5])
    return float(low), float(high)


if __name__ == "__main__":
    main()
