"""An engine that is there and then is not."""

from types import SimpleNamespace

import pytest
import requests
from docker.errors import APIError

from executor.backends import docker as backend


@pytest.mark.parametrize("error", [requests.exceptions.ConnectionError("Connection aborted."), APIError("no")])
def test_an_engine_that_leaves_while_it_is_asked_is_one_line(monkeypatch: pytest.MonkeyPatch, error: Exception) -> None:
    closed = []

    def info() -> None:
        raise error

    client = SimpleNamespace(info=info, close=lambda: closed.append(True))
    monkeypatch.setattr(backend, "connect_engine", lambda: client)
    with pytest.raises(ValueError, match=f"^the Docker engine cannot be used: {error}$"):
        backend.DockerBackend(backend.DockerSettings())
    assert closed == [True]
