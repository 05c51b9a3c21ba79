"""Docker: the worker as process 1 of a hardened container, one container per sandbox, connected by a Unix socket.

The engine must run on this machine, because container and host share a directory with the socket. `atomforge executor
build` makes the image. The kernel stays shared unless `runtime` names one with its own (gVisor's `runsc`). Containers
are never privileged and have no access to the engine's socket.
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

from executor.backends.base import INPUT_BYTES, INPUT_DIR, SCRATCH_BYTES, UIDS
from executor.backends.docker_image import DEFAULT_TAG, check_image, connect_engine
from executor.backends.profiles import load_profile
from executor.backends.seccomp import encode_seccomp_filter
from executor.sandbox.__main__ import FLAGS

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

LABEL = "atomforge.executor"
"""Label of the containers; its value identifies the process that started them."""
SPARE_PIDS = 8
"""Processes of a container beyond those of its program."""
START_TIMEOUT_S = 30.0
EXIT_TIMEOUT_S = 2.0
_SCRATCH = "/tmp"
_HANDSHAKE = "/handshake"
_POLL_S = 0.1
_SIGKILL_CODE = 137
_LOG_CHARS = 300
_NO_IPC_OBJECTS = {"kernel.shmmni": "0", "kernel.msgmni": "0", "kernel.sem": "0 0 0 0"}
_REMAPPED_UIDS = range(20_000, 40_000)
"""Replaces `UIDS` where the engine remaps user ids: those of a container then end at 65535."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class DockerConfig:
    """Properties of the containers."""

    image: str = DEFAULT_TAG
    memory_bytes: int = 1 << 30
    """Limit of a whole container: the worker, and the candidate with all its processes and files."""
    runtime: str | None = None
    """Runtime of the engine, such as `runsc`; None: its default."""
    socket_dir: str | None = None
    """Directory that the engine and this process see under the same path; None: the one for temporary files."""

    def __post_init__(self) -> None:
        if self.memory_bytes < 64 << 20:
            raise ValueError(f"docker: memory_bytes must be at least {64 << 20} (64 MiB), not {self.memory_bytes}")


