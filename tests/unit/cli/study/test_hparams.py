"""The folder for TensorBoard beside a report: replaced where it is a report's, else left alone."""

from pathlib import Path

import pytest

from cli.study.hparams import write_hparams
from executor.commands.errors import UsageError
from tests.support.study_results import arm, evaluation


def test_a_folder_of_a_report_is_replaced_and_another_one_is_not(tmp_path: Path) -> None:
    folder = tmp_path / "tensorboard"
    results = [arm("base", 0, {"synthetic_test": evaluation(True, False)})]
    write_hparams(folder, results)
    (before,) = folder.glob("base/seed0/events.*")
    before.rename(before.with_name("events.out.tfevents.0000000001.host"))
    write_hparams(folder, results)
    assert not before.with_name("events.out.tfevents.0000000001.host").exists()
    mine = folder / "mine" / "notes.txt"
    mine.parent.mkdir()
    mine.write_text("keep")
    with pytest.raises(UsageError, match=r"notes\.txt is not of a report, which would replace .*tensorboard: move it"):
        write_hparams(folder, results)
    assert mine.read_text() == "keep"
    assert len(list(folder.glob("base/seed0/events.*"))) == 1
