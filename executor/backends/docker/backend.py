"""Docker and podman: the worker as process 1 of a hardened container, one container per sandbox.

The worker is reached through a Unix socket, or through the engine's attach stream where that does not work
(`executor.backends.docker.channel`). `atomforge executor build` makes the image. The kernel stays shared unless
`runtime` names one with its own (gVisor's `runsc`). Containers are never privileged and have no access to the engine's
socket. Limits that an engine ignores, such as a rootless one on cgroup v1, are named in the description; the worker
enforces its own.
"""

import json
import logging
import os
import secrets
from dataclasses import dataclass, replace
from typing import Any, get_args

from executor.backends.base import INPUT_BYTES, INPUT_DIR, SCRATCH_BYTES, UIDS
from executor.backends.docker.channel import (
    AttachChannel,
    Channel,
    ChannelKind,
    SocketChannel,
    can_share_sockets,
    check_attachable,
)
from executor.backends.docker.container import LABEL, DockerSandbox, one_line, process_identity, remove, remove_orphans
from executor.backends.docker.engine import check_runtime, connect_engine, read_engine_info
from executor.backends.docker.image import DEFAULT_TAG, check_image
from executor.backends.profiles import load_profile
from executor.backends.seccomp import encode_seccomp_filter
from executor.sandbox.__main__ import FLAGS

SPARE_PIDS = 8
"""Processes of a container beyond those of its program."""
_SCRATCH = "/tmp"
_READ_ONLY_TMPFS = ("/dev/shm", "/dev/mqueue", "/run", "/var/tmp")
"""Writable otherwise, also with a read-only root: the first two with Docker, all of them with podman."""
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
    channel: ChannelKind = "auto"
    """How bytes reach a sandbox: `socket`, `attach`, or the first of these that works."""
    socket_dir: str | None = None
    """Directory that the engine and this process see under the same path; None: the one for temporary files."""

    def __post_init__(self) -> None:
        if self.channel not in get_args(ChannelKind):
            raise ValueError(f"docker: channel must be one of {', '.join(get_args(ChannelKind))}, not {self.channel!r}")
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
            self._engine = read_engine_info(self._client.info())
            check_image(self._client, config.image)
            check_runtime(self._engine, config.runtime)
            self._channel: ChannelKind = self._choose_channel()
            remove_orphans(self._client)
        except (DockerException, OSError) as error:  # OSError: the connection breaks between two requests
            self._client.close()
            raise ValueError(f"the Docker engine cannot be used: {one_line(error)}") from None
        except ValueError:
            self._client.close()
            raise
        self._uids = _REMAPPED_UIDS if self._engine.remaps_users else UIDS
        self._seccomp = encode_seccomp_filter(self._engine.machine)

    @property
    def description(self) -> str:
        runtime = f"runtime {self._config.runtime}" if self._config.runtime else "the kernel is shared"
        seccomp = "seccomp" if self._seccomp else "the engine's seccomp alone"
        ignored = self._engine.unenforced_limits
        memory = f"{self._memory_bytes >> 20} MiB, " if "memory" not in ignored else ""
        worker = f"not limited by the engine: {', '.join(ignored)} (the worker's limits hold); " if ignored else ""
        channel = "through the engine's attach stream; " if self._channel == "attach" else ""
        return (
            f"docker: one container per sandbox, no network, read-only, a user id of its own, {seccomp}, "
            f"{memory}one process per program; {channel}{worker}{self._profile.note}{runtime}"
        )

    def with_profile(self, profile: str) -> "DockerBackend":
        return DockerBackend(replace(self._config, channel=self._channel), hash_seed=self._hash_seed, profile=profile)

    def start(self) -> "DockerSandbox":
        if self._channel != "auto":
            return self._start_with(self._channel)
        try:
            sandbox = self._start_with("socket")
        except OSError as reason:
            sandbox = self._start_with("attach")
            _log.info("docker: a Unix socket does not reach the sandboxes, the engine's attach stream does: %s", reason)
            self._channel = "attach"
        else:
            self._channel = "socket"
        return sandbox

    def _choose_channel(self) -> ChannelKind:
        """Return the channel of the config; `auto` is kept until a sandbox has started, except for remote engines.

        Raises:
            ValueError: the channel is not possible with this engine or this profile.
        """
        channel: ChannelKind = self._config.channel
        if channel == "auto" and not can_share_sockets(self._client):
            channel = "attach"
        if channel == "attach":
            check_attachable(self._client)
            if self._profile.gpu is not None:  # PIDs of another machine must not reach the limit on GPU memory
                raise ValueError("profile cuda: the engine must run on this machine, with `channel: socket`")
        return channel

    def _start_with(self, kind: ChannelKind) -> "DockerSandbox":
        from docker.errors import DockerException

        channel: Channel = SocketChannel(self._config.socket_dir) if kind == "socket" else AttachChannel(self._client)
        container = None
        try:
            container = self._client.containers.create(**self._container_options(channel))
            channel.connect(container)
            return DockerSandbox(container, channel)
        except (DockerException, OSError) as error:
            channel.close()
            if container is not None:
                remove(container)
            raise OSError(one_line(error)) from None

    def close(self) -> None:
        self._client.close()

    def _container_options(self, channel: Channel) -> dict[str, Any]:
        from docker.types import DeviceRequest, Ulimit

        spec = {
            "uid": secrets.choice(self._uids),
            "max_processes": self._profile.max_processes,
            "scratch": _SCRATCH,
            "input": INPUT_DIR,
            "owns_namespace": True,
            "seccomp": self._seccomp,
            "proc": "/proc",
            "cgroup": self._engine.has_cgroups,
            "oom_score_adj": 1000,
            **self._profile.spec,
        }
        packages = {str(source): {"bind": target, "mode": "ro"} for target, source in self._profile.packages.items()}
        gpus = [] if self._profile.gpu is None else [self._profile.gpu]
        capabilities = [["compute", "utility"]]
        limits = {
            "memory": {"mem_limit": self._memory_bytes, "memswap_limit": self._memory_bytes},
            "processes": {"pids_limit": self._profile.max_processes + SPARE_PIDS},
        }
        ignored = self._engine.unenforced_limits
        inodes, input_inodes = (",nr_inodes=1024", ",nr_inodes=16") if "inodes" not in ignored else ("", "")
        return {
            **channel.options,
            **{key: value for name in limits.keys() - set(ignored) for key, value in limits[name].items()},
            "image": self._config.image,
            "entrypoint": ["python3", *FLAGS, "/app"],
            "command": [json.dumps(spec), channel.worker_argument],
            "environment": {"PYTHONHASHSEED": str(self._hash_seed)},
            "labels": {LABEL: f"{os.getpid()}.{process_identity(os.getpid())}"},
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
            "tmpfs": {
                _SCRATCH: f"size={SCRATCH_BYTES}{inodes},mode=1777,nosuid,nodev",
                INPUT_DIR: f"size={INPUT_BYTES}{input_inodes},mode=711,nosuid,nodev,noexec",
                **dict.fromkeys(_READ_ONLY_TMPFS, "ro,size=4k"),
            },
            "volumes": {**channel.volumes, **packages},
            "device_requests": [DeviceRequest(driver="nvidia", device_ids=gpus, capabilities=capabilities)] * len(gpus),
            "ulimits": [Ulimit(name="core", soft=0, hard=0)],
        }
