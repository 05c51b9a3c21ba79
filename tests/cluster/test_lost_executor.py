"""Reinforcement learning whose executor service is killed in the middle: slower, and not another number.

The real command, and SIGKILL to the service after the first iteration.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.warm_start import OPTIONS, warm_up
from tests.support.killed_runs import (
    ROOT,
    assert_same_end,
    finish,
    scalars,
    start,
    wait_for_checkpoints,
    write_inputs,
)
from tests.support.wait import wait_until

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


def wait_for_starts(folder: Path, num_starts: int) -> None:
    log = folder / "serve.log"
    wait_until(lambda: log.read_text().count("atomforge: serving at") >= num_starts, within_s=60)


@pytest.mark.slow
def test_restart_of_a_killed_service_changes_no_number(folder: Path, whole: Path) -> None:
    address = f"http+unix://{folder / 'executor.sock'}"
    with serving(folder) as service:
        wait_for_starts(folder, 1)
        run = start(folder, "ppo", "served", BACKEND.format(address), *OPTIONS)
        wait_for_checkpoints(run, folder / "served", 1)
        service.kill()
    wait_until(lambda: "programs wait for it" in (folder / "served.log").read_text())
    assert run.poll() is None
    with serving(folder):
        finish(run, folder, "served")
    assert_same_end(whole, folder / "served")


def test_service_per_node_is_restarted_and_ends_with_the_run(folder: Path, whole: Path) -> None:
    run = start(folder, "ppo", "node", BACKEND.format("per_node:process"), *OPTIONS)
    wait_for_checkpoints(run, folder / "node", 1)
    first = service_of(run.pid)
    os.kill(first, signal.SIGKILL)
    finish(run, folder, "node")
    said = (folder / "node.log").read_text()
    assert re.search(r"executor service of this node exited with code -9; restarting it", said), said[-2000:]
    assert (folder / "node" / "executor_0.log").read_text().count("Started server process") == 2
    assert_same_end(whole, folder / "node")


@pytest.mark.slow
def test_service_per_node_dies_with_a_killed_run(folder: Path) -> None:
    run = start(folder, "ppo", "killed", BACKEND.format("per_node:process"), "--trainer.max_epochs=100000")
    wait_for_checkpoints(run, folder / "killed", 1)
    service = service_of(run.pid)
    run.kill()
    run.wait()
    command = Path(f"/proc/{service}/cmdline")  # empty while the process waits for its parent
    wait_until(lambda: not (command.exists() and command.read_bytes()), within_s=10)


def service_of(pid: int) -> int:
    """Find the service among the children of a run, those of its threads too."""
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            if b"executor.service.per_node" in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
    raise AssertionError("the run has no service")
