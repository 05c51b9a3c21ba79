"""Carries requests to a service and brings the answers line by line, over TCP or a Unix socket. Standard library only.

A request is sent again only for what has no line yet, so nothing is judged twice on our behalf; a refusal that no
repetition can mend is a ValueError. It does not know what the lines mean.
"""

import contextlib
import http.client
import json
import logging
import random
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from email.message import Message
from typing import Any
from urllib.parse import unquote, urlsplit

MAX_ATTEMPTS = 7
"""In a row that a service took and gave no answer to; with the pauses between them, about half a minute."""
MAX_PAUSE_S = 8.0
CONNECT_TIMEOUT_S = 10.0
SILENCE_S = 30.0
"""Without a byte the connection is lost: a service that lives sends an empty line every few seconds."""
_BUSY = (429, 503)
"""Of a service that has enough to do, or is ending; of a load balancer that has no service behind it just now."""
_READ_BYTES = 1 << 16

_log = logging.getLogger(__name__)


class ServiceLost(Exception):
    """The service cannot be reached, or stopped in the middle."""


class ServiceAway(ServiceLost):
    """There is no connection, so nothing was begun."""


class ServiceBusy(ServiceLost):
    """The service asks to come again."""

    def __init__(self, line: str, pause_s: float):
        super().__init__(line)
        self.pause_s = pause_s


