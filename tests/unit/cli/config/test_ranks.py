"""Threads and precision: given, recorded or measured, in this order."""

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from cli.config import ranks
from cli.config.ranks import count_local_ranks, rank_process, resolve_hardware_settings
from lightning_modules.models.forward import autotune
from lightning_modules.models.forward.autotune import CpuBenchmark
from lightning_modules.training.logging.run_record import ExecutorRecord, RunRecord, read_record, write_record

FOUND = CpuBenchmark(num_threads=3, has_fast_bf16=True, step_s={1: 0.3, 3: 0.1}, bf16_speedup=2.0)


@pytest.fixture(autouse=True)
def measured(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The most threads of each measurement made."""
    calls: list[int] = []

    def measure(max_threads: int) -> CpuBenchmark:
        calls.append(max_threads)
        return FOUND

    monkeypatch.setattr(autotune, "benchmark_cpu", measure)
    monkeypatch.setattr(ranks, "count_cores", lambda: 12)
    for name in (
        "LOCAL_RANK",
        "RANK",
        "SLURM_NTASKS",
        "SLURM_PROCID",
        "SLURM_CPUS_PER_TASK",
        "NODE_RANK",
        "ATOMFORGE_LAUNCHER",
        "ATOMFORGE_MACHINE",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ATOMFORGE_MACHINE", "")  # so that it is put back
    return calls


def chosen(folder: Path, *, resumed: bool, **given: Any) -> RunRecord:
    options = {"num_threads": None, "precision": None, "accelerator": "cpu", "devices": 1} | given
    return resolve_hardware_settings(**options, recorded_in=folder if resumed else None, record_in=folder)


def test_nothing_given_is_measured_and_recorded(tmp_path: Path, measured: list[int]) -> None:
    record = chosen(tmp_path, resumed=False, devices=2)
    assert (record.num_threads, record.precision) == (3, "bf16-mixed")
    assert measured == [6]  # 12 cores for 2 ranks
    assert yaml.safe_load((tmp_path / "machine.yaml").read_text()) == {
        "num_threads": 3,
        "precision": "bf16-mixed",
        "measured": {"step_s_by_threads": {1: 0.3, 3: 0.1}, "cpu_bf16_gain": 2.0},
        "executor": None,
    }


def test_what_is_given_is_obeyed_without_measuring(tmp_path: Path, measured: list[int]) -> None:
    record = chosen(tmp_path, resumed=False, num_threads=1, precision="32-true")
    assert record == read_record(tmp_path) == RunRecord(num_threads=1, precision="32-true")
    assert measured == []


def test_a_resumed_run_reads_its_record_back(tmp_path: Path, measured: list[int]) -> None:
    executor = ExecutorRecord(description="x", time_factor=1.5, step=4)
    write_record(tmp_path, RunRecord(num_threads=7, precision="32-true", executor=executor))
    record = chosen(tmp_path, resumed=True)
    assert record == read_record(tmp_path)
    assert (record.num_threads, record.precision, record.executor) == (7, "32-true", executor)
    assert measured == []


def test_a_new_run_knows_nothing_of_an_old_record(tmp_path: Path) -> None:
    executor = ExecutorRecord(description="x", time_factor=1.5, step=4)
    write_record(tmp_path, RunRecord(num_threads=7, precision="32-true", executor=executor))
    assert chosen(tmp_path, resumed=False).num_threads == 3
    assert read_record(tmp_path).executor is None  # type: ignore[union-attr]


def test_another_value_on_resume_is_used_with_a_note(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_record(tmp_path, RunRecord(num_threads=7, precision="32-true"))
    record = chosen(tmp_path, resumed=True, num_threads=2, precision="32-true")
    assert (record.num_threads, record.precision) == (2, "32-true")
    assert read_record(tmp_path) == record
    assert "num_threads is 2; the run had 7" in capsys.readouterr().err


def test_a_rank_takes_what_its_main_process_chose(
    tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen(tmp_path, resumed=False)
    (tmp_path / "machine.yaml").unlink()
    monkeypatch.setenv("ATOMFORGE_LAUNCHER", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    record = chosen(tmp_path, resumed=True)
    assert (record.num_threads, record.precision) == (3, "bf16-mixed")
    assert len(measured) == 1
    assert not (tmp_path / "machine.yaml").exists()


def test_nodes_that_cannot_agree_do_not_measure(
    tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NODE_RANK", "1")
    assert chosen(tmp_path, resumed=False, num_nodes=2).num_threads == 12
    assert measured == []
    assert not (tmp_path / "machine.yaml").exists()


@pytest.mark.parametrize(("rank", "writes"), [("0", True), ("1", False)])
def test_ranks_started_by_others_do_not_measure(
    tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch, rank: str, writes: bool
) -> None:
    monkeypatch.setenv("LOCAL_RANK", rank)
    monkeypatch.setenv("RANK", rank)
    record = chosen(tmp_path, resumed=False, devices=4)
    assert (record.num_threads, record.precision) == (3, "32-true")  # 12 cores for 4 ranks
    assert measured == []
    assert (tmp_path / "machine.yaml").exists() == writes


def test_a_damaged_record_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / "machine.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match=r"machine.yaml is damaged: delete it"):
        chosen(tmp_path, resumed=True)


@pytest.mark.parametrize(
    ("accelerator", "devices", "count"),
    [
        ("cpu", "auto", 1),
        ("cpu", 2, 2),
        ("cpu", "3", 3),
        ("auto", "auto", 8),
        ("gpu", -1, 8),
        ("gpu", [0, 5], 2),
        ("gpu", "0,5,6", 3),
    ],
)
def test_ranks_of_a_machine(accelerator: str, devices: Any, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autotune.torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(autotune.torch.cuda, "device_count", lambda: 8)
    assert count_local_ranks(accelerator, devices) == count


def test_a_main_process_can_run_a_second_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATOMFORGE_LAUNCHER", "")  # so that all are put back
    monkeypatch.setenv("LOCAL_RANK", "")
    for name in ("ATOMFORGE_LAUNCHER", "LOCAL_RANK"):
        monkeypatch.delenv(name)
    with rank_process():
        monkeypatch.setenv("LOCAL_RANK", "0")  # as Lightning does
    assert not {"LOCAL_RANK", "ATOMFORGE_LAUNCHER", "ATOMFORGE_MACHINE"} & set(os.environ)


def test_a_gpu_that_torch_does_not_find_gets_a_note(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(ranks, "GPU_DRIVER", tmp_path / "nvidiactl")
    ranks.note_unused_gpu("auto")
    assert capsys.readouterr().err == ""
    (tmp_path / "nvidiactl").touch()
    ranks.note_unused_gpu("cpu")
    assert capsys.readouterr().err == ""
    ranks.note_unused_gpu("auto")
    assert "this machine has an NVIDIA GPU, but torch finds none" in capsys.readouterr().err


@pytest.mark.parametrize(("per_task", "num_threads"), [("12", 12), ("6", 3)])
def test_cores_of_a_bound_rank_are_not_divided(
    tmp_path: Path, measured: list[int], monkeypatch: pytest.MonkeyPatch, per_task: str, num_threads: int
) -> None:
    """Of 12 cores: all of them belong to a rank of 12, those of four ranks of 6 that are not bound are shared."""
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", per_task)
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("RANK", "1")
    assert chosen(tmp_path, resumed=False, devices=4).num_threads == num_threads