class DockerBackend:
    """Starts sandboxes as containers.

    Raises:
        ValueError: no engine answers, this user may not use it, or the image or the runtime is missing or outdated.
    """

    name = "docker"

    def __init__(self, config: DockerConfig, *, hash_seed: int = 0, profile: str = "cpu"):
        from docker.errors import DockerException

        self._config = config
        self._hash_seed = hash_seed
        self._profile = load_profile(profile)
        self._memory_bytes = max(config.memory_bytes, self._profile.container_bytes)
        self._client = connect_engine()
        try:
            info = self._client.info()
            check_image(self._client, config.image)
            _check_runtime(info, config.runtime)
            _remove_orphans(self._client)
        except (DockerException, OSError) as error:  # OSError: the connection breaks between two requests
            self._client.close()
            raise ValueError(f"the Docker engine cannot be used: {_one_line(error)}") from None
        except ValueError:
            self._client.close()
            raise
        options = " ".join(info.get("SecurityOptions") or [])
        self._uids = _REMAPPED_UIDS if "name=userns" in options or "name=rootless" in options else UIDS
        self._seccomp = encode_seccomp_filter()
        runtime = f"runtime {config.runtime}" if config.runtime else "the kernel is shared"
        seccomp = "seccomp" if self._seccomp else "the engine's seccomp alone"
        self.description = (
            f"docker: one container per sandbox, no network, read-only, a user id of its own, {seccomp}, "
            f"{self._memory_bytes >> 20} MiB, one process per program; {self._profile.note}{runtime}"
        )

    def with_profile(self, profile: str) -> "DockerBackend":
        return DockerBackend(self._config, hash_seed=self._hash_seed, profile=profile)

    def start(self) -> "DockerSandbox":
        from docker.errors import DockerException

        directory = Path(tempfile.mkdtemp(prefix="atomforge-", dir=self._config.socket_dir))
        container = None
        try:
            shared = directory / "shared"  # its parent keeps other users of this machine out
            shared.mkdir()
            shared.chmod(0o755)
            with socket.socket(socket.AF_UNIX) as listener:
                listener.bind(str(shared / "socket"))
                (shared / "socket").chmod(0o666)
                listener.listen(1)
                container = self._client.containers.create(**self._container_options(shared))
                container.start()
                connection = _accept(listener, container)
        except (DockerException, OSError) as error:
            if container is not None:
                _remove(container)
            raise OSError(_one_line(error)) from None
        finally:
            shutil.rmtree(directory, ignore_errors=True)
        return DockerSandbox(container, connection)

    def close(self) -> None:
        self._client.close()

    def _container_options(self, shared: Path) -> dict[str, Any]:
        from docker.types import DeviceRequest, LogConfig, Ulimit

        spec = {
            "uid": secrets.choice(self._uids),
            "max_processes": self._profile.max_processes,
            "scratch": _SCRATCH,
            "input": INPUT_DIR,
            "owns_namespace": True,
            "seccomp": self._seccomp,
            "proc": "/proc",
            "cgroup": True,
            "oom_score_adj": 1000,
            **self._profile.spec,
        }
        packages = {str(source): {"bind": target, "mode": "ro"} for target, source in self._profile.packages.items()}
        gpus = [] if self._profile.gpu is None else [self._profile.gpu]
        capabilities = [["compute", "utility"]]
        return {
            "image": self._config.image,
            "entrypoint": ["python3", *FLAGS, "/app"],
            "command": [json.dumps(spec), f"{_HANDSHAKE}/socket"],
            "environment": {"PYTHONHASHSEED": str(self._hash_seed)},
            "labels": {LABEL: f"{os.getpid()}.{_process_identity(os.getpid())}"},
            "hostname": "sandbox",
            "user": "0:0",
            "working_dir": "/",
            "runtime": self._config.runtime,
            "network_mode": "none",
            "read_only": True,
            "cap_drop": ["ALL"],
            "cap_add": ["SETUID", "SETGID", "KILL"],
            "security_opt": ["no-new-privileges"],
            "ipc_mode": "private",
            "sysctls": _NO_IPC_OBJECTS,
            "pids_limit": self._profile.max_processes + SPARE_PIDS,
            "mem_limit": self._memory_bytes,
            "memswap_limit": self._memory_bytes,
            "tmpfs": {
                _SCRATCH: f"size={SCRATCH_BYTES},nr_inodes=1024,mode=1777,nosuid,nodev",
                INPUT_DIR: f"size={INPUT_BYTES},nr_inodes=16,mode=711,nosuid,nodev,noexec",
                "/dev/shm": "ro,size=4k",
                "/dev/mqueue": "ro,size=4k",
            },
            "volumes": {str(shared): {"bind": _HANDSHAKE, "mode": "ro"}, **packages},
            "device_requests": [DeviceRequest(driver="nvidia", device_ids=gpus, capabilities=capabilities)] * len(gpus),
            "ulimits": [Ulimit(name="core", soft=0, hard=0)],
            "log_config": LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"}),
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
        stderr_tail = ""
        try:
            state = self._wait_for_exit()
            if not state["Running"]:
                # Process 1 of a PID namespace cannot receive SIGKILL from within the namespace.
                self.killed_from_outside = state["ExitCode"] == _SIGKILL_CODE and not state["OOMKilled"]
                stderr_tail = _read_log(self._container, stdout=False)
        except NotFound:
            self.killed_from_outside = True  # nothing inside a container can remove it
        except DockerException as error:
            self.killed_from_outside = True  # the engine is gone
            _log.warning("the engine did not report how a container ended: %s", _one_line(error))
        _remove(self._container)
        return stderr_tail

    def _wait_for_exit(self) -> dict[str, Any]:
        """Poll the state until the container has exited: the engine notices that later than our socket does.

        A worker that is still busy after `EXIT_TIMEOUT_S` is reported as running.
        """
        deadline = time.monotonic() + EXIT_TIMEOUT_S
        while True:
            self._container.reload()
            state = self._container.attrs["State"]
            if not state["Running"] or time.monotonic() > deadline:
                return state
            time.sleep(_POLL_S / 4)


def _accept(listener: socket.socket, container: "Container") -> socket.socket:
    """Wait for the worker to connect.

    Raises:
        OSError: the container exited before, or `START_TIMEOUT_S` has passed.
    """
    listener.settimeout(_POLL_S)
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        with contextlib.suppress(TimeoutError):
            return listener.accept()[0]
        container.reload()
        if container.status in ("exited", "dead"):
            raise OSError(f"the container exited at once: {_read_log(container) or container.attrs['State']}")
    raise OSError(f"the container did not connect within {START_TIMEOUT_S:g} s; the engine must run on this machine")


def _check_runtime(info: dict[str, Any], runtime: str | None) -> None:
    known = sorted(info.get("Runtimes") or {})
    if runtime is not None and runtime not in known:
        raise ValueError(f"docker: the engine has no runtime {runtime!r}; it has {', '.join(known)}")


def _remove_orphans(client: "DockerClient") -> None:
    """Remove exited containers whose owner was killed before it could remove them."""
    for container in client.containers.list(all=True, filters={"label": LABEL, "status": "exited"}):
        pid, _, identity = container.labels[LABEL].partition(".")
        if not pid.isdigit() or _process_identity(int(pid)) != identity:
            _remove(container)


def _process_identity(pid: int) -> str:
    """Return the boot id and the start tick of a process, unlike its PID never reused; `-` if there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return "-"
    return f"{boot}.{stat[stat.rindex(')') + 2 :].split()[19]}"


def _read_log(container: "Container", *, stdout: bool = True) -> str:
    return " ".join(container.logs(tail=5, stdout=stdout).decode(errors="replace")[-_LOG_CHARS:].split())


def _remove(container: "Container") -> None:
    from docker.errors import APIError, DockerException

    try:
        container.remove(force=True)
    except DockerException as error:
        if not isinstance(error, APIError) or error.status_code not in (404, 409):  # gone, or being removed
            _log.warning("a container could not be removed: %s", _one_line(error))


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:_LOG_CHARS]
