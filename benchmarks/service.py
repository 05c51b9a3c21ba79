"""Runs `atomforge serve` on a Unix socket in a process of its own, for the benchmarks that grade over HTTP."""

import contextlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.rounds import ROOT

START_TIMEOUT_S = 120.0
STOP_TIMEOUT_S = 90.0


@contextlib.contextmanager
def run_service(backend: str, *, num_workers: int) -> Iterator[tuple[str, int]]:
    """Serve a backend for the length of the block; yields the URL and the process ID.

    Raises:
        RuntimeError: the service did not start; the message ends with its log.
    """
    with tempfile.TemporaryDirectory(prefix="atomforge-bench-") as folder:
        socket, config, log = Path(folder, "socket"), Path(folder, "serve.yaml"), Path(folder, "log")
        settings = {"backend": backend, "num_workers": num_workers, "unix_socket": str(socket)}
        config.write_text(json.dumps({**settings, "max_waiting_programs": 200_000}))  # JSON is YAML
        command = [sys.executable, "-m", "executor.commands", "serve", "--config", str(config)]
        with log.open("wb") as output:  # a session of its own: Ctrl-C reaches this process, which stops the service
            process = subprocess.Popen(command, stdout=output, stderr=output, cwd=ROOT, start_new_session=True)
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while "serving at" not in log.read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the service did not start: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.05)
            yield f"http+unix://{socket}", process.pid
        finally:
            process.terminate()
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
