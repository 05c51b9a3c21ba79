"""Files of rows: formats, compression, and what is broken in them."""

import gzip
import json
import sys

import pytest

from executor.convert import readers
from executor.convert.readers import open_file, read_rows

ROWS = [{"a": 1, "text": "é\u2028"}, {"a": [2, {"b": None}]}]


def write(tmp_path, name, data):
    path = tmp_path / name
    data = data if isinstance(data, bytes) else data.encode()
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def read(path):
    return [item.row if item.row is not None else (item.place, item.problem) for item in open_file(path).rows]


def as_lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


@pytest.mark.parametrize("name", ["x.jsonl", "x.jsonl.gz"])
def test_json_lines(tmp_path, name):
    assert read(write(tmp_path, name, "\n" + as_lines(ROWS).replace("\n", "\r\n") + " \n")) == ROWS


@pytest.mark.parametrize("name", ["x.json", "x.json.gz"])
@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2) + "\n",
        as_lines(ROWS),
        "\n".join(json.dumps(row, indent=2) for row in ROWS),
        "".join(map(json.dumps, ROWS)),
    ],
)
def test_json(tmp_path, name, text):
    assert read(write(tmp_path, name, text)) == ROWS


@pytest.mark.parametrize("chunk", [1, 2, 7])
def test_json_that_comes_in_small_pieces(tmp_path, monkeypatch, chunk):
    monkeypatch.setattr(readers, "_CHUNK_BYTES", chunk)
    rows = [{"text": "é" * n, "list": [n, [n]]} for n in range(20)]
    assert read(write(tmp_path, "x.json", json.dumps(rows, ensure_ascii=False))) == rows
    assert read(write(tmp_path, "y.json", json.dumps(rows, indent=1) + " \n")) == rows


def test_an_empty_array(tmp_path):
    assert read(write(tmp_path, "x.json", "[ ]")) == []


def test_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    rows = [{"a": number, "tests": {"input": ["x"] * number, "output": []}} for number in range(200)]
    parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "x.parquet")
    source = open_file(tmp_path / "x.parquet")
    assert (source.unit, source.total) == ("rows", 200)
    assert [item.row for item in source.rows] == rows


def test_parquet_rows_that_python_cannot_hold(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    dates = pyarrow.array([2**62, 1, 2], pyarrow.int64()).view(pyarrow.timestamp("us"))
    valid = pyarrow.array([b"a", b"\xff", b"c"])
    texts = pyarrow.Array.from_buffers(pyarrow.string(), 3, valid.buffers())
    parquet.write_table(pyarrow.table({"a": [1, 2, 3], "date": dates, "text": texts}), tmp_path / "x.parquet")
    first, second, third = open_file(tmp_path / "x.parquet").rows
    assert (first.row, first.place, first.problem) == (None, "row 1", "a value that Python cannot hold")
    assert (second.row, second.place, "utf-8" in second.detail) == (None, "row 2", True)
    assert third.row is not None
    assert (third.row["a"], third.row["text"]) == (3, "c")


def test_parquet_without_pyarrow(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match=r"x.parquet: parquet needs the package pyarrow: pip install pyarrow"):
        open_file(write(tmp_path, "x.parquet", "PAR1"))


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-8"])
@pytest.mark.parametrize(("name", "text"), [("x.jsonl", as_lines(ROWS)), ("x.json", json.dumps(ROWS))])
def test_a_byte_order_mark(tmp_path, name, text, encoding):
    assert read(write(tmp_path, name, text.encode(encoding))) == ROWS


def test_integers_of_any_length(tmp_path):
    text = f'{{"a": {"7" * 9001}}}'
    for name in ("x.jsonl", "x.json"):
        [row] = read(write(tmp_path, name, text))
        assert row == {"a": 7 * (10**9001 - 1) // 9}


def test_broken_lines_do_not_end_the_file(tmp_path):
    lines = [b'{"a": 1}', b'{"a": ', b"[1]", b'"x"', b'{"a": "\xff"}', b'{"a": 1, "a": 2}', b"[" * 100_000, b'{"a": 2}']
    assert read(write(tmp_path, "x.jsonl", b"\n".join(lines))) == [
        {"a": 1},
        ("line 2", "not JSON"),
        ("line 3", "a row that is not a JSON object"),
        ("line 4", "a row that is not a JSON object"),
        ("line 5", "not UTF-8"),
        ("line 6", "not JSON"),
        ("line 7", "not JSON"),
        {"a": 2},
    ]


def test_rows_that_must_all_be_right(tmp_path):
    path = write(tmp_path, "x.jsonl.gz", "\n" + as_lines(ROWS))
    assert list(read_rows(path)) == [("line 2", ROWS[0]), ("line 3", ROWS[1])]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b'{"a": ', r"x.jsonl, line 2: broken JSON: Expecting value"),
        (b"[1]", r"x.jsonl, line 2: a row that is not a JSON object"),
        (b'{"a": "\xff"}', r"x.jsonl, line 2: not UTF-8"),
        (b'{"a": 1, "a": 2}', r"x.jsonl, line 2: broken JSON: the key 'a' occurs twice in one object"),
        (b'{"a": NaN}', r"x.jsonl, line 2: broken JSON: NaN is not JSON"),
        (b"[" * 100_000, r"x.jsonl, line 2: broken JSON: nested too deeply"),
    ],
)
def test_one_broken_line_is_an_error_where_all_must_be_right(tmp_path, line, words):
    path = write(tmp_path, "x.jsonl", b'{"a": 1}\n' + line + b'\n{"a": 2}\n')
    with pytest.raises(ValueError, match=words):
        list(read_rows(path))


