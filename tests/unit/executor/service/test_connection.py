"""When the client sends again and when it does not, against a server that misbehaves as it is told."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from executor.api import grade, open_executor
from executor.grading.tasks import task_from_row
from executor.service import connection
from executor.service.connection import ConnectError, ServiceConnection, post_with_retries
from executor.types import Status, Submission

TASK = task_from_row({"task_id": "t", "entry_point": "f", "tests": [{"args": [], "expected": 1}]})


class Script:
    """A server of one thread a connection; each POST is answered by the next of its answers, the last one for ever."""

    def __init__(self, *answers: Callable[[int], bytes]):
        self.answers = list(answers)
        self.bodies: list[dict] = []
        self.num_connections = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.num_connections += 1
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        with contextlib.suppress(ConnectionError), connection, connection.makefile("rb") as reader:
            while line := reader.readline():
                num_bytes = 0
                while (header := reader.readline()) not in (b"\r\n", b""):
                    name, _, value = header.partition(b":")
                    num_bytes = int(value) if name.lower() == b"content-length" else num_bytes
                body = reader.read(num_bytes)
                if line.startswith(b"GET"):
                    told = {
                        "description": "script",
                        "time_factor": 1.0,
                        "num_slots": 1,
                        "max_waiting_programs": 100,
                        "hash_seed": 0,
                        "max_body_bytes": 1048576,
                    }
                    connection.sendall(whole(200, [told]))
                    continue
                request = json.loads(body)
                if "runs" in request:  # the program with which a client makes sure
                    results = [{"value": 42}]
                    row = {
                        "index": 0,
                        "failure": None,
                        "results": results,
                        "duration_s": 0,
                        "queued_s": 0,
                        "detail": "",
                    }
                    connection.sendall(whole(200, [row, {"done": True}]))
                    continue
                self.bodies.append(request)
                answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                said = answer(len(request["samples"]))
                connection.sendall(said)
                if b"Content-Length" not in said:
                    return


def whole(status: int, rows: list[dict], headers: str = "") -> bytes:
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    return f"HTTP/1.1 {status} Told\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body


def verdict(index: int) -> dict:
    told = {
        "passed": True,
        "num_passed": 1,
        "num_tests": 1,
        "duration_s": 0,
        "queued_s": 0,
        "detail": "",
        "reward": None,
    }
    return {"index": index, "status": "passed", **told}


def right(number: int) -> bytes:
    return whole(200, [*(verdict(index) for index in reversed(range(number))), {"done": True}])


def refusal(status: int, headers: str = "") -> Callable[[int], bytes]:
    return lambda number: whole(status, [{"error": f"says {status}"}], headers)


def cut_after(num_lines: int) -> Callable[[int], bytes]:
    """Some lines, the first of them last, and then nothing more."""

    def answer(number: int) -> bytes:
        body = b"".join(json.dumps(verdict(index)).encode() + b"\n" for index in reversed(range(num_lines)))
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)

    return answer


def hang_up(number: int) -> bytes:
    return b""


@pytest.fixture
def script() -> Iterator[Callable[..., Script]]:
    made: list[Script] = []

    def make(*answers: Callable[[int], bytes]) -> Script:
        made.append(Script(*answers))
        return made[-1]

    yield make
    for one in made:
        one.close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """No real pauses, but how long they would have been."""
    monkeypatch.delenv("ATOMFORGE_EXECUTOR_TOKEN", raising=False)
    asked: list[float] = []
    monkeypatch.setattr(connection.time, "sleep", asked.append)
    return asked


def sent(server: Script, numbers: list[int], *, within_s: float = 30.0) -> tuple[list[int], list[int]]:
    """What could not be answered, and the numbers in the order of their answers."""
    answered: list[int] = []
    one = ServiceConnection(server.url, None)
    try:
        left = post_with_retries(
            one,
            "/v1/grade",
            numbers,
            encode_body=lambda some: json.dumps({"samples": list(some)}).encode(),
            on_row=lambda number, row: answered.append(number),
            deadline=time.monotonic() + within_s,
        )
    finally:
        one.close()
    return left, answered


def test_one_request_where_all_is_well(script):
    server = script(right)
    assert sent(server, [5, 6, 7]) == ([], [7, 6, 5])
    assert len(server.bodies) == 1


def test_only_what_has_no_line_is_sent_again(script):
    server = script(cut_after(2), right)
    assert sent(server, [5, 6, 7, 8]) == ([], [6, 5, 8, 7])
    assert [body["samples"] for body in server.bodies] == [[5, 6, 7, 8], [7, 8]]


@pytest.mark.parametrize("first", [hang_up, refusal(500), cut_after(0)])
def test_what_was_not_judged_is_sent_again(script, first, pauses):
    server = script(first, right)
    assert sent(server, [1]) == ([], [1])
    assert len(server.bodies) == 2
    assert len(pauses) == 1


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_service_is_asked_when_it_says(script, status, pauses):
    server = script(refusal(status, "Retry-After: 7\r\n"), right)
    assert sent(server, [1]) == ([], [1])
    assert [7.0 <= pause <= 8.75 for pause in pauses] == [True]


def test_being_busy_is_no_attempt_in_vain(script, pauses):
    server = script(*[refusal(429, "Retry-After: 1\r\n")] * 20, right)
    assert sent(server, [1]) == ([], [1])
    assert len(server.bodies) == 21


def test_in_vain_only_so_often(script, pauses):
    server = script(hang_up)
    assert sent(server, [1, 2]) == ([1, 2], [])
    assert len(server.bodies) == connection.MAX_ATTEMPTS
    for wanted_s, pause_s in zip([0.25, 0.5, 1, 2, 4, 8, 8], pauses, strict=True):
        assert 0.75 * wanted_s <= pause_s <= 1.25 * wanted_s


def test_nobody_there_is_what_is_left():
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    one = ServiceConnection(f"http://127.0.0.1:{port}", None)
    with pytest.raises(ConnectError):
        one.get("/healthz")
    with pytest.raises(ValueError, match="no executor service"):
        open_executor(f"http://127.0.0.1:{port}")


@pytest.mark.parametrize("status", [400, 401, 404, 413, 422])
def test_a_refusal_for_good_is_the_caller_s(script, status):
    server = script(refusal(status))
    with pytest.raises(ValueError, match=f"rejected the request: says {status}"):
        sent(server, [1])
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    "rows",
    [[verdict(2), {"done": True}], [verdict(-1)], [verdict(0), verdict(0)], [{"index": True}], [{"index": None}]],
)
def test_answers_to_no_question_are_not_taken(script, rows):
    server = script(lambda number: whole(200, rows), right)
    left, answered = sent(server, [8, 9])
    assert (left, sorted(answered)) == ([], [8, 9])


def test_the_deadline_ends_it(script, pauses):
    server = script(hang_up)
    began = time.monotonic()
    assert sent(server, [1], within_s=0.0) == ([1], [])
    assert time.monotonic() - began < 1
    assert server.bodies == []


def test_silence_is_a_loss(script, monkeypatch):
    monkeypatch.setattr(connection, "SILENCE_TIMEOUT_S", 0.2)
    held = threading.Event()

    def silent(number: int) -> bytes:
        held.wait(5)
        return b""

    server = script(silent, right)
    assert sent(server, [1]) == ([], [1])
    held.set()


def test_what_cannot_be_answered_is_infra_and_never_wrong(script):
    server = script(cut_after(1), hang_up)
    with open_executor(server.url) as executor:
        outcomes = grade(executor, [Submission(task=TASK, completion=str(n)) for n in range(1)] * 1)
        assert [outcome.status for outcome in outcomes] == [Status.PASSED]
        outcomes = grade(executor, [Submission(task=TASK, completion="x")])
    assert [outcome.status for outcome in outcomes] == [Status.INFRA]
    assert outcomes[0].reward is None
    assert server.url in outcomes[0].detail


def test_results_are_in_order_and_told_once(script):
    server = script(right)
    seen: list[int] = []
    with open_executor(server.url) as executor:
        submissions = [Submission(task=TASK, completion=str(n)) for n in range(700)]
        outcomes = grade(executor, submissions, on_result=lambda index, outcome: seen.append(index))
    assert len(outcomes) == 700
    assert sorted(seen) == list(range(700))
    assert sum(len(body["samples"]) for body in server.bodies) == 700
    assert max(len(body["samples"]) for body in server.bodies) <= 256


def test_a_batch_that_grows_is_sent_while_it_grows(script):
    server = script(right)
    first = threading.Event()
    with (
        open_executor(server.url) as executor,
        executor.grading(on_result=lambda index, outcome: first.set()) as grading,
    ):
        assert grading.add(Submission(task=TASK, completion="x")) == 0
        assert first.wait(5)
        assert grading.add(Submission(task=TASK, completion="y")) == 1
        assert [outcome.status for outcome in grading.outcomes()] == [Status.PASSED] * 2


def test_a_refusal_reaches_the_caller(script):
    server = script(refusal(413))
    with open_executor(server.url) as executor, pytest.raises(ValueError, match="rejected the request: says 413"):
        grade(executor, [Submission(task=TASK, completion="x")] * 3)


def test_the_connection_is_used_again(script):
    server = script(right)
    one = ServiceConnection(server.url, None)
    for _ in range(3):
        assert [row.get("index") for row in one.stream_rows("/v1/grade", b'{"samples": [1]}')] == [0, None]
    one.close()
    assert server.num_connections == 1


@pytest.mark.parametrize(
    "url", ["http://", "http://u:p@host:1", "http://host:1/path", "http://host:port", "http+unix://", "http+unix://a/b"]
)
def test_addresses_of_another_form(url: str):
    with pytest.raises(ValueError, match="http://HOST:PORT or http\\+unix:///PATH"):
        ServiceConnection(url, None)
