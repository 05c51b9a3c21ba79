"""Sandboxes kept warm: runs batches of programs in them, answers in order, replaces the ones that die.

One thread, the caller's, watches all pipes; sandboxes are started by a thread of the pool's own, for the kernel ends a
sandbox with the thread that started it, and callers come and go. The rule of faults: a program in flight when its
sandbox died is retried once, alone, in a fresh sandbox; if that dies too, it is the program's own crash. Programs that
had not begun are sent again without blame. When no sandbox can be started any more, what is left is INFRA. It does not
judge.
"""

import json
import logging
import selectors
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from executor.backends.sandbox import Backend
from executor.channel import Channel, ChannelLost
from executor.results import execution_of
from executor.schema import DEFAULT_LIMITS, Execution, Limits, Run, Status

MAX_CANDIDATES_PER_SANDBOX = 5000
MAX_FAILED_STARTS = 3
_WINDOW = 3
"""Programs sent ahead to a sandbox, so that it never waits for us; it runs them one by one."""
_POLL_S = 0.5

_log = logging.getLogger(__name__)
OnExecution = Callable[[int, Execution], None]


class _Slot:
    """A place for one sandbox, and the suspect to retry alone in the next one."""

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.suspect: int | None = None
        self.num_failed_starts = 0


class _Batch:
    """The state of one call of `run`."""

    def __init__(self, runs: Sequence[Run], limits: Limits, on_result: OnExecution | None):
        self.runs = runs
        self.limits = limits
        self.waiting: deque[int] = deque()
        self.results: dict[int, Execution] = {}
        self._on_result = on_result
        self._header = {name: getattr(limits, name) for name in limits.__slots__ if name != "source_bytes"}

    @property
    def done(self) -> bool:
        return len(self.results) == len(self.runs)

    def request(self, index: int) -> tuple[dict[str, Any], bytes]:
        run = self.runs[index]
        header = {"source": run.source, "entry_point": run.entry_point, **self._header}
        return header, json.dumps(run.calls, separators=(",", ":"), allow_nan=False).encode("ascii")

    def finish(self, index: int, execution: Execution) -> None:
        self.results[index] = execution
        if self._on_result is not None:
            self._on_result(index, execution)

    def fail(self, index: int, status: Status, detail: str) -> None:
        self.finish(index, Execution(failure=status, results=(), duration_s=0.0, detail=detail))

    def admit(self) -> None:
        """Put all programs in line but those whose source is too long."""
        for index, run in enumerate(self.runs):
            size = len(run.source.encode("utf-8", "surrogatepass"))
            if size > self.limits.source_bytes:
                detail = f"{size} bytes of source; {self.limits.source_bytes} are allowed"
                self.fail(index, Status.SOURCE_TOO_LONG, detail)
            else:
                self.waiting.append(index)


