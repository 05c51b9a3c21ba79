"""Progress of a loop on standard error: a bar with rate and remaining time, or plain lines without a terminal."""

import sys
import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

LINE_EVERY_S = 10.0


def format_duration(seconds: float) -> str:
    """Format 98 s as `1:38` and two hours as `2:00:00`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class CountLines:
    """Plain lines on stderr, one every few seconds: `tasks 40/128 · 2.3/s · 0:38 left`.

    Args:
        interval_s: minimum time between two lines, and before the first.
    """

    def __init__(self, interval_s: float = LINE_EVERY_S) -> None:
        self._interval_s = interval_s
        self.start()

    def start(self, num_before: int = 0) -> None:
        """Restart the clock; the `num_before` items that are done already do not count in the rate."""
        self._num_before = num_before
        self._started_at = self._printed_at = time.monotonic()

    def show(self, noun: str, done: int, total: int) -> None:
        """Print a line if the previous one is old enough; a call with `done` 0 starts a new loop."""
        if done == 0:
            self.start()
        now = time.monotonic()
        if now - self._printed_at >= self._interval_s:
            self._printed_at = now
            rate = (done - self._num_before) / (now - self._started_at)
            left = format_duration((total - done) / max(rate, 1e-9))
            print(f"{noun} {done}/{total} · {rate:.3g}/s · {left} left", file=sys.stderr, flush=True)


class CountProgress:
    """A context manager that shows on standard error how many of `total` items are done.

    Args:
        noun: what is counted, in the plural.
        total: number of items.
        num_before: items that are done already; they do not count in the rate.
    """

    def __init__(self, noun: str, total: int, *, num_before: int = 0) -> None:
        self._noun = noun
        self._total = total
        self._num_before = num_before
        self._done = num_before
        self._started_at = time.monotonic()
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
        self._lines = CountLines()

    def __enter__(self) -> "CountProgress":
        if self._bar is not None:
            self._bar.start()
            self._task = self._bar.add_task(self._noun, total=self._total, completed=self._done, rate="")
        self._lines.start(self._num_before)
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, count: int) -> None:
        """Count `count` more items as done; one thread at a time may call."""
        self._done += count
        if self._bar is None:
            self._lines.show(self._noun, self._done, self._total)
        else:
            rate = (self._done - self._num_before) / max(time.monotonic() - self._started_at, 1e-9)
            self._bar.update(self._task, completed=self._done, rate=f"{rate:.3g}/s")
