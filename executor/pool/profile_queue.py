"""One place in line for programs of several profiles. It knows pools, and starts none."""

from collections.abc import Callable

from executor.pool.job import OnExecution, RunQueue
from executor.pool.pool import SandboxPool
from executor.types import Limits, Run


class ProfileQueue:
    """A place in line for programs of any profile: each goes to the pool that has its kind of sandbox."""

    def __init__(self, pool_of: Callable[[str], SandboxPool]):
        self._pool_of = pool_of
        self._lines: dict[str, RunQueue] = {}
        self._is_cancelled = False

    def __enter__(self) -> "ProfileQueue":
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def put(self, run: Run, limits: Limits, on_execution: OnExecution, *, calls: bytes | None = None) -> None:
        """Hand a program in (`executor.pool.job.RunQueue.put`). After `cancel` it is dropped.

        Raises:
            ValueError: this machine has no sandbox of its profile; one line.
        """
        if self._is_cancelled:
            return
        if run.profile not in self._lines:
            self._lines[run.profile] = self._pool_of(run.profile).queue()
            if self._is_cancelled:  # in another thread, which may not have seen this line
                self._lines[run.profile].cancel()
        self._lines[run.profile].put(run, limits, on_execution, calls=calls)

    def cancel(self) -> None:
        """Drop what has not begun; what runs ends unheard."""
        self._is_cancelled = True
        for line in list(self._lines.values()):
            line.cancel()
