"""Reads files of JSON objects, one a line, compressed or not; broken ones are named by file and line.

It does not know what the rows mean.
"""

import gzip
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO, cast

from executor.grading.tasks.values import parse_row_json


def read_rows(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield (line number, object) of a JSONL file without its blank lines; a name that ends in `.gz` is compressed.

    Raises:
        ValueError: naming the file and line, for what is no JSON object, or broken gzip.
        OSError: the file cannot be read.
    """
    with _opened(path) as file:
        for number, line in enumerate(_lines_of(file, path), start=1):
            if not line.strip():
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8").strip()
                row = parse_row_json(text, object_pairs_hook=_without_duplicates)
            except UnicodeDecodeError:
                raise ValueError(f"{path}, line {number}: not UTF-8") from None
            except ValueError as error:
                raise ValueError(f"{path}, line {number}: broken JSON: {error}") from None
            if not isinstance(row, dict):
                raise ValueError(f"{path}, line {number}: a row must be a JSON object, not {type(row).__name__}")
            yield number, row


def _opened(path: Path) -> BinaryIO:
    return cast(BinaryIO, gzip.open(path)) if path.suffix == ".gz" else path.open("rb")


def _lines_of(file: BinaryIO, path: Path) -> Iterator[bytes]:
    try:
        yield from file
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: broken gzip: {error}") from None


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
        raise ValueError(f"the key {twice!r:.80} stands twice in one object")
    return row
