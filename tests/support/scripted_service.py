"""An HTTP server that answers each request by the next response of a script, to test what clients do about it."""

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Sequence
from typing import Any

HEALTH = {
    "description": "script",
    "time_factor": 1.5,
    "num_slots": 3,
    "max_waiting_programs": 100,
    "hash_seed": 0,
    "max_body_bytes": 1 << 20,
}

Answer = Callable[[int], bytes]
"""Makes the bytes of a response to a request with so many samples."""


class ScriptedService:
    """Listens on a free port of 127.0.0.1 with one thread per connection.

    Args:
        *answers: responses to POST /v1/grade, in order; the last one is repeated. POST /v1/run is answered correctly.
        health: (status, headers) of the responses to GET, in order; the last one is repeated.
        port: port to listen on; 0 picks a free one.

    Attributes:
        bodies: bodies of POST /v1/grade.
        num_connections: connections accepted so far.
    """

    def __init__(self, *answers: Answer, health: Sequence[tuple[int, dict[str, str]]] = ((200, {}),), port: int = 0):
        self.bodies: list[dict] = []
        self.num_connections = 0
        self._answers = list(answers)
        self._health = list(health)
        self._listener = socket.create_server(("127.0.0.1", port))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> "ScriptedService":
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                connection, _ = self._listener.accept()
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
                response = self._answer_get() if line.startswith(b"GET") else self._answer_post(json.loads(body))
                connection.sendall(response)
                if b"Content-Length" not in response:
                    return

    def _answer_get(self) -> bytes:
        status, headers = _next(self._health)
        return make_response(status, [HEALTH if status == 200 else {}], **headers)

    def _answer_post(self, request: dict) -> bytes:
        if "runs" in request:  # the program with which `HttpExecutor` tests a service
            row = {"failure": None, "results": [{"value": 42}], "duration_s": 0, "queued_s": 0, "detail": ""}
            return make_response(200, [{"index": 0, **row}, {"done": True}])
        self.bodies.append(request)
        return _next(self._answers)(len(request["samples"]))


def _next(script: list[Any]) -> Any:
    return script.pop(0) if len(script) > 1 else script[0]


def make_response(status: int, rows: list[dict], **headers: str) -> bytes:
    body = b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status} Text\r\n{''.join(lines)}Content-Length: {len(body)}\r\n\r\n".encode() + body


def outcome_row(index: int) -> dict:
    counts = {"passed": True, "num_passed": 1, "num_tests": 1, "duration_s": 0, "queued_s": 0}
    return {"index": index, "status": "passed", **counts, "detail": "", "reward": None}


def pass_all(num_samples: int) -> bytes:
    """Answer with all outcomes, in reverse order."""
    return make_response(200, [*(outcome_row(index) for index in reversed(range(num_samples))), {"done": True}])


def reject(status: int, **headers: str) -> Answer:
    return lambda num_samples: make_response(status, [{"error": f"says {status}"}], **headers)


def cut_after(num_lines: int) -> Answer:
    """Answer with the first outcomes, in reverse order, and close the connection."""

    def answer(num_samples: int) -> bytes:
        body = b"".join(json.dumps(outcome_row(index)).encode() + b"\n" for index in reversed(range(num_lines)))
        return b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(body), body)

    return answer


def hang_up(num_samples: int) -> bytes:
    """Close the connection without a response."""
    return b""


def find_free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]
