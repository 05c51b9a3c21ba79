"""uvicorn around the app, in this process: when it ends, and how it bounds connections, headers and logs."""

import asyncio
import logging
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
import uvicorn

from executor.service import server
from executor.service.app import create_app
from executor.service.server import BoundedProtocol, compute_max_connections, listen, serve
from executor.service.settings import ServiceConfig
from tests.support.wait import wait_until


class FailingExecutor:
    """Its sandboxes fail after half a second."""

    description = "failing"
    time_factor = 1.0

    def __init__(self):
        self.fails_at = time.monotonic() + 0.5

    def stats(self):
        return SimpleNamespace(num_slots=1)

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self.fails_at


def test_service_whose_sandboxes_have_failed_exits(tmp_path):
    config = ServiceConfig(unix_socket=str(tmp_path / "socket"))
    app = create_app(FailingExecutor(), config, None)  # pyright: ignore[reportArgumentType]
    listener, _ = listen(config)
    with listener, pytest.raises(ValueError, match="sandboxes of the service have failed"):
        serve(app, config, listener)


@contextmanager
def running(**options) -> Iterator[tuple[str, int]]:
    """Run an app that answers `ok` under `BoundedProtocol` in a thread; yields its address."""

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
        await send({"type": "http.response.body", "body": b"ok"})

    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, http=BoundedProtocol, lifespan="off", log_config=None, **options)
    one = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(one.serve(sockets=[listener])))
    thread.start()
    try:
        yield listener.getsockname()
    finally:
        one.should_exit = True
        thread.join(10)


def ask(connection: socket.socket) -> bytes:
    """Send a request and return the response, as far as it comes."""
    connection.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    received = b""
    while not received.endswith(b"ok") and (piece := connection.recv(1 << 16)):
        received += piece
    return received


def test_connections_beyond_the_bound_are_closed_and_logged_once(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(server, "_rejected_connections", server.RateLimitedLog("connections rejected"))
    with running(limit_concurrency=3) as address:  # two connections
        kept = [socket.create_connection(address, timeout=5) for _ in range(2)]
        assert [ask(connection)[-2:] for connection in kept] == [b"ok", b"ok"]
        for _ in range(5):
            with socket.create_connection(address, timeout=5) as rejected:
                assert receive_or_reset(rejected) == b""
        assert ask(kept[0])[-2:] == b"ok"  # the first two are served as before
        kept.pop().close()
        wait_until(lambda: is_served(address))
        kept.pop().close()
    events = [record.getMessage() for record in caplog.records]
    assert events.count("connections rejected") == 1


def is_served(address: tuple[str, int]) -> bool:
    with socket.create_connection(address, timeout=5) as connection:
        try:
            return ask(connection)[-2:] == b"ok"
        except ConnectionError:
            return False


def receive_or_reset(connection: socket.socket) -> bytes:
    try:
        return connection.recv(1)
    except ConnectionResetError:
        return b""


@pytest.mark.parametrize(("num_requests", "sent"), [(0, b""), (0, b"GET / HTTP/1.1\r\nHo"), (1, b"GET /")])
def test_headers_that_do_not_arrive_in_time_end_the_connection(num_requests, sent, monkeypatch):
    monkeypatch.setattr(server, "HEADERS_TIMEOUT_S", 0.3)
    with running(timeout_keep_alive=600) as address, socket.create_connection(address, timeout=60) as connection:
        assert [ask(connection)[-2:] for _ in range(num_requests)] == [b"ok"] * num_requests
        began = time.monotonic()
        connection.sendall(sent)
        assert receive_or_reset(connection) == b""
        assert 0.1 < time.monotonic() - began < 60.0


def test_connection_with_complete_headers_outlives_their_timeout(monkeypatch):
    monkeypatch.setattr(server, "HEADERS_TIMEOUT_S", 0.2)
    with running(timeout_keep_alive=60) as address, socket.create_connection(address, timeout=10) as connection:
        for _ in range(3):
            assert ask(connection)[-2:] == b"ok"
            time.sleep(0.3)  # idle between requests, for longer than the headers of one may take


@pytest.mark.parametrize(
    ("limits", "num_slots", "raised", "num_connections"),
    [
        ((1024, 1 << 20), 2, 2160, 2000),  # 48 + 64 + 24 * 2 = 160 are reserved
        ((1024, 1024), 2, 1024, 864),
        ((256, 256), 1, 256, 120),
        ((256, 256), 64, 256, 16),
        ((1 << 20, 1 << 20), 2, 1 << 20, 2000),
        ((1024, resource.RLIM_INFINITY), 2, 2160, 2000),
    ],
)
def test_descriptors_are_raised_as_far_as_needed(monkeypatch, limits, num_slots, raised, num_connections):
    now = list(limits)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: now.__setitem__(slice(None), pair))
    assert compute_max_connections(num_slots) == num_connections
    assert now == [raised, limits[1]]


def test_failed_accepts_are_logged_once(caplog, monkeypatch):
    caplog.set_level(logging.INFO)
    others = []

    class Loop(asyncio.SelectorEventLoop):
        def default_exception_handler(self, context):
            others.append(context)

    class Server:
        async def serve(self, sockets):
            handler = asyncio.get_running_loop().call_exception_handler
            for _ in range(1000):
                handler({"message": "socket.accept() out of system resource"})
            handler({"message": "another"})

    loop = Loop()
    loop.run_until_complete(server._serve(Server(), None))  # pyright: ignore[reportArgumentType]
    loop.close()
    events = [record.getMessage() for record in caplog.records]
    assert events.count("connections cannot be accepted") == 1
    assert others == [{"message": "another"}]
