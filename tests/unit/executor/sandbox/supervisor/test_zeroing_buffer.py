"""Bytes leave the buffer complete and in order, and zeros remain in their place."""

import os

import pytest

from executor.sandbox.supervisor.zeroing_buffer import ZeroingBuffer


@pytest.fixture
def buffer():
    return ZeroingBuffer()


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        os.close(fd)


def whole(buffer):
    with buffer.peek(1 << 30) as view:
        return bytes(view)


def test_buffer_returns_bytes_in_order(buffer, pipe):
    reader, writer = pipe
    os.write(writer, b"one\ntwo\nthr")
    assert buffer.read_from(reader, 5) == 5
    assert whole(buffer) == b"one\nt"
    assert buffer.read_exactly_from(reader, 6)
    assert buffer.size_of_complete_lines() == 8
    buffer.discard(8)
    assert whole(buffer) == b"thr"
    assert buffer.size_of_complete_lines() == 0
    buffer.clear()
    assert len(buffer) == 0


def test_discard_overwrites_discarded_and_moved_bytes_with_zeros(buffer, pipe):
    reader, writer = pipe
    os.write(writer, b"abcdefgh")
    buffer.read_exactly_from(reader, 8)
    buffer.discard(5)
    assert bytes(buffer._bytes[:8]) == b"fgh\0\0\0\0\0"
    buffer.clear()
    assert not any(buffer._bytes)


def test_growing_overwrites_the_old_storage_with_zeros(buffer, pipe):
    reader, writer = pipe
    small, chunk = buffer._bytes, bytes(range(256)) * 256  # 64 KiB, what a pipe holds
    for _ in range(5):
        os.write(writer, chunk)
        assert buffer.read_exactly_from(reader, len(chunk))
    assert whole(buffer) == chunk * 5
    assert not any(small)
    large = buffer._bytes
    buffer.clear()
    assert not any(large)
    assert len(buffer._bytes) == len(small)


def test_read_at_end_of_file_returns_false_or_zero(buffer):
    reader, writer = os.pipe()
    os.write(writer, b"ab")
    os.close(writer)
    assert not buffer.read_exactly_from(reader, 3)
    assert whole(buffer) == b"ab"
    assert buffer.read_from(reader, 1) == 0
    os.close(reader)
