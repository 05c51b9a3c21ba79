"""`atomforge sample`: sample completions, grade them, and keep passing ones for rejection fine-tuning.

    atomforge sample --checkpoint RUN --data DIR --split synthetic_rl --num-samples 16 --output OUT
    atomforge fit --config sft --config rft --data.init_args.completions OUT/kept.jsonl ...

The same command continues an interrupted one.
"""

import argparse
from pathlib import Path

from cli.commands.evaluate import count, positive_temperature
from executor.api import BACKENDS

_OPTIONS = ("split", "num_tasks", "num_samples", "max_kept", "temperature", "max_new_tokens", "batch_size", "dtype")


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `sample`; the defaults are those of `RejectionConfig`."""
    parser = subparsers.add_parser(
        "sample",
        help="sample completions and keep passing ones for SFT",
        description="Complete the tasks of a split many times, grade the completions, and keep passing ones for SFT.",
    )
    parser.add_argument("--checkpoint", required=True, help=".ckpt, run directory, Hugging Face folder or hub id")
    parser.add_argument("--data", required=True, help="directory of a data set")
    parser.add_argument("--output", required=True, type=Path, help="directory for completions, outcomes, kept.jsonl")
    parser.add_argument("--split", help="tasks to complete (synthetic_rl)")
    parser.add_argument("--num-tasks", type=count, help="number of tasks, evenly spaced (all)")
    parser.add_argument("--num-samples", type=count, help="completions per task (16)")
    parser.add_argument("--max-kept", type=count, help="passing completions kept per task, all different (1)")
    parser.add_argument("--temperature", type=positive_temperature, help="of the completions (1.0)")
    parser.add_argument("--max-new-tokens", type=count, help="longest completion in tokens (256)")
    parser.add_argument("--batch-size", type=count, help="completions generated at a time (128)")
    parser.add_argument("--seed", type=int, default=0, help="of the completions and of the reward tests (0)")
    parser.add_argument("--dtype", choices=("auto", "float32", "bfloat16"), help="of the weights (auto)")
    parser.add_argument("--backend", default="auto", help=f"where programs run: {', '.join(BACKENDS)} (auto)")


def run(args: argparse.Namespace) -> int:
    """Sample, grade and print what was kept.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or an output with other settings.
    """
    from cli.evaluation.rejection import KEPT, RejectionConfig, sample_passing

    given = {name: getattr(args, name) for name in _OPTIONS if getattr(args, name) is not None}
    found = sample_passing(
        args.checkpoint, args.data, RejectionConfig(**given), args.output, seed=args.seed, backend=args.backend
    )
    print(found)
    print(f"written to {args.output}: samples.jsonl, {KEPT}, result.json")
    return 0
