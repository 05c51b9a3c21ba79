"""The engine's multiplexed attach stream."""

import re
import struct
from types import SimpleNamespace

import pytest

from executor.backends.docker.channel import AttachDecoder, can_share_sockets, check_attachable


def part(stream: int, data: bytes) -> bytes:
    """A part of the stream, as in the Docker Engine API: stream, three zeros, size as 32 bits."""
    return bytes([stream, 0, 0, 0]) + struct.pack(">I", len(data)) + data


STREAM = part(1, b"ab") + part(2, b"warning\n") + part(1, b"") + part(1, b"\x01\x00\x00\x00cde") + part(2, b"error")


@pytest.mark.parametrize("size", [1, 3, 7, 8, 9, len(STREAM)])
def test_decode_returns_standard_output_whatever_the_pieces(size):
    decoder = AttachDecoder()
    pieces = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    assert b"".join(map(decoder.decode, pieces)) == b"ab\x01\x00\x00\x00cde"
    assert decoder.stderr_tail == b"warning\nerror"


def test_decode_keeps_only_the_tail_of_standard_error():
    decoder = AttachDecoder()
    assert decoder.decode(part(2, b"x" * 5000 + b"last")) == b""
    assert decoder.stderr_tail == b"x" * 296 + b"last"


def test_decode_rejects_another_format():
    """A container with a terminal sends its output without headers."""
    with pytest.raises(ValueError, match="a part of stream 123, neither 1 nor 2"):
        AttachDecoder().decode(b'{"ready": true}')


@pytest.mark.parametrize(
    ("url", "is_local", "is_plain"),
    [
        ("http+docker://localhost", True, True),
        ("http://10.0.0.5:2375", False, True),
        ("https://10.0.0.5:2376", False, False),
        ("http+docker://ssh", False, False),
        ("http+docker://localnpipe", False, False),
    ],
)
def test_check_attachable_accepts_plain_sockets(url, is_local, is_plain):
    client = SimpleNamespace(api=SimpleNamespace(base_url=url))
    assert can_share_sockets(client) is is_local
    if is_plain:
        check_attachable(client)
    else:
        with pytest.raises(ValueError, match=f"cannot be attached through {re.escape(url)}; .*ssh -N -L"):
            check_attachable(client)
