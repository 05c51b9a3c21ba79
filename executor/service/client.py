"""An executor that lives elsewhere: the same protocol as in this process, spoken to a service over HTTP.

What is added to a batch goes out at once, in parts, so that programs run while others are still being written. Nothing
is judged here. What the service could not be brought to answer is INFRA, never a wrong answer.
"""

import threading
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from executor.grading.grader import OnOutcome
from executor.grading.rewards import RewardConfig
from executor.service.courier import Courier, deliver
from executor.service.protocol import execution_of_row, grade_body, outcome_of, run_body
from executor.service.terms import Terms, ask_for_terms
from executor.types import DEFAULT_LIMITS, Execution, Limits, Outcome, Run, Submission, infra_execution, infra_outcome

GRACE_S = 300.0
"""Beyond the longest time that the programs themselves could take, before a batch is given up."""


class HttpExecutor:
    """The `Executor` of a service.

    Args:
        url: `http://HOST:PORT` or `http+unix:///PATH`.
        token: of the service; default: the environment's ATOMFORGE_EXECUTOR_TOKEN.

        hash_seed: PYTHONHASHSEED the programs must have.

    Raises:
        ValueError: nobody answers there, the token is not the service's, its hash seed is another, or it runs no
            program; one line.
    """

    def __init__(self, url: str, *, token: str | None = None, hash_seed: int = 0):
        self._terms = ask_for_terms(url, token)
        self.description = f"{url}: {self._terms.description}"
        its_seed = self._terms.hash_seed
        if its_seed != hash_seed:
            raise ValueError(
                f"{url} runs programs with PYTHONHASHSEED {its_seed}, and {hash_seed} is wanted: its key is hash_seed"
            )
        [execution] = self.run([Run(source="def solve(x):\n    return x + 1\n", entry_point="solve", calls=([41],))])
        if execution.failure is not None or execution.results[0].value != 42:
            raise ValueError(f"{url} does not run programs: {execution.detail or execution.failure}")

    def __enter__(self) -> "HttpExecutor":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def time_factor(self) -> float:
        return self._terms.time_factor

    def close(self) -> None:
        """Nothing stays open between batches."""

    def run(
        self,
        runs: Sequence[Run],
        limits: Limits = DEFAULT_LIMITS,
        on_result: Callable[[int, Execution], None] | None = None,
    ) -> list[Execution]:
        with _RunBatch(self._terms, limits, on_result) as batch:
            for run in runs:
                batch.add(run)
            return batch.results()

    def grading(
        self,
        limits: Limits = DEFAULT_LIMITS,
        *,
        rewards: RewardConfig | None = None,
        on_result: OnOutcome | None = None,
    ) -> "HttpGrading":
        return HttpGrading(self._terms, limits, on_result, rewards=rewards)


class _Left(Exception):
    """The caller has left the batch."""


