"""A sandbox without a sandbox: a thread that answers frames as it is told, so that faults come when a test wants."""

import contextlib
import json
import os
import threading
import time

from executor.pool import canary
from executor.sandbox.framing import read_frame, take_frame, write_frame
from executor.types import Run


class FakeSandbox:
    """Answers every program with its source as the value of every call, and canaries rightly.

    `die` and `hang` sources do that instead, those with `nap` in them take 0.1 s, those with `raise` in
    them raise, with `late` in them run out of time; the first `bad_canaries` canaries are got wrong.
    """

    killed_from_outside = False

    def __init__(self, backend):
        request_reader, self.requests_fd = os.pipe()
        self.replies_fd, reply_writer = os.pipe()
        self.backend = backend
        self.thread = threading.Thread(target=self._live, args=(request_reader, reply_writer), daemon=True)
        self.thread.start()

    def _live(self, reader, writer):
        with contextlib.suppress(OSError):  # killed while it spoke
            self._serve(reader, writer)
        os.close(reader)
        os.close(writer)

    def _serve(self, reader, writer):
        write_frame(writer, self.backend.greeting)
        while (frame := read_frame(reader)) is not None:
            header, body = frame
            program, calls = take_frame(bytearray(body), max_body_bytes=len(body))
            source = program["source"]
            if source == canary._SOURCE:
                self._sing(writer, header, json.loads(calls)[0])
                continue
            self.backend.seen.append(source)
            self.killed_from_outside = source == "killed"
            if source == "die" or self.backend.deaths.get(source, 0) > 0:
                self.backend.deaths[source] = self.backend.deaths.get(source, 0) - 1
                break
            if source == "hang":
                while read_frame(reader) is not None:
                    pass
                break
            if "nap" in source:
                time.sleep(0.1)
            line = b'e"ValueError"\n' if "raise" in source else b"v" + json.dumps(source).encode() + b"\n"
            body = line * len(json.loads(calls))
            end = "output_limit" if source == "flood" else "timeout" if "late" in source else None
            reply = {"id": header["id"], "end": end, "exit_code": 0, "cpu_s": 0.0, "wall_s": 0.1}
            write_frame(writer, {**reply, "clean": source != "dirty"}, body)
            if source == "dirty":
                break

    def _sing(self, writer, header, args):
        self.backend.num_canaries += 1
        number, words = args
        for word in sorted(words):
            number = number * 3 + len(word)
        if self.backend.bad_canaries > 0:
            self.backend.bad_canaries -= 1
            number += 1
        body = b"v" + json.dumps({"total": number, "items": {"$tuple": sorted(words)}}).encode() + b"\n"
        reply = {"id": header["id"], "end": None, "exit_code": 0, "cpu_s": 0.0, "wall_s": 0.1, "clean": True}
        write_frame(writer, reply, body)

    def kill(self):
        self.backend.num_killed += 1
        os.close(self.requests_fd)
        os.close(self.replies_fd)
        self.thread.join(5)
        return "last words"


class FakeBackend:
    name = "fake"
    description = "fake"

    def __init__(self, *, num_failing_starts=0, deaths=None, greeting=None, bad_canaries=0):
        self.num_failing_starts = num_failing_starts
        self.deaths = dict(deaths or {})
        self.greeting = {"ready": True} if greeting is None else greeting
        self.bad_canaries, self.num_canaries = bad_canaries, 0
        self.num_started = self.num_killed = 0
        self.seen = []

    def close(self):
        pass

    def start(self):
        if self.num_failing_starts > 0:
            self.num_failing_starts -= 1
            raise OSError("no sandbox today")
        self.num_started += 1
        return FakeSandbox(self)


def runs(*sources):
    """Programs with one call each."""
    return [Run(source=source, entry_point="solve", calls=([1],)) for source in sources]


def values(executions):
    """The value of each program's call, or its failure."""
    return [execution.results[0].value if execution.failure is None else execution.failure for execution in executions]


def errors(executions):
    """The failure of each program or the error of its call; "ok" where there is neither."""
    return [execution.failure or execution.results[0].error or "ok" for execution in executions]