class Courier:
    """One connection to a service, kept open; of one thread.

    Args:
        url: `http://HOST:PORT` or `http+unix:///PATH`.
        token: sent as a bearer token, or None.

    Raises:
        ValueError: the URL is of another form.
    """

    def __init__(self, url: str, token: str | None):
        self.url = url
        self._headers = {"Content-Type": "application/json"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._connection = _connection(url)

    def close(self) -> None:
        self._connection.close()

    def get(self, path: str) -> dict[str, Any]:
        """Fetch a JSON object.

        Raises:
            ValueError: refused, or the answer is none of this service.
            ServiceLost: nobody answers.
        """
        return self.get_with_headers(path)[0]

    def get_with_headers(self, path: str) -> tuple[dict[str, Any], Message]:
        """Fetch a JSON object and the headers it came with; errors as of `get`."""
        response = self._answer("GET", path, None)
        try:
            told = json.loads(response.read())
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise ServiceLost(f"{self.url}: {error}") from None
        except ValueError:
            told = None
        if not isinstance(told, dict):
            raise ValueError(f"{self.url} is no executor service")
        return told, response.headers

    def lines(self, path: str, body: bytes) -> Iterator[dict[str, Any]]:
        """Post a body and yield the JSON objects of the answer until the one that says it is done, which comes last.

        Raises:
            ValueError: refused for good.
            ServiceLost: nobody answers, or the answer was cut off.
        """
        response = self._answer("POST", path, body)
        rest = b""
        try:
            while chunk := response.read1(_READ_BYTES):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    row = json.loads(line)
                    yield row
                    if "done" in row:
                        response.read()  # so that the connection can be used again
                        return
        except (OSError, http.client.HTTPException, ValueError) as error:
            self.close()
            raise ServiceLost(f"{self.url}: {error or type(error).__name__}") from None
        self.close()
        raise ServiceLost(f"{self.url}: the answer was cut off")

    def _answer(self, method: str, path: str, body: bytes | None) -> http.client.HTTPResponse:
        kept_open = self._connection.sock is not None
        try:
            if not kept_open:
                self._connection.connect()
        except OSError as error:
            self.close()
            raise ServiceAway(f"{self.url}: {error or type(error).__name__}") from None
        try:
            # A service that refuses a body may close before it has all of it; what it said is still to be read.
            with contextlib.suppress(BrokenPipeError):
                self._connection.request(method, path, body, self._headers)
            response = self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            if kept_open:  # closed at the other end while it was idle, perhaps
                return self._answer(method, path, body)
            raise ServiceLost(f"{self.url}: {error or type(error).__name__}") from None
        if response.status == 200:
            return response
        line = _error_line(response)
        self.close()
        if response.status in _BUSY:
            pause = response.getheader("Retry-After") or ""
            raise ServiceBusy(f"{self.url}: {line}", float(pause) if pause.isdigit() else 1.0)
        if response.status >= 500:
            raise ServiceLost(f"{self.url}: {line}")
        raise ValueError(f"{self.url} refused: {line}")


def deliver(
    courier: Courier,
    path: str,
    numbers: Sequence[int],
    *,
    body_of: Callable[[Sequence[int]], bytes],
    take: Callable[[int, dict[str, Any]], None],
    deadline: float,
) -> list[int]:
    """Have a part of a batch answered, with repetitions for what has no answer.

    Args:
        courier: the connection.
        path: of the service.
        numbers: what to send, by the sender's numbers.
        body_of: makes the body for some of them; the service answers by the position in it.
        take: called with (number, row) for each answer, once a number.
        deadline: `time.monotonic()` after which no more is waited for.

    Returns:
        The numbers that could not be answered.

    Raises:
        ValueError: the service refused for good.
    """
    left = list(numbers)
    num_vain = num_away = 0
    while left and num_vain < MAX_ATTEMPTS and time.monotonic() < deadline:
        sent, answered = left, set[int]()
        pause_s = pause_after(num_vain)
        try:
            for row in courier.lines(path, body_of(sent)):
                if "index" in row:
                    answered.add(_take_row(row, sent, answered, take))
                if time.monotonic() > deadline:
                    courier.close()
                    raise ServiceLost(f"{courier.url}: the deadline of the batch passed")
        except ServiceBusy as busy:
            pause_s = busy.pause_s * random.uniform(1.0, 1.25)
            num_vain -= 1  # it lives; only the deadline bounds how often we come again
            _log.info("%s; again in %.1f s", busy, pause_s)
        except ServiceAway as away:
            num_away += 1
            num_vain -= 1  # nothing was begun; it may be on its way back
            pause_s = pause_after(num_away)
            _log.warning("%s; %d programs wait for it", away, len(sent))
        except ServiceLost as loss:
            _log.warning("%s; %d programs have no verdict yet", loss, len(sent) - len(answered))
        left = [number for number in sent if number not in answered]
        num_vain = 0 if answered else num_vain + 1
        num_away = 0 if answered else num_away
        if left:
            time.sleep(max(0.0, min(pause_s, deadline - time.monotonic())))
    return left


def pause_after(num_vain: int) -> float:
    """Seconds to wait after so many attempts in a row: doubling, capped, and never the same for two clients."""
    return min(MAX_PAUSE_S, 0.25 * 2 ** min(num_vain, 10)) * random.uniform(0.75, 1.25)


def _take_row(
    row: dict[str, Any], sent: Sequence[int], answered: set[int], take: Callable[[int, dict[str, Any]], None]
) -> int:
    position = row["index"]
    if type(position) is not int or not 0 <= position < len(sent) or sent[position] in answered:
        raise ServiceLost("an answer to no question")
    try:
        take(sent[position], row)
    except (KeyError, TypeError, ValueError) as error:
        raise ServiceLost(f"an answer that makes no sense: {error}") from None
    return sent[position]


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: str):
        super().__init__("localhost", timeout=CONNECT_TIMEOUT_S)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(CONNECT_TIMEOUT_S)
        self.sock.connect(self._path)
        self.sock.settimeout(SILENCE_S)


class _TcpConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        self.sock.settimeout(SILENCE_S)


def _connection(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    form = "an executor service is http://HOST:PORT or http+unix:///PATH"
    if parts.scheme == "http+unix":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError(f"{form}, not {url!r}")
        return _UnixConnection(unquote(parts.path))
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.username is not None:
        raise ValueError(f"{form}, not {url!r}")
    return _TcpConnection(host, 80 if port is None else port, timeout=CONNECT_TIMEOUT_S)


def _error_line(response: http.client.HTTPResponse) -> str:
    try:
        told = json.loads(response.read(1 << 16))
        return str(told["error"])
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return f"{response.status} {response.reason}"