class SandboxPool:
    """An `Executor` over sandboxes of one backend."""

    def __init__(self, backend: Backend, *, num_workers: int):
        """Start nothing yet; sandboxes start with the first batch.

        Args:
            backend: what starts them.
            num_workers: sandboxes at work at the same time.

        Raises:
            ValueError: num_workers is below 1.
        """
        if num_workers < 1:
            raise ValueError(f"the number of workers must be at least 1, not {num_workers}")
        self.description = f"{backend.description}; {num_workers} worker{'s' * (num_workers > 1)}"
        self.backend_name = backend.name
        self.last_loss = ""
        """Why a sandbox was last replaced, in its own words where it said any."""
        self._backend = backend
        self._slots = [_Slot() for _ in range(num_workers)]
        self._lock = threading.Lock()
        self._starter = ThreadPoolExecutor(max_workers=1, thread_name_prefix="sandbox-starter")
        self._selector = selectors.DefaultSelector()
        self.num_replaced = 0
        """Sandboxes that died or could not prove a clean reset, so far."""

    def __enter__(self) -> "SandboxPool":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all sandboxes. The pool may be used again: it then starts new ones."""
        with self._lock:
            self._end_all()

    def run(
        self, runs: Sequence[Run], limits: Limits = DEFAULT_LIMITS, on_result: OnExecution | None = None
    ) -> list[Execution]:
        """Run programs, each in a process of its own.

        Args:
            runs: the programs.
            limits: hold for each of them.
            on_result: called with (position in `runs`, execution) as each one ends, in this thread.

        Returns:
            One execution for each run, in their order.
        """
        with self._lock:
            batch = _Batch(runs, limits, on_result)
            try:
                batch.admit()
                for slot in self._slots:
                    slot.num_failed_starts = 0
                while not batch.done:
                    self._step(batch)
            except BaseException:  # Ctrl-C or a callback's error: what is in flight belongs to no batch any more
                self._end_all()
                raise
            return [batch.results[index] for index in range(len(runs))]

    def _step(self, batch: _Batch) -> None:
        for slot in self._slots:
            if slot.channel is None and (batch.waiting or slot.suspect is not None):
                self._start(slot)
            if slot.channel is not None:
                self._feed(slot, slot.channel, batch)
        self._give_up(batch)
        if all(slot.channel is None for slot in self._slots):
            return
        for key, events in self._selector.select(_POLL_S):
            slot, channel = key.data
            if slot.channel is not channel:
                continue  # replaced a moment ago
            try:
                if events & selectors.EVENT_WRITE:
                    channel.write()
                if events & selectors.EVENT_READ:
                    self._take(slot, channel, batch)
            except ChannelLost as loss:
                self._replace(slot, channel, batch, str(loss))
        now = time.monotonic()
        for slot in self._slots:
            if slot.channel is not None:
                try:
                    slot.channel.check_deadline(now)
                except ChannelLost as loss:
                    self._replace(slot, slot.channel, batch, str(loss))

    def _start(self, slot: _Slot) -> None:
        if slot.num_failed_starts >= MAX_FAILED_STARTS:
            return
        try:
            channel = slot.channel = Channel(self._starter.submit(self._backend.start).result())
        except OSError as error:
            slot.num_failed_starts += 1
            self.last_loss = str(error)
            _log.warning("a sandbox could not be started: %s", error)
            return
        self._selector.register(channel.sandbox.replies_fd, selectors.EVENT_READ, (slot, channel))

    def _feed(self, slot: _Slot, channel: Channel, batch: _Batch) -> None:
        if slot.suspect is not None:
            if not channel.in_flight:
                channel.send(slot.suspect, *batch.request(slot.suspect))
        else:
            while batch.waiting and len(channel.in_flight) < _WINDOW:
                index = batch.waiting.popleft()
                channel.send(index, *batch.request(index))
        if channel.wants_to_write:
            try:
                channel.write()
            except ChannelLost as loss:
                self._replace(slot, channel, batch, str(loss))
                return
        self._watch_writes(slot, channel)

    def _watch_writes(self, slot: _Slot, channel: Channel) -> None:
        fd = channel.sandbox.requests_fd
        watched = fd in self._selector.get_map()
        if channel.wants_to_write and not watched:
            self._selector.register(fd, selectors.EVENT_WRITE, (slot, channel))
        elif watched and not channel.wants_to_write:
            self._selector.unregister(fd)

    def _take(self, slot: _Slot, channel: Channel, batch: _Batch) -> None:
        clean = True
        for index, reply, body in channel.read():
            slot.num_failed_starts = 0
            slot.suspect = None
            clean = reply["clean"]
            batch.finish(index, execution_of(batch.runs[index], batch.limits, reply, body))
        if not clean:
            self.num_replaced += 1
            _log.info("sandbox replaced after a reset that could not be proven")
        if not clean or channel.num_answered >= MAX_CANDIDATES_PER_SANDBOX:
            self._retire(slot, channel, batch)

    def _retire(self, slot: _Slot, channel: Channel, batch: _Batch) -> None:
        """Give up a sandbox between two programs: nobody's fault."""
        batch.waiting.extendleft(reversed(channel.in_flight))
        self._end(slot, channel)

    def _replace(self, slot: _Slot, channel: Channel, batch: _Batch, why: str) -> None:
        """Replace a sandbox that died: the program in turn is its suspect, the others are sent again."""
        began = channel.ready and bool(channel.in_flight)
        in_flight = list(channel.in_flight)
        said = self._end(slot, channel)
        self.num_replaced += 1
        self.last_loss = said or why
        _log.warning("sandbox replaced: %s%s", why, f" ({said})" if said else "")
        if not channel.ready:
            slot.num_failed_starts += 1
        if not began:
            batch.waiting.extendleft(reversed([index for index in in_flight if index != slot.suspect]))
            return
        first = in_flight[0]
        batch.waiting.extendleft(reversed(in_flight[1:]))
        if first == slot.suspect:
            slot.suspect = None
            batch.fail(first, Status.CRASH, "its sandbox died with it twice")
        else:
            slot.suspect = first

    def _give_up(self, batch: _Batch) -> None:
        """Where a sandbox failed to start too often, its suspect is lost; where all did, so is what waits."""
        hopeless = [slot for slot in self._slots if slot.num_failed_starts >= MAX_FAILED_STARTS]
        for slot in hopeless:
            if slot.suspect is not None:
                batch.fail(slot.suspect, Status.INFRA, "no sandbox could be started to retry it alone")
                slot.suspect = None
        if len(hopeless) == len(self._slots):
            while batch.waiting:
                batch.fail(batch.waiting.popleft(), Status.INFRA, "no sandbox could be started")

    def _end(self, slot: _Slot, channel: Channel) -> str:
        for fd in (channel.sandbox.replies_fd, channel.sandbox.requests_fd):
            if fd in self._selector.get_map():
                self._selector.unregister(fd)
        slot.channel = None
        return channel.sandbox.kill()

    def _end_all(self) -> None:
        for slot in self._slots:
            slot.suspect = None
            if slot.channel is not None:
                self._end(slot, slot.channel)
