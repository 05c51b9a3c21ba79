"""`atomforge rollouts`: show or export the rollouts that a run of reinforcement learning has stored.

    atomforge fit --config rl ... --log_rollouts.every_n_iterations 5
    atomforge rollouts --run RUN [--iteration N] [--num-prompts 4]
    atomforge rollouts --run RUN [--iteration N] --output FILE.jsonl

The rows are those of `lightning_modules.training.logging.rollout_log`; nothing is sampled or graded.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from cli.commands.evaluate import count
from executor.commands.errors import UsageError
from executor.commands.io import check_output, open_atomic

Row = dict[str, Any]
MAX_LINES = 20
"""Lines of a completion that the terminal shows."""


def add_parser(subparsers: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Add the options of `rollouts`."""
    parser = subparsers.add_parser(
        "rollouts",
        help="show or export the stored rollouts of an RL run",
        description="Show the rollouts of an iteration that a run stored (log_rollouts.every_n_iterations), or write "
        "all of them to a JSONL file.",
    )
    parser.add_argument("--run", required=True, type=Path, help="run directory")
    parser.add_argument("--iteration", type=int, help="which iteration (the newest that is stored)")
    parser.add_argument("--num-prompts", type=count, default=4, help="prompts to show, evenly spaced (4)")
    parser.add_argument("--output", type=Path, help="file to write, one row per completion, instead of showing them")


def run(args: argparse.Namespace) -> int:
    """Show or write the rollouts; returns 0.

    Raises:
        UsageError: the run has stored none, or not those of the iteration.
        ValueError: the output cannot be written.
    """
    from lightning_modules.training.logging.rollout_log import list_logged_iterations, read_rollouts

    iterations = list_logged_iterations(args.run)
    if not iterations:
        raise UsageError(
            f"--run {args.run} has no stored rollouts: `--log_rollouts.every_n_iterations 1` of `atomforge fit` stores "
            "those of every iteration"
        )
    iteration = iterations[-1] if args.iteration is None else args.iteration
    if iteration not in iterations:
        raise UsageError(
            f"--iteration {iteration} is not stored in {args.run}: it has {', '.join(map(str, iterations))}"
        )
    rows = read_rollouts(args.run, iteration)
    if args.output is None:
        print(f"{args.run}, iteration {iteration} (stored: {', '.join(map(str, iterations))}): {summarize(rows)}")
        print_groups(rows, args.num_prompts)
        return 0
    check_output(args.output)
    with open_atomic(args.output) as file:
        file.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    print(f"{args.output}: iteration {iteration}, {summarize(rows)}")
    return 0


def summarize(rows: Sequence[Row]) -> str:
    """Count rollouts, prompts, passes and what the loss leaves out, and average the known rewards."""
    rewards = [row["reward"] for row in rows if row["reward"] is not None]
    mean = f"{sum(rewards) / len(rewards):.3f}" if rewards else "unknown"
    passed, unused = sum(row["status"] == "passed" for row in rows), sum(not row["trained"] for row in rows)
    return (
        f"{len(rows)} rollouts of {len(group_rows(rows))} prompts, {passed} passed, mean reward {mean}, "
        f"{unused} not trained on"
    )


def group_rows(rows: Sequence[Row]) -> list[list[Row]]:
    """Group the rollouts by prompt, in the order of sampling."""
    groups: dict[tuple[int, int], list[Row]] = {}
    for row in rows:
        groups.setdefault((row["rank"], row["group"]), []).append(row)
    return list(groups.values())


def print_groups(rows: Sequence[Row], num_prompts: int) -> None:
    """Print some prompts, evenly spaced, each with a table of its completions."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    groups = group_rows(rows)
    shown = min(num_prompts, len(groups))
    console = Console()
    for group in (groups[i * len(groups) // shown] for i in range(shown)):
        first = group[0]
        console.print(Text(f"\n{first['task_id']} (depth {first['depth']})", style="bold"))
        console.print(Text(first["prompt"].strip()))
        table = Table(show_lines=True)
        for column in ("status", "tests", "reward", "advantage", "tokens"):
            table.add_column(column, justify="left" if column == "status" else "right")
        table.add_column("completion", overflow="fold")
        for row in group:
            table.add_row(*describe_row(row), Text(shorten(row["completion"])))
        console.print(table)


def describe_row(row: Row) -> list[str]:
    """Format status, tests, reward, advantage and tokens of a rollout."""
    reward, advantage = (None if row[name] is None else f"{row[name]:.3f}" for name in ("reward", "advantage"))
    return [
        row["status"],
        f"{row['num_passed']}/{row['num_tests']}",
        reward or "unknown",
        (advantage if row["trained"] else "not trained") or "none",
        f"{row['num_tokens']}" + ("" if row["finished"] else ", cut off"),
    ]


def shorten(completion: str) -> str:
    """Keep the first lines of a completion."""
    lines = completion.strip("\n").splitlines()
    rest = len(lines) - MAX_LINES
    return "\n".join(lines if rest <= 0 else [*lines[:MAX_LINES], f"... {rest} more lines"])
