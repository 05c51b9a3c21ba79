"""Frames survive pipes and buffers, whole or in pieces, and oversized ones are rejected."""

import os
import threading

import pytest

from executor.sandbox.framing import (
    LENGTHS,
    MAX_HEADER_BYTES,
    pack_frame,
    read_frame,
    read_header,
    take_frame,
    write_frame,
)


@pytest.fixture
def pipe():
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)


def test_pack_frame_layout():
    assert pack_frame({"a": 1}, b"xyz") == b"\0\0\0\x08\0\0\0\x03" + b'{"a": 1}' + b"xyz"


def test_read_frame_returns_frames_in_order_then_none(pipe):
    reader, writer = pipe
    os.write(writer, pack_frame({"a": 1}, b"xyz") + pack_frame({}))
    os.close(writer)
    assert [read_frame(reader) for _ in range(3)] == [({"a": 1}, b"xyz"), ({}, b""), None]


def test_read_header_leaves_the_body(pipe):
    reader, writer = pipe
    os.write(writer, pack_frame({"a": 1}, b"xyz"))
    os.close(writer)
    assert read_header(reader) == ({"a": 1}, 3)
    assert os.read(reader, 10) == b"xyz"


@pytest.mark.parametrize("size", [3, 10, 17])
def test_read_frame_of_a_truncated_stream_returns_none(pipe, size):
    reader, writer = pipe
    os.write(writer, pack_frame({"a": 1}, b"xyz")[:size])
    os.close(writer)
    assert read_frame(reader) is None


def test_write_frame_larger_than_the_pipe_is_complete(pipe):
    reader, writer = pipe
    body = bytes(range(256)) * 4096  # 1 MiB
    thread = threading.Thread(target=write_frame, args=(writer, {"id": 7}, memoryview(body)))
    thread.start()
    assert read_frame(reader) == ({"id": 7}, body)
    thread.join()
    os.close(writer)


def test_take_frame_waits_for_every_byte():
    data = pack_frame({"a": 1}, b"xyz") + b"rest"
    for size in range(len(data) - 4):
        buffer = bytearray(data[:size])
        assert take_frame(buffer, max_body_bytes=3) is None
        assert len(buffer) == size
    buffer = bytearray(data)
    assert take_frame(buffer, max_body_bytes=3) == ({"a": 1}, b"xyz")
    assert buffer == b"rest"


@pytest.mark.parametrize("data", [pack_frame({}, b"xyz"), LENGTHS.pack(MAX_HEADER_BYTES + 1, 0)])
def test_take_frame_beyond_a_limit_raises_value_error(data):
    with pytest.raises(ValueError, match="exceeds"):
        take_frame(bytearray(data), max_body_bytes=2)
