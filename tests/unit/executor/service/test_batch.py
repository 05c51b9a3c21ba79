"""`LineStream`: lines of several threads arrive completely, in few pieces, and the last one at once."""

import asyncio
import threading
import time

import pytest

from executor.service import batch
from executor.service.batch import LineStream


async def read_all(stream: LineStream) -> tuple[bytes, int]:
    """Read to the end; returns all bytes and the number of pieces."""
    content, num_pieces = b"", 0
    while (piece := await stream.read()) is not None:
        num_lines, lines = piece
        assert num_lines == lines.count(b".")
        content += lines
        num_pieces += 1
    return content, num_pieces


def test_lines_of_many_threads_arrive_once_and_in_few_pieces() -> None:
    async def run() -> tuple[bytes, int]:
        stream = LineStream(400)

        def put(number: int) -> None:
            for position in range(100):
                stream.put(b"%d-%d.\n" % (number, position))
                time.sleep(0.001)

        threads = [threading.Thread(target=put, args=(number,)) for number in range(4)]
        for thread in threads:
            thread.start()
        result = await read_all(stream)
        assert stream.is_complete
        for thread in threads:
            thread.join()
        return result

    content, num_pieces = asyncio.run(run())
    assert sorted(content.splitlines()) == sorted(
        b"%d-%d." % (n, position) for n in range(4) for position in range(100)
    )
    assert num_pieces < 100


def test_last_line_is_sent_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "FLUSH_INTERVAL_S", 30.0)

    async def run() -> bytes:
        stream = LineStream(2)
        stream.put(b"a.\n")
        threading.Timer(0.05, stream.put, [b"b.\n"]).start()
        return (await asyncio.wait_for(read_all(stream), 10))[0]

    assert asyncio.run(run()) == b"a.\nb.\n"


def test_line_of_an_unfinished_batch_is_sent_after_the_flush_interval() -> None:
    async def run() -> tuple[int, bytes] | None:
        stream = LineStream(2)
        stream.put(b"a.\n")
        return await asyncio.wait_for(stream.read(), 10)

    assert asyncio.run(run()) == (1, b"a.\n")


def test_heartbeats_without_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch, "HEARTBEAT_S", 0.05)

    async def run() -> list:
        stream = LineStream(1)
        pieces = [await stream.read(), await stream.read()]
        stream.put(b"a.\n")
        return [*pieces, await stream.read(), await stream.read()]

    assert asyncio.run(run()) == [(0, b"\n"), (0, b"\n"), (1, b"a.\n"), None]


def test_aborted_stream_gives_its_lines_and_ends() -> None:
    async def run() -> tuple[bytes, bool]:
        stream = LineStream(3)
        stream.put(b"a.\n")
        stream.abort()
        content, _ = await asyncio.wait_for(read_all(stream), 10)
        return content, stream.is_complete

    assert asyncio.run(run()) == (b"a.\n", False)


def test_stream_without_lines_ends_at_once() -> None:
    async def run() -> tuple[tuple[bytes, int], bool]:
        stream = LineStream(0)
        return await asyncio.wait_for(read_all(stream), 10), stream.is_complete

    assert asyncio.run(run()) == ((b"", 0), True)


def test_lines_after_the_end_of_the_event_loop_are_dropped() -> None:
    async def make() -> LineStream:
        return LineStream(1)

    asyncio.run(make()).put(b"a.\n")
