"""The Docker backend without an engine."""

from types import SimpleNamespace

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
