"""Waits for a condition instead of sleeping for a time that a busy machine may exceed."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
_POLL_S = 0.01


def wait_until(condition: Callable[[], T], within_s: float = 30.0) -> T:
    """Call `condition` until it returns something true, and return that.

    Args:
        condition: is called every 10 ms.
        within_s: seconds after which to give up; generous, since only a failing test waits that long.

    Raises:
        TimeoutError: the condition was still false after `within_s` seconds.
    """
    deadline = time.monotonic() + within_s
    while not (found := condition()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"the condition was still {found!r} after {within_s:g} s")
        time.sleep(_POLL_S)
    return found
