"""Use atomforge from Python: build a tiny data set, train by SFT and RL, evaluate, and grade a program.

    python examples/api.py [DIR]

Everything goes into DIR (runs/api_example). It takes about a minute on one core; the model learns next to nothing.
"""

import sys
from pathlib import Path

from cli.api import EvalConfig, Suite, TrainConfig, evaluate, grade, synthesize, train


def main(folder: Path) -> float:
    """Run the four functions, and return pass@1 of the trained model."""
    counts = {"train": 48, "rl": 16, "val": 8, "test": 12, "test_deeper": 4, "test_held_out_atoms": 4}
    manifest = synthesize({"seed": 0, "counts": counts}, folder / "data")
    print(f"tasks for SFT: {manifest['counts']['synthetic_train']}")

    data = {"data.init_args.data_dir": str(folder / "data"), "num_threads": 1}
    sft = train(
        TrainConfig(
            configs=["configs/sft.yaml", "configs/studies/layers/smoke_sft.yaml"],
            overrides={**data, "run_dir": str(folder / "sft")},
        )
    )
    print(f"SFT: loss {sft.metrics['loss/train']:.2f} after {sft.tokens} tokens, {sft.checkpoint}")

    rl = train(
        TrainConfig(
            configs=["configs/ppo.yaml", "configs/studies/layers/smoke_rl.yaml"],
            overrides={**data, "run_dir": str(folder / "rl"), "model.init_args.init_from": str(sft.run_dir)},
        )
    )
    print(f"RL: mean reward {rl.metrics['reward/mean']:.2f}")

    suite = Suite(data=str(folder / "data"), split="synthetic_test", num_tasks=4)
    evaluation = evaluate(rl.checkpoint, suite, EvalConfig(num_samples=2, max_new_tokens=16, batch_size=8))
    scores = evaluation.greedy_scores()
    pass_at_1 = sum(scores.values()) / len(scores)
    print(f"pass@1: {pass_at_1:.2f} over {len(scores)} tasks")

    task = {"task_id": "add", "entry_point": "add", "tests": [{"args": [1, 2], "expected": 3}]}
    [outcome] = grade([task], ["def add(a, b): return a + b"])
    print(f"graded: {outcome.status.value}")
    return pass_at_1


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/api_example"))
