"""The interface between backends and the pool, and a sandbox that is a child process.

A backend starts sandboxes; in each the worker (`executor.sandbox.worker`) answers frames on a pair of descriptors.
"""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

from executor.sandbox.__main__ import FLAGS
from executor.sandbox.candidate.stdin_program import MAX_INPUT_BYTES

SANDBOX_DIR = Path(__file__).resolve().parents[1] / "sandbox"
"""The only files of atomforge that are visible in a sandbox."""
MAX_PROCESSES = 24
"""Of one candidate, threads included: competitive programs use 16 threads."""
SCRATCH_BYTES = 16 << 20
"""Size of the only writable directory."""
INPUT_DIR = "/input"
"""Directory in a sandbox for the standard input of stdin programs, which only the worker can write to."""
INPUT_BYTES = MAX_INPUT_BYTES + (1 << 16)
UIDS = range(0x40000000, 0x70000000)
"""Each sandbox draws a user id for its candidates, because the kernel counts the processes of a user machine-wide."""
_STDERR_CHARS = 300
_EXIT_TIMEOUT_S = 0.2
_SIGKILL_CODES = (-signal.SIGKILL, 128 + signal.SIGKILL)


class Sandbox(Protocol):
    """A running sandbox.

    If what `replies_fd` gives is wrapped in a format of its own, a further method `decode_replies` takes each piece
    that was read, a `bytes`, and returns the bytes of the worker in it; it raises ValueError if the format is violated.
    """

    requests_fd: int
    """Takes request frames."""
    replies_fd: int
    """Gives reply frames."""
    root_pid: int
    """PID of its first process on this machine."""
    killed_from_outside: bool
    """Set by `kill`: it had been killed already, and provably not by anything inside it."""

    def kill(self) -> str:
        """End the sandbox and everything in it; return the tail of its stderr on one line."""
        ...


class Backend(Protocol):
    """Starts sandboxes of one kind."""

    name: str

    @property
    def description(self) -> str:
        """One line: what the sandbox is and which protection it lacks."""
        ...

    def with_profile(self, profile: str) -> "Backend":
        """Return the same backend for another profile (see `executor.types.PROFILES`).

        Raises:
            ValueError: this machine lacks something that the profile needs.
        """
        ...

    def start(self) -> Sandbox:
        """Start a sandbox; its first reply is the ready message.

        Raises:
            OSError: it cannot be started.
        """
        ...

    def close(self) -> None:
        """Release the resources needed to start sandboxes; running sandboxes are unaffected."""
        ...


class ProcessSandbox:
    """A sandbox whose first process is our child; frames use its standard input and output."""

    def __init__(self, command: list[str], *, hash_seed: int):
        self.killed_from_outside = False
        self._num_oom_kills = _count_oom_kills()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        # If memory runs out, the kernel should kill the sandbox and not the trainer. Raising the score needs no rights.
        set_oom_score = 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", set_oom_score, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={"PYTHONHASHSEED": str(hash_seed), "PATH": os.defpath},
            cwd="/",
            bufsize=0,
            start_new_session=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self.root_pid = self._process.pid
        self.requests_fd = self._process.stdin.fileno()
        self.replies_fd = self._process.stdout.fileno()

    def kill(self) -> str:
        for stream in (self._process.stdin, self._process.stdout):
            assert stream is not None
            stream.close()  # an idle worker exits by itself
        try:
            code = self._process.wait(_EXIT_TIMEOUT_S)
            # Process 1 of a PID namespace cannot receive SIGKILL from within the namespace.
            self.killed_from_outside = code in _SIGKILL_CODES and _count_oom_kills() == self._num_oom_kills
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.seek(0)
        tail = self._stderr.read()[-_STDERR_CHARS:].decode(errors="replace")
        self._stderr.close()
        return " ".join(tail.split())


def _count_oom_kills() -> int:
    """Read how many processes the kernel has killed for lack of memory since boot."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def interpreter() -> Path:
    """Return the real executable of this Python, outside of any virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def worker_command(sandbox_dir: Path | str, spec: dict[str, Any]) -> list[str]:
    """Return the command that runs the worker with this Python.

    Args:
        sandbox_dir: path of `SANDBOX_DIR`, or of a copy, where the command runs.
        spec: the sandbox spec (see `executor.sandbox.worker`).
    """
    return [str(interpreter()), *FLAGS, str(sandbox_dir), json.dumps(spec)]
