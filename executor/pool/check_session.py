"""One check, between two sandboxes: the tester's calls go to the candidate, the candidate's results to the tester.

What the test expects stays in the tester's sandbox. Here every line of either side is read within caps before it is
passed on as a fresh one; nothing is compared and nothing executed. The sides take turns, and each has its own time: the
candidate's runs while it loads or answers a call, the tester's while it has the word.
"""

import json
import time
from collections.abc import Callable
from typing import NoReturn

from executor.pool.channel import GRACE_S
from executor.pool.link import Link, exchange
from executor.pool.results import MAX_NAME_CHARS, failure_of, load_failure_of, read_result
from executor.sandbox.codec import decode_value, parse_json
from executor.sandbox.framing import pack_frame
from executor.types import DEFAULT_LIMITS, OVERSIZED_VALUE, UNSUPPORTED_TYPE, Limits, Outcome, Status, Task

TESTER_PATIENCE = 4.0
"""Times the candidate's wall time is what the tester may take."""
TESTER_OUTPUT_BYTES = 16 << 20
_POLL_S = 0.2
_NO_VALUE = {
    UNSUPPORTED_TYPE: (Status.WRONG, "returned a value no test can hold"),
    OVERSIZED_VALUE: (Status.OUTPUT_LIMIT, "returned more than allowed"),
}


class Abandoned(Exception):
    """Nobody waits for the check any more."""


