"""Reinforcement learning whose executor service is killed in the middle: slower, and not another number.

The real command, and SIGKILL to the service after the first iteration.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.warm_start import OPTIONS, warm_up
from tests.support.killed_runs import ROOT, assert_same_end, checkpoint_names, finish, scalars, start, write_inputs

BACKEND = "--model.init_args.executor_backend={}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lost")
    write_inputs(folder)
    warm_up(folder)
    return folder


@pytest.fixture(scope="module")
def whole(folder: Path) -> Path:
    """A run whose executor is its own and lives."""
    finish(start(folder, "ppo", "whole", *OPTIONS), folder, "whole")
    curves = scalars(folder / "whole")
    # else a lost verdict could not be told from one that is there, in the weights
    assert any(0 < float.fromhex(value) < 1 for _, value in curves["reward/pass_rate"])
    assert all(float.fromhex(value) > 0 for _, value in curves["optim/grad_norm"])
    return folder / "whole"


def await_checkpoints(run: subprocess.Popen, run_dir: Path, number: int) -> None:
    deadline = time.monotonic() + 120
    while len(checkpoint_names(run_dir)) < number:
        assert run.poll() is None, run_dir.with_suffix(".log").read_text()[-2000:]
        assert time.monotonic() < deadline
        time.sleep(0.01)


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[subprocess.Popen]:
    """Start `atomforge serve` on a Unix socket of the folder."""
    settings = {"backend": "process", "unix_socket": str(folder / "executor.sock")}
    (folder / "serve.yaml").write_text(yaml.safe_dump(settings))
    with (folder / "serve.log").open("ab") as log:
        service = subprocess.Popen(
            [sys.executable, "-m", "cli.main", "serve", "--config", "serve.yaml"],
            cwd=folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, stderr=log,
        )  # fmt: skip
    try:
        yield service
    finally:
        service.kill()
        service.wait()


def await_listening(folder: Path, num_starts: int) -> None:
    deadline = time.monotonic() + 60
    while (folder / "serve.log").read_text().count("atomforge: serving at") < num_starts:
        assert time.monotonic() < deadline, (folder / "serve.log").read_text()[-2000:]
        time.sleep(0.05)


@pytest.mark.slow
def test_a_service_killed_and_started_again_changes_no_number(folder: Path, whole: Path) -> None:
    address = f"http+unix://{folder / 'executor.sock'}"
    with serving(folder) as service:
        await_listening(folder, 1)
        run = start(folder, "ppo", "served", BACKEND.format(address), *OPTIONS)
        await_checkpoints(run, folder / "served", 1)
        service.kill()
    time.sleep(3)  # the run waits
    assert run.poll() is None
    with serving(folder):
        finish(run, folder, "served")
    assert "programs wait for it" in (folder / "served.log").read_text()
    assert_same_end(whole, folder / "served")


def test_a_node_s_service_is_started_again_and_ends_with_the_run(folder: Path, whole: Path) -> None:
    run = start(folder, "ppo", "node", BACKEND.format("per_node:process"), *OPTIONS)
    await_checkpoints(run, folder / "node", 1)
    first = service_of(run.pid)
    os.kill(first, signal.SIGKILL)
    finish(run, folder, "node")
    said = (folder / "node.log").read_text()
    assert re.search(r"executor service of this node exited with code -9; restarting it", said), said[-2000:]
    assert (folder / "node" / "executor_0.log").read_text().count("Started server process") == 2
    assert_same_end(whole, folder / "node")


@pytest.mark.slow
def test_a_node_s_service_dies_with_a_killed_run(folder: Path) -> None:
    run = start(folder, "ppo", "killed", BACKEND.format("per_node:process"), "--trainer.max_epochs=100000")
    await_checkpoints(run, folder / "killed", 1)
    service = service_of(run.pid)
    run.kill()
    run.wait()
    deadline = time.monotonic() + 10
    while Path(f"/proc/{service}/cmdline").exists() and Path(f"/proc/{service}/cmdline").read_bytes():
        assert time.monotonic() < deadline, "the service outlives the run"
        time.sleep(0.01)


def service_of(pid: int) -> int:
    """Find the service among the children of a run, those of its threads too."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            if b"executor.service.per_node" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise AssertionError("the run has no service")
