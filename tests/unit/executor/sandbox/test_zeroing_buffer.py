"""Bytes that pass through the worker: all of them, in order, and none left behind."""

import os

import pytest

from executor.sandbox.zeroing_buffer import Passage


@pytest.fixture
def passage():
    return Passage()


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    for fd in (reader, writer):
        os.close(fd)


def whole(passage):
    with passage.first(1 << 30) as view:
        return bytes(view)


def test_what_comes_goes_in_order(passage, pipe):
    reader, writer = pipe
    os.write(writer, b"one\ntwo\nthr")
    assert passage.read(reader, 5) == 5
    assert whole(passage) == b"one\nt"
    assert passage.fill(reader, 6)
    assert passage.end_of_lines() == 8
    passage.drop(8)
    assert whole(passage) == b"thr"
    assert passage.end_of_lines() == 0
    passage.clear()
    assert len(passage) == 0


def test_nothing_stays_behind_when_it_was_moved_or_left(passage, pipe):
    reader, writer = pipe
    os.write(writer, b"abcdefgh")
    passage.fill(reader, 8)
    passage.drop(5)
    assert bytes(passage._bytes[:8]) == b"fgh\0\0\0\0\0"
    passage.clear()
    assert not any(passage._bytes)


def test_it_grows_and_leaves_zeros_where_it_was(passage, pipe):
    reader, writer = pipe
    small, chunk = passage._bytes, bytes(range(256)) * 256  # 64 KiB, what a pipe holds
    for _ in range(5):
        os.write(writer, chunk)
        assert passage.fill(reader, len(chunk))
    assert whole(passage) == chunk * 5
    assert not any(small)
    large = passage._bytes
    passage.clear()
    assert not any(large)
    assert len(passage._bytes) == len(small)


def test_the_end_of_a_stream_is_told(passage):
    reader, writer = os.pipe()
    os.write(writer, b"ab")
    os.close(writer)
    assert not passage.fill(reader, 3)
    assert whole(passage) == b"ab"
    assert passage.read(reader, 1) == 0
    os.close(reader)
