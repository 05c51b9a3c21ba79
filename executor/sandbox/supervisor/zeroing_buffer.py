"""A byte buffer that overwrites consumed data with zeros.

Candidates are forked from the worker, so they inherit its memory, including memory that Python has freed. The worker
therefore never holds a candidate's bytes in ordinary objects: it reads, stores and forwards them in these buffers.
"""

import os

_MIN_CAPACITY = 256 << 10


class ZeroingBuffer:
    """A first-in, first-out byte queue. Bytes that were discarded or moved are overwritten; none are copied."""

    def __init__(self) -> None:
        self._bytes = bytearray(_MIN_CAPACITY)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def read_from(self, fd: int, max_bytes: int) -> int:
        """Append the result of one read of at most `max_bytes`; return the number of bytes, 0 at end of file.

        Raises:
            BlockingIOError: a non-blocking descriptor has no data.
        """
        if self._size == len(self._bytes):
            self._grow()
        with memoryview(self._bytes) as whole, whole[self._size : self._size + max_bytes] as free:
            count = os.readv(fd, [free])
        self._size += count
        return count

    def read_exactly_from(self, fd: int, size: int) -> bool:
        """Append `size` bytes from a blocking descriptor; return False if it ends before."""
        while size > 0:
            count = self.read_from(fd, size)
            if count == 0:
                return False
            size -= count
        return True

    def peek(self, size: int) -> memoryview:
        """View the first `size` bytes (fewer if there are fewer). Release the view before calling anything else."""
        with memoryview(self._bytes) as whole:
            return whole[: min(size, self._size)]

    def size_of_complete_lines(self) -> int:
        """Return the number of bytes up to and including the last line break."""
        return self._bytes.rfind(b"\n", 0, self._size) + 1

    def discard(self, size: int) -> None:
        """Remove the first `size` bytes."""
        left = self._size - size
        with memoryview(self._bytes) as whole:
            whole[:left] = whole[size : self._size]
            whole[left : self._size] = bytes(size)
        self._size = left
        if left == 0 and len(self._bytes) > _MIN_CAPACITY:
            self._bytes = bytearray(_MIN_CAPACITY)

    def clear(self) -> None:
        """Remove all bytes."""
        self.discard(self._size)

    def _grow(self) -> None:
        larger = bytearray(2 * len(self._bytes))
        with memoryview(self._bytes) as old, memoryview(larger) as new:
            new[: self._size] = old
            old[:] = bytes(self._size)
        self._bytes = larger
