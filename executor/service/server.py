"""Listening sockets, and uvicorn around the app: limits on connections, and shutdown on SIGTERM.

uvicorn bounds the size of request headers (`h11_max_incomplete_event_size`) and the time of idle keep-alive connections
(`timeout_keep_alive`). `BoundedProtocol` adds what uvicorn does not have: it closes connections beyond
`limit_concurrency` when they are opened (uvicorn counts complete requests only, so idle connections could use up the
file descriptors that sandboxes need), and connections whose headers do not arrive in time.
"""

import asyncio
import contextlib
import os
import resource
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Generator
from pathlib import Path
from types import FrameType
from typing import Any

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol

from executor.service.app import Service
from executor.service.metrics import RateLimitedLog, log_event
from executor.service.settings import ServiceConfig

HEADERS_TIMEOUT_S = 20.0
MAX_HEADERS_BYTES = 64 << 10
KEEP_ALIVE_S = 75
MAX_CONNECTIONS = 2000
MIN_CONNECTIONS = 16
DESCRIPTORS_PER_SLOT = 24
"""For one slot: its sandboxes of all profiles, its pair for checks, and one that is being started."""
OTHER_DESCRIPTORS = 48
_BACKLOG = 64
"""Connections the kernel queues. The event loop accepts this many at once before it closes those beyond the limit."""

_rejected_connections = RateLimitedLog("connections rejected")


class BoundedProtocol(H11Protocol):
    """HTTP/1.1 with a bound on open connections and on the time until a request's headers are complete."""

    _headers_timer: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self.connections.discard(self)
            transport.abort()
            _rejected_connections.record()
            return
        self._start_headers_timer()

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._stop_headers_timer()
        elif self._headers_timer is None:
            self._start_headers_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_headers_timer()
        super().connection_lost(exc)

    def _start_headers_timer(self) -> None:
        self._headers_timer = self.loop.call_later(HEADERS_TIMEOUT_S, self.transport.abort)

    def _stop_headers_timer(self) -> None:
        if self._headers_timer is not None:
            self._headers_timer.cancel()
            self._headers_timer = None


class _Server(uvicorn.Server):
    """Exits with code 0 after SIGTERM and SIGINT. A second signal ends it without waiting for open requests."""

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self._service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Return whether to exit: on a signal, or when the sandboxes have failed permanently."""
        return await super().on_tick(counter) or not self._service.executor.is_open

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = self._service.is_draining = True


def serve(app: FastAPI, config: ServiceConfig, listener: socket.socket) -> None:
    """Serve until a signal, then let accepted batches finish for at most `drain_s` seconds.

    Raises:
        ValueError: the sandboxes have failed; the service must be restarted.
    """
    service: Service = app.state.service
    server_config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=_BACKLOG,
        limit_concurrency=compute_max_connections(service.executor.stats().num_slots) + 1,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=int(config.drain_s) + 1,
        h11_max_incomplete_event_size=MAX_HEADERS_BYTES,
    )
    asyncio.run(_serve(_Server(server_config, service), listener))
    log_event("service ended")
    if not service.executor.is_open:
        raise ValueError("the sandboxes of the service have failed")


async def _serve(server: _Server, listener: socket.socket) -> None:
    failures = RateLimitedLog("connections cannot be accepted")

    def handle_exception(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        # asyncio logs a traceback for each failed accept, many per second
        if "accept() out of system resource" in context.get("message", ""):
            failures.record()
        else:
            loop.default_exception_handler(context)

    asyncio.get_running_loop().set_exception_handler(handle_exception)
    await server.serve(sockets=[listener])


def compute_max_connections(num_slots: int) -> int:
    """Raise the soft limit on file descriptors if needed; return how many connections it leaves to clients."""
    reserve = OTHER_DESCRIPTORS + _BACKLOG + DESCRIPTORS_PER_SLOT * num_slots
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MAX_CONNECTIONS + reserve
    if soft != resource.RLIM_INFINITY and soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    available = wanted if soft == resource.RLIM_INFINITY else soft
    return max(MIN_CONNECTIONS, min(MAX_CONNECTIONS, available - reserve))


def listen(config: ServiceConfig) -> tuple[socket.socket, str]:
    """Open the listening socket; returns it and the URL for clients.

    Raises:
        ValueError: the address is in use or invalid.
    """
    if config.unix_socket is not None:
        return _listen_unix(Path(config.unix_socket)), f"http+unix://{Path(config.unix_socket).absolute()}"
    listener = socket.socket(socket.AF_INET6 if ":" in config.host else socket.AF_INET)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((config.host, config.port))
    except OSError as error:
        listener.close()
        raise ValueError(f"cannot listen on {config.host} port {config.port}: {error.strerror}") from None
    host = f"[{config.host}]" if ":" in config.host else config.host
    listener.listen(_BACKLOG)
    return listener, f"http://{host}:{listener.getsockname()[1]}"


def _listen_unix(path: Path) -> socket.socket:
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink()  # left behind by a service that was killed
            else:
                raise ValueError(f"unix_socket: another service listens on {path}")
    elif path.exists():
        raise ValueError(f"unix_socket: {path} exists and is not a socket")
    listener = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o177)
    try:
        listener.bind(str(path))
    except OSError as error:
        listener.close()
        raise ValueError(f"unix_socket: cannot listen on {path}: {error.strerror}") from None
    finally:
        os.umask(umask)
    listener.listen(_BACKLOG)
    return listener
