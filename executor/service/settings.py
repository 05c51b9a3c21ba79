"""What a service is told: where it listens, what it runs, and how much it takes on. Nothing here starts anything."""

import ipaddress
import os
from dataclasses import dataclass, field
from pathlib import Path

from executor.backends.docker import DockerConfig
from executor.service.protocol import TOKEN_VARIABLE
from executor.types import Limits

MIN_TOKEN_CHARS = 16
MAX_SOCKET_BYTES = 107
"""Of the path of a Unix socket."""


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Keys of `configs/executor.yaml`."""

    backend: str = "auto"
    """`auto`, `docker`, `bubblewrap` or `process`."""
    num_workers: int | None = None
    """Sandboxes at work at once; null: one a core."""
    hash_seed: int = 0
    """PYTHONHASHSEED of the programs."""
    host: str = "127.0.0.1"
    port: int = 8600
    """0: any that is free; the line on start-up says which."""
    unix_socket: str | None = None
    """Path of a Unix socket to listen on instead of host and port; only this user may connect."""
    token_file: str | None = None
    """File whose first line is the bearer token; null: the environment's ATOMFORGE_EXECUTOR_TOKEN, or none."""
    max_body_bytes: int = 64 << 20
    max_waiting_programs: int = 20_000
    """Programs taken on and not judged; beyond it clients are told to come again (429)."""
    body_timeout_s: float = 60.0
    """For the body of a request to arrive."""
    drain_s: float = 60.0
    """After SIGTERM, for what was taken on to end."""
    limits: Limits = field(default_factory=Limits)
    """Of a program, where a request names none."""
    max_limits: Limits = field(
        default_factory=lambda: Limits(
            cpu_time_s=60.0, wall_time_s=120.0, memory_bytes=2 << 30, output_bytes=16 << 20, source_bytes=1 << 20
        )
    )
    """The most a request may name."""
    docker: DockerConfig = field(default_factory=DockerConfig)

    def __post_init__(self) -> None:
        for name in ("max_body_bytes", "max_waiting_programs", "body_timeout_s", "drain_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be within 0 and 65535, not {self.port}")
        if self.unix_socket is not None and len(os.fsencode(self.unix_socket)) > MAX_SOCKET_BYTES:
            raise ValueError(f"unix_socket must be at most {MAX_SOCKET_BYTES} bytes long: {self.unix_socket}")
        for name in Limits.__slots__:
            if getattr(self.limits, name) > getattr(self.max_limits, name):
                raise ValueError(f"limits: {name} is above that of max_limits, {getattr(self.max_limits, name)}")


def token_of(settings: ServiceSettings) -> str | None:
    """Find the bearer token, or None where the service needs none.

    Raises:
        ValueError: it cannot be read, is too short, or there is none and others than this machine could connect.
    """
    token, where = os.environ.get(TOKEN_VARIABLE), TOKEN_VARIABLE
    if settings.token_file is not None:
        where = f"token_file {settings.token_file}"
        try:
            token = Path(settings.token_file).read_text(encoding="ascii").partition("\n")[0].strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"{where} cannot be read: {getattr(error, 'strerror', None) or 'not ASCII'}") from None
    if token is not None and (len(token) < MIN_TOKEN_CHARS or not token.isascii() or not token.isprintable()):
        raise ValueError(f"{where}: a token has at least {MIN_TOKEN_CHARS} printable ASCII characters")
    if token is None and settings.unix_socket is None and not is_loopback(settings.host):
        raise ValueError(
            f"host {settings.host} can be reached from other machines: set {TOKEN_VARIABLE} or token_file, or listen "
            "on 127.0.0.1"
        )
    return token


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to an address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
