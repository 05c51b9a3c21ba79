"""One check between two sandboxes: relays the harness's calls to the candidate and the candidate's results back.

What the test expects stays in the harness's sandbox. Every line of either side is parsed within caps and serialized
again before it is relayed; nothing is compared or executed here. The sides take turns, and each has its own time: the
candidate's runs while it loads or answers a call, the harness's while it computes. Both load at the same time, which
counts as the candidate's turn. It never blocks: the slot feeds it messages and looks at the clock.
"""

import json
from collections import deque
from typing import Any, NoReturn

from executor.pool.connection import GRACE_S, SandboxConnection
from executor.pool.queue import CheckJob
from executor.pool.results import MAX_NAME_CHARS, describe_end, parse_load_failure, parse_result
from executor.sandbox.codec import decode_value
from executor.sandbox.framing import pack_frame
from executor.strict_json import parse_json
from executor.types import DEFAULT_LIMITS, OVERSIZED_VALUE, UNSUPPORTED_TYPE, Outcome, Status

HARNESS_TIME_FACTOR = 4.0
"""The harness may take this many times the candidate's wall time."""
HARNESS_OUTPUT_BYTES = 16 << 20
_VALUE_ERRORS = {
    UNSUPPORTED_TYPE: (Status.WRONG, "returned a value no test can hold"),
    OVERSIZED_VALUE: (Status.OUTPUT_LIMIT, "returned more than allowed"),
}


