"""One executor service for all ranks of a node: started by one of them, started again when it dies, gone with it.

The service listens on a Unix socket in a folder that only this user may enter. It is a child of the process that made
the `NodeService` and is killed by the kernel when that ends, however it ends. Who makes one, and how the ranks learn
the folder, is not decided here. Linux only.
"""

import importlib.util
import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executor.api import LOCAL_BACKENDS, Executor, open_executor
from executor.service.courier import Courier, ServiceLost, pause_after

PREFIX = "node"
"""A backend `node` or `node:BACKEND` is a service a node that has BACKEND, `auto` where none is named."""
START_TIMEOUT_S = 180.0
"""For a service to start: sandboxes are made and this machine is timed."""
END_TIMEOUT_S = 10.0
_POLL_S = 0.05
_SOURCES = Path(__file__).resolve().parents[1]

_log = logging.getLogger(__name__)


def backend_behind(backend: str) -> str | None:
    """Return what a service a node is to run, or None where `backend` asks for no such service.

    Raises:
        ValueError: it asks for one with a backend that a service cannot have.
    """
    name, colon, behind = backend.partition(":")
    if name != PREFIX:
        return None
    if colon and behind not in LOCAL_BACKENDS:
        forms = ", ".join(f"{PREFIX}:{name}" for name in LOCAL_BACKENDS)
        raise ValueError(f"backend must be {PREFIX} or one of {forms}, not {backend!r}")
    return behind or "auto"


def folder_of(job: str, node_rank: int) -> Path:
    """Name the folder of a node's service; `job` is a word that the ranks of one start of a job alone share."""
    return Path(tempfile.gettempdir(), f"atomforge-{job}-{node_rank}")


def open_node_executor(folder: Path) -> Executor:
    """Open the service of this node, once it is ready.

    Raises:
        ValueError: it is not, for three minutes; one line.
    """
    if _ask(_address(folder), time.monotonic() + START_TIMEOUT_S, lambda: False) is None:
        raise ValueError(f"the first rank of this node has started no executor service in {START_TIMEOUT_S:g} s")
    return open_executor(_address(folder))


class NodeService:
    """The service of this node, as its first rank has it. A thread watches it, and starts it again when it dies.

    Args:
        folder: of `folder_of`; it is made here.
        backend: of the service, one of `LOCAL_BACKENDS`.
        log: what the service says is added to this file.
        time_factor: of an earlier start of the run, at least 1.0; None = to be found now.

    Raises:
        ValueError: the packages of the service are not installed.
    """

    def __init__(self, folder: Path, *, backend: str, log: Path, time_factor: float | None = None):
        if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn", "prometheus_client")):
            raise ValueError(f"backend {PREFIX} needs the packages of the service: pip install 'atomforge[serve]'")
        folder.mkdir(mode=0o700)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._backend = backend
        self._log_path = log
        self._time_factor = time_factor
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = threading.Event()
        self._has_begun = threading.Event()
        self._failure: str | None = None
        # The kernel ends a child with the thread that started it, so all starts are this thread's.
        self._watcher = threading.Thread(target=self._watch, name="executor-service", daemon=True)
        self._watcher.start()

    @property
    def pid(self) -> int | None:
        """Process id of the service; None while there is none."""
        return None if self._process is None else self._process.pid

    def open(self) -> Executor:
        """Open the service, once it is ready.

        Raises:
            ValueError: it does not start here; one line.
        """
        self._has_begun.wait()
        if self._failure is not None:
            raise ValueError(f"the executor service of this node does not start: {self._failure}")
        return open_node_executor(self._folder)

    def close(self) -> None:
        """End the service."""
        self._is_closed.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(END_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._watcher.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _watch(self) -> None:
        num_in_vain = 0
        while not self._is_closed.is_set():
            self._process = self._started()
            told = _ask(_address(self._folder), time.monotonic() + START_TIMEOUT_S, self._has_ended)
            if told is not None:
                self._time_factor = told["time_factor"]  # so that the next one stretches limits as this one does
                self._has_begun.set()
                num_in_vain = 0
            elif not self._has_begun.is_set():
                self._process.kill()
                self._process.wait()
                self._failure = _last_line(self._log_path)
                self._has_begun.set()
                return
            code = self._process.wait()
            if not self._is_closed.is_set():
                _log.warning("the executor service of this node ended with code %d and is started again", code)
                self._is_closed.wait(pause_after(num_in_vain))
                num_in_vain += 1

    def _has_ended(self) -> bool:
        return self._is_closed.is_set() or self._process is None or self._process.poll() is not None

    def _started(self) -> "subprocess.Popen[bytes]":
        settings = {"backend": self._backend, "unix_socket": str(_socket(self._folder)), "drain_s": END_TIMEOUT_S / 2}
        command = [sys.executable, "-m", "executor.service.child"]
        command += [json.dumps(settings), json.dumps(self._time_factor), str(os.getpid())]
        path = os.pathsep.join([str(_SOURCES), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C is for the ranks; they end it
            )


def _socket(folder: Path) -> Path:
    return folder / "socket"


def _address(folder: Path) -> str:
    return f"http+unix://{_socket(folder)}"


def _ask(address: str, deadline: float, is_hopeless: Callable[[], bool]) -> dict[str, Any] | None:
    """Ask a service what it is until it answers; None where it does not until `deadline`, or never will."""
    while time.monotonic() < deadline and not is_hopeless():
        courier = Courier(address, None)
        try:
            return courier.get("/healthz")
        except ServiceLost:
            time.sleep(_POLL_S)
        finally:
            courier.close()
    return None


def _last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "it said nothing"
