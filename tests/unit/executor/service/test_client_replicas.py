"""What a client does when the services behind an address come and go."""

import http.server
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from executor.service import client, connection
from executor.service.client import fetch_service_info
from executor.service.connection import ServiceConnection, post_with_retries

HEALTH = {
    "description": "told", "time_factor": 1.5, "num_slots": 3, "max_waiting_programs": 100, "hash_seed": 7,
    "max_body_bytes": 1000,
}  # fmt: skip


@contextmanager
def answering(*health: tuple[int, dict[str, str]], port: int = 0) -> Iterator[str]:
    """Serve: each GET gets the next (status, headers), the last one for ever; each POST all verdicts."""
    script = list(health)

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, headers = script.pop(0) if len(script) > 1 else script[0]
            self.answer(status, headers, json.dumps(HEALTH if status == 200 else "<html>"))

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = [{"index": position} for position in range(len(body))] + [{"done": True}]
            self.answer(200, {}, "".join(json.dumps(row) + "\n" for row in rows))

        def answer(self, status: int, headers: dict[str, str], text: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture
def sleeps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses asked for; none is made."""
    asked: list[float] = []
    monkeypatch.setattr(time, "sleep", asked.append)
    return asked


@pytest.mark.parametrize(
    ("said", "num_connections"), [(None, 2), ("1", 2), ("3", 6), ("0", 2), ("many", 2), ("-4", 2), ("500", 64)]
)
def test_requests_under_way_are_two_for_each_replica(said: str | None, num_connections: int) -> None:
    with answering((200, {} if said is None else {"Atomforge-Replicas": said})) as url:
        told = fetch_service_info(url, None)
    assert told.num_connections == num_connections
    # a quarter of 100 programs
    assert (told.max_batch_size, told.hash_seed, told.time_factor) == (25, 7, 1.5)


def test_a_balancer_whose_replicas_are_starting_is_asked_again(sleeps: list[float]) -> None:
    with answering((503, {}), (503, {"Retry-After": "9"}), (200, {})) as url:
        assert fetch_service_info(url, None).description == "told"
    assert len(sleeps) == 2
    assert all(pause_s <= 0.25 * 2 * 1.25 for pause_s in sleeps)


def test_a_balancer_without_replicas_is_given_up(sleeps: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "START_TIMEOUT_S", 0.0)
    with answering((503, {})) as url, pytest.raises(ValueError, match=r"no executor service: .*503"):
        fetch_service_info(url, None)


def delivered(url: str, *, deadline_s: float = 60.0) -> tuple[list[int], list[int]]:
    """Deliver three items; returns those left and those answered."""
    answered: list[int] = []
    carrier = ServiceConnection(url, None)
    try:
        left = post_with_retries(
            carrier, "/v1/grade", [4, 5, 6], encode_body=lambda some: json.dumps(list(some)).encode(),
            on_row=lambda number, row: answered.append(number), deadline=time.monotonic() + deadline_s,
        )  # fmt: skip
    finally:
        carrier.close()
    return left, answered


def test_a_service_that_is_away_is_waited_for_beyond_the_attempts_in_vain(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    num_pauses = 0
    services = []

    def pause(_: float) -> None:
        nonlocal num_pauses
        num_pauses += 1
        if num_pauses == 3 * connection.MAX_ATTEMPTS:
            service = answering((200, {}), port=port)
            service.__enter__()
            services.append(service)

    monkeypatch.setattr(time, "sleep", pause)
    assert delivered(f"http://127.0.0.1:{port}") == ([], [4, 5, 6])
    assert num_pauses == 3 * connection.MAX_ATTEMPTS
    services[0].__exit__(None, None, None)


def test_a_service_that_stays_away_is_waited_for_until_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    began = time.monotonic()
    assert delivered(url, deadline_s=1.0) == ([4, 5, 6], [])
    assert 0.9 < time.monotonic() - began < 5
