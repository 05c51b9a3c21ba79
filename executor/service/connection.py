"""HTTP connection to an executor service, over TCP or a Unix socket, with the retry policy of its clients.

`post_with_retries` sends a request again only for items without a response line, so no item gets two results. The
content of requests and lines is in `executor.service.protocol`.
"""

import json
import logging
import random
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import httpx

MAX_ATTEMPTS = 7
"""Consecutive requests without a response line before giving up; with the pauses, about half a minute."""
MAX_BACKOFF_S = 8.0
CONNECT_TIMEOUT_S = 10.0
SILENCE_TIMEOUT_S = 30.0
"""Without a byte for so long, the connection is lost: the service sends an empty line every 5 s."""
_OVERLOADED = (429, 503)
"""The queue is full, the service is shutting down, or the load balancer has no replica."""
_MAX_ERROR_BYTES = 1 << 16

_log = logging.getLogger(__name__)


class ServiceError(Exception):
    """A request failed and may be sent again."""


class ConnectError(ServiceError):
    """There is no connection, so the service has not started anything."""


class ConnectionLost(ServiceError):
    """The connection broke, or the response was cut off or invalid."""


class Overloaded(ServiceError):
    """The service asks to retry later (429, 503)."""

    def __init__(self, message: str, retry_after_s: float):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServiceConnection:
    """One keep-alive connection to a service, for one thread.

    Args:
        url: `http://HOST:PORT` or `http+unix:///PATH`.
        token: bearer token, or None.

    Raises:
        ValueError: the URL has another form.
    """

    def __init__(self, url: str, token: str | None):
        self.url = url
        base_url, socket_path = _parse_url(url)
        limits = httpx.Limits(max_connections=1, max_keepalive_connections=1, keepalive_expiry=None)
        headers = {"Accept-Encoding": "identity", "Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        self._is_kept_open = False
        self._client = httpx.Client(
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(SILENCE_TIMEOUT_S, connect=CONNECT_TIMEOUT_S),
            # there is no TLS; with verify=True httpx would load certificates for 20 ms
            transport=httpx.HTTPTransport(uds=socket_path, limits=limits, trust_env=False, verify=False),
            trust_env=False,
        )

    def close(self) -> None:
        self._client.close()

    def get(self, path: str) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Fetch a JSON object and its headers.

        Raises:
            ValueError: the request was rejected, or the response is not from an executor service.
            ServiceError: no response.
        """
        with self._send("GET", path, None) as response:
            try:
                content = json.loads(response.read())
            except ValueError:
                content = None
        if not isinstance(content, dict):
            raise ValueError(f"{self.url} is not an executor service")
        return content, response.headers

    def stream_rows(self, path: str, body: bytes) -> Generator[dict[str, Any], None, None]:
        """Post a body and yield the JSON objects of the response, the last of which has the key `done`.

        Raises:
            ValueError: the request was rejected.
            ServiceError: no response, or an incomplete one.
        """
        with self._send("POST", path, body) as response:
            rest = b""
            is_done = False
            for chunk in response.iter_raw():
                *lines, rest = (rest + chunk).split(b"\n")
                for line in filter(None, lines):
                    row = self._parse_line(line)
                    is_done = "done" in row
                    yield row
        if not is_done:
            raise ConnectionLost(f"{self.url}: the response was cut off")

    def _parse_line(self, line: bytes) -> dict[str, Any]:
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise ConnectionLost(f"{self.url}: invalid response line: {line[:40]!r}")
        return row

    @contextmanager
    def _send(self, method: str, path: str, body: bytes | None) -> Iterator[httpx.Response]:
        """Send a request and give its response, if the status is 200. Closed before its end, it ends the connection."""
        try:
            response = self._send_once(method, path, body)
        except httpx.RequestError as error:
            raise self._translate(error) from None
        try:
            if response.status_code != 200:
                error = self._build_error(response)
                self._is_kept_open = True
                raise error
            yield response
            self._is_kept_open = True
        except httpx.RequestError as error:
            raise self._translate(error) from None
        finally:
            response.close()

    def _send_once(self, method: str, path: str, body: bytes | None) -> httpx.Response:
        """Send a request; again if the server had closed the kept-alive connection."""
        was_kept_open, self._is_kept_open = self._is_kept_open, False
        request = self._client.build_request(method, path, content=body)
        try:
            return self._client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except httpx.TransportError:
            if not was_kept_open:
                raise
            return self._client.send(request, stream=True)

    def _translate(self, error: httpx.RequestError) -> ServiceError:
        kind = ConnectError if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout) else ConnectionLost
        return kind(f"{self.url}: {str(error) or type(error).__name__}")

    def _build_error(self, response: httpx.Response) -> ServiceError | ValueError:
        reason = _read_error(response)
        message = f"{self.url}: {reason}"
        if response.status_code in _OVERLOADED:
            retry_after = response.headers.get("Retry-After", "")
            return Overloaded(message, float(retry_after) if retry_after.isdigit() else 1.0)
        if response.status_code >= 500:
            return ConnectionLost(message)
        return ValueError(f"{self.url} rejected the request: {reason}")


def post_with_retries(
    connection: ServiceConnection,
    path: str,
    indices: Sequence[int],
    *,
    encode_body: Callable[[Sequence[int]], bytes],
    on_row: Callable[[int, dict[str, Any]], None],
    deadline: float,
) -> list[int]:
    """Post items of a batch and repeat the request for items without a response line.

    429, 503 and connection failures are retried until the deadline, other failures `MAX_ATTEMPTS` times in a row.

    Args:
        connection: connection to the service.
        path: path of the request.
        indices: indices of the items, in the caller's numbering.
        encode_body: encodes the body for some of the items; the service answers with positions in it.
        on_row: called with (index, row) once per item; KeyError, TypeError and ValueError mean an invalid row.
        deadline: `time.monotonic()` at which to give up.

    Returns:
        The indices of items without a result.

    Raises:
        ValueError: the service rejected the request.
    """
    left = list(indices)
    num_failed_attempts = num_connect_failures = 0
    while left and num_failed_attempts < MAX_ATTEMPTS and time.monotonic() < deadline:
        sent, finished = left, set[int]()
        pause_s = backoff_s(num_failed_attempts)
        is_attempt = True
        try:
            with closing(connection.stream_rows(path, encode_body(sent))) as rows:
                for row in rows:
                    if "index" in row:
                        finished.add(_handle_row(row, sent, finished, on_row))
                    if time.monotonic() > deadline:
                        raise ConnectionLost(f"{connection.url}: the deadline has passed")
        except Overloaded as error:
            pause_s, is_attempt = error.retry_after_s * random.uniform(1.0, 1.25), False
            _log.info("%s; retrying in %.1f s", error, pause_s)
        except ConnectError as error:
            num_connect_failures += 1
            pause_s, is_attempt = backoff_s(num_connect_failures), False
            _log.warning("%s; %d programs wait for it", error, len(sent))
        except ConnectionLost as error:
            _log.warning("%s; %d programs have no outcome yet", error, len(sent) - len(finished))
        left = [index for index in sent if index not in finished]
        num_failed_attempts = 0 if finished else num_failed_attempts + is_attempt
        num_connect_failures = 0 if finished else num_connect_failures
        if left:
            time.sleep(max(0.0, min(pause_s, deadline - time.monotonic())))
    return left


def backoff_s(num_failures: int) -> float:
    """Return the pause after so many failures in a row: it doubles up to 8 s, with 25 % of jitter."""
    return min(MAX_BACKOFF_S, 0.25 * 2 ** min(num_failures, 10)) * random.uniform(0.75, 1.25)


def _handle_row(
    row: dict[str, Any], sent: Sequence[int], finished: set[int], on_row: Callable[[int, dict[str, Any]], None]
) -> int:
    position = row["index"]
    if type(position) is not int or not 0 <= position < len(sent) or sent[position] in finished:
        raise ConnectionLost(f"response with an unexpected index: {position!r:.40}")
    try:
        on_row(sent[position], row)
    except (KeyError, TypeError, ValueError) as error:
        raise ConnectionLost(f"invalid response: {error!r:.200}") from None
    return sent[position]


def _parse_url(url: str) -> tuple[str, str | None]:
    """Return the base URL for httpx, and the path of the Unix socket if there is one."""
    message = f"the URL of an executor service is http://HOST:PORT or http+unix:///PATH, not {url!r}"
    parts = urlsplit(url)
    if parts.scheme == "http+unix":
        if parts.netloc or len(parts.path) < 2:
            raise ValueError(message)
        return "http://localhost", unquote(parts.path)
    try:
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if parts.scheme != "http" or not host or parts.path not in ("", "/") or parts.username is not None:
        raise ValueError(message)
    return f"http://{f'[{host}]' if ':' in host else host}:{80 if port is None else port}", None


def _read_error(response: httpx.Response) -> str:
    """Read the message of an error response; of a long or foreign one, the status line."""
    content = b""
    try:
        for chunk in response.iter_raw():
            content += chunk
            if len(content) > _MAX_ERROR_BYTES:
                break
        return str(json.loads(content)["error"])
    except (httpx.RequestError, ValueError, KeyError, TypeError):
        return f"{response.status_code} {response.reason_phrase}"
