"""`atomforge serve` as a process of its own, on a Unix socket, for the length of a block."""

import contextlib
import json
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

START_TIMEOUT_S = 120.0
END_TIMEOUT_S = 90.0


@contextlib.contextmanager
def served(backend: str, *, num_workers: int) -> Iterator[tuple[str, int]]:
    """Serve a backend; yields the URL and the id of the process.

    Raises:
        RuntimeError: it did not start; with the last it said.
    """
    with tempfile.TemporaryDirectory(prefix="atomforge-bench-") as folder:
        socket, config, log = Path(folder, "socket"), Path(folder, "serve.yaml"), Path(folder, "log")
        settings = {"backend": backend, "num_workers": num_workers, "unix_socket": str(socket)}
        config.write_text(json.dumps({**settings, "max_waiting_programs": 200_000}))  # JSON is YAML
        with log.open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "executor.commands", "serve", "--config", str(config)],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                cwd=Path(__file__).resolve().parents[1],
                start_new_session=True,  # Ctrl-C is for us, who end it in order
            )
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while "serving at" not in log.read_text(errors="replace"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"the service did not start: {log.read_text(errors='replace')[-500:]}")
                time.sleep(0.05)
            yield f"http+unix://{socket}", process.pid
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
