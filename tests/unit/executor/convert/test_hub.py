"""Data sets of the hub, with stand-ins for the packages that load them."""

import json
import sys

import pytest

from executor.convert.hub import choose_data_files, open_hub
from executor.convert.registry import open_rows


def test_a_data_set(monkeypatch):
    datasets = pytest.importorskip("datasets")
    calls = []

    def load(*args, **kwargs):
        calls.append((args, kwargs))
        return datasets.Dataset.from_list([{"a": 1}, {"a": 2}])

    monkeypatch.setattr(datasets, "load_dataset", load)
    source = open_hub("owner/name", config=None, split="train")
    assert (source.name, source.unit, source.total) == ("owner/name, split train", "rows", 2)
    assert [(item.place, item.row, item.position) for item in source.rows] == [
        ("row 1", {"a": 1}, 1),
        ("row 2", {"a": 2}, 2),
    ]
    open_hub("owner/name", config="lcbv5", split="test")
    assert calls == [(("owner/name",), {"split": "train"}), (("owner/name", "lcbv5"), {"split": "test"})]


def test_a_row_of_a_data_set_that_cannot_be_read(monkeypatch):
    def load():
        yield {"a": 1}
        raise OverflowError("date value out of range")

    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets, "load_dataset", lambda *args, **kwargs: load())
    source = open_hub("owner/name", config=None, split="train")
    with pytest.raises(ValueError, match="owner/name, row 2: cannot be read: date value out of range"):
        list(source.rows)


def test_the_split_of_a_format(monkeypatch):
    datasets = pytest.importorskip("datasets")
    splits = []
    monkeypatch.setattr(datasets, "load_dataset", lambda name, split: splits.append((name, split)) or [])
    open_rows("owner/name", format_name="apps")
    open_rows("hub:owner/name", format_name="livecodebench")
    open_rows("owner/name", format_name="mbpp", split="validation")
    assert splits == [("owner/name", "train"), ("owner/name", "test"), ("owner/name", "validation")]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError("Couldn't reach\nit"), "owner/name: the hub cannot be reached: Couldn't reach$"),
        (FileNotFoundError("no data"), "owner/name: cannot be loaded: no data"),
        (ValueError("Unknown split"), "owner/name: cannot be loaded: Unknown split"),
        (RuntimeError(""), "owner/name: cannot be loaded: RuntimeError"),
    ],
)
def test_a_hub_that_gives_nothing(monkeypatch, error, words):
    datasets = pytest.importorskip("datasets")

    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(datasets, "load_dataset", fail)
    with pytest.raises(ValueError, match=words):
        open_hub("owner/name", config=None, split="train")


def test_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(ValueError, match=r"owner/name: .* datasets: pip install 'atomforge-executor\[hub\]'"):
        open_hub("owner/name", config=None, split="train")


class Hub:
    """A stand-in for the module huggingface_hub, with files of a folder."""

    def __init__(self, folder, error=None):
        self.folder = folder
        self.error = error

    def HfApi(self):  # named as in the module
        return self

    def list_repo_files(self, name, *, repo_type):
        assert (name, repo_type) == ("owner/name", "dataset")
        if self.error is not None:
            raise self.error
        return [str(path.relative_to(self.folder)) for path in self.folder.rglob("*") if path.is_file()]

    def hf_hub_download(self, _name, file, *, repo_type):
        assert repo_type == "dataset"
        return str(self.folder / file)


@pytest.fixture
def scripted(monkeypatch):
    """A data set with a loading script, which datasets does not run."""
    datasets = pytest.importorskip("datasets")

    def fail(*_args, **_kwargs):
        raise RuntimeError("Dataset scripts are no longer supported, but found name.py")

    monkeypatch.setattr(datasets, "load_dataset", fail)


def test_a_data_set_with_a_loading_script(monkeypatch, tmp_path, scripted):
    for name, rows in {"test.jsonl": [1, 2], "test10.jsonl": [4], "test2.jsonl": [3], "train.jsonl": [9]}.items():
        (tmp_path / name).write_text("".join(json.dumps({"a": number}) + "\n" for number in rows))
    (tmp_path / "name.py").write_text("1 / 0")
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(tmp_path))
    source = open_hub("owner/name", config=None, split="test")
    rows = list(source.rows)
    assert [item.row for item in rows] == [{"a": 1}, {"a": 2}, {"a": 3}, {"a": 4}]
    assert [item.place for item in rows][1:3] == ["test.jsonl, line 2", "test2.jsonl, line 1"]


def test_a_loading_script_without_data_files(monkeypatch, tmp_path, scripted):
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(tmp_path))
    with pytest.raises(ValueError, match="owner/name: has no data file of the split test"):
        open_hub("owner/name", config=None, split="test")
    monkeypatch.setitem(sys.modules, "huggingface_hub", Hub(tmp_path, error=OSError("offline")))
    with pytest.raises(ValueError, match="owner/name: the hub cannot be reached: offline"):
        open_hub("owner/name", config=None, split="test")


def test_the_files_of_a_split():
    files = ["README.md", "ALL/train-0.parquet", "EASY/train-0.parquet", "test/data-1.parquet", "test/data-0.parquet"]
    assert choose_data_files(files, config="ALL", split="train") == ["ALL/train-0.parquet"]
    assert choose_data_files(files, config=None, split="train") == ["ALL/train-0.parquet", "EASY/train-0.parquet"]
    assert choose_data_files(files, config=None, split="test") == ["test/data-0.parquet", "test/data-1.parquet"]
    assert choose_data_files(files, config=None, split="validation") == []
