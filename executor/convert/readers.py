"""Read rows of local files: JSON lines, JSON (an array or a sequence of objects), both also with gzip, and parquet.

Rows are yielded one at a time. A row that is not a JSON object is yielded with the reason, so that one broken line does
not end a conversion.
"""

import codecs
import contextlib
import gzip
import importlib
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from executor.convert.json_values import parse_big_int, parse_json

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
MAX_LINE_BYTES = 1 << 30
_CHUNK_BYTES = 4 << 20
_ROWS_A_BATCH = 64


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source, and where it is."""

    place: str
    """Such as `line 3`."""
    row: Mapping[str, Any] | None
    """None where it could not be read."""
    problem: str = ""
    """Why not."""
    position: int = 0
    """Progress through the source, in `RowSource.unit`."""


@dataclass(frozen=True, slots=True)
class RowSource:
    """Rows and how many there are to come."""

    name: str
    rows: Iterator[SourceRow]
    unit: str
    """What `total` counts: `rows`, or `KiB` of the file."""
    total: int
    """0 where it is unknown."""


class _RepeatedKey(Exception):
    pass


def open_file(path: Path) -> RowSource:
    """Open a file of rows.

    Raises:
        ValueError: one line naming the file: it does not exist, its name has another suffix, or pyarrow is missing.
    """
    if path.is_dir():
        raise ValueError(f"{path} is a folder; name a file that ends in {', '.join(SUFFIXES)}")
    if not path.is_file():
        raise ValueError(f"{path}: there is no such file")
    if path.name.endswith(".parquet"):
        return _open_parquet(path)
    if path.name.endswith((".json", ".json.gz")):
        rows = _read_json(path)
    elif path.name.endswith((".jsonl", ".jsonl.gz")):
        rows = _read_lines(path)
    else:
        raise ValueError(f"{path}: the name must end in {', '.join(SUFFIXES)}")
    return RowSource(str(path), rows, "KiB", max(1, path.stat().st_size >> 10))


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file; gives the file itself, whose position is the progress, and the one to read."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.open(raw) as file:
                yield raw, cast(BinaryIO, file)
        else:
            yield raw, raw


def _read_lines(path: Path) -> Iterator[SourceRow]:
    with _open(path) as (raw, file):
        for number, line in enumerate(_iterate_lines(file, path), start=1):
            place, position = f"line {number}", raw.tell() >> 10
            if line is None:
                yield SourceRow(place, None, f"a line of over {MAX_LINE_BYTES >> 20} MiB", position)
                continue
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                yield SourceRow(place, None, "not UTF-8", position)
                continue
            if text.strip():
                yield _parse_row(text, place, position)


def _iterate_lines(file: BinaryIO, path: Path) -> Iterator[bytes | None]:
    """Yield lines; None for one that is longer than `MAX_LINE_BYTES`."""
    try:
        while line := file.readline(MAX_LINE_BYTES):
            if len(line) < MAX_LINE_BYTES or line.endswith(b"\n"):
                yield line
                continue
            while line and not line.endswith(b"\n"):
                line = file.readline(MAX_LINE_BYTES)
            yield None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"{path}: broken gzip: {error}") from None


def _parse_row(text: str, place: str, position: int) -> SourceRow:
    try:
        row = parse_json(text, pairs_hook=_make_dict)
    except _RepeatedKey:
        return SourceRow(place, None, "a key that stands twice in one object", position)
    except ValueError:
        return SourceRow(place, None, "not JSON", position)
    return _check_row(row, place, position)


def _check_row(row: Any, place: str, position: int) -> SourceRow:
    if not isinstance(row, dict):
        return SourceRow(place, None, "a row that is not a JSON object", position)
    return SourceRow(place, row, "", position)


def _make_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        raise _RepeatedKey(Counter(key for key, _ in pairs).most_common(1)[0][0])
    return row


def _read_json(path: Path) -> Iterator[SourceRow]:
    with _open(path) as (raw, file):
        for number, value in enumerate(_iterate_values(file, path), start=1):
            yield _check_row(value, f"row {number}", raw.tell() >> 10)


def _iterate_values(file: BinaryIO, path: Path) -> Iterator[Any]:
    """Yield the items of a JSON array, or JSON values one after another, without holding all of them.

    Raises:
        ValueError: naming the file and the row; what follows broken JSON cannot be told apart.
    """
    decoder = json.JSONDecoder(object_pairs_hook=_make_dict, parse_int=_parse_int)
    chunks = _TextChunks(file, path)
    text = chunks.read().lstrip()
    in_array = text.startswith("[")
    if not text.startswith(("[", "{")):
        raise ValueError(f"{path}, line 1: neither a JSON array nor a JSON object")
    text = text[in_array:]
    for number in itertools.count(1):
        separator, text = _skip_separator(text, chunks, is_first=number == 1, in_array=in_array)
        if separator is None:
            raise ValueError(f"{path}, row {number}: broken JSON: {text[:20]!r} where a comma or ] was expected")
        if separator == "end":
            return
        while True:
            try:
                value, end = decoder.raw_decode(text)
                break
            except (RecursionError, _RepeatedKey) as error:
                problem = "nested too deeply" if isinstance(error, RecursionError) else f"the key {error} stands twice"
                raise ValueError(f"{path}, row {number}: {problem}") from None
            except json.JSONDecodeError as error:
                more = chunks.read(len(text))
                if not more:
                    raise ValueError(f"{path}, row {number}: broken JSON: {error.msg}") from None
                text += more
        yield value
        text = text[end:]


def _skip_separator(text: str, chunks: "_TextChunks", *, is_first: bool, in_array: bool) -> tuple[str | None, str]:
    """Return `value` or `end`, or None where neither follows, and the text from there on."""
    text = text.lstrip()
    while not text and (more := chunks.read()):
        text = more.lstrip()
    if not in_array:
        return ("value" if text else "end"), text
    if text.startswith("]"):
        return "end", text
    if is_first:
        return ("value" if text else None), text
    if not text.startswith(","):
        return None, text
    text = text[1:].lstrip()
    while not text and (more := chunks.read()):
        text = more.lstrip()
    return "value", text


class _TextChunks:
    """Reads UTF-8 text piece by piece."""

    def __init__(self, file: BinaryIO, path: Path):
        self._file = file
        self._path = path
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()

    def read(self, num_chars: int = 0) -> str:
        """Read about `num_chars`, at least a few MiB; empty text at the end of the file."""
        try:
            data = self._file.read(max(num_chars, _CHUNK_BYTES))
            return self._decoder.decode(data, final=not data)
        except UnicodeDecodeError:
            raise ValueError(f"{self._path}: not UTF-8") from None
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise ValueError(f"{self._path}: broken gzip: {error}") from None


def _parse_int(text: str) -> int:
    return parse_big_int(text) if len(text) > 1000 else int(text)


def _open_parquet(path: Path) -> RowSource:
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError:
        raise ValueError(f"{path}: parquet needs the package pyarrow: pip install pyarrow") from None
    try:
        file = parquet.ParquetFile(path)
    except (OSError, ValueError) as error:  # Arrow's errors are kinds of these
        raise ValueError(f"{path}: not parquet: {str(error).splitlines()[0]}") from None
    return RowSource(str(path), _read_batches(file, path), "rows", file.metadata.num_rows)


def _read_batches(file: Any, path: Path) -> Iterator[SourceRow]:
    number = 0
    batches = file.iter_batches(batch_size=_ROWS_A_BATCH)
    while True:
        try:
            batch = next(batches, None)
        except (OSError, ValueError) as error:
            raise ValueError(f"{path}, row {number + 1}: broken parquet: {str(error).splitlines()[0]}") from None
        if batch is None:
            return
        for row in batch.to_pylist():
            number += 1
            yield SourceRow(f"row {number}", row, "", number)
