"""SIGTERM ends a run at once, with one line on how to resume."""

import os
import signal
from pathlib import Path

import pytest

from tests.support.killed_runs import start, write_inputs
from tests.support.wait import wait_until


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("termination")
    write_inputs(folder)
    return folder


def test_sigterm_ends_a_run_that_waits_for_a_server(folder: Path) -> None:
    process = start(folder, "ppo", "waits", "--model.init_args.rollout.engine=http://127.0.0.1:9")
    log = folder / "waits.log"
    wait_until(lambda: log.exists() and "waiting for it" in log.read_text(), within_s=120)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait(timeout=20) == 128 + signal.SIGTERM
    assert log.read_text().splitlines()[-1].startswith("atomforge: terminated; run it again with `--ckpt_path last`")
