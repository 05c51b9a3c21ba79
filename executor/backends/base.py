"""What a backend gives the pool: a started sandbox with two pipes, and the command that starts the worker in it."""

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Protocol

from executor.sandbox.__main__ import FLAGS

SANDBOX_DIR = Path(__file__).resolve().parents[1] / "sandbox"
"""The only files of ours that a sandbox sees."""
MAX_PROCESSES = 10
"""Of one candidate, threads included; times the address space, this bounds its memory."""
SCRATCH_BYTES = 16 << 20
UIDS = range(0x40000000, 0x70000000)
"""A sandbox draws one for its candidates: the kernel counts processes by user, over all sandboxes of the machine."""
_STDERR_CHARS = 300
_END_S = 0.2
_KILLED = (-signal.SIGKILL, 128 + signal.SIGKILL)


class Sandbox(Protocol):
    """One running fork server."""

    requests_fd: int
    """Where request frames go."""
    replies_fd: int
    """Where reply frames come from."""
    root_pid: int
    """Its first process, as this machine counts."""
    killed_from_outside: bool
    """After `kill`: somebody else had killed it, provably nothing that runs in it."""

    def kill(self) -> str:
        """End it, with all that runs in it; returns the last it said of itself, in one line."""
        ...


class Backend(Protocol):
    """Starts sandboxes of one kind."""

    name: str
    description: str
    """One line: what it is and, where that is so, what it does not protect."""

    def with_profile(self, profile: str) -> "Backend":
        """Make the same for another of `executor.types.PROFILES`.

        Raises:
            ValueError: this machine has not got what it needs; one line.
        """
        ...

    def start(self) -> Sandbox:
        """Start a sandbox; it is ready when its first frame comes.

        Raises:
            OSError: it cannot be started.
        """
        ...

    def close(self) -> None:
        """Let go of what was held to start sandboxes; those started live on."""
        ...


class ProcessSandbox:
    """A sandbox that is a child process of ours, spoken to through its standard input and output."""

    def __init__(self, command: list[str], *, hash_seed: int, pass_fds: tuple[int, ...] = ()):
        self.killed_from_outside = False
        self._num_oom_kills = _num_oom_kills()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115  # lives as long as the process
        # A bomb inside should be the first thing the kernel ends, not the trainer; anyone may ask for that.
        shield = 'echo 1000 2>/dev/null >/proc/self/oom_score_adj; exec "$0" "$@"'
        self._process = subprocess.Popen(
            ["/bin/sh", "-c", shield, *command],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={"PYTHONHASHSEED": str(hash_seed), "PATH": os.defpath},
            cwd="/",
            bufsize=0,
            pass_fds=pass_fds,
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
            stream.close()  # an idle worker ends by itself
        try:
            code = self._process.wait(_END_S)
            # Process 1 of a namespace cannot be sent SIGKILL from within it.
            self.killed_from_outside = code in _KILLED and _num_oom_kills() == self._num_oom_kills
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._stderr.seek(0)
        said = self._stderr.read()[-_STDERR_CHARS:].decode(errors="replace")
        self._stderr.close()
        return " ".join(said.split())


def _num_oom_kills() -> int:
    """Count the processes that the kernel has killed for want of memory."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith("oom_kill ")), 0)


def interpreter() -> Path:
    """Find the real executable of this very Python, outside of any virtual environment."""
    return Path(getattr(sys, "_base_executable", None) or sys.executable).resolve()


def worker_command(folder: Path | str, box: dict[str, Any]) -> list[str]:
    """Make the command that runs the worker in a copy of `SANDBOX_DIR` with this very Python."""
    return [str(interpreter()), *FLAGS, str(folder), json.dumps(box)]
