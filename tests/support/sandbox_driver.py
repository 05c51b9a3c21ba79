"""Send requests to a single sandbox and wait for each reply, without a pool."""

import json
from collections.abc import Sequence
from typing import Any

from executor.backends.base import Backend
from executor.sandbox.framing import pack_frame, read_frame, write_frame

LIMITS = {"cpu_time_s": 10.0, "wall_time_s": 30.0, "memory_bytes": 256 << 20, "output_bytes": 1 << 20}


class SandboxDriver:
    """One sandbox of a backend, replaced when it is not clean after a request."""

    def __init__(self, backend: Backend):
        self.num_replaced = 0
        self._backend = backend
        self._start()

    def close(self) -> None:
        self.sandbox.kill()

    def exchange(self, header: dict[str, Any], body: bytes) -> tuple[dict[str, Any], bytes]:
        """Send a request with `LIMITS` unless `header` says otherwise; return the reply and its body."""
        write_frame(self.sandbox.requests_fd, {"id": 1, **LIMITS, **header}, body)
        answer = read_frame(self.sandbox.replies_fd)
        assert answer is not None
        if not answer[0]["clean"]:
            self.num_replaced += 1
            self.close()
            self._start()
        return answer

    def run_stdin(
        self, source: str, stdin: str | bytes = b"", *, program: dict[str, Any] | None = None, **limits: Any
    ) -> tuple[dict[str, Any], bytes]:
        """Run a program as `__main__`; return the reply and what it printed.

        Args:
            source: the program.
            stdin: its standard input.
            program: further keys of the program: `prelude`, `argv`, `files`.
            limits: keys of the request's header.
        """
        content = stdin.encode() if isinstance(stdin, str) else stdin
        return self.exchange({"stdin": True, **limits}, pack_frame({"source": source, **(program or {})}, content))

    def run_calls(
        self,
        source: str,
        calls: Sequence[Any],
        entry_point: str = "solve",
        *,
        prelude: str | None = None,
        **limits: Any,
    ) -> tuple[dict[str, Any], list[str]]:
        """Call a function or method; return the reply and the result lines."""
        program = {"source": source, "entry_point": entry_point, "prelude": prelude}
        reply, body = self.exchange(limits, pack_frame(program, json.dumps(calls).encode()))
        return reply, body.decode().splitlines()

    def _start(self) -> None:
        self.sandbox = self._backend.start()
        assert read_frame(self.sandbox.replies_fd) == ({"ready": True}, b"")


def is_normal_end(reply: dict[str, Any]) -> bool:
    """Whether a stdin program ended by itself and without an error."""
    return reply["end"] is None and reply["exit_code"] == 0
