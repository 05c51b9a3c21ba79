"""Runs the demo with several seeds and prints what RL adds to SFT, by seed and over all.

    python -m benchmarks.demo_seeds [--config configs/demo.yaml] [--seeds 0 1 2] [--output runs/demo_seeds]

All seeds share the data set; finished stages are skipped, so the command continues after an interruption. The rows are
the comparisons under `exploratory` of the study. Intervals are of 95 %: of a seed over tasks, of all seeds by the
bootstrap over seeds and tasks of `cli.study.verdicts`. With three seeds the latter is wide.
"""

import argparse
import dataclasses
import sys
from pathlib import Path

from benchmarks.rounds import build_table
from cli.report.format import points_with_interval
from cli.report.sections.evidence import exploratory_difference, group_arms
from cli.study.load import load_study
from cli.study.plan import METRICS, StudyConfig
from cli.study.results import ArmResult, load_results
from cli.study.run import check_settings, run_study
from executor.commands.errors import Interrupted, UsageError


def build_rows(study: StudyConfig, results: list[ArmResult]) -> list[list[str]]:
    """Build a row for each comparison and metric: the difference of each seed and of all."""
    rows = []
    for comparison in study.exploratory:
        for metric in METRICS:
            row = [f"{comparison.treatment} - {comparison.control}", comparison.tasks, metric]
            for seeds in (*((seed,) for seed in study.seeds), study.seeds):
                arms = group_arms(dataclasses.replace(study, seeds=seeds), results)
                found = exploratory_difference(comparison, arms, metric=metric)
                row.append("" if found is None else points_with_interval(found.interval(0.95)))
            rows.append(row)
    return rows


def main() -> int:
    """Run, compare, print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", default="configs/demo.yaml", help="YAML file of the study")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", default="runs/demo_seeds")
    args = parser.parse_args()
    try:
        study = dataclasses.replace(load_study(args.config), seeds=tuple(args.seeds), output=args.output)
        check_settings(study)
        code = run_study(study, args.config)
        results = load_results(Path(study.output))
    except (UsageError, Interrupted) as error:
        print(f"demo_seeds: {error}", file=sys.stderr)
        return 2
    titles = ["difference", "tasks", "metric", *(f"seed {seed}" for seed in study.seeds), "all seeds"]
    print(build_table(titles, build_rows(study, results)))
    return code


if __name__ == "__main__":
    sys.exit(main())
