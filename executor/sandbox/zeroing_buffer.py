"""Bytes on their way through the worker: read, kept and written in one place, and zeros when they have left.

Standard library only: runs inside the sandbox. Every candidate is forked from the worker's memory. What the worker ever
held in a Python object stays in that memory when the object is gone, and a later candidate could find it there.
"""

import os

_KEPT_BYTES = 256 << 10


class Passage:
    """A queue of bytes of which no copy is made; what has left it, or was moved within it, is overwritten."""

    def __init__(self) -> None:
        self._bytes = bytearray(_KEPT_BYTES)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def read(self, fd: int, most: int) -> int:
        """Read once from a descriptor, at most so many bytes; how many came, 0 at its end.

        Raises:
            BlockingIOError: there is nothing yet.
        """
        if self._size == len(self._bytes):
            self._grow()
        with memoryview(self._bytes) as whole, whole[self._size : self._size + most] as room:
            count = os.readv(fd, [room])
        self._size += count
        return count

    def fill(self, fd: int, size: int) -> bool:
        """Read exactly so many bytes from a blocking descriptor; False where it ended before."""
        while size > 0:
            count = self.read(fd, size)
            if count == 0:
                return False
            size -= count
        return True

    def first(self, size: int) -> memoryview:
        """Look at the first bytes; to be released before anything else is done here."""
        with memoryview(self._bytes) as whole:
            return whole[: min(size, self._size)]

    def end_of_lines(self) -> int:
        """Count the bytes of the whole lines."""
        return self._bytes.rfind(b"\n", 0, self._size) + 1

    def drop(self, size: int) -> None:
        """Let the first bytes go."""
        left = self._size - size
        with memoryview(self._bytes) as whole:
            whole[:left] = whole[size : self._size]
            whole[left : self._size] = bytes(size)
        self._size = left
        if left == 0 and len(self._bytes) > _KEPT_BYTES:
            self._bytes = bytearray(_KEPT_BYTES)

    def clear(self) -> None:
        """Let all bytes go."""
        self.drop(self._size)

    def _grow(self) -> None:
        larger = bytearray(2 * len(self._bytes))
        with memoryview(self._bytes) as old, memoryview(larger) as new:
            new[: self._size] = old
            old[:] = bytes(self._size)
        self._bytes = larger
