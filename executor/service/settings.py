"""Configuration of the executor service: the keys of `configs/executor.yaml` and the bearer token. Starts nothing."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from executor.backends.docker.backend import DockerConfig
from executor.types import Limits

TOKEN_VARIABLE = "ATOMFORGE_EXECUTOR_TOKEN"
"""Environment variable with the bearer token, read by the service and by its clients."""
MIN_TOKEN_CHARS = 16
COMPAT_ENDPOINTS = ("run_code", "open_instruct", "openrlhf", "slime")
MAX_SOCKET_PATH_BYTES = 107
"""Limit of the kernel on the path of a Unix socket."""


@dataclass(frozen=True, kw_only=True)
class ServiceConfig:
    """Keys of `configs/executor.yaml`."""

    backend: str = "auto"
    """`auto`, `docker`, `bubblewrap` or `process`."""
    num_workers: int | None = None
    """Programs run at the same time; null: one per core."""
    hash_seed: int = 0
    """PYTHONHASHSEED of the programs."""
    host: str = "127.0.0.1"
    port: int = 8600
    """0 picks a free port; the startup message prints it."""
    unix_socket: str | None = None
    """Path of a Unix socket to listen on instead of host and port. Only the user who runs the service can connect."""
    token_file: str | None = None
    """File with the bearer token in its first line; null: ATOMFORGE_EXECUTOR_TOKEN if it is set, else no token."""
    max_body_bytes: int = 64 << 20
    max_waiting_programs: int = 20_000
    """Accepted programs without an outcome; requests beyond it are rejected with 429."""
    body_timeout_s: float = 60.0
    """Time for the body of a request to arrive."""
    drain_s: float = 60.0
    """Time for accepted batches to finish after SIGTERM."""
    limits: Limits = field(default_factory=Limits)
    """Limits of a program if the request sets none."""
    max_limits: Limits = field(
        default_factory=lambda: Limits(
            cpu_time_s=60.0, wall_time_s=120.0, memory_bytes=2 << 30, output_bytes=16 << 20, source_bytes=1 << 20
        )
    )
    """Largest limits a request may set."""
    docker: DockerConfig = field(default_factory=DockerConfig)
    compat: tuple[str, ...] = ()
    """Endpoints of other tools, of `COMPAT_ENDPOINTS`. Their clients send no token, so they need a loopback address or
    a Unix socket."""
    compat_tasks: str | None = None
    """JSONL file of task rows, to which labels of `openrlhf` and `slime` may refer by `task_id`."""

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_waiting_programs", "body_timeout_s", "drain_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be from 0 to 65535, not {self.port}")
        if self.unix_socket is not None and len(os.fsencode(self.unix_socket)) > MAX_SOCKET_PATH_BYTES:
            raise ValueError(f"unix_socket must be at most {MAX_SOCKET_PATH_BYTES} bytes long: {self.unix_socket}")
        for name in Limits.__slots__:
            if getattr(self.limits, name) > getattr(self.max_limits, name):
                raise ValueError(f"limits: {name} must not exceed that of max_limits, {getattr(self.max_limits, name)}")
        self._check_compat()

    def _check_compat(self) -> None:
        for name in self.compat:
            if name not in COMPAT_ENDPOINTS:
                raise ValueError(f"compat must be a list of any of {', '.join(COMPAT_ENDPOINTS)}, not of {name!r}")
        if self.compat and self.unix_socket is None and not is_loopback(self.host):
            raise ValueError(
                f"host {self.host} is reachable from other machines, and the clients of compat send no token: listen "
                "on 127.0.0.1 or a unix_socket, or remove compat"
            )
        if self.compat_tasks is not None and not {"openrlhf", "slime"} & set(self.compat):
            raise ValueError("compat_tasks applies to the endpoints openrlhf and slime; add one of them to compat")


def load_token(config: ServiceConfig) -> str | None:
    """Read the bearer token from the token file or the environment; None if the service needs none.

    Raises:
        ValueError: the token cannot be read or is too short, or there is none and other machines could connect.
    """
    token, source = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    if config.token_file is not None:
        source = f"token_file {config.token_file}"
        try:
            token = Path(config.token_file).read_text(encoding="ascii").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{source} cannot be read: {getattr(error, 'strerror', None) or 'not ASCII'}") from None
    if token is not None and (len(token) < MIN_TOKEN_CHARS or not token.isascii() or not token.isprintable()):
        raise ValueError(f"{source}: a token has at least {MIN_TOKEN_CHARS} printable ASCII characters")
    if token is None and config.unix_socket is None and not is_loopback(config.host):
        raise ValueError(
            f"host {config.host} is reachable from other machines: set {TOKEN_VARIABLE} or token_file, or listen on "
            "127.0.0.1"
        )
    return token


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
