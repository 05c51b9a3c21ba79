"""Progress of a job that counts things: a bar with rate and time left, or plain lines where there is no terminal."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0


class CountProgress:
    """A context manager that shows how many of `total` things are done, on stderr; `num_before` were done before."""

    def __init__(self, noun: str, total: int, *, num_before: int = 0) -> None:
        self._noun = noun
        self._total = total
        self._num_before = num_before
        self._done = num_before
        self._started_at = self._printed_at = time.monotonic()
        console = Console(stderr=True)
        self._bar = (
            Progress(
                TextColumn(noun),
                BarColumn(),
                MofNCompleteColumn(),
                TextColumn("{task.fields[rate]}"),
                TimeElapsedColumn(),
                TextColumn("left"),
                TimeRemainingColumn(),
                console=console,
            )
            if console.is_terminal
            else None
        )

    def __enter__(self) -> "CountProgress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._noun, total=self._total, completed=self._done, rate="")
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """Note that `count` more are done; any one thread may call."""
        self._done += count
        now = time.monotonic()
        rate = (self._done - self._num_before) / max(now - self._started_at, 1e-9)
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, rate=f"{rate:.3g}/s")
        elif now - self._printed_at >= LINE_EVERY_S:
            self._printed_at = now
            left_s = (self._total - self._done) / max(rate, 1e-9)
            line = f"{self._noun} {self._done}/{self._total} · {rate:.3g}/s · {left_s:.0f} s left"
            print(line, file=sys.stderr, flush=True)