class _Batch(ABC):
    """Items on their way to the service, and what came of each; threads of its own carry them."""

    path: str

    def __init__(self, terms: Terms, limits: Limits, on_result: Callable[[int, Any], None] | None):
        self._terms = terms
        self._limits = limits
        self._on_result = on_result
        self._items: list[Any] = []
        self._waiting: deque[int] = deque()
        self._results: dict[int, Any] = {}
        self._num_threads = 0
        self._error: Exception | None = None
        self._is_closed = False
        self._changed = threading.Condition()

    def add(self, item: Any) -> int:
        with self._changed:
            index = len(self._items)
            self._items.append(item)
            self._waiting.append(index)
            self._changed.notify_all()
            if self._num_threads < self._terms.num_connections:
                self._num_threads += 1
                threading.Thread(target=self._carry, name="executor-client", daemon=True).start()
        return index

    def results(self) -> list[Any]:
        with self._changed:
            self._changed.wait_for(lambda: self._error or len(self._results) == len(self._items))
            if self._error is not None:
                raise self._error
            return [self._results[index] for index in range(len(self._items))]

    def close(self) -> None:
        """Send no more; what is under way ends unheard."""
        with self._changed:
            self._is_closed = True
            self._waiting.clear()
            self._changed.notify_all()

    @abstractmethod
    def body_of(self, numbers: Sequence[int]) -> bytes: ...

    @abstractmethod
    def read(self, row: dict[str, Any]) -> Any: ...

    @abstractmethod
    def no_verdict(self, index: int, detail: str) -> Any: ...

    def _carry(self) -> None:
        """Carry parts until the batch is closed."""
        terms = self._terms
        courier = Courier(terms.url, terms.token)
        try:
            while (part := self._next_part()) is not None:
                for numbers, body in self._pieces(part):
                    deadline = time.monotonic() + GRACE_S + len(numbers) * terms.patience_s(self._limits)
                    left = deliver(
                        courier,
                        self.path,
                        numbers,
                        body_of=lambda sent, known=(numbers, body): (
                            known[1] if sent == known[0] else self.body_of(sent)
                        ),
                        take=self._take,
                        deadline=deadline,
                    )
                    for index in left:
                        self._finish(index, self.no_verdict(index, f"{terms.url} could not be brought to answer"))
        except _Left:
            return  # with the connection closed, the service drops what it has not begun
        except Exception as error:  # a refusal: it is the caller's to see
            self._fail(error)
        finally:
            courier.close()

    def _pieces(self, part: list[int]) -> Iterator[tuple[list[int], bytes]]:
        """Split a part until the service takes the body of each piece.

        Raises:
            ValueError: a single item is too large.
        """
        body = self.body_of(part)
        if len(body) <= self._terms.max_body_bytes:
            yield part, body
        elif len(part) > 1:
            yield from self._pieces(part[: len(part) // 2])
            yield from self._pieces(part[len(part) // 2 :])
        else:
            raise ValueError(
                f"a program and its task make {len(body)} bytes; {self._terms.url} takes {self._terms.max_body_bytes}"
            )

    def _next_part(self) -> list[int] | None:
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed or self._error)
            if self._is_closed or self._error is not None:
                return None
            # while little waits, a share for the other connections too
            size = min(self._terms.max_part, max(1, len(self._waiting) // self._terms.num_connections))
            return [self._waiting.popleft() for _ in range(size)]

    def _take(self, index: int, row: dict[str, Any]) -> None:
        if self._is_closed:
            raise _Left
        self._finish(index, self.read(row))

    def _finish(self, index: int, result: Any) -> None:
        with self._changed:
            self._results[index] = result
            self._changed.notify_all()
        if self._on_result is not None:
            try:
                self._on_result(index, result)
            except Exception as error:  # the caller's own: it is the caller's to see
                self._fail(error)

    def _fail(self, error: Exception) -> None:
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()


class HttpGrading(_Batch):
    """A batch being graded by a service while it grows; see `executor.grading.grader.Grading`."""

    path = "/v1/grade"

    def __init__(
        self, terms: Terms, limits: Limits, on_result: OnOutcome | None, *, rewards: RewardConfig | None = None
    ):
        super().__init__(terms, limits, on_result)
        self._rewards = rewards

    def __enter__(self) -> "HttpGrading":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def add(self, submission: Submission) -> int:
        return super().add(submission)

    def outcomes(self) -> list[Outcome]:
        return self.results()

    def body_of(self, numbers: Sequence[int]) -> bytes:
        return grade_body([self._items[number] for number in numbers], self._limits, self._rewards)

    def read(self, row: dict[str, Any]) -> Outcome:
        return outcome_of(row)

    def no_verdict(self, index: int, detail: str) -> Outcome:
        task = self._items[index].task
        return infra_outcome(detail, num_tests=max(1, len(task.calls)))


class _RunBatch(_Batch):
    """Programs being run by a service."""

    path = "/v1/run"

    def __enter__(self) -> "_RunBatch":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def body_of(self, numbers: Sequence[int]) -> bytes:
        return run_body([self._items[number] for number in numbers], self._limits)

    def read(self, row: dict[str, Any]) -> Execution:
        return execution_of_row(row)

    def no_verdict(self, index: int, detail: str) -> Execution:
        return infra_execution(detail)
