"""`atomforge study`: train and evaluate all arms of a study; the same command continues an interrupted one."""

from __future__ import annotations

import argparse
import dataclasses

from executor.commands.errors import UsageError


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `study`."""
    parser = subparsers.add_parser(
        "study",
        help="train and evaluate all arms of a study",
        description="Train and evaluate every arm of a study that is not done; the same command continues.",
    )
    parser.add_argument("--config", required=True, help="YAML file, e.g. configs/studies/small.yaml")
    parser.add_argument("--output", default=None, help="directory of all results (`output` of the file)")
    parser.add_argument("--jobs", type=int, default=1, help="arms that run at the same time (1)")
    parser.add_argument("--dry-run", action="store_true", help="print the arms, and how long they take")


def run(args: argparse.Namespace) -> int:
    """Run the arms that are not done; 1 if arms failed.

    Raises:
        ValueError: the config is invalid, or the data set is a different one.
    """
    from cli.study.load import load_study
    from cli.study.run import check_settings, print_plan, run_study

    if args.jobs < 1:
        raise UsageError(f"--jobs must be at least 1, not {args.jobs}")
    study = load_study(args.config)
    if args.output is not None:
        study = dataclasses.replace(study, output=args.output)
    check_settings(study)
    if args.dry_run:
        print_plan(study, jobs=args.jobs)
        return 0
    return run_study(study, args.config, jobs=args.jobs)
