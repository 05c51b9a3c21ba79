"""The Docker backend without an engine."""

import os
import subprocess
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import requests
from docker.errors import APIError

from executor.backends.docker import backend


@pytest.mark.parametrize("error", [requests.exceptions.ConnectionError("Connection aborted."), APIError("no")])
def test_engine_failing_during_a_query_raises_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    closed = []

    def info() -> None:
        raise error

    client = SimpleNamespace(info=info, close=lambda: closed.append(True))
    monkeypatch.setattr(backend, "connect_engine", lambda: client)
    with pytest.raises(ValueError, match=f"^the Docker engine cannot be used: {error}$"):
        backend.DockerBackend(backend.DockerConfig())
    assert closed == [True]


def test_without_procfs_a_process_is_identified_by_its_start(monkeypatch: pytest.MonkeyPatch) -> None:
    def read_text(path: Path) -> str:
        raise FileNotFoundError(path)

    monkeypatch.setattr(backend.Path, "read_text", read_text)
    ended = subprocess.Popen(["true"])
    ended.wait()
    assert float(backend._process_identity(os.getpid())) == psutil.Process().create_time()
    assert backend._process_identity(ended.pid) == "-"
