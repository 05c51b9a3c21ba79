"""Clocks that take the place of the module `time` in one module under test, and nowhere else."""

import time


class Clock:
    """Stands still until a test sets `now`."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


class RecordedPauses:
    """Runs as the real clock does, but records the pauses that a module makes instead of sleeping.

    Other threads of the process, such as those of a server in a test, sleep as ever.
    """

    monotonic = staticmethod(time.monotonic)

    def __init__(self) -> None:
        self.lengths: list[float] = []

    def sleep(self, pause_s: float) -> None:
        self.lengths.append(pause_s)
