"""When a client repeats a request and when it does not, against a server that misbehaves as scripted."""

import json
import socket
import threading
import time

import pytest

from executor.service import connection
from executor.service.connection import ConnectError, ConnectionLost, ServiceConnection, post_with_retries
from tests.support.fake_clock import RecordedPauses
from tests.support.scripted_service import (
    ScriptedService,
    cut_after,
    find_free_port,
    hang_up,
    make_response,
    outcome_row,
    pass_all,
    reject,
)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Replace the pauses of a connection by their lengths in this list."""
    clock = RecordedPauses()
    monkeypatch.setattr(connection, "time", clock)
    return clock.lengths


def post(url: str, indices: list[int], *, within_s: float = 30.0) -> tuple[list[int], list[int]]:
    """Post items; returns those without a result, and the others in the order of their lines."""
    finished: list[int] = []
    one = ServiceConnection(url, None)
    try:
        left = post_with_retries(
            one,
            "/v1/grade",
            indices,
            encode_body=lambda some: json.dumps({"samples": list(some)}).encode(),
            on_row=lambda index, row: finished.append(index),
            deadline=time.monotonic() + within_s,
        )
    finally:
        one.close()
    return left, finished


def test_one_request_without_failures():
    with ScriptedService(pass_all) as service:
        assert post(service.url, [5, 6, 7]) == ([], [7, 6, 5])
    assert len(service.bodies) == 1


def test_retry_sends_only_items_without_a_line(pauses):
    with ScriptedService(cut_after(2), pass_all) as service:
        assert post(service.url, [5, 6, 7, 8]) == ([], [6, 5, 8, 7])
    assert [body["samples"] for body in service.bodies] == [[5, 6, 7, 8], [7, 8]]


@pytest.mark.parametrize("first", [hang_up, reject(500), cut_after(0)])
def test_failed_request_is_retried_after_a_pause(first, pauses):
    with ScriptedService(first, pass_all) as service:
        assert post(service.url, [1]) == ([], [1])
    assert len(service.bodies) == 2
    assert len(pauses) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_overloaded_service_is_retried_after_its_pause(status, pauses):
    with ScriptedService(reject(status, Retry_After="7"), pass_all) as service:
        assert post(service.url, [1]) == ([], [1])
    assert [7.0 <= pause_s <= 8.75 for pause_s in pauses] == [True]


def test_overload_does_not_count_as_a_failed_attempt(pauses):
    with ScriptedService(*[reject(429, Retry_After="1")] * 20, pass_all) as service:
        assert post(service.url, [1]) == ([], [1])
    assert len(service.bodies) == 21


def test_failed_attempts_are_limited_and_pauses_double(pauses):
    with ScriptedService(hang_up) as service:
        assert post(service.url, [1, 2]) == ([1, 2], [])
    assert len(service.bodies) == connection.MAX_ATTEMPTS == 7
    for expected_s, pause_s in zip([0.25, 0.5, 1, 2, 4, 8, 8], pauses, strict=True):
        assert 0.75 * expected_s <= pause_s <= 1.25 * expected_s


def test_line_resets_the_count_of_failed_attempts(pauses):
    with ScriptedService(*[hang_up] * 6, cut_after(1), *[hang_up] * 6, pass_all) as service:
        assert post(service.url, [1, 2]) == ([], [1, 2])
    assert len(service.bodies) == 14


def test_no_listener_is_a_connect_error():
    one = ServiceConnection(f"http://127.0.0.1:{find_free_port()}", None)
    with pytest.raises(ConnectError):
        one.get("/healthz")


def test_connect_failures_are_retried_beyond_the_limit_of_attempts(monkeypatch):
    port = find_free_port()
    services = []

    class StartsAService(RecordedPauses):
        def sleep(self, pause_s: float) -> None:
            super().sleep(pause_s)
            if len(self.lengths) == 3 * connection.MAX_ATTEMPTS:
                services.append(ScriptedService(pass_all, port=port))

    clock = StartsAService()
    monkeypatch.setattr(connection, "time", clock)
    assert post(f"http://127.0.0.1:{port}", [4, 5]) == ([], [5, 4])
    assert len(clock.lengths) == 3 * connection.MAX_ATTEMPTS
    services[0].__exit__()


def test_connect_failures_are_retried_until_the_deadline():
    began = time.monotonic()
    assert post(f"http://127.0.0.1:{find_free_port()}", [4, 5], within_s=0.6) == ([4, 5], [])
    assert 0.5 < time.monotonic() - began < 30


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422])
def test_rejected_request_is_not_repeated(status):
    with ScriptedService(reject(status)) as service, pytest.raises(ValueError, match=f"says {status}"):
        post(service.url, [1])
    assert len(service.bodies) == 1


@pytest.mark.parametrize(
    "rows",
    [
        [outcome_row(2), {"done": True}],
        [outcome_row(-1)],
        [outcome_row(0), outcome_row(0)],
        [{"index": True}],
        [{"index": None}],
    ],
)
def test_unexpected_indices_are_not_results(rows, pauses):
    with ScriptedService(lambda num_samples: make_response(200, rows), pass_all) as service:
        left, finished = post(service.url, [8, 9])
    assert (left, sorted(finished)) == ([], [8, 9])


@pytest.mark.parametrize("line", [b"{", b"5", b"null", b"[]", b'"index"'])
def test_invalid_lines_are_a_lost_connection(line, pauses):
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b\n" % (len(line) + 1, line)
    with ScriptedService(lambda num_samples: answer, pass_all) as service:
        assert post(service.url, [8, 9]) == ([], [9, 8])
    assert len(service.bodies) == 2


def test_nothing_is_sent_after_the_deadline():
    with ScriptedService(hang_up) as service:
        assert post(service.url, [1], within_s=0.0) == ([1], [])
    assert service.bodies == []


def test_silence_is_a_lost_connection(monkeypatch, pauses):
    monkeypatch.setattr(connection, "SILENCE_TIMEOUT_S", 0.2)
    release = threading.Event()

    def be_silent(num_samples: int) -> bytes:
        release.wait(60)
        return b""

    with ScriptedService(be_silent, pass_all) as service:
        assert post(service.url, [1]) == ([], [1])
    release.set()


def test_connection_is_reused():
    with ScriptedService(pass_all) as service:
        one = ServiceConnection(service.url, None)
        for _ in range(3):
            rows = one.stream_rows("/v1/grade", b'{"samples": [1]}')
            assert [row.get("index") for row in rows] == [0, None]
        one.close()
    assert service.num_connections == 1


def test_stale_connection_is_replaced_at_once():
    """The second request is taken on the open connection, which the server then closes."""
    with ScriptedService(pass_all, hang_up, pass_all) as service:
        one = ServiceConnection(service.url, None)
        for _ in range(2):
            rows = one.stream_rows("/v1/grade", b'{"samples": [1]}')
            assert [row.get("index") for row in rows] == [0, None]
        one.close()
    assert (service.num_connections, len(service.bodies)) == (2, 3)


@pytest.mark.parametrize(
    "answers",
    [(cut_after(0), pass_all), (reject(500), hang_up, pass_all)],
    ids=["closed after a response without done", "closed after the next request"],
)
def test_connection_closed_after_an_unsuccessful_response_is_replaced_at_once(answers):
    with ScriptedService(*answers) as service:
        one = ServiceConnection(service.url, None)
        with pytest.raises(ConnectionLost):
            list(one.stream_rows("/v1/grade", b'{"samples": [1]}'))
        rows = one.stream_rows("/v1/grade", b'{"samples": [1]}')
        assert [row.get("index") for row in rows] == [0, None]
        one.close()


def test_failure_on_a_new_connection_is_not_repeated_at_once():
    with ScriptedService(hang_up, pass_all) as service:
        one = ServiceConnection(service.url, None)
        with pytest.raises(ConnectionLost):
            list(one.stream_rows("/v1/grade", b'{"samples": [1]}'))
        one.close()
    assert len(service.bodies) == 1


def test_response_that_is_left_early_closes_the_connection():
    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as peer:
                peer.recv(1 << 16)
                peer.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                peer.sendall(b'd\r\n{"index": 0}\n\r\n')
                peer.settimeout(60)
                while peer.recv(1 << 16):
                    pass
                closed.set()

        threading.Thread(target=serve, daemon=True).start()
        one = ServiceConnection(f"http://127.0.0.1:{listener.getsockname()[1]}", None)
        rows = one.stream_rows("/v1/grade", b"{}")
        assert next(rows) == {"index": 0}
        rows.close()
        assert closed.wait(30)
        one.close()


def test_early_error_is_read_although_the_body_was_not_sent():
    """A service that rejects a large body answers and closes while the client is still sending."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with listener.accept()[0] as peer:
                peer.recv(1 << 10)
                peer.sendall(make_response(413, [{"error": "too large"}], Connection="close"))
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(1 << 20):
                    pass

        threading.Thread(target=serve, daemon=True).start()
        one = ServiceConnection(f"http://127.0.0.1:{listener.getsockname()[1]}", None)
        with pytest.raises(ValueError, match="too large"):
            list(one.stream_rows("/v1/grade", b" " * (32 << 20)))
        one.close()


@pytest.mark.parametrize(
    "url", ["http://", "http://u:p@host:1", "http://host:1/path", "http://host:port", "http+unix://", "http+unix://a/b"]
)
def test_invalid_urls(url: str):
    with pytest.raises(ValueError, match="http://HOST:PORT or http\\+unix:///PATH"):
        ServiceConnection(url, None)