def test_a_line_without_end(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_LINE_BYTES", 1 << 20)
    bomb = b'{"a": "' + b"x" * (5 << 20) + b'"}\n{"a": 1}\n'
    assert read(write(tmp_path, "x.jsonl.gz", bomb)) == [("line 1", "a line of over 1 MiB"), {"a": 1}]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("x.json", "<html>", "x.json, line 1: neither a JSON array nor a JSON object"),
        ("x.json", "", "x.json, line 1: neither"),
        ("x.json", '[{"a": 1}, {"a": ', "x.json, row 2: broken JSON"),
        ("x.json", '[{"a": 1} {"a": 2}]', "x.json, row 2: broken JSON: .* where a comma or ] was expected"),
        ("x.json", '[{"a": 1}', "x.json, row 2: broken JSON"),
        ("x.json", "[", "x.json, row 1: broken JSON"),
        ("x.json", '[{"a": 1},]', "x.json, row 2: broken JSON"),
        ("x.json", '[{"a": 1, "a": 2}]', "x.json, row 1: the key 'a' occurs twice in one object"),
        ("x.json", "[" * 100_000, "x.json, row 1: nested too deeply"),
        ("x.json", b'[{"a": "\xff"}]', "x.json: not UTF-8"),
        ("x.parquet", "PAR1", "x.parquet: not parquet"),
        ("x.csv", "a,b", "x.csv: the name must end in .jsonl"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, name, data, words):
    with pytest.raises(ValueError, match=words):
        read(write(tmp_path, name, data))


def test_broken_gzip(tmp_path):
    for name in ("x.jsonl.gz", "x.json.gz"):
        (tmp_path / name).write_bytes(b'{"a": 1}\n')
        with pytest.raises(ValueError, match=f"{name}: broken gzip"):
            read(tmp_path / name)
        (tmp_path / name).write_bytes(gzip.compress(b'{"a": 1}\n' * 1000)[:-20])
        with pytest.raises(ValueError, match=f"{name}: broken gzip"):
            read(tmp_path / name)


def test_broken_parquet(tmp_path):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    parquet.write_table(pyarrow.table({"a": ["x" * 1000] * 1000}), tmp_path / "x.parquet", compression="none")
    data = bytearray((tmp_path / "x.parquet").read_bytes())
    data[4:60] = b"\xff" * 56
    (tmp_path / "x.parquet").write_bytes(data)
    with pytest.raises(ValueError, match="x.parquet, row 1: broken parquet"):
        read(tmp_path / "x.parquet")


def test_no_file_and_a_folder(tmp_path):
    with pytest.raises(ValueError, match=r"nowhere.jsonl: there is no such file"):
        open_file(tmp_path / "nowhere.jsonl")
    with pytest.raises(ValueError, match="is a folder; name a file"):
        open_file(tmp_path)


def test_rows_are_read_one_at_a_time(tmp_path):
    path = write(tmp_path, "x.jsonl", as_lines([{"a": "x" * 1000}] * 2000))
    source = open_file(path)
    assert (source.unit, source.total) == ("KiB", path.stat().st_size >> 10)
    positions = [item.position for item in source.rows]
    assert positions[0] < source.total / 2
    assert positions[-1] == source.total