class _CheckFinished(Exception):
    def __init__(self, status: Status, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


class _Side:
    """One end of the session: its connection, its unread lines, and the wall time it has left."""

    def __init__(self, connection: SandboxConnection[Any], time_left_s: float):
        self.connection = connection
        self.time_left_s = time_left_s
        self.lines: deque[bytes] = deque()
        self.has_started = False
        self.reply: dict[str, Any] | None = None
        """The worker's last message, once the session has ended on this side."""

    @property
    def is_running(self) -> bool:
        return self.has_started and self.reply is None


class CheckSession:
    """A program under the check of its task; once `outcome` is set, both sides are requested to end."""

    def __init__(
        self,
        job: CheckJob,
        *,
        candidate: SandboxConnection[Any],
        harness: SandboxConnection[Any],
        now: float,
    ):
        assert job.task.check is not None
        harness_time_s = job.limits.wall_time_s * HARNESS_TIME_FACTOR
        self.job = job
        self.outcome: Outcome | None = None
        self.is_delivered = False
        self._candidate = _Side(candidate, job.limits.wall_time_s)
        self._harness = _Side(harness, harness_time_s)
        self._session_s = job.limits.wall_time_s + harness_time_s + GRACE_S
        self._is_loaded = False
        self._num_answers = 0
        self._speaker = self._candidate
        self._turn_started = now
        self._was_overdue = False
        self._end_deadline = 0.0
        self._start_candidate()
        self._start_harness()

    @property
    def has_ended(self) -> bool:
        """Whether both sandboxes have reported the end of their session."""
        return not self._candidate.is_running and not self._harness.is_running

    @property
    def is_clean(self) -> bool:
        """Whether both sandboxes proved a clean reset."""
        replies = (self._candidate.reply, self._harness.reply)
        return self.has_ended and all(reply is None or reply["clean"] for reply in replies)

    def receive(self, connection: SandboxConnection[Any], header: dict[str, Any], body: bytes, now: float) -> None:
        """Take lines, or the reply that ends the session, from one of the sandboxes."""
        side = self._candidate if connection is self._candidate.connection else self._harness
        side.lines += body.split(b"\n")[:-1]  # what follows the last line break was cut off
        if "lines" not in header:
            side.reply = header
        self._was_overdue = False
        if self.outcome is None:
            try:
                self._relay(now)
            except _CheckFinished as finished:
                self._decide(finished, now)

    def check_deadline(self, now: float) -> bool:
        """Check the time of the side whose turn it is; returns False when a decided session does not end in time."""
        if self.outcome is not None:
            return now <= self._end_deadline
        is_overdue = now - self._turn_started > self._speaker.time_left_s
        if is_overdue and self._was_overdue:  # the first time it may be this thread that was late
            try:
                self._run_out()
            except _CheckFinished as finished:
                self._decide(finished, now)
        self._was_overdue = is_overdue
        return True

    def cancel(self, now: float) -> None:
        """End both sides without an outcome of the program: its client has left."""
        self._decide(_CheckFinished(Status.INFRA, "cancelled"), now)

    def drop_harness(self) -> None:
        """Expect nothing more from the harness: its sandbox has ended."""
        self._harness.has_started = False

    def _end(self, now: float) -> None:
        """Request the end of the sessions that still run."""
        self._end_deadline = now + GRACE_S
        for side in (self._candidate, self._harness):
            if side.is_running:
                side.connection.end_session()

    def _decide(self, finished: _CheckFinished, now: float) -> None:
        if self._speaker is self._candidate:
            self._end_turn(now)
        self.outcome = Outcome(
            status=finished.status,
            num_passed=int(finished.status is Status.PASSED),
            num_tests=1,
            duration_s=self.job.limits.wall_time_s - max(0.0, self._candidate.time_left_s),
            detail=finished.detail,
        )
        self._end(now)

    def _end_turn(self, now: float) -> None:
        self._speaker.time_left_s -= now - self._turn_started
        self._turn_started = now

    def _switch_to(self, side: _Side, now: float) -> None:
        self._end_turn(now)
        self._speaker = side

    def _relay(self, now: float) -> None:
        """Handle the lines of the side whose turn it is.

        Raises:
            _CheckFinished: the check is decided.
        """
        while True:
            if len(self._candidate.lines) > (self._speaker is self._candidate):
                raise _CheckFinished(Status.CRASH, "wrote results without being called")
            if not self._speaker.lines:
                self._handle_ends()
                return
            line = self._speaker.lines.popleft()
            if self._speaker is self._harness:
                if line[:1] != b"c":
                    self._conclude(line)
                self._candidate.connection.send_line(self._parse_call(line))
                self._switch_to(self._candidate, now)
            elif not self._is_loaded:
                if line[:1] != b"r":
                    self._fail_to_load(line)
                self._is_loaded = True
                self._switch_to(self._harness, now)
            else:
                self._harness.connection.send_line(self._parse_answer(line))
                self._num_answers += 1
                self._switch_to(self._harness, now)

    def _start_candidate(self) -> None:
        limits = {name: getattr(self.job.limits, name) for name in ("cpu_time_s", "memory_bytes", "output_bytes")}
        program = {"source": self.job.program, "entry_point": self.job.task.entry_point}
        if self.job.prelude:
            program["prelude"] = self.job.prelude
        header = {"session": "candidate", "wall_time_s": self._session_s, **limits}
        self._candidate.connection.send(self.job, header, pack_frame(program))
        self._candidate.has_started = True

    def _start_harness(self) -> None:
        task = self.job.task
        check = {"prompt": task.prompt, "check": task.check, "entry_point": task.entry_point}
        if self.job.prelude:
            check["prelude"] = self.job.prelude
        header = {
            "session": "tester",
            "wall_time_s": self._session_s,
            "cpu_time_s": self._harness.time_left_s,
            "memory_bytes": max(self.job.limits.memory_bytes, DEFAULT_LIMITS.memory_bytes),
            "output_bytes": HARNESS_OUTPUT_BYTES,
        }
        self._harness.connection.send(self.job, header, pack_frame({}, json.dumps(check).encode("ascii")))
        self._harness.has_started = True

    def _handle_ends(self) -> None:
        if self._candidate.reply is not None:
            raise _CheckFinished(*describe_end(self.job.limits, self._candidate.reply))
        if self._harness.reply is not None and self._is_loaded:
            status, detail = describe_end(self.job.limits, self._harness.reply)
            self._blame_values(status, detail)
            self._blame_check(f"it ended without a result: {detail}")

    def _run_out(self) -> NoReturn:
        if self._speaker is self._candidate:
            raise _CheckFinished(Status.TIMEOUT, "ran out of time")
        self._blame_values(Status.TIMEOUT, "ran out of time")
        self._blame_check("it ran out of time itself")

    def _blame_values(self, status: Status, detail: str) -> None:
        """Attribute a failure of the check to the values it got, once the program has returned any.

        Otherwise a program could return what kills the check, and have its sample masked.
        """
        if self._num_answers > 0:
            raise _CheckFinished(status, f"with what the program returned, its check {detail}")

    def _blame_check(self, why: str) -> NoReturn:
        raise _CheckFinished(Status.INFRA, f"the check of task {self.job.task.task_id} is at fault: {why}")

    def _fail_to_load(self, line: bytes) -> NoReturn:
        try:
            if line[:1] != b"l":
                raise ValueError(f"a line of kind {line[:1]!r}")
            finished = _CheckFinished(*parse_load_failure(line[1:].decode("ascii")))
        except Exception as error:
            self._blame_candidate(error)
        raise finished

    def _blame_candidate(self, error: Exception) -> NoReturn:
        """Whatever the parser fails on is the fault of the line, so that it cannot be used to get a sample masked."""
        raise _CheckFinished(Status.CRASH, f"wrote malformed results: {str(error)[:MAX_NAME_CHARS]}") from None

    def _parse_call(self, line: bytes) -> str:
        """Parse a call of the harness and serialize it again."""
        try:
            call = parse_json(line[1:].decode("ascii"))
            args, kwargs = call
            if type(args) is not list or type(kwargs) is not dict:
                raise ValueError("not a list of arguments and an object of keyword arguments")
            for value in (*args, *kwargs.values()):
                decode_value(value, extended=True)
        except (ValueError, TypeError) as error:
            self._blame_check(f"it makes a malformed call: {str(error)[:MAX_NAME_CHARS]}")
        return json.dumps(call)

    def _parse_answer(self, line: bytes) -> str:
        """Parse what the candidate returned and serialize it again for the harness."""
        try:
            result = parse_result(line[:1], line[1:].decode("ascii"), extended=True)
        except Exception as error:
            self._blame_candidate(error)
        if result.error is None:
            return f"v{json.dumps(result.value)}"
        if result.error in _VALUE_ERRORS:
            raise _CheckFinished(*_VALUE_ERRORS[result.error])
        return f"e{json.dumps([result.error, result.error_bases, result.error_message])}"

    def _conclude(self, line: bytes) -> NoReturn:
        """Parse the last line of the harness."""
        try:
            kind, content = line[:1], parse_json(line[1:].decode("ascii"))
        except ValueError as error:
            self._blame_check(str(error)[:MAX_NAME_CHARS])
        detail = str(content)[:MAX_NAME_CHARS]
        if kind == b"p":
            raise _CheckFinished(Status.PASSED, "")
        if kind == b"w":
            raise _CheckFinished(Status.WRONG, detail)
        if kind == b"x":
            raise _CheckFinished(
                Status.MEMORY if detail == "MemoryError" else Status.EXCEPTION, f"a call raised {detail}"
            )
        self._blame_check(detail)
