"""`atomforge evaluate`: sample programs from a policy for the tasks of a split, run them in the sandbox, print pass@k.

Prints a table with 95 % intervals over tasks and, asked for, writes all completions and verdicts as JSON. It compares
nothing: to compare two policies, pair their JSON files task by task (`lightning_modules.intervals.paired_difference`).
"""

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.errors import UsageError
from cli.json_file import write_json
from executor.client import BACKENDS

if TYPE_CHECKING:
    from lightning_modules.evaluation import Evaluation
    from lightning_modules.intervals import Interval


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `evaluate`."""
    parser = subparsers.add_parser(
        "evaluate",
        help="sample programs from a checkpoint, run them, print pass@k",
        description="Sample programs from a policy for the tasks of a split, run them in the sandbox, print pass@k.",
    )
    parser.add_argument("--checkpoint", required=True, help=".ckpt file, run directory or Hugging Face folder")
    parser.add_argument("--data", required=True, help="directory of the data set")
    parser.add_argument("--split", required=True, help="e.g. synthetic_test (or synthetic/test)")
    parser.add_argument("--num-samples", type=_count, default=8, help="samples a task beside the greedy one (8)")
    parser.add_argument("--k", type=_counts, default=None, help="k of pass@k, e.g. 1,8 (1 and num-samples)")
    parser.add_argument("--temperature", type=_temperature, default=1.0, help="of the samples (1.0)")
    parser.add_argument("--num-tasks", type=_count, default=None, help="tasks, spread evenly over the split (all)")
    parser.add_argument("--max-new-tokens", type=_count, default=256, help="longest completion in tokens (256)")
    parser.add_argument("--batch-size", type=_count, default=128, help="completions generated at a time (128)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the samples (0)")
    parser.add_argument("--backend", default="auto", help=f"where programs run: {', '.join(BACKENDS)} (auto)")
    parser.add_argument("--output", type=Path, default=None, help="JSON file for completions and verdicts")


def run(args: argparse.Namespace) -> int:
    """Evaluate and print.

    Raises:
        ValueError: no such checkpoint, data set, split or backend, or settings that do not go together; one line.
    """
    ks = args.k or sorted({1, args.num_samples})
    if max(ks) > args.num_samples:
        raise UsageError(f"--k {max(ks)} needs at least as many samples a task, --num-samples is {args.num_samples}")
    if args.output is not None and not args.output.parent.is_dir():
        raise UsageError(f"--output {args.output}: there is no directory {args.output.parent}")
    from datamodules.eval_data import load_dataset, split_of

    split = args.split.replace("/", "_")
    table = split_of(load_dataset(args.data), split, data_dir=args.data)
    evaluation = _evaluate(args, table)
    scores = summary(evaluation, ks)
    print_table(scores, evaluation.statuses(), title=f"{args.checkpoint} on {split}, {len(evaluation.tasks)} tasks")
    if args.output is not None:
        head = {"checkpoint": args.checkpoint, "data": args.data, "split": split}
        intervals = {name: interval._asdict() for name, interval in scores.items()}
        write_json(
            args.output, {**head, "scores": intervals, "statuses": evaluation.statuses(), **evaluation.to_json()}
        )
    return 0


def summary(evaluation: "Evaluation", ks: list[int]) -> "dict[str, Interval]":
    """Make the rows of the table: greedy pass@1 and sampled pass@k, with their intervals over tasks."""
    from lightning_modules.intervals import mean_interval

    rows = {"pass@1 greedy": evaluation.greedy_scores()}
    rows |= {f"pass@{k} sampled": evaluation.scores(k) for k in ks}
    return {name: mean_interval(scores) for name, scores in rows.items() if scores}


def print_table(scores: "Mapping[str, Interval]", statuses: Mapping[str, int], *, title: str) -> None:
    """Print the scores, and how the samples ended."""
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    table.add_column("")
    table.add_column("mean", justify="right")
    table.add_column("95 % interval", justify="right")
    for name, interval in scores.items():
        table.add_row(name, f"{interval.mean:.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
    console = Console()
    console.print(table)
    total = max(1, sum(statuses.values()))
    ended = [f"{name} {count} ({count / total:.0%})" for name, count in statuses.items() if count]
    console.print("samples: " + ", ".join(ended), highlight=False)


def _evaluate(args: argparse.Namespace, table: Any) -> "Evaluation":
    import torch

    from cli.count_progress import CountProgress
    from datamodules.eval_data import task_prompts
    from executor.client import open_executor
    from lightning_modules.evaluation import evaluate
    from lightning_modules.model_loading import load_policy

    causal_lm, tokenizer = load_policy(args.checkpoint)
    torch.nn.Module.to(causal_lm, torch.device("cuda" if torch.cuda.is_available() else "cpu"))
    prompts = task_prompts(table, tokenizer, args.num_tasks)
    num_completions = len(prompts) * (1 + args.num_samples)
    with (
        open_executor(args.backend) as executor,
        CountProgress("completions judged", num_completions) as progress,
    ):
        return evaluate(
            causal_lm,
            tokenizer,
            prompts,
            executor,
            num_samples=args.num_samples,
            temperature=args.temperature,
            max_new_tokens=args.max_new_tokens,
            seed=args.seed,
            batch_size=args.batch_size,
            on_judged=progress.advance,
        )


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of at least 1")
    return int(text)


def _counts(text: str) -> list[int]:
    return sorted({_count(part.strip()) for part in text.split(",")})


def _temperature(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0.0 < value < float("inf"):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not a temperature above 0 (the greedy completion is always made)"
        )
    return value
