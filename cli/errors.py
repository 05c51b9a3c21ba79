"""Tell a user's error, worth one clear line, from a fault of ours, worth a traceback.

It does not print and does not exit: `cli.main` does both, in one place.
"""

import linecache
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from types import TracebackType

_OUR_PACKAGES = ("cli", "datamodules", "executor", "lightning_modules")
_LEAST_BEGINNING = 3
_ROOT = Path(__file__).resolve().parents[1]


class UsageError(ValueError):
    """What was asked for cannot be done; the message is one line that says what would be right."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a line on how to go on."""


def explain(error: BaseException) -> str | None:
    """Find the one line to show for a user's error, or None for a fault of ours.

    A user's error is a `UsageError`, a `ValueError` that our own code raised on purpose, an operating system error
    about a path, or what Lightning raises for a Trainer it cannot build.
    """
    if isinstance(error, UsageError):
        return one_line(str(error))
    if isinstance(error, ValueError) and _raised_by_us(error.__traceback__):
        return one_line(str(error))
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return one_line(f"{error.strerror[0].lower()}{error.strerror[1:]}: {error.filename}")
    if type(error).__name__ == "MisconfigurationException":
        return one_line(str(error))
    return None


def one_line(text: str) -> str:
    """Return the text without line breaks and runs of blanks."""
    return re.sub(r"\s+", " ", text).strip()


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """`; did you mean X?` for the nearest known word, or the only one that begins so, else an empty string."""
    words = list(known)
    near = get_close_matches(wrong, words, n=1, cutoff=0.6)
    if not near and len(wrong) >= _LEAST_BEGINNING:
        begin = [word for word in words if word.startswith(wrong)]
        near = begin if len(begin) == 1 else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _raised_by_us(traceback: TracebackType | None) -> bool:
    """Whether the innermost frame is a `raise` statement in a file of ours (not, say, a failing `int()`)."""
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    path = Path(traceback.tb_frame.f_code.co_filename)
    if not path.is_relative_to(_ROOT) or path.relative_to(_ROOT).parts[0] not in _OUR_PACKAGES:
        return False
    return linecache.getline(str(path), traceback.tb_lineno).lstrip().startswith("raise")
