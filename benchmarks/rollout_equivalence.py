"""Compares what reinforcement learning reaches with two settings of `rollout`, from the same policy, with equal seeds.

    python -m benchmarks.rollout_equivalence --data DIR --checkpoint SFT_RUN --output DIR
        [--settings engine=native engine=vllm] [--seeds 0,1,2] [--iterations 60] [--margin 0.05]
        [--config rl --config experiments/tiny_rl] [-- OPTIONS]

For each seed it trains once with each setting, in turn, and evaluates the ends on held-out tasks. The second setting is
called non-inferior if the lower end of the 95% interval of its difference in sampled pass@1, paired by seed and task,
is above -margin; greedy pass@1 is compared in the same way. What is finished is not repeated, and interrupted runs are
resumed. Options after `--` go to `atomforge fit`. For `engine=vllm`, run it with the Python of an environment that has
vLLM.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path
from statistics import mean

from cli.api import evaluate
from cli.evaluation.plan import Suite
from cli.study.plan import METRICS
from cli.study.verdicts import paired_mean_difference
from lightning_modules.evaluation.evaluate import EvalConfig
from lightning_modules.evaluation.records import Evaluation
from lightning_modules.training.checkpointing import is_finished


def train(args: argparse.Namespace, setting: str, seed: int, run_dir: Path) -> None:
    """Train with a setting of `rollout`, KEY=VALUE, unless that is done."""
    if is_finished(run_dir):
        return
    key, value = setting.split("=")
    settings = {
        "run_dir": run_dir,
        "ckpt_path": "last",
        "seed_everything": seed,
        "trainer.max_epochs": args.iterations,
        "data.init_args.data_dir": args.data,
        "data.init_args.seed": seed,
        "model.init_args.init_from": args.checkpoint,
        f"model.init_args.rollout.{key}": value,
        "model.init_args.seed": seed,
    }
    words = [word for key, value in settings.items() for word in (f"--{key}", str(value))]
    files = [word for name in args.config for word in ("--config", name)]
    subprocess.run([sys.executable, "-m", "cli.main", "fit", *files, *words, *args.options], check=True)


def score(args: argparse.Namespace, run_dir: Path) -> dict[str, dict[str, float]]:
    """Return greedy and sampled pass@1 by task of the end of a run, decoded by the native engine."""
    path = run_dir / "equivalence.json"
    if not path.exists():
        config = EvalConfig(num_samples=args.num_samples, max_new_tokens=args.max_new_tokens, dtype="float32")
        suite = Suite(data=args.data, split=args.split, num_tasks=args.num_tasks)
        path.write_text(json.dumps(evaluate(run_dir, suite, config).to_json()))
    return Evaluation.from_json(json.loads(path.read_text())).metric_scores([1])


def read_last(run_dir: Path, tag: str) -> float:
    """Return the mean of a metric over the last ten iterations."""
    rows = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return mean([row[tag] for row in rows if tag in row][-10:])


def _check_setting(text: str) -> str:
    if not all(text.partition("=")):
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE, such as engine=vllm")
    return text


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare what RL reaches with two settings of `rollout`.")
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--data", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--config", action="append")
    parser.add_argument(
        "--settings", nargs=2, type=_check_setting, default=["engine=native", "engine=vllm"], metavar="KEY=VALUE"
    )
    parser.add_argument("--seeds", type=lambda text: [int(word) for word in text.split(",")], default=[0, 1, 2])
    parser.add_argument("--iterations", type=int, default=60)
    parser.add_argument("--margin", type=float, default=0.05)
    parser.add_argument("--split", default="synthetic_test")
    parser.add_argument("--num-tasks", type=int, default=200)
    parser.add_argument("--num-samples", type=int, default=4)
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("options", nargs="*")
    args = parser.parse_args()
    args.config = args.config or ["rl", "experiments/tiny_rl"]
    scores: dict[str, list[dict[str, dict[str, float]]]] = {setting: [] for setting in args.settings}
    titles = ("setting", "seed", "greedy", "sampled", "reward", "log p difference", "generation, s")
    print(f"| {' | '.join(titles)} |\n{'|---' * len(titles)}|")
    for seed in args.seeds:
        for setting in args.settings:
            run_dir = args.output / f"{setting.replace('/', '_')}_seed{seed}"
            train(args, setting, seed, run_dir)
            scores[setting].append(score(args, run_dir))
            greedy, sampled = (mean(scores[setting][-1][metric].values()) for metric in METRICS)
            reward, seconds = read_last(run_dir, "reward/mean"), read_last(run_dir, "time/generate_s")
            difference = read_last(run_dir, "rollout/logprob_diff") if has_tag(run_dir) else float("nan")
            rates = f"{greedy:.3f} | {sampled:.3f} | {reward:.3f}"
            print(f"| {setting} | {seed} | {rates} | {difference:.1e} | {seconds:.1f} |", flush=True)
    for metric in METRICS:
        print(describe_difference(args, metric, scores))


def describe_difference(
    args: argparse.Namespace, metric: str, scores: dict[str, list[dict[str, dict[str, float]]]]
) -> str:
    """Describe the second setting minus the first in a metric, and whether it is non-inferior."""
    first, second = args.settings
    before, after = ([found[metric] for found in scores[setting]] for setting in (first, second))
    found = paired_mean_difference(after, before)
    _, low, high = found.interval(0.95)
    verdict = "non-inferior" if low > -args.margin else "not shown to be non-inferior"
    interval = f"95% interval {low:+.3f} to {high:+.3f}"
    return f"\n{metric}, {second} - {first}: {found.mean:+.3f} ({interval}): {verdict} ({args.margin:g})"


def has_tag(run_dir: Path, tag: str = "rollout/logprob_diff") -> bool:
    return tag in (run_dir / "metrics.jsonl").read_text()


if __name__ == "__main__":
    main()
