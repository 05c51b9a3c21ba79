"""Connects to the worker of a container: through a Unix socket, or through the engine's attach stream.

The socket is faster, because no byte passes through the engine. It needs a directory that the engine and this process
share, with one kernel: not Docker Desktop, an engine on another machine, or podman with its own mount namespace. The
attach stream works with every engine: the worker's standard input and output, as in `docker run -i`. Both end with the
connection, so a container does not outlive the process that started it. What the bytes mean is up to the caller.
"""

import contextlib
import os
import shutil
import socket
import struct
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from executor.sandbox.__main__ import STANDARD_STREAMS

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

START_TIMEOUT_S = 30.0
LOG_CHARS = 300
ChannelKind = Literal["auto", "socket", "attach"]
_HANDSHAKE = "/handshake"
_POLL_S = 0.1
_ATTACH = {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1, "logs": 0, "detachKeys": ""}
"""No keys detach: podman looks for them in binary streams too."""


class Channel(Protocol):
    """A connection to the worker of one container, made in steps: options, container, `connect`."""

    worker_argument: str
    """Second argument of the worker's command (see `executor.sandbox.__main__`)."""
    options: dict[str, Any]
    """Options of the container."""
    volumes: dict[str, dict[str, str]]
    requests_fd: int
    replies_fd: int

    def connect(self, container: "Container") -> None:
        """Start the container and wait for its worker.

        Raises:
            OSError: the worker does not connect.
            DockerException: the engine rejects something.
        """
        ...

    def decode_replies(self, data: bytes) -> bytes:
        """Return the bytes of the worker in what was read from `replies_fd`.

        Raises:
            ValueError: the data is not in the engine's format.
        """
        ...

    def has_broken(self) -> bool:
        """Whether the connection has ended, as far as is known, without the worker's doing."""
        ...

    def read_stderr(self, container: "Container") -> str:
        """Return the tail of the worker's standard error on one line."""
        ...

    def close(self) -> None:
        """Close the connection."""
        ...


class SocketChannel:
    """A Unix socket in a directory that is mounted into the container. The worker connects to it once."""

    worker_argument = f"{_HANDSHAKE}/socket"

    def __init__(self, socket_dir: str | None):
        from docker.types import LogConfig

        self._directory = Path(tempfile.mkdtemp(prefix="atomforge-", dir=socket_dir))
        shared = self._directory / "shared"  # its parent keeps other users of this machine out
        shared.mkdir()
        shared.chmod(0o755)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(shared / "socket"))
        (shared / "socket").chmod(0o666)
        self._listener.listen(1)
        self.volumes = {str(shared): {"bind": _HANDSHAKE, "mode": "ro"}}
        self.options = {"log_config": LogConfig(type="json-file", config={"max-size": "64k", "max-file": "1"})}
        self.requests_fd = self.replies_fd = -1

    def connect(self, container: "Container") -> None:
        try:
            container.start()
            self.requests_fd = self._accept(container).detach()
            self.replies_fd = os.dup(self.requests_fd)
        finally:
            self._forget_directory()

    def decode_replies(self, data: bytes) -> bytes:
        return data

    def has_broken(self) -> bool:
        return False

    def read_stderr(self, container: "Container") -> str:
        return _read_log(container, stdout=False)

    def close(self) -> None:
        self._forget_directory()
        _close_all(self.requests_fd, self.replies_fd)

    def _forget_directory(self) -> None:
        self._listener.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def _accept(self, container: "Container") -> socket.socket:
        self._listener.settimeout(_POLL_S)
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with contextlib.suppress(TimeoutError):
                return self._listener.accept()[0]
            container.reload()
            if container.status in ("exited", "dead"):
                raise OSError(f"the container exited at once: {_read_log(container) or container.attrs['State']}")
        raise OSError(f"the container did not connect within {START_TIMEOUT_S:g} s through a Unix socket")


class AttachChannel:
    """The container's standard streams, through a connection to the engine. The engine keeps no log of them."""

    worker_argument = STANDARD_STREAMS

    def __init__(self, client: "DockerClient"):
        from docker.types import LogConfig

        self._client = client
        self._decoder = AttachDecoder()
        self.volumes: dict[str, dict[str, str]] = {}
        self.options = {"stdin_open": True, "log_config": LogConfig(type="none")}
        self.requests_fd = self.replies_fd = -1

    def connect(self, container: "Container") -> None:
        assert container.id is not None
        stream = self._client.api.attach_socket(container.id, params=_ATTACH)
        self.requests_fd = os.dup(stream.fileno())
        self.replies_fd = os.dup(stream.fileno())
        stream.close()
        container.start()

    def decode_replies(self, data: bytes) -> bytes:
        return self._decoder.decode(data)

    def has_broken(self) -> bool:
        with socket.socket(fileno=os.dup(self.replies_fd)) as connection:
            try:
                return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
            except BlockingIOError:
                return False
            except OSError:
                return True

    def read_stderr(self, container: "Container") -> str:
        return " ".join(self._decoder.stderr_tail.decode(errors="replace").split())

    def close(self) -> None:
        _close_all(self.requests_fd, self.replies_fd)


class AttachDecoder:
    """Separates standard output from standard error in the engine's multiplexed stream.

    Each part has a header of 8 bytes: the stream (1 output, 2 error), three zeros, and the size as 32 bits, big-endian
    (Docker Engine API, "Attach to a container", stream format).
    """

    _HEADER = struct.Struct(">B3xI")
    _STDOUT, _STDERR = 1, 2

    def __init__(self) -> None:
        self.stderr_tail = b""
        self._header = b""
        self._stream = 0
        self._num_left = 0

    def decode(self, data: bytes) -> bytes:
        """Return the standard output in the next bytes of the stream; they may end anywhere.

        Raises:
            ValueError: a header names another stream.
        """
        output = []
        position = 0
        while position < len(data):
            if self._num_left == 0:
                taken = data[position : position + self._HEADER.size - len(self._header)]
                self._header += taken
                position += len(taken)
                if len(self._header) == self._HEADER.size:
                    self._stream, self._num_left = self._HEADER.unpack(self._header)
                    self._header = b""
                    if self._stream not in (self._STDOUT, self._STDERR):
                        raise ValueError(f"the attach stream has a part of stream {self._stream}, neither 1 nor 2")
                continue
            part = data[position : position + self._num_left]
            position += len(part)
            self._num_left -= len(part)
            if self._stream == self._STDOUT:
                output.append(part)
            else:
                self.stderr_tail = (self.stderr_tail + part)[-LOG_CHARS:]
        return b"".join(output)


def can_share_sockets(client: "DockerClient") -> bool:
    """Whether the engine listens on a Unix socket of this machine. It may still run in a virtual machine."""
    return client.api.base_url == "http+docker://localhost"


def check_attachable(client: "DockerClient") -> None:
    """Check that the connection to the engine is a plain socket, whose descriptor can be read and written.

    Raises:
        ValueError: it uses TLS, ssh or a named pipe.
    """
    if not can_share_sockets(client) and not client.api.base_url.startswith("http://"):
        raise ValueError(
            f"docker: sandboxes cannot be attached through {client.api.base_url}; forward the engine's socket instead: "
            "ssh -N -L /tmp/engine.sock:/var/run/docker.sock HOST, and DOCKER_HOST=unix:///tmp/engine.sock"
        )


def _read_log(container: "Container", *, stdout: bool = True) -> str:
    return " ".join(container.logs(tail=5, stdout=stdout).decode(errors="replace")[-LOG_CHARS:].split())


def _close_all(*fds: int) -> None:
    for fd in fds:
        if fd >= 0:
            os.close(fd)