class _Over(Exception):
    def __init__(self, status: Status, detail: str):
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Dialogue:
    """One program under one check."""

    def __init__(self, task: Task, limits: Limits, *, candidate: Link, tester: Link, is_abandoned: Callable[[], bool]):
        assert task.check is not None
        self._task = task
        self._limits = limits
        self._candidate = candidate
        self._tester = tester
        self._is_abandoned = is_abandoned
        patience_s = limits.wall_time_s * TESTER_PATIENCE
        self._num_answers = 0
        self._left_s = {candidate: limits.wall_time_s, tester: patience_s}
        self._session_s = limits.wall_time_s + patience_s + GRACE_S

    def judge(self, source: str) -> Outcome:
        """Run the check; both sessions may go on after it (see `finish`).

        Raises:
            LinkLost: a sandbox died; no verdict.
            Abandoned: nobody waits any more.
        """
        for link in (self._candidate, self._tester):
            link.forget()
        try:
            self._converse(source)
        except _Over as over:
            status, detail = over.status, over.detail
        return Outcome(
            status=status,
            num_passed=int(status is Status.PASSED),
            num_tests=1,
            duration_s=self._limits.wall_time_s - self._left_s[self._candidate],
            detail=detail,
        )

    def finish(self) -> bool:
        """End both sessions; whether both sandboxes proved a clean reset in time. Raises LinkLost."""
        links = (self._candidate, self._tester)
        for link in links:
            link.end()
        deadline = time.monotonic() + GRACE_S
        while any(link.is_busy for link in links) and time.monotonic() < deadline:
            exchange(links, _POLL_S)
        return all(not link.is_busy and (link.reply is None or link.reply["clean"]) for link in links)

    def _converse(self, source: str) -> NoReturn:
        self._begin_candidate(source)
        loaded = self._hear(self._candidate)
        if loaded[:1] != b"r":
            self._fail_to_load(loaded)
        self._begin_tester()
        while True:
            line = self._hear(self._tester)
            if line[:1] != b"c":
                self._conclude(line)
            self._candidate.send_line(self._read_call(line))
            self._tester.send_line(self._read_answer(self._hear(self._candidate)))
            self._num_answers += 1

    def _begin_candidate(self, source: str) -> None:
        limits = {name: getattr(self._limits, name) for name in ("cpu_time_s", "memory_bytes", "output_bytes")}
        program = pack_frame({"source": source, "entry_point": self._task.entry_point})
        self._candidate.begin({"session": "candidate", "wall_time_s": self._session_s, **limits}, program)

    def _begin_tester(self) -> None:
        task = {"prompt": self._task.prompt, "check": self._task.check, "entry_point": self._task.entry_point}
        header = {
            "session": "tester",
            "wall_time_s": self._session_s,
            "cpu_time_s": self._left_s[self._tester],
            "memory_bytes": max(self._limits.memory_bytes, DEFAULT_LIMITS.memory_bytes),
            "output_bytes": TESTER_OUTPUT_BYTES,
        }
        self._tester.begin(header, pack_frame({}, json.dumps(task).encode("ascii")))

    def _hear(self, speaker: Link) -> bytes:
        """Wait for the next line of whose turn it is."""
        began = time.monotonic()
        deadline = began + self._left_s[speaker]
        is_overdue = False
        try:
            while True:
                if len(self._candidate.lines) > (speaker is self._candidate):
                    raise _Over(Status.CRASH, "wrote results without being called")
                if speaker.lines:
                    return speaker.lines.popleft()
                self._look_for_ends()
                if is_overdue:
                    self._run_out(speaker)
                left_s = deadline - time.monotonic()
                is_overdue = left_s <= 0  # one more look: it may be we who were late
                exchange((self._candidate, self._tester), min(max(left_s, 0.0), _POLL_S))
        finally:
            self._left_s[speaker] = max(0.0, deadline - time.monotonic())

    def _look_for_ends(self) -> None:
        if self._candidate.reply is not None:
            raise _Over(*failure_of(self._limits, self._candidate.reply))
        if self._tester.reply is not None:
            status, detail = failure_of(self._limits, self._tester.reply)
            self._blame_values(status, detail)
            self._blame_check(f"it ended without a verdict: {detail}")
        if self._is_abandoned():
            raise Abandoned

    def _run_out(self, speaker: Link) -> NoReturn:
        if speaker is self._candidate:
            raise _Over(Status.TIMEOUT, "ran out of time")
        self._blame_values(Status.TIMEOUT, "ran out of time")
        self._blame_check("it ran out of time itself")

    def _blame_values(self, status: Status, detail: str) -> None:
        """Where the program has answered, what the check died of is its values: no mask is to be had by them."""
        if self._num_answers > 0:
            raise _Over(status, f"with what the program returned, its check {detail}")

    def _blame_check(self, why: str) -> NoReturn:
        raise _Over(Status.INFRA, f"the check of task {self._task.task_id} is at fault: {why}")

    def _fail_to_load(self, line: bytes) -> NoReturn:
        try:
            if line[:1] != b"l":
                raise ValueError(f"a line of kind {line[:1]!r}")
            over = _Over(*load_failure_of(line[1:].decode("ascii")))
        except Exception as error:
            self._blame_candidate(error)
        raise over

    def _blame_candidate(self, error: Exception) -> NoReturn:
        """Whatever a reader trips over is the fault of the line: a mask is not to be had by it either."""
        raise _Over(Status.CRASH, f"wrote malformed results: {str(error)[:MAX_NAME_CHARS]}") from None

    def _read_call(self, line: bytes) -> str:
        """Read a call the tester makes, and write it anew."""
        try:
            call = parse_json(line[1:].decode("ascii"))
            args, named = call
            if type(args) is not list or type(named) is not dict:
                raise ValueError("a call that is none")
            for value in (*args, *named.values()):
                decode_value(value, extended=True)
        except (ValueError, TypeError) as error:
            self._blame_check(f"it makes a malformed call: {str(error)[:MAX_NAME_CHARS]}")
        return json.dumps(call)

    def _read_answer(self, line: bytes) -> str:
        """Read what the candidate answered, and write it anew for the tester."""
        try:
            result = read_result(line[:1], line[1:].decode("ascii"), extended=True)
        except Exception as error:
            self._blame_candidate(error)
        if result.error is None:
            return f"v{json.dumps(result.value)}"
        if result.error in _NO_VALUE:
            raise _Over(*_NO_VALUE[result.error])
        return f"e{json.dumps(result.error)}"

    def _conclude(self, line: bytes) -> NoReturn:
        """Read the tester's last line."""
        try:
            kind, said = line[:1], parse_json(line[1:].decode("ascii"))
        except ValueError as error:
            self._blame_check(str(error)[:MAX_NAME_CHARS])
        detail = str(said)[:MAX_NAME_CHARS]
        if kind == b"p":
            raise _Over(Status.PASSED, "")
        if kind == b"w":
            raise _Over(Status.WRONG, detail)
        if kind == b"x":
            raise _Over(Status.MEMORY if detail == "MemoryError" else Status.EXCEPTION, f"a call raised {detail}")
        self._blame_check(detail)
