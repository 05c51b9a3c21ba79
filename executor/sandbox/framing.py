"""Frames on the pipes between the host and a sandbox: two lengths, a JSON header, a body of opaque bytes.

Standard library only: the same file runs inside the sandbox. It does not know what headers and bodies mean.
"""

import json
import os
import struct
from typing import Any

LENGTHS = struct.Struct(">II")
MAX_HEADER_BYTES = 64 << 20


def pack_frame(header: dict[str, Any], body: bytes = b"") -> bytes:
    """Make the bytes of one frame."""
    return _head(header, len(body)) + body


def read_header(fd: int) -> tuple[dict[str, Any], int] | None:
    """Read the header of a frame and the size of its body, which stays unread; None at the end of the stream."""
    lengths = _read_exactly(fd, LENGTHS.size)
    if lengths is None:
        return None
    header_size, body_size = LENGTHS.unpack(lengths)
    header = _read_exactly(fd, header_size)
    return None if header is None else (json.loads(header), body_size)


def read_frame(fd: int) -> tuple[dict[str, Any], bytes] | None:
    """Read one frame from a blocking descriptor, and not a byte beyond it; None at the end of the stream."""
    begun = read_header(fd)
    if begun is None:
        return None
    header, body_size = begun
    body = _read_exactly(fd, body_size)
    return None if body is None else (header, body)


def write_frame(fd: int, header: dict[str, Any], body: bytes | memoryview = b"") -> None:
    """Write one frame to a blocking descriptor, without a copy of the body."""
    parts = [memoryview(_head(header, len(body))), memoryview(body)]
    while parts:
        written = os.writev(fd, parts)
        while parts and written >= len(parts[0]):
            written -= len(parts.pop(0))
        if parts:
            parts[0] = parts[0][written:]


def take_frame(buffer: bytearray, *, max_body_bytes: int) -> tuple[dict[str, Any], bytes] | None:
    """Take the first whole frame out of a buffer; None when there is none yet.

    Raises:
        ValueError: the buffer does not begin with a frame within the sizes allowed.
    """
    if len(buffer) < LENGTHS.size:
        return None
    header_size, body_size = LENGTHS.unpack_from(buffer)
    if header_size > MAX_HEADER_BYTES or body_size > max_body_bytes:
        raise ValueError("a frame beyond the sizes allowed")
    end = LENGTHS.size + header_size + body_size
    if len(buffer) < end:
        return None
    header = json.loads(bytes(buffer[LENGTHS.size : LENGTHS.size + header_size]))
    body = bytes(buffer[LENGTHS.size + header_size : end])
    del buffer[:end]
    return header, body


def _head(header: dict[str, Any], body_size: int) -> bytes:
    encoded = json.dumps(header).encode("ascii")
    return LENGTHS.pack(len(encoded), body_size) + encoded


def _read_exactly(fd: int, size: int) -> bytes | None:
    chunks = []
    while size:
        chunk = os.read(fd, min(size, 1 << 20))
        if not chunk:
            return None
        chunks.append(chunk)
        size -= len(chunk)
    return b"".join(chunks)
