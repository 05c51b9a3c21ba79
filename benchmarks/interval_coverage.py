"""Measures how often the 95 % interval of a study's difference contains the truth, in simulated studies of equal arms.

    python -m benchmarks.interval_coverage [--studies 1000]

A task has a difficulty (logit, standard deviation 2.5), a training a level (logit, standard deviation as printed). A
completion passes with the probability they give. Prints the fraction of studies whose interval contains 0.
"""

import argparse

import numpy as np

from cli.study.verdicts import paired_mean_difference

TASK_SD = 2.5


def main() -> None:
    """Print a line for each spread of trainings."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--studies", type=int, default=1000)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--tasks", type=int, default=320)
    args = parser.parse_args()
    for training_sd in (0.0, 0.2, 0.5, 1.0):
        rng = np.random.default_rng(0)
        num_covered = 0
        for _ in range(args.studies):
            difficulty = rng.normal(0, TASK_SD, args.tasks)
            arms = [[draw_scores(rng, difficulty, training_sd) for _ in range(args.seeds)] for _ in range(2)]
            interval = paired_mean_difference(*arms).interval(0.95)
            num_covered += interval.low <= 0 <= interval.high
        covered = num_covered / args.studies
        error = (covered * (1 - covered) / args.studies) ** 0.5
        print(f"standard deviation of trainings {training_sd}: {covered:.1%} covered (standard error {error:.1%})")


def draw_scores(rng: np.random.Generator, difficulty: np.ndarray, training_sd: float) -> dict[str, float]:
    probability = 1 / (1 + np.exp(difficulty - rng.normal(0, training_sd)))
    return {str(task): float(passed) for task, passed in enumerate(rng.random(len(difficulty)) < probability)}


if __name__ == "__main__":
    main()
