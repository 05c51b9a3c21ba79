"""The server around the app, in this process: when it ends, and how many connections it keeps."""

import logging
import resource
import socket
import time
from types import SimpleNamespace

import pytest

from executor.service import listener as bounded
from executor.service.app import create_app
from executor.service.server import listen, serve
from executor.service.settings import ServiceSettings


class FailingExecutor:
    """Its sandboxes fail after a moment."""

    description = "failing"
    time_factor = 1.0

    def __init__(self):
        self.fails_at = time.monotonic() + 0.5

    def stats(self):
        return SimpleNamespace(num_slots=1)

    @property
    def is_open(self) -> bool:
        return time.monotonic() < self.fails_at


def test_a_service_whose_sandboxes_have_failed_ends_so_that_it_can_be_started_again(tmp_path):
    settings = ServiceSettings(unix_socket=str(tmp_path / "socket"))
    app = create_app(FailingExecutor(), settings, None)  # pyright: ignore[reportArgumentType]
    listener, _ = listen(settings)
    began = time.monotonic()
    with listener, pytest.raises(ValueError, match="sandboxes of the service have failed"):
        serve(app, settings, listener)
    assert time.monotonic() - began < 5.0


def test_connections_beyond_the_bound_are_closed_and_the_log_stays_small(caplog):
    caplog.set_level(logging.INFO)
    with bounded.BoundedListener(socket.create_server(("127.0.0.1", 0)), 2) as listener:
        listener.setblocking(False)
        address = listener.getsockname()
        clients = [socket.create_connection(address, timeout=5) for _ in range(5)]
        kept = [listener.accept()[0] for _ in range(2)]
        with pytest.raises(BlockingIOError):
            listener.accept()
        assert [client.recv(1) for client in clients[2:]] == [b""] * 3
        kept.pop().close()
        clients.append(socket.create_connection(address, timeout=5))
        kept.append(listener.accept()[0])
        for one in (*clients, *kept):
            one.close()
    assert len(caplog.records) == 1
    with pytest.raises(ConnectionRefusedError):  # the door is shut, and nobody waits behind it
        socket.create_connection(address, timeout=5)


@pytest.mark.parametrize(
    ("limits", "num_slots", "raised", "num_connections"),
    [
        ((1024, 1 << 20), 2, 2096, 2000),  # 48 and 24 a slot are kept: 2000 + 48 + 48
        ((1024, 1024), 2, 1024, 928),
        ((256, 256), 1, 256, 184),
        ((256, 256), 64, 256, 16),
        ((1 << 20, 1 << 20), 2, 1 << 20, 2000),
        ((1024, resource.RLIM_INFINITY), 2, 2096, 2000),
    ],
)
def test_descriptors_are_raised_as_far_as_needed_and_shared_out(
    monkeypatch, limits, num_slots, raised, num_connections
):
    now = list(limits)
    monkeypatch.setattr(resource, "getrlimit", lambda kind: tuple(now))
    monkeypatch.setattr(resource, "setrlimit", lambda kind, pair: now.__setitem__(slice(None), pair))
    assert bounded.connections_beside(num_slots) == num_connections
    assert now == [raised, limits[1]]


def test_accepts_that_fail_are_one_line(caplog):
    caplog.set_level(logging.INFO)
    handler, others = bounded.AcceptErrors(), []
    loop = SimpleNamespace(default_exception_handler=others.append)
    for _ in range(1000):
        handler(loop, {"message": "socket.accept() out of system resource"})  # pyright: ignore[reportArgumentType]
    handler(loop, {"message": "another"})  # pyright: ignore[reportArgumentType]
    assert (len(caplog.records), others) == (1, [{"message": "another"}])
