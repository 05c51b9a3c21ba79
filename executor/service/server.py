"""Listening, and ending well: the sockets, uvicorn around the app, SIGTERM. It knows nothing of programs."""

import asyncio
import contextlib
import os
import signal
import socket
from asyncio import TimerHandle, Transport
from collections.abc import Generator
from pathlib import Path
from types import FrameType

import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from executor.service.app import Service
from executor.service.listener import AcceptErrors, BoundedListener, connections_beside
from executor.service.logs import log_event
from executor.service.settings import ServiceSettings

HEADERS_TIMEOUT_S = 20.0
MAX_HEADERS_BYTES = 64 << 10
KEEP_ALIVE_S = 75.0
_BACKLOG = 1024


class TimedProtocol(HttpToolsProtocol):
    """HTTP/1.1 that closes a connection whose headers take too long, or are too long."""

    _timer: TimerHandle | None = None
    _num_header_bytes = 0
    """Received while no headers were complete; the piece that completes them may hold a body, and is not looked at."""

    def data_received(self, data: bytes) -> None:
        if self._timer is not None and self._num_header_bytes > MAX_HEADERS_BYTES:
            self._expire()
            return
        super().data_received(data)
        if self._timer is not None:
            self._num_header_bytes += len(data)

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_headers()

    def on_message_begin(self) -> None:
        self._await_headers()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._forget()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def _await_headers(self) -> None:
        self._forget()
        self._num_header_bytes = 0
        self._timer = self.loop.call_later(HEADERS_TIMEOUT_S, self._expire)

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        if not self.transport.is_closing():
            self.transport.close()


class _Server(uvicorn.Server):
    """Ends with exit code 0 after SIGTERM and SIGINT; a second one ends it at once."""

    def __init__(self, config: uvicorn.Config, service: Service):
        super().__init__(config)
        self._service = service

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGTERM, signal.SIGINT)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    async def on_tick(self, counter: int) -> bool:
        """Whether to end: a service whose sandboxes have failed will not mend."""
        return await super().on_tick(counter) or not self._service.executor.is_open

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit
        self.should_exit = self._service.is_draining = True


def serve(app: FastAPI, settings: ServiceSettings, listener: socket.socket) -> None:
    """Serve until a signal, then finish what was taken on, for `drain_s` at most.

    Raises:
        ValueError: the sandboxes have failed; whoever started the service should start it again.
    """
    config = uvicorn.Config(
        app,
        http=TimedProtocol,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=int(KEEP_ALIVE_S),
        timeout_graceful_shutdown=int(settings.drain_s) + 1,
        backlog=_BACKLOG,
    )
    service: Service = app.state.service
    server = _Server(config, service)
    with BoundedListener(listener, connections_beside(service.executor.stats().num_slots)) as bounded:
        asyncio.run(_serve(server, bounded))
    log_event("service ended")
    if not service.executor.is_open:
        raise ValueError("the sandboxes of the service have failed")


async def _serve(server: _Server, listener: socket.socket) -> None:
    asyncio.get_running_loop().set_exception_handler(AcceptErrors())
    await server.serve(sockets=[listener])


def listen(settings: ServiceSettings) -> tuple[socket.socket, str]:
    """Open the socket to listen on; returns it and the address for clients.

    Raises:
        ValueError: the address cannot be had; one line.
    """
    if settings.unix_socket is not None:
        return _listen_unix(Path(settings.unix_socket)), f"http+unix://{Path(settings.unix_socket).absolute()}"
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise ValueError(f"cannot listen on {settings.host} port {settings.port}: {error.strerror}") from None
    host = f"[{settings.host}]" if ":" in settings.host else settings.host
    listener.listen(_BACKLOG)
    return listener, f"http://{host}:{listener.getsockname()[1]}"


def _listen_unix(path: Path) -> socket.socket:
    if path.is_socket():
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(path))
            except OSError:
                path.unlink()  # left by a service that was killed
            else:
                raise ValueError(f"unix_socket: a service listens on {path} already")
    elif path.exists():
        raise ValueError(f"unix_socket: {path} is there and is no socket")
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
