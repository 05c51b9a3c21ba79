"""The directory of an evaluation: what it keeps, and what a torn row costs."""

from pathlib import Path

import pytest

from cli.evaluation.store import EvaluationStore
from lightning_modules.evaluation.records import GradedCompletion


def graded(status: str) -> GradedCompletion:
    return GradedCompletion(completion="c", num_tokens=1, finished=True, status=status, num_passed=0, num_tests=2)


def test_store_keeps_rows_and_drops_a_torn_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    store = EvaluationStore(tmp_path / "e")
    assert store.settings() is None
    store.begin({"a": 1})
    assert not store.has_samples
    for number in (-1, 0):
        store.append("s", "t", number, graded("passed"))
    samples = tmp_path / "e" / "samples.jsonl"
    whole = samples.read_bytes()
    samples.write_bytes(whole + whole[:40])
    expected = {"s": {("t", -1): graded("passed"), ("t", 0): graded("passed")}}
    assert store.read() == expected
    assert "was incomplete" in capsys.readouterr().err
    assert samples.read_bytes() == whole
    samples.write_bytes(whole[:-1])  # only the line break is missing: a row appended to it would be broken
    assert store.read() == {"s": {("t", -1): graded("passed")}}
    samples.write_bytes(b"{}\n" + whole)
    with pytest.raises(ValueError, match=r"samples.jsonl, line 1: not a completion"):
        store.read()
    store.rewrite(expected)
    assert samples.read_bytes() == whole
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "x").touch()
    with pytest.raises(ValueError, match="other is not an evaluation"):
        EvaluationStore(tmp_path / "other").settings()
