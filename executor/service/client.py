"""`HttpExecutor`: the executor protocol over HTTP.

A batch is sent in parts while it grows, so that programs run while others are still being generated. Programs for which
the service gives no result become INFRA, never a wrong answer. Nothing is graded here.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, Self, TypeVar

from executor.grading.grader import OnOutcome
from executor.grading.rewards import RewardConfig
from executor.service.connection import ServiceConnection, post_with_retries
from executor.service.info import ServiceInfo, fetch_service_info
from executor.service.protocol import encode_grade_request, encode_run_request, parse_execution, parse_outcome
from executor.types import DEFAULT_LIMITS, Execution, Limits, Outcome, Run, Submission, infra_execution, infra_outcome

GRACE_S = 300.0
"""Added to the longest time that the programs of a request can take, before the request is given up."""
_PROBE = Run(source="def solve(x):\n    return x + 1\n", entry_point="solve", calls=([41],))

Item = TypeVar("Item")
Result = TypeVar("Result")


class ConnectionCache:
    """Idle connections to a service, kept open between batches. Thread-safe."""

    def __init__(self, info: ServiceInfo):
        self._info = info
        self._idle: deque[ServiceConnection] = deque()

    def take(self) -> ServiceConnection:
        try:
            return self._idle.pop()
        except IndexError:
            return ServiceConnection(self._info.url, self._info.token)

    def give_back(self, connection: ServiceConnection) -> None:
        self._idle.append(connection)

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class HttpExecutor:
    """The `Executor` of a service.

    Args:
        url: `http://HOST:PORT` or `http+unix:///PATH`.
        token: bearer token; default: the environment variable ATOMFORGE_EXECUTOR_TOKEN, if it is set.
        hash_seed: PYTHONHASHSEED that the programs must have.

    Raises:
        ValueError: there is no service, the token is wrong, its hash seed differs, or it runs no program.
    """

    def __init__(self, url: str, *, token: str | None = None, hash_seed: int = 0):
        self._info = fetch_service_info(url, token)
        self._connections = ConnectionCache(self._info)
        self.description = f"{url}: {self._info.description}"
        if self._info.hash_seed != hash_seed:
            raise ValueError(
                f"{url}: hash_seed (PYTHONHASHSEED of the programs) is {self._info.hash_seed}, expected {hash_seed}"
            )
        [execution] = self.run([_PROBE])
        if execution.failure is not None or execution.results[0].value != 42:
            raise ValueError(f"{url} does not run programs: {execution.detail or execution.failure}")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def time_factor(self) -> float:
        return self._info.time_factor

    def close(self) -> None:
        self._connections.close()

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = DEFAULT_LIMITS,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        with HttpBatch[Run, Execution](
            self._info,
            self._connections,
            "/v1/run",
            timeout_s=self._info.timeout_s(limits),
            encode=lambda items: encode_run_request(items, limits),
            parse=parse_execution,
            build_infra=lambda run, detail: infra_execution(detail),
            on_result=on_result,
        ) as batch:
            for run in runs:
                batch.add(run)
            return batch.outcomes()

    def grading(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        rewards: RewardConfig | None = None,
        on_result: OnOutcome | None = None,
    ) -> "HttpBatch[Submission, Outcome]":
        return HttpBatch(
            self._info,
            self._connections,
            "/v1/grade",
            timeout_s=self._info.timeout_s(limits),
            encode=lambda items: encode_grade_request(items, limits, rewards),
            parse=parse_outcome,
            build_infra=lambda item, detail: infra_outcome(detail, num_tests=max(1, len(item.task.calls))),
            on_result=on_result,
        )


class _BatchClosed(Exception):
    """The caller has closed the batch."""


class HttpBatch(Generic[Item, Result]):
    """Items sent to a service while the batch grows; see `executor.grading.grader.Grading`.

    Args:
        info: the service.
        connections: to the service.
        path: path of the requests.
        timeout_s: seconds that each item adds to the deadline of a request.
        encode: encodes items as the body of a request.
        parse: builds a result from its line; KeyError, TypeError or ValueError if the line is invalid.
        build_infra: builds the result of an item for which the service gave none, from the item and the reason.
        on_result: called with (position, result) as each item finishes, in a thread of the batch.
    """

    def __init__(
        self,
        info: ServiceInfo,
        connections: ConnectionCache,
        path: str,
        *,
        timeout_s: float,
        encode: Callable[[Sequence[Item]], bytes],
        parse: Callable[[dict[str, Any]], Result],
        build_infra: Callable[[Item, str], Result],
        on_result: Callable[[int, Result], None] | None,
    ):
        self._info = info
        self._connections = connections
        self._path = path
        self._timeout_s = timeout_s
        self._encode_items = encode
        self._parse = parse
        self._build_infra = build_infra
        self._on_result = on_result
        self._items: list[Item] = []
        self._waiting: deque[int] = deque()
        self._results: dict[int, Result] = {}
        self._num_threads = 0
        self._error: Exception | None = None
        self._is_closed = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Stop sending. Results of requests in flight are discarded."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()

    def add(self, submission: Item) -> int:
        """Add an item and return its position. Does not block."""
        with self._changed:
            index = len(self._items)
            self._items.append(submission)
            self._waiting.append(index)
            self._changed.notify_all()
            if self._num_threads < self._info.num_connections:
                self._num_threads += 1
                threading.Thread(target=self._send_parts, name="executor-client", daemon=True).start()
        return index

    def outcomes(self) -> list[Result]:
        """Wait for the results of all items added so far, and return them in order."""
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._results) == len(self._items))
            if self._error is not None:
                raise self._error
            return [self._results[index] for index in range(len(self._items))]

    def _send_parts(self) -> None:
        """Send parts over one connection until the batch is closed."""
        connection = self._connections.take()
        try:
            while (part := self._take_part()) is not None:
                for indices, body in self._split(part):
                    self._send(connection, indices, body)
            self._connections.give_back(connection)
        except _BatchClosed:
            connection.close()  # so that the service drops programs that have not started
        except Exception as error:  # raised in the caller's thread by `outcomes`
            connection.close()
            self._fail(error)

    def _send(self, connection: ServiceConnection, indices: list[int], body: bytes) -> None:
        left = post_with_retries(
            connection,
            self._path,
            indices,
            encode_body=lambda sent: body if sent == indices else self._encode(sent),
            on_row=self._on_row,
            deadline=time.monotonic() + GRACE_S + len(indices) * self._timeout_s,
        )
        for index in left:
            self._finish(index, self._build_infra(self._items[index], f"no result from {self._info.url} in time"))

    def _encode(self, indices: Sequence[int]) -> bytes:
        return self._encode_items([self._items[index] for index in indices])

    def _split(self, part: list[int]) -> Iterator[tuple[list[int], bytes]]:
        """Split a part until each body is within the limit of the service; ValueError if a single item is not."""
        body = self._encode(part)
        if len(body) <= self._info.max_body_bytes:
            yield part, body
        elif len(part) > 1:
            yield from self._split(part[: len(part) // 2])
            yield from self._split(part[len(part) // 2 :])
        else:
            limit = f"max_body_bytes of {self._info.url} is {self._info.max_body_bytes}"
            raise ValueError(f"a program and its task have {len(body)} bytes; {limit}")

    def _take_part(self) -> list[int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed or self._error)
            if self._is_closed or self._error is not None:
                return None
            # a small rest is shared between the connections
            size = min(self._info.max_batch_size, max(1, len(self._waiting) // self._info.num_connections))
            return [self._waiting.popleft() for _ in range(size)]

    def _on_row(self, index: int, row: dict[str, Any]) -> None:
        if self._is_closed:
            raise _BatchClosed
        self._finish(index, self._parse(row))

    def _finish(self, index: int, result: Result) -> None:
        with self._changed:
            self._results[index] = result
            if len(self._results) == len(self._items):
                self._changed.notify_all()
        if self._on_result is not None:
            try:
                self._on_result(index, result)
            except Exception as error:  # raised in the caller's thread by `outcomes`
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()
