"""A run that is killed and started again ends as the run that was never stopped: parameters and curves, bit for bit.

The real command, in processes of their own, killed with SIGKILL at random moments of training.
"""

import os
import random
import signal
from pathlib import Path

import pytest

from tests.cluster.warm_start import OPTIONS, warm_up
from tests.support.killed_runs import (
    assert_same_end,
    finish,
    run_with_kills,
    scalars,
    start,
    wait_for_checkpoints,
    write_inputs,
)
from tests.support.wait import wait_until

SHARDED = ("--trainer.devices=2", "--trainer.strategy=fsdp2", "--trainer.precision=32-true")
TWO_RANKS = ("--trainer.devices=2", "--trainer.strategy=ddp")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("resume")
    write_inputs(folder)
    warm_up(folder)
    return folder


def compare(folder: Path, kind: str, *options: str, num_kills: int, seed: int, timeout_s: float = 250.0) -> None:
    name = "_".join([kind, *(option.rpartition("=")[2] for option in options), str(num_kills)])
    options = (*options, *(OPTIONS if kind == "ppo" else ()))
    finish(start(folder, kind, f"{name}_whole", *options), folder, f"{name}_whole", timeout_s=timeout_s)
    run_with_kills(folder, kind, f"{name}_killed", *options, num_kills=num_kills, rng=random.Random(seed))
    assert_same_end(folder / f"{name}_whole", folder / f"{name}_killed")
    curves = scalars(folder / f"{name}_whole")
    assert len(curves["executor/time_factor"]) == 1
    if kind == "ppo":  # it learnt something that a resume could lose
        assert any(float.fromhex(value) > 0 for _, value in curves["reward/pass_rate"])


AHEAD = "--model.init_args.rollout.staleness=1"


@pytest.mark.parametrize(
    ("kind", "options", "num_kills"),
    [
        ("sft", (), 2),
        pytest.param("ppo", (), 1, marks=pytest.mark.slow),
        ("ppo", TWO_RANKS, 1),
        pytest.param("sft", SHARDED, 1, marks=pytest.mark.slow),
        pytest.param("ppo", (AHEAD,), 1, marks=pytest.mark.slow),
        pytest.param("ppo", (*TWO_RANKS, AHEAD), 1, marks=pytest.mark.slow),
    ],
)
def test_killed_runs_end_as_whole_ones(folder: Path, kind: str, options: tuple[str, ...], num_kills: int) -> None:
    compare(folder, kind, *options, num_kills=num_kills, seed=1)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("options", [(), TWO_RANKS, SHARDED], ids=["one", "two", "sharded"])
@pytest.mark.parametrize(("kind", "max_epochs"), [("sft", 400), ("ppo", 120)])
def test_runs_killed_twenty_times_end_as_whole_ones(
    folder: Path, kind: str, max_epochs: int, options: tuple[str, ...]
) -> None:
    compare(folder, kind, *options, f"--trainer.max_epochs={max_epochs}", num_kills=20, seed=2, timeout_s=600.0)


def test_a_rank_dies_with_its_main_process(folder: Path) -> None:
    process = start(folder, "sft", "orphans", *TWO_RANKS, "--trainer.max_epochs=100000")
    wait_for_checkpoints(process, folder / "orphans", 1)
    [rank] = [
        pid for pid in children_of(process.pid) if b"cli.main" in command_of(pid) or b"cli/main" in command_of(pid)
    ]
    os.kill(rank, signal.SIGSTOP)  # it cannot see that the other one has gone
    process.kill()
    process.wait()
    try:
        wait_until(lambda: not Path(f"/proc/{rank}").exists() or state_of(rank) == "Z", within_s=60)
    finally:
        if Path(f"/proc/{rank}").exists() and state_of(rank) != "Z":
            os.kill(rank, signal.SIGKILL)


def children_of(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def state_of(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
