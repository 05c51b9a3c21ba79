"""Docker: the worker as process 1 of a hardened container, one sandbox a container, spoken to through a Unix socket.

Needs the engine of this very machine: container and host share a folder with the socket. The image is that of
`atomforge executor build`. A shared kernel stays the boundary, unless `runtime` names one that brings its own (gVisor's
`runsc`). It never runs privileged containers and gives none the engine's socket.
"""

import contextlib
import json
import logging
import os
import secrets
import shutil
import socket
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.backends.base import MAX_PROCESSES, SCRATCH_BYTES, UIDS
from executor.backends.docker_client import connect_engine
from executor.backends.docker_image import DEFAULT_TAG, SOURCES_LABEL, sources_digest
from executor.backends.profiles import PROFILE_PARTS
from executor.backends.seccomp import boxed_seccomp_program
from executor.sandbox.__main__ import FLAGS

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "atomforge.executor"
"""Label of the containers; its value names the process that started them."""
PIDS_LIMIT = MAX_PROCESSES + 8
START_TIMEOUT_S = 30.0
END_TIMEOUT_S = 2.0
_SCRATCH = "/tmp"
_HANDSHAKE = "/handshake"
_POLL_S = 0.1
_KILLED_CODE = 137
_NO_QUEUES = {"kernel.shmmni": "0", "kernel.msgmni": "0", "kernel.sem": "0 0 0 0"}
_MODEST_UIDS = range(20_000, 40_000)
"""Where the engine maps user ids, those of a container end at 65535."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DockerSettings:
    """What the containers of sandboxes are like."""

    image: str = DEFAULT_TAG
    memory_bytes: int = 1 << 30
    """Of a whole container: the candidate with all its processes and files, and the worker."""
    runtime: str | None = None
    """Of the engine, such as `runsc`; None: its default."""
    socket_dir: str | None = None
    """Folder that engine and this process see under the same path; None: the one for temporary files."""

    def __post_init__(self) -> None:
        if self.memory_bytes < 64 << 20:
            raise ValueError(f"docker: memory_bytes must be at least {64 << 20} (64 MiB), not {self.memory_bytes}")


class DockerBackend:
    """Starts sandboxes as containers.

    Raises:
        ValueError: there is no engine, no right to use it, no image, or an image of other sources than these.
    """

    name = "docker"

    def __init__(self, settings: DockerSettings, *, hash_seed: int = 0, profile: str = "cpu"):
        from docker.errors import DockerException

        self._settings = settings
        self._hash_seed = hash_seed
        self._profile = PROFILE_PARTS[profile]()
        self._client = connect_engine()
        try:
            info = self._client.info()
            _check_image(self._client, settings.image)
            _check_runtime(info, settings.runtime)
            _remove_left_over(self._client)
        except (DockerException, OSError) as error:  # an engine that leaves in between is an error of the HTTP client
            self._client.close()
            raise ValueError(f"the Docker engine cannot be used: {_one_line(error)}") from None
        except ValueError:
            self._client.close()
            raise
        options = " ".join(info.get("SecurityOptions") or [])
        self._uids = _MODEST_UIDS if "name=userns" in options or "name=rootless" in options else UIDS
        self._seccomp = boxed_seccomp_program()
        runtime = f"runtime {settings.runtime}" if settings.runtime else "the kernel is shared"
        filtered = "seccomp" if self._seccomp else "the engine's seccomp alone"
        self.description = (
            f"docker: a container a sandbox, no network, read-only, a user id of its own, {filtered}, "
            f"{settings.memory_bytes >> 20} MiB, one process a program; {self._profile.note}{runtime}"
        )

    def with_profile(self, profile: str) -> "DockerBackend":
        return DockerBackend(self._settings, hash_seed=self._hash_seed, profile=profile)

    def start(self) -> "DockerSandbox":
        from docker.errors import DockerException

        folder = Path(tempfile.mkdtemp(prefix="atomforge-", dir=self._settings.socket_dir))
        container = None
        try:
            shared = folder / "shared"  # the folder around it lets nobody else on this machine in
            shared.mkdir()
            shared.chmod(0o755)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(shared / "socket"))
                (shared / "socket").chmod(0o666)
                listener.listen(1)
                container = self._client.containers.create(**self._options(shared))
                container.start()
                connection = _accept(listener, container)
        except (DockerException, OSError) as error:
            if container is not None:
                _remove(container)
            raise OSError(_one_line(error)) from None
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return DockerSandbox(container, connection)

    def close(self) -> None:
        self._client.close()

    def _options(self, shared: Path) -> dict[str, Any]:
        box = {
            "uid": secrets.choice(self._uids),
            "max_processes": MAX_PROCESSES,
            "scratch": _SCRATCH,
            "owns_namespace": True,
            "seccomp": self._seccomp,
            "proc": "/proc",
            "cgroup": True,
            "oom_score_adj": 1000,
            **self._profile.box,
        }
        files = {str(source): {"bind": place, "mode": "ro"} for place, source in self._profile.files.items()}
        return {
            "image": self._settings.image,
            "entrypoint": ["python3", *FLAGS, "/app/sandbox"],
            "command": [json.dumps(box), f"{_HANDSHAKE}/socket"],
            "environment": {"PYTHONHASHSEED": str(self._hash_seed)},
            "labels": {LABEL: f"{os.getpid()}.{_boot_and_start()}"},
            "hostname": "sandbox",
            "user": "0:0",
            "working_dir": "/",
            "runtime": self._settings.runtime,
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "cap_add": ["SETUID", "SETGID", "KILL"],
            "security_opt": ["no-new-privileges"],
            "ipc_mode": "private",
            "sysctls": _NO_QUEUES,
            "pids_limit": PIDS_LIMIT,
            "mem_limit": self._settings.memory_bytes,
            "memswap_limit": self._settings.memory_bytes,
            "tmpfs": {
                _SCRATCH: f"size={SCRATCH_BYTES},nr_inodes=1024,mode=1777,nosuid,nodev",
                "/dev/shm": "ro,size=4k",
                "/dev/mqueue": "ro,size=4k",
            },
            "volumes": {str(shared): {"bind": _HANDSHAKE, "mode": "ro"}, **files},
            "device_requests": self._profile.device_requests(),
            "ulimits": _ulimits(),
            "log_config": _small_log(),
        }


class DockerSandbox:
    """A sandbox that is a container."""

    def __init__(self, container: "Container", connection: socket.socket):
        self._container = container
        container.reload()
        self.root_pid = int(container.attrs["State"]["Pid"])
        self.requests_fd = connection.detach()
        self.replies_fd = os.dup(self.requests_fd)
        self.killed_from_outside = False

    def kill(self) -> str:
        from docker.errors import DockerException, NotFound

        for fd in (self.requests_fd, self.replies_fd):
            os.close(fd)
        said = ""
        try:
            state = self._state_at_the_end()
            if not state["Running"]:
                # Process 1 cannot be sent SIGKILL from within its own namespace.
                self.killed_from_outside = state["ExitCode"] == _KILLED_CODE and not state["OOMKilled"]
                said = self._container.logs(tail=5, stdout=False).decode(errors="replace")[-300:]
        except NotFound:
            self.killed_from_outside = True  # only from outside can a container be removed
        except DockerException as error:
            self.killed_from_outside = True  # the engine itself is away
            _log.warning("the engine could not say what became of a container: %s", _one_line(error))
        _remove(self._container)
        return " ".join(said.split())

    def _state_at_the_end(self) -> dict[str, Any]:
        """Ask what became of it: the engine learns of an end after our socket, and an idle worker ends by itself."""
        deadline = time.monotonic() + END_TIMEOUT_S
        while True:
            self._container.reload()
            state = self._container.attrs["State"]
            if not state["Running"] or time.monotonic() > deadline:
                return state
            time.sleep(_POLL_S / 4)


def _accept(listener: socket.socket, container: "Container") -> socket.socket:
    """Wait for the worker to connect.

    Raises:
        OSError: the container ended before, or it took too long.
    """
    listener.settimeout(_POLL_S)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return listener.accept()[0]
        container.reload()
        if container.status in ("exited", "dead"):
            said = container.logs(tail=5).decode(errors="replace")[-300:]
            raise OSError(f"the container ended at once: {said or container.attrs['State']}")
    raise OSError(
        f"the container did not connect within {START_TIMEOUT_S:g} s; the engine must be that of this machine"
    )


def _check_image(client: "DockerClient", image: str) -> None:
    from docker.errors import ImageNotFound

    try:
        labels = client.images.get(image).labels or {}
    except ImageNotFound:
        raise ValueError(f"Docker has no image {image}: run `atomforge executor build`") from None
    if labels.get(SOURCES_LABEL) != sources_digest():
        raise ValueError(f"the image {image} was built from other sources: run `atomforge executor build`")


def _check_runtime(info: dict[str, Any], runtime: str | None) -> None:
    known = sorted(info.get("Runtimes") or {})
    if runtime is not None and runtime not in known:
        raise ValueError(f"docker: the engine has no runtime {runtime!r}; it has {', '.join(known)}")


def _remove_left_over(client: "DockerClient") -> None:
    """Remove the ended containers of processes that did not live to do it themselves."""
    for container in client.containers.list(all=True, filters={"label": LABEL, "status": "exited"}):
        if not _is_alive(container.labels[LABEL]):
            _remove(container)


def _is_alive(owner: str) -> bool:
    pid, _, began = owner.partition(".")
    return pid.isdigit() and _boot_and_start(int(pid)) == began


def _boot_and_start(pid: int | None = None) -> str:
    """Tell a process from another that had its id: the boot and the clock tick it began at; `-` when there is none."""
    try:
        stat = Path(f"/proc/{pid or os.getpid()}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"
    return f"{boot}.{stat[stat.rindex(')') + 2 :].split()[19]}"


def _remove(container: "Container") -> None:
    from docker.errors import APIError, DockerException

    try:
        container.remove(force=True)
    except APIError as error:
        if error.status_code not in (404, 409):  # gone, or on its way
            _log.warning("a container could not be removed: %s", _one_line(error))
    except DockerException as error:
        _log.warning("a container could not be removed: %s", _one_line(error))


def _ulimits() -> list[Any]:
    from docker.types import Ulimit

    return [Ulimit(name="core", soft=0, hard=0)]


def _small_log() -> Any:
    from docker.types import LogConfig

    return LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"})


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300]
