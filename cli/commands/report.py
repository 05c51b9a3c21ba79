"""`atomforge report`: write the report of a study, one HTML page and a Markdown file, from the results of its arms.

    atomforge report runs/study_smoke --config configs/studies/smoke.yaml [--output FILE.html]

It reads results only; arms that are not done are reported as missing. Nothing is trained or run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import yaml

from executor.commands.errors import UsageError
from executor.commands.io import open_atomic

STUDY_FILE = "study.yaml"
PAGE_FILE = "report.html"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `report`."""
    parser = subparsers.add_parser(
        "report",
        help="write the report of a study",
        description="Write one HTML page and a Markdown file from the results of a study.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="`output` of the study")
    parser.add_argument("--config", help=f"YAML file of the study (DIR/{STUDY_FILE})")
    parser.add_argument("--archive", action="store_true", help="also store all results in one file next to the page")
    parser.add_argument("--output", type=Path, help=f"HTML file; the Markdown file is next to it (DIR/{PAGE_FILE})")


def run(args: argparse.Namespace) -> int:
    """Write both files and print the verdicts.

    Raises:
        ValueError: no such study, no finished arm, or other files would be replaced.
    """
    from cli.report.build import write_report
    from cli.report.tensorboard import FOLDER
    from cli.study.load import load_study

    page = args.output if args.output is not None else args.directory / PAGE_FILE
    if page.suffix != ".html":
        raise UsageError(f"--output must end in .html, not {page}; the Markdown file has the same name with .md")
    if not args.directory.is_dir():
        raise UsageError(f"{args.directory} is not the directory of a study: run it first with `atomforge study`")
    config = args.config if args.config is not None else str(args.directory / STUDY_FILE)
    if args.config is None and not Path(config).exists():
        raise UsageError(f"{config} does not exist; name the study's file with --config")
    document = write_report(load_study(config), args.directory, page)
    if args.archive:
        _write_archive(page.parent, config, args.directory)
    print(document.summary)
    print(f"{page}, {page.with_suffix('.md')}, and {page.parent / FOLDER} for TensorBoard")
    return 0


def _write_archive(target: Path, config: str, directory: Path) -> None:
    """Store everything that the report is made from, so that it can be made again from `target`."""
    from cli.report.build import MANIFEST, find_manifest
    from cli.study.load import read_study
    from cli.study.results import ARCHIVE_NAME, load_results, write_archive

    study = yaml.safe_dump(read_study(config), sort_keys=False, allow_unicode=True)
    manifest = find_manifest(directory)
    with open_atomic(target / STUDY_FILE) as file:
        file.write(study)
    if manifest is not None:
        content = manifest.read_text(encoding="utf-8")
        with open_atomic(target / MANIFEST) as file:
            file.write(content)
    write_archive(target / ARCHIVE_NAME, load_results(directory))
