"""Runs and grades the programs of one request of another tool, and waits for all of them.

Unlike the batches of /v1, nothing is streamed: a response has the results of all programs, or an error status.
"""

import asyncio
import contextlib
import math
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from typing import Any

from fastapi import Request
from fastapi.responses import Response
from pydantic import ConfigDict

from executor.integrations.grading import NUM_ATTEMPTS
from executor.service.app import ApiError, Service
from executor.service.batch import Batch
from executor.service.models import RequestModel
from executor.service.protocol import encode_json
from executor.types import Execution, Limits, Outcome, Run, Status, Submission

RETRY_STATUS = 504
"""The one status that verl retries; OpenRLHF and slime retry any."""
DISCONNECT_POLL_S = 1.0
"""How often a waiting request is checked for a client that has gone."""
_MIN_THREADED_PROGRAMS = 9
"""Smaller batches are started without a thread."""


class CompatRequest(RequestModel):
    """A request whose unknown keys are ignored."""

    model_config = ConfigDict(extra="ignore", strict=True)


class ProgramRunner:
    """Runs and grades programs through the queue of a service."""

    def __init__(self, service: Service):
        self.service = service

    async def run(self, request: Request, run: Run, limits: Limits, *, within_s: float) -> Execution:
        """Run a program.

        Args:
            request: of the client that waits.
            run: the program.
            limits: of the program.
            within_s: time for an answer, waiting in the queue included.

        Raises:
            ApiError: 504 for a fault of ours, a full queue, or a queue too long for an answer in time.
        """
        deadline = time.monotonic() + within_s
        with self._accept(1) as batch:
            for _ in range(NUM_ATTEMPTS):
                countdown = _Countdown(1)
                with self.service.executor.queue() as queue:
                    future = queue.submit(run, limits)
                    future.add_done_callback(lambda _, countdown=countdown: countdown.count_down())
                    await countdown.wait(request, deadline)
                execution = _read(future)
                batch.count(execution)
                if execution.failure is not Status.INFRA:
                    return execution
        raise ApiError(RETRY_STATUS, f"the program could not be run: {execution.detail}")

    async def grade(self, request: Request, submissions: Sequence[Submission], limits: Limits) -> list[Outcome]:
        """Grade completions; returns outcomes in order, none of which is `infra`.

        Raises:
            ApiError: 504 for a fault of ours or a full queue; 422 if this machine lacks a profile.
        """
        await self.service.open_profiles({submission.task.profile for submission in submissions})
        outcomes: dict[int, Outcome] = {}
        with self._accept(len(submissions)) as batch:
            for _ in range(NUM_ATTEMPTS):
                missing = [index for index in range(len(submissions)) if index not in outcomes]
                graded = await self._grade_once(request, [submissions[index] for index in missing], limits, batch)
                faults = [outcome for outcome in graded if outcome.status is Status.INFRA]
                for index, outcome in zip(missing, graded, strict=True):
                    if outcome.status is not Status.INFRA:
                        outcomes[index] = outcome
                if not faults:
                    return [outcomes[index] for index in range(len(submissions))]
        raise ApiError(RETRY_STATUS, f"a completion could not be graded: {faults[0].detail}")

    async def _grade_once(
        self, request: Request, submissions: Sequence[Submission], limits: Limits, batch: Batch
    ) -> list[Outcome]:
        countdown = _Countdown(len(submissions))
        errors: list[Exception] = []

        def on_result(index: int, outcome: Outcome) -> None:
            batch.count(outcome)
            countdown.count_down()

        def on_error(error: Exception) -> None:
            errors.append(error)
            countdown.stop()

        with self.service.executor.grading(limits, on_result=on_result, on_error=on_error) as grading:

            def start() -> None:
                for submission in submissions:
                    grading.add(submission)

            if len(submissions) < _MIN_THREADED_PROGRAMS:
                start()
            else:
                await asyncio.to_thread(start)
            await countdown.wait(request)
            if errors:
                batch.on_error(errors[0])
                raise ApiError(RETRY_STATUS, "an internal error of the service")
            return grading.outcomes()

    @contextlib.contextmanager
    def _accept(self, num_programs: int) -> Iterator[Batch]:
        try:
            batch = self.service.accept(num_programs)
        except ApiError as error:
            if error.status in (429, 503):
                raise ApiError(RETRY_STATUS, str(error), error.headers) from None
            raise
        try:
            yield batch
            batch.release(num_programs)
        finally:
            batch.on_disconnect()


class _Countdown:
    """Lets one coroutine wait for programs that end in other threads.

    Args:
        num_programs: programs to wait for.
    """

    def __init__(self, num_programs: int):
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._num_left = num_programs
        self._ended = asyncio.Event()
        if num_programs == 0:
            self._ended.set()

    def count_down(self) -> None:
        """Count a program that has ended. Thread-safe."""
        with self._lock:
            self._num_left -= 1
            is_last = self._num_left == 0
        if is_last:
            self.stop()

    def stop(self) -> None:
        """End the wait. Thread-safe."""
        with contextlib.suppress(RuntimeError):  # the event loop is closed, so nobody waits
            self._loop.call_soon_threadsafe(self._ended.set)

    async def wait(self, request: Request, deadline: float = math.inf) -> None:
        """Wait for the programs of a request.

        Raises:
            ApiError: the client has disconnected, or the deadline (of `time.monotonic`) has passed.
        """
        while not self._ended.is_set():
            time_left_s = deadline - time.monotonic()
            if time_left_s <= 0:
                raise ApiError(RETRY_STATUS, "the queue is too long for an answer in time")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(DISCONNECT_POLL_S, time_left_s)):
                    await self._ended.wait()
            if not self._ended.is_set() and await request.is_disconnected():
                raise ApiError(499, "the client has disconnected")


def _read(future: "Future[Execution]") -> Execution:
    """Return the result of a future that has ended; a program that was dropped has status `infra`."""
    if future.cancelled():
        return Execution(failure=Status.INFRA, results=(), duration_s=0.0, detail="the program was dropped")
    return future.result()


def respond(content: Any) -> Response:
    """Build a JSON response; lone surrogates in texts survive."""
    return Response(encode_json(content), media_type="application/json")
