"""Read rows of local files: JSON lines, JSON (an array or a sequence of objects), both also with gzip, and parquet.

Rows are yielded one at a time. `open_file` yields a row that is not a JSON object with the reason, so that one broken
line does not end a conversion; `read_rows`, which reads files of tasks and samples, raises instead.
"""

import codecs
import contextlib
import gzip
import importlib
import itertools
import json
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from executor.convert.json_values import parse_json
from executor.grading.tasks.values import parse_big_int, parse_row_json

SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")
MAX_LINE_BYTES = 1 << 30
_CHUNK_BYTES = 4 << 20
_ROWS_A_BATCH = 64
_NO_OBJECT = "a row that is not a JSON object"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row of a source, and where it is."""

    place: str
    """Such as `line 3`."""
    row: Mapping[str, Any] | None
    """None where it could not be read."""
    problem: str = ""
    """Why not, in words that rows of the same kind share."""
    detail: str = ""
    """What exactly is wrong with this row."""
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
        rows = _read_lines(path, lambda text: parse_json(text, pairs_hook=_make_dict))
    else:
        raise ValueError(f"{path}: the name must end in {', '.join(SUFFIXES)}")
    return RowSource(str(path), rows, "KiB", max(1, path.stat().st_size >> 10))


def read_rows(path: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the place (such as `line 3`) and the object of each line that is not blank; `.gz` files are decompressed.

    Raises:
        ValueError: naming the file and line: it is not a JSON object as task rows are (`parse_row_json`), or broken
            gzip.
        OSError: the file cannot be read.
    """
    for item in _read_lines(path, lambda text: parse_row_json(text, object_pairs_hook=_make_dict)):
        if item.row is None:
            reason = f"broken JSON: {item.detail}" if item.detail else item.problem
            raise ValueError(f"{path}, {item.place}: {reason}")
        yield item.place, dict(item.row)


@contextlib.contextmanager
def _open(path: Path) -> Iterator[tuple[BinaryIO, BinaryIO]]:
    """Open a file; gives the file itself, whose position is the progress, and the one to read."""
    with path.open("rb") as raw:
        if path.suffix == ".gz":
            with gzip.open(raw) as file:
                yield raw, cast(BinaryIO, file)
        else:
            yield raw, raw


def _read_lines(path: Path, parse: Callable[[str], Any]) -> Iterator[SourceRow]:
    with _open(path) as (raw, file):
        for number, line in enumerate(_iterate_lines(file, path), start=1):
            place, position = f"line {number}", raw.tell() >> 10
            if line is None:
                yield SourceRow(place, None, f"a line of over {MAX_LINE_BYTES >> 20} MiB", position=position)
            elif line.strip():
                row, problem, detail = _parse_row(line, parse, is_first=number == 1)
                yield SourceRow(place, row, problem, detail, position)


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


def _parse_row(line: bytes, parse: Callable[[str], Any], *, is_first: bool) -> tuple[dict[str, Any] | None, str, str]:
    """Return the object, or None with the problem and its detail."""
    try:
        row = parse(line.decode("utf-8-sig" if is_first else "utf-8").strip())
    except UnicodeDecodeError:
        return None, "not UTF-8", ""
    except json.JSONDecodeError as error:
        return None, "not JSON", f"{error.msg} at column {error.colno}"
    except ValueError as error:
        return None, "not JSON", str(error)
    return (row, "", "") if isinstance(row, dict) else (None, _NO_OBJECT, "")


def _make_dict(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    row = dict(pairs)
    if len(row) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise ValueError(f"the key {twice!r:.80} occurs twice in one object")
    return row


def _read_json(path: Path) -> Iterator[SourceRow]:
    with _open(path) as (raw, file):
        for number, value in enumerate(_iterate_values(file, path), start=1):
            row = value if isinstance(value, dict) else None
            yield SourceRow(f"row {number}", row, "" if row is value else _NO_OBJECT, position=raw.tell() >> 10)


def _iterate_values(file: BinaryIO, path: Path) -> Iterator[Any]:
    """Yield the items of a JSON array, or JSON values one after another, without holding all of them.

    Raises:
        ValueError: naming the file and the row; rows after broken JSON cannot be separated.
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
            except json.JSONDecodeError as error:
                more = chunks.read(len(text))
                if not more:
                    raise ValueError(f"{path}, row {number}: broken JSON: {error.msg}") from None
                text += more
            except (RecursionError, ValueError) as error:
                problem = "nested too deeply" if isinstance(error, RecursionError) else error
                raise ValueError(f"{path}, row {number}: {problem}") from None
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
        for row, detail in _convert_batch(batch):
            number += 1
            problem = "" if row is not None else "a value that Python cannot hold"
            yield SourceRow(f"row {number}", row, problem, detail, position=number)


def _convert_batch(batch: Any) -> Iterator[tuple[dict[str, Any] | None, str]]:
    """Yield the rows of a batch, or None with the reason for a row that has text that is not UTF-8, or a date of a year
    over 9999.
    """
    try:
        rows = batch.to_pylist()
    except (ValueError, OverflowError):
        pass
    else:
        yield from ((row, "") for row in rows)
        return
    for index in range(batch.num_rows):
        try:
            [row] = batch.slice(index, 1).to_pylist()
            yield row, ""
        except (ValueError, OverflowError) as error:
            yield None, str(error)
