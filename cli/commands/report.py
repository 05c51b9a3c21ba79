"""`atomforge report`: make the report of a study, one HTML page and a Markdown file, from what its arms left behind.

    atomforge report runs/study_smoke --config configs/studies/smoke.yaml [--output FILE.html]

It reads results only; arms that are not done yet are said to be missing. It trains and runs nothing.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from executor.commands.errors import UsageError

if TYPE_CHECKING:
    from cli.study.results import ArmResult

STUDY_FILE = "study.yaml"
PAGE_FILE = "report.html"
MANIFEST = "manifest.json"


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the options of `report`."""
    parser = subparsers.add_parser(
        "report",
        help="make the report of a study",
        description="Make one HTML page and a Markdown file from the results of a study.",
    )
    parser.add_argument("directory", type=Path, metavar="DIR", help="`output` of the study")
    parser.add_argument("--config", help=f"YAML file of the study (DIR/{STUDY_FILE})")
    parser.add_argument("--archive", action="store_true", help="keep all results in one file beside the page, too")
    parser.add_argument("--output", type=Path, help=f"HTML file; .md goes beside it (DIR/{PAGE_FILE})")


def run(args: argparse.Namespace) -> int:
    """Write both files and say the verdicts.

    Raises:
        ValueError: no such study, none of its arms is done, or something else lies where it would write; one line.
    """
    from cli.report.build import build_document
    from cli.report.markdown import as_markdown
    from cli.report.page import as_page
    from cli.study.hparams import FOLDER, refuse_foreign, write_hparams
    from cli.study.plan import load_study
    from cli.study.results import load_results

    page = args.output if args.output is not None else args.directory / PAGE_FILE
    if page.suffix != ".html":
        raise UsageError(f"--output must end in .html, not {page}; the Markdown file gets the same name with .md")
    if not args.directory.is_dir():
        raise UsageError(f"{args.directory} is no directory of a study")
    config = args.config if args.config is not None else str(args.directory / STUDY_FILE)
    if args.config is None and not Path(config).exists():
        raise UsageError(f"{config} does not exist; name the study's file with --config")
    refuse_foreign(page.parent / FOLDER)
    study, results = load_study(config), load_results(args.directory)
    document = build_document(study, results, counts=_counts(args.directory))
    _write(page, as_page(document))
    _write(page.with_suffix(".md"), as_markdown(document))
    if args.archive:
        _archive(page.parent, config, _manifest(args.directory), results)
    write_hparams(page.parent / FOLDER, results)
    print(document.summary)
    print(f"{page}, {page.with_suffix('.md')} and {page.parent / FOLDER} for TensorBoard")
    return 0


def _manifest(directory: Path) -> Path | None:
    """Find the manifest of the study's data set; None where the data are not there any more."""
    paths = (directory / "data" / MANIFEST, directory / MANIFEST)
    return next((path for path in paths if path.exists()), None)


def _counts(directory: Path) -> dict[str, int]:
    """Tasks in each split of the study's data set; empty where that is not known any more."""
    path = _manifest(directory)
    try:
        return {} if path is None else json.loads(path.read_text(encoding="utf-8"))["counts"]
    except (ValueError, KeyError) as error:
        raise UsageError(f"{path} is no manifest of a data set") from error


def _archive(directory: Path, config: str, manifest: Path | None, results: Sequence[ArmResult]) -> None:
    """Keep all that the report is made of, so that it can be made again there."""
    from cli.study.plan import read_study
    from cli.study.results import ARCHIVE_NAME, write_archive

    _write(directory / STUDY_FILE, yaml.safe_dump(read_study(config), sort_keys=False, allow_unicode=True))
    if manifest is not None:
        _write(directory / MANIFEST, manifest.read_text(encoding="utf-8"))
    write_archive(directory / ARCHIVE_NAME, results)


def _write(path: Path, content: str) -> None:
    """Write beside the target, then rename."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.tmp")
    fresh.write_text(content, encoding="utf-8")
    fresh.replace(path)
