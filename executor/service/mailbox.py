"""From the pool's thread to asyncio: items are put by any thread and taken in heaps by one coroutine.

The loop is woken once for a heap, not once for an item.
"""

import asyncio
import contextlib
from collections import deque
from typing import Generic, TypeVar

GATHER_S = 0.01
"""How long a heap grows, unless it is complete before."""
T = TypeVar("T")


class Mailbox(Generic[T]):
    """Takes a known number of items."""

    def __init__(self, num_expected: int):
        """Make it in the loop that will take."""
        self._loop = asyncio.get_running_loop()
        self._items: deque[T] = deque()
        self._num_expected = num_expected
        self._num_taken = 0
        self._is_awake = False
        self._arrived = asyncio.Event()
        self._completed = asyncio.Event()

    @property
    def is_done(self) -> bool:
        """Whether all that is expected was taken."""
        return self._num_taken == self._num_expected

    def put(self, item: T) -> None:
        """Hand an item over, from any thread; quick."""
        self._items.append(item)
        if self._is_complete():
            self._loop.call_soon_threadsafe(self._complete)
        elif not self._is_awake:
            self._is_awake = True
            self._loop.call_soon_threadsafe(self._arrived.set)

    async def take(self) -> list[T]:
        """Wait for items and return those that are there, at least one."""
        items: list[T] = []
        while not items:
            await self._arrived.wait()
            if not self._is_complete():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GATHER_S):
                        await self._completed.wait()
            self._arrived.clear()
            self._is_awake = False  # from here on, a put wakes the loop again
            items = [self._items.popleft() for _ in range(len(self._items))]
            self._num_taken += len(items)
        return items

    def _is_complete(self) -> bool:
        return self._num_taken + len(self._items) >= self._num_expected

    def _complete(self) -> None:
        self._completed.set()
        self._arrived.set()
