"""What the service is told: where it listens, who may come in, how much at once. It reads no YAML."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from executor.schema import DEFAULT_LIMITS, Limits

TOKEN_VARIABLE = "ATOMFORGE_EXECUTOR_TOKEN"
LOOPBACK = ("127.0.0.1", "::1", "localhost")
MAX_UNIX_PATH_BYTES = 107


@dataclass(frozen=True, kw_only=True)
class ServiceSettings:
    """Where the service listens and what it takes."""

    host: str = "127.0.0.1"
    port: int | None = 8765
    """0: any free one; None: only the Unix socket."""
    unix_socket: str | None = None
    """Path of a socket for this user alone."""
    token: str | None = field(default=None, repr=False)
    max_body_bytes: int = 64 << 20
    max_waiting_programs: int = 20_000
    """Programs accepted and not yet answered, of all clients together; also the most that one batch may hold."""
    drain_s: float = 30.0
    """How long accepted batches may go on after SIGTERM."""
    limits: Limits = DEFAULT_LIMITS
    """Where a request names none."""

    def __post_init__(self) -> None:
        if self.port is None and self.unix_socket is None:
            raise ValueError("port or unix_socket must be given, or nobody can reach the service")
        if self.port is not None and not 0 <= self.port < 1 << 16:
            raise ValueError(f"port must be within 0 and 65535, not {self.port}")
        if self.unix_socket is not None and len(os.fsencode(self.unix_socket)) > MAX_UNIX_PATH_BYTES:
            raise ValueError(f"unix_socket must be at most {MAX_UNIX_PATH_BYTES} bytes long: {self.unix_socket}")
        for name in ("max_body_bytes", "max_waiting_programs"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if not 0 <= self.drain_s < float("inf"):
            raise ValueError(f"drain_s must be finite and at least 0, not {self.drain_s}")
        if self.port is not None and self.host not in LOOPBACK and self.token is None:
            raise ValueError(
                f"host {self.host} lets other machines in, and there is no token: set token_file or the environment's "
                f"{TOKEN_VARIABLE}, or listen on 127.0.0.1"
            )


def read_token(token_file: str | None) -> str | None:
    """Read the token from a file, or else from the environment; None where neither has one.

    Raises:
        ValueError: the file cannot be read, or what it or the environment holds is no token.
    """
    if token_file is None:
        return check_token(os.environ.get(TOKEN_VARIABLE) or None, f"the environment's {TOKEN_VARIABLE}")
    try:
        token = Path(token_file).read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not ASCII text"
        raise ValueError(f"token_file {token_file} cannot be read: {reason}") from None
    return check_token(token, f"token_file {token_file}")


def check_token(token: str | None, origin: str) -> str | None:
    """Return the token where it can stand in a header; its text is in no message.

    Raises:
        ValueError: it is empty, or holds blanks or other characters than printable ASCII.
    """
    if token is not None and (not token or any(not "!" <= letter <= "~" for letter in token)):
        raise ValueError(f"{origin}: a token is one line of printable ASCII characters without blanks")
    return token
