"""Tell errors of the user, which get a one-line message, from bugs, which get a traceback.

It neither prints nor exits: `executor.commands.main` does.
"""

import linecache
import re
from collections.abc import Iterable
from difflib import get_close_matches
from types import TracebackType

_OUR_PACKAGES = ("cli", "datamodules", "executor", "lightning_modules")
_MIN_PREFIX = 3
_OUT_OF_GPU_MEMORY = (
    "the GPU is out of memory: raise trainer.accumulate_grad_batches, set compute.gradient_checkpointing to true, or "
    "lower rollout_batch_size, logprob_batch_size, eval_batch_size or --batch-size"
)


class UsageError(ValueError):
    """A request that cannot be carried out; the message names what is wrong and what would be right."""


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with a message on how to continue."""


def explain(error: BaseException) -> str | None:
    """Return the message of a user's error in one line, or None for a bug.

    Errors of the user are `UsageError`, a `ValueError` raised by a `raise` statement of atomforge, an operating system
    error about a path, the error that Lightning raises for a Trainer it cannot build, and torch's for a full GPU.
    """
    if isinstance(error, UsageError):
        return one_line(str(error))
    if isinstance(error, ValueError) and _raised_by_us(error.__traceback__):
        return one_line(str(error))
    if isinstance(error, OSError) and error.filename is not None and error.strerror:
        return one_line(f"{error.strerror[0].lower()}{error.strerror[1:]}: {error.filename}")
    if type(error).__name__ == "MisconfigurationException":
        return one_line(str(error))
    if type(error).__name__ == "OutOfMemoryError" and type(error).__module__.startswith("torch"):
        return f"{_OUT_OF_GPU_MEMORY} ({one_line(str(error)).partition('. See ')[0]})"
    return None


def one_line(text: str) -> str:
    """Return the text without line breaks and runs of blanks."""
    return re.sub(r"\s+", " ", text).strip()


def did_you_mean(wrong: str, known: Iterable[str]) -> str:
    """Return `; did you mean X?` for the nearest known word or the only one with this prefix, else an empty string."""
    words = list(known)
    near = get_close_matches(wrong, words, n=1, cutoff=0.6)
    if not near and len(wrong) >= _MIN_PREFIX:
        begin = [word for word in words if word.startswith(wrong)]
        near = begin if len(begin) == 1 else []
    return f"; did you mean {near[0]!r}?" if near else ""


def _raised_by_us(traceback: TracebackType | None) -> bool:
    """Return whether the innermost frame is a `raise` statement of atomforge (not, say, a failing `int()`)."""
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    frame = traceback.tb_frame
    if str(frame.f_globals.get("__name__")).partition(".")[0] not in _OUR_PACKAGES:
        return False
    return linecache.getline(frame.f_code.co_filename, traceback.tb_lineno).lstrip().startswith("raise")
