"""Finds the container engine (Docker, rootless Docker, Docker Desktop, podman) and asks which limits it enforces.

It starts no containers and changes nothing.
"""

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from docker import DockerClient

ENGINE_TIMEOUT_S = 60
"""Of one request to the engine."""
DEFAULT_ADDRESS = "unix:///var/run/docker.sock"
_ERROR_CHARS = 300
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}
"""Names of architectures that only some engines use."""


@dataclass(frozen=True, kw_only=True)
class EngineInfo:
    """What an engine says about itself."""

    remaps_users: bool
    """Whether user ids of a container differ from those of the machine: rootless engines, and `userns-remap`."""
    unenforced_limits: tuple[str, ...]
    """Of `memory`, `processes` and `inodes`, the limits of a container that the engine does not have or ignores."""
    runtimes: tuple[str, ...]
    machine: str
    """Architecture in the spelling of `platform.machine()`."""

    @property
    def has_cgroups(self) -> bool:
        """Whether each container has a cgroup of its own, whose numbers are those of the container."""
        return not {"memory", "processes"} & {*self.unenforced_limits}


def connect_engine() -> "DockerClient":
    """Connect to the engine of DOCKER_HOST, else of the Docker context, else to the first socket that responds.

    The sockets are Docker's, then those of `list_sockets`.

    Raises:
        ValueError: no engine answers there, or this user may not use it.
    """
    import docker
    from docker.errors import DockerException

    address, is_named = _find_address()
    try:
        return docker.from_env(timeout=ENGINE_TIMEOUT_S)
    except DockerException as error:
        failure = ValueError(f"no Docker engine can be used: {_explain(error, address)}")
    for other in [] if is_named else list_sockets():
        with contextlib.suppress(DockerException):
            return docker.DockerClient(base_url=other, timeout=ENGINE_TIMEOUT_S)
    raise failure


def list_sockets() -> list[str]:
    """List the addresses of sockets that exist in addition to Docker's own: rootless Docker, Docker Desktop, podman."""
    if sys.platform == "win32":
        return []
    runtime = Path(os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.getuid()}")
    desktop = Path.home() / ".docker"
    sockets = [
        runtime / "docker.sock",
        desktop / "run/docker.sock",
        desktop / "desktop/docker.sock",
        runtime / "podman/podman.sock",
        Path("/run/podman/podman.sock"),
    ]
    return [f"unix://{path}" for path in sockets if os.access(path, os.R_OK | os.W_OK)]


def read_engine_info(info: dict[str, Any]) -> EngineInfo:
    """Interpret the response to `/info`, in which Docker and podman differ.

    Args:
        info: the response. podman reports the limits of the machine, also as an ordinary user on cgroup v1, where it
            sets none, and rejects `nr_inodes` of a tmpfs.
    """
    options = " ".join(info.get("SecurityOptions") or [])
    is_rootless = "name=rootless" in options or bool(info.get("Rootless"))  # Docker; podman
    unenforced = [
        name
        for name, key in (("memory", "MemoryLimit"), ("processes", "PidsLimit"))
        if (is_rootless and info.get("CgroupVersion") != "2") or not info.get(key, True)
    ]
    if "BuildahVersion" in info:
        unenforced.append("inodes")
    machine: str = info.get("Architecture", "")
    return EngineInfo(
        remaps_users=is_rootless or "name=userns" in options,
        unenforced_limits=tuple(unenforced),
        runtimes=tuple(sorted(info.get("Runtimes") or {})),
        machine=_MACHINES.get(machine, machine),
    )


def check_runtime(engine: EngineInfo, runtime: str | None) -> None:
    """Check that the engine has the runtime of the config.

    Raises:
        ValueError: it has not.
    """
    if runtime is not None and runtime not in engine.runtimes:
        raise ValueError(f"docker: the engine has no runtime {runtime!r}; it has {', '.join(engine.runtimes)}")


def _find_address() -> tuple[str, bool]:
    """Return the address that `docker.from_env` uses, and whether DOCKER_HOST or a context names it."""
    from docker.context import ContextAPI
    from docker.errors import DockerException

    if "DOCKER_HOST" in os.environ:
        return os.environ["DOCKER_HOST"], True
    with contextlib.suppress(DockerException):
        context = ContextAPI.get_context(os.environ.get("DOCKER_CONTEXT"))
        if context is not None and context.Name != "default":
            return f"{(context.Host or '').removeprefix('http+')} (Docker context {context.Name})", True
    return DEFAULT_ADDRESS, False


def _explain(error: BaseException, address: str) -> str:
    cause: BaseException | None = error
    while cause is not None:  # the docker package wraps the error of the socket several times
        if isinstance(cause, PermissionError):
            return f"no permission to open {address}: join the group `docker`, or use sudo"
        if isinstance(cause, FileNotFoundError | ConnectionRefusedError):
            return f"no response from {address}: install and start Docker, or set DOCKER_HOST"
        cause = cause.__cause__ or cause.__context__
    return " ".join(str(error).split())[:_ERROR_CHARS]
