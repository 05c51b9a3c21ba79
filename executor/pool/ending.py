"""A sandbox on its way out: ends it in a thread, and finds out whether somebody else had ended it before."""

import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Executor as ThreadPool

from executor.backends.base import Sandbox
from executor.pool.job import Job

_log = logging.getLogger(__name__)


class Ending:
    """The end of one sandbox, and the programs that may be to blame for it."""

    def __init__(
        self, sandbox: Sandbox, accused: Sequence[Job], *, why: str, threads: ThreadPool, wake: Callable[[], None]
    ):
        self.accused = accused
        self._why = why
        self._sandbox = sandbox
        self._future = threads.submit(sandbox.kill)
        self._future.add_done_callback(lambda _: wake())

    @property
    def is_done(self) -> bool:
        return self._future.done()

    @property
    def was_from_outside(self) -> bool:
        """Whether nothing that ran in it can have ended it; known when it is done."""
        return self._future.exception() is None and self._sandbox.killed_from_outside

    def last_words(self) -> str:
        """Wait until it has ended; return why, in its own words where it said any."""
        error = self._future.exception()
        if error is None:
            return self._future.result() or self._why
        _log.warning("a sandbox could not be ended: %s", error)
        return self._why
