"""Connects to the Docker engine of this machine, and says in a line of its own why there is none."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import docker

ENGINE_TIMEOUT_S = 60
"""Longest wait for one answer of the engine."""


def connect_engine() -> "docker.DockerClient":
    """Connect to the engine that DOCKER_HOST names, or to the usual socket.

    Raises:
        ValueError: none answers there, or this user may not ask it.
    """
    import docker
    from docker.errors import DockerException

    try:
        return docker.from_env(timeout=ENGINE_TIMEOUT_S)
    except DockerException as error:
        raise ValueError(f"no Docker engine can be used: {_why(error)}") from None


def _why(error: BaseException) -> str:
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    cause: BaseException | None = error
    while cause is not None:  # the package wraps what the socket said three times
        if isinstance(cause, PermissionError):
            return f"no permission to open {address}: join the group `docker`, or use sudo"
        if isinstance(cause, FileNotFoundError | ConnectionRefusedError):
            return f"none answers at {address}: install and start Docker, or set DOCKER_HOST"
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())[:300]
