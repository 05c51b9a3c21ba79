"""The folder for TensorBoard of a report: replaced if a report wrote it, otherwise an error."""

from pathlib import Path

import pytest

from cli.report.tensorboard import write_arms
from executor.commands.errors import UsageError
from tests.support.study_results import arm, evaluation


def test_only_a_folder_of_a_report_is_replaced(tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard"
    results = [arm("base", 0, {"synthetic_test": evaluation(True, False)})]
    write_arms(folder, results)
    (before,) = folder.glob("base/seed0/events.*")
    before.rename(before.with_name("events.out.tfevents.0000000001.host"))
    write_arms(folder, results)
    assert not before.with_name("events.out.tfevents.0000000001.host").exists()
    mine = folder / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("keep")
    with pytest.raises(
        UsageError, match=r"notes\.txt was not written by a report, which replaces .*tensorboard: move it"
    ):
        write_arms(folder, results)
    assert mine.read_text() == "keep"
    assert len(list(folder.glob("base/seed0/events.*"))) == 1
