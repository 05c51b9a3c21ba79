"""What identifies the owner of a container."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from executor.backends.docker import container


def test_without_procfs_a_process_is_identified_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_text(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(container.Path, "read_text", read_text)
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert float(container.process_identity(os.getpid())) == psutil.Process().create_time()
    assert container.process_identity(ended.pid) == "-"
