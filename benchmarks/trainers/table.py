"""The tables of `benchmarks/training.py`, made from the numbers of its rounds."""

from collections.abc import Sequence
from statistics import median
from typing import NamedTuple

Rounds = Sequence[dict[str, dict[str, float]]]


class Goal(NamedTuple):
    """A ratio of two contestants' numbers within a round, and what it should reach."""

    what: str
    ours: str
    other: str
    number: str
    """`tokens_per_s`: ours over the other's; `step_s`: the other's over ours"""
    least: float | None


GOALS = (
    Goal("SFT tokens/s, over TRL with packing", "sft: ours shipped", "sft: trl packing fp32", "tokens_per_s", 6.0),
    Goal("... TRL in bf16", "sft: ours shipped", "sft: trl packing bf16", "tokens_per_s", None),
    Goal("SFT tokens/s, over TRL without packing", "sft: ours shipped", "sft: trl fp32", "tokens_per_s", 3.0),
    Goal("... TRL in bf16", "sft: ours shipped", "sft: trl bf16", "tokens_per_s", None),
    Goal("SFT tokens/s, over the packed bf16 loop", "sft: ours shipped", "sft: torch loop, packed bf16",
         "tokens_per_s", 0.95),
    Goal("SFT matched (fp32), over TRL without packing", "sft: ours matched", "sft: trl fp32", "tokens_per_s", None),
    Goal("PPO step, TRL's time over ours", "ppo: ours shipped", "ppo: trl fp32", "step_s", 3.0),
    Goal("... TRL in bf16", "ppo: ours shipped", "ppo: trl bf16", "step_s", None),
    Goal("PPO matched (fp32, separate critic)", "ppo: ours matched", "ppo: trl fp32", "step_s", None),
    Goal("GRPO step, TRL's time over ours", "grpo: ours shipped", "grpo: trl fp32", "step_s", 2.0),
    Goal("... TRL in bf16", "grpo: ours shipped", "grpo: trl bf16", "step_s", None),
    Goal("GRPO matched (fp32)", "grpo: ours matched", "grpo: trl fp32", "step_s", None),
    Goal("rollouts fp32, over generate", "rollout: ours fp32", "rollout: transformers generate", "tokens_per_s", 1.6),
    Goal("rollouts bf16, over generate", "rollout: ours bf16", "rollout: transformers generate", "tokens_per_s", None),
    Goal("two ranks over one, samples/s", "sft: ours shipped, two ranks", "sft: ours shipped", "tokens_per_s", 0.8),
)  # fmt: skip
"""Tokens/s of two ranks are those of one of them, so 0.8 is 1.6 times the samples."""
WAITING = ("ppo: ours shipped, real executor", "share_execute", 0.03)


def print_tables(rounds: Rounds, goals: Sequence[Goal]) -> None:
    """Print a row for each contestant, then one for each ratio that both sides have numbers for."""
    names = list(dict.fromkeys(name for found in rounds for name in found))
    print("| contestant | step, s | tokens/s | generate / score / wait / update |\n|---|---|---|---|")
    for name in names:
        runs = [found[name] for found in rounds if name in found]
        shares = [spread([run[f"share_{part}"] for run in runs], only_median=True)
                  for part in ("generate", "score", "execute", "update") if f"share_{part}" in runs[0]]  # fmt: skip
        tokens = spread([run["tokens_per_s"] for run in runs], digits=0) if "tokens_per_s" in runs[0] else ""
        print(f"| {name} | {spread([run['step_s'] for run in runs])} | {tokens} | {' / '.join(shares)} |")
    print("\n| ratio | median (least-greatest) | goal | |\n|---|---|---|---|")
    for goal in goals:
        ratios = [ratio_of(goal, found) for found in rounds if goal.ours in found and goal.other in found]
        if ratios:
            met = "" if goal.least is None else "met" if median(ratios) >= goal.least else "**not met**"
            print(f"| {goal.what} | {spread(ratios)} | {'' if goal.least is None else goal.least} | {met} |")
    name, share, most = WAITING
    waits = [found[name][share] for found in rounds if name in found]
    if waits:
        print(f"| waiting for the executor, share of a PPO iteration | {spread(waits, digits=4)} | at most {most} | "
              f"{'met' if median(waits) <= most else '**not met**'} |")  # fmt: skip


def ratio_of(goal: Goal, found: dict[str, dict[str, float]]) -> float:
    """Say how many times as good as the other we were in one round."""
    ours, other = found[goal.ours][goal.number], found[goal.other][goal.number]
    return other / ours if goal.number == "step_s" else ours / other


def spread(values: Sequence[float], *, digits: int = 2, only_median: bool = False) -> str:
    """Render the median, and the least and greatest."""
    middle = f"{median(values):.{digits}f}"
    return middle if only_median else f"{middle} ({min(values):.{digits}f}-{max(values):.{digits}f})"
