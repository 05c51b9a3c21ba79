"""Frames on the pipes between host and sandbox: two lengths, a JSON header and an opaque binary body.

The host, the worker and the candidates use the same code. It does not interpret headers and bodies.
"""

import json
import os
import struct
from typing import Any

LENGTHS = struct.Struct(">II")
"""Sizes of header and body in bytes; they precede the header."""
MAX_HEADER_BYTES = 64 << 20
STARTED, FAULT, TASK_FAULT = b"b", b"f", b"t"
"""First byte that a candidate's process writes (see `worker.child`)."""


def pack_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Serialise one frame."""
    return _pack_header(header, len(body)) + body


def read_header(fd: int) -> tuple[dict[str, Any], int] | None:
    """Read the header of a frame and the size of its body, which stays unread; None at end of file."""
    lengths = read_exactly(fd, LENGTHS.size)
    if lengths is None:
        return None
    header_size, body_size = LENGTHS.unpack(lengths)
    header = read_exactly(fd, header_size)
    return None if header is None else (json.loads(header), body_size)


def read_frame(fd: int) -> tuple[dict[str, Any], bytes] | None:
    """Read exactly one frame from a blocking descriptor; None at end of file."""
    start = read_header(fd)
    if start is None:
        return None
    header, body_size = start
    body = read_exactly(fd, body_size)
    return None if body is None else (header, body)


def write_frame(fd: int, header: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one frame to a blocking descriptor without copying the body."""
    parts = [memoryview(_pack_header(header, len(body))), memoryview(body)]
    while parts:
        written = os.writev(fd, parts)
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][written:]


def take_frame(buffer: bytearray, *, max_body_bytes: int) -> tuple[dict[str, Any], bytes] | None:
    """Remove the first frame from a buffer; None if it is not complete yet.

    Raises:
        ValueError: the header or the body exceeds its maximum size, or the header is not JSON.
    """
    if len(buffer) < LENGTHS.size:
        return None
    header_size, body_size = LENGTHS.unpack_from(buffer)
    if header_size > MAX_HEADER_BYTES or body_size > max_body_bytes:
        raise ValueError(f"a frame of {header_size} + {body_size} bytes exceeds {MAX_HEADER_BYTES} + {max_body_bytes}")
    end = LENGTHS.size + header_size + body_size
    if len(buffer) < end:
        return None
    header = json.loads(str(buffer[LENGTHS.size : LENGTHS.size + header_size], "ascii"))
    body = bytes(buffer[LENGTHS.size + header_size : end])
    del buffer[:end]
    return header, body


def _pack_header(header: dict[str, Any], body_size: int) -> bytes:
    encoded = json.dumps(header).encode("ascii")
    return LENGTHS.pack(len(encoded), body_size) + encoded


def read_exactly(fd: int, size: int) -> bytes | None:
    """Read `size` bytes from a blocking descriptor; None if it ends before."""
    chunks = []
    while size:
        chunk = os.read(fd, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
