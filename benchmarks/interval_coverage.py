"""How often the interval of a finding holds the truth: simulated studies of two arms that do equally well.

    python benchmarks/interval_coverage.py --studies 1000

A task has a difficulty of its own (logit, spread 2.5), a training a level of its own (logit, spread as printed), and an
answer passes with the chance that both give. Prints the share of studies whose 95% interval of the difference holds 0.
"""

import argparse

import numpy as np

from cli.study.verdicts import paired_mean_difference

SPREAD_OF_TASKS = 2.5


def main() -> None:
    """Print a row for each spread of trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=320)
    parser.add_argument("--confidence", type=float, default=0.95)
    args = parser.parse_args()
    print(f"{args.studies} studies of {args.seeds} seeds and {args.tasks} tasks, intervals of {args.confidence:.0%}")
    for spread in (0.0, 0.2, 0.5, 1.0):
        dice = np.random.default_rng(0)
        held = 0
        for _ in range(args.studies):
            hardness = dice.normal(0, SPREAD_OF_TASKS, args.tasks)
            sides = [[_scores(dice, hardness, spread) for _ in range(args.seeds)] for _ in range(2)]
            interval = paired_mean_difference(*sides).interval(args.confidence)
            held += interval.low <= 0 <= interval.high
        error = (held / args.studies * (1 - held / args.studies) / args.studies) ** 0.5
        print(f"spread of trainings {spread}: {held / args.studies:.1%} hold the truth (standard error {error:.1%})")


def _scores(dice: np.random.Generator, hardness: np.ndarray, spread: float) -> dict[str, float]:
    chance = 1 / (1 + np.exp(hardness - dice.normal(0, spread)))
    return {str(task): float(passed) for task, passed in enumerate(dice.random(len(hardness)) < chance)}


if __name__ == "__main__":
    main()
