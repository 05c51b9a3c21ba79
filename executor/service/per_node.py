"""One executor service per node, shared by all ranks: `NodeService` starts it, restarts it and stops it.

    python -m executor.service.per_node CONFIG TIME_FACTOR PARENT

is the service process. It listens on a Unix socket in a folder that only this user may enter, without a token, and on
Linux the kernel kills it when its parent ends, however that happens. How the ranks agree on the folder is
up to the caller.
"""

import ctypes
import importlib.util
import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from executor.api import LOCAL_BACKENDS, Executor, open_executor, open_local
from executor.service.connection import ServiceConnection, ServiceError, backoff_s
from executor.service.settings import ServiceConfig

PREFIX = "per_node"
"""The backend `per_node` or `per_node:BACKEND` is one service per node that runs BACKEND, by default `auto`."""
START_TIMEOUT_S = 180.0
"""Time for a service to start its sandboxes and to measure the speed of the machine."""
STOP_TIMEOUT_S = 10.0
_POLL_S = 0.05
_PR_SET_PDEATHSIG = 1
_REPOSITORY = Path(__file__).resolve().parents[2]

_log = logging.getLogger(__name__)


def parse_node_backend(backend: str) -> str | None:
    """Return the backend that a per-node service must run; None if `backend` is not `per_node` or `per_node:BACKEND`.

    Raises:
        ValueError: a service cannot have the backend.
    """
    name, colon, inner = backend.partition(":")
    if name != PREFIX:
        return None
    if colon and inner not in LOCAL_BACKENDS:
        forms = ", ".join(f"{PREFIX}:{name}" for name in LOCAL_BACKENDS)
        raise ValueError(f"backend must be {PREFIX} or one of {forms}, not {backend!r}")
    return inner or "auto"


def get_service_folder(job: str, node_rank: int) -> Path:
    """Return the folder of a node's service. Only the ranks of one start of a job may know `job`, a random word."""
    return Path(tempfile.gettempdir(), f"atomforge-{job}-{node_rank}")


def open_node_executor(folder: Path) -> Executor:
    """Connect to the service of this node, when it is ready.

    Raises:
        ValueError: it is not ready after three minutes.
    """
    if _wait_for_health(_get_url(folder), lambda: False) is None:
        raise ValueError(f"the first rank of this node has not started an executor service in {START_TIMEOUT_S:g} s")
    return open_executor(_get_url(folder))


class NodeService:
    """The service of this node, owned by its first rank. A thread monitors it and restarts it when it dies.

    Args:
        folder: from `get_service_folder`; created here.
        backend: backend of the service, one of `LOCAL_BACKENDS`.
        log: file to which the output of the service is appended.
        time_factor: factor of an earlier start of the run, at least 1.0; None: measure it.

    Raises:
        ValueError: the packages of the service are not installed.
    """

    def __init__(self, folder: Path, *, backend: str, log: Path, time_factor: float | None = None):
        if any(importlib.util.find_spec(name) is None for name in ("fastapi", "uvicorn", "prometheus_client")):
            raise ValueError(f"backend {PREFIX} needs the service: pip install 'atomforge-executor[serve]'")
        folder.mkdir(mode=0o700)
        log.parent.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._backend = backend
        self._log_path = log
        self._time_factor = time_factor
        self._process: subprocess.Popen[bytes] | None = None
        self._is_closed = threading.Event()
        self._has_started = threading.Event()
        self._failure: str | None = None
        # The kernel kills a child when the thread that started it ends, so this thread makes all starts.
        self._monitor = threading.Thread(target=self._run_service, name="executor-service", daemon=True)
        self._monitor.start()

    @property
    def pid(self) -> int | None:
        """Process id of the service; None before its first start."""
        return None if self._process is None else self._process.pid

    def open(self) -> Executor:
        """Connect to the service, when it is ready.

        Raises:
            ValueError: it does not start.
        """
        self._has_started.wait()
        if self._failure is not None:
            raise ValueError(f"the executor service of this node does not start: {self._failure}")
        return open_node_executor(self._folder)

    def close(self) -> None:
        """Stop the service and remove its folder."""
        self._is_closed.set()
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
        self._monitor.join()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run_service(self) -> None:
        num_failures = 0
        while not self._is_closed.is_set():
            self._process = self._start()
            health = _wait_for_health(_get_url(self._folder), self._has_exited)
            if health is not None:
                self._time_factor = health["time_factor"]  # a restarted service has the same limits
                self._has_started.set()
                num_failures = 0
            elif not self._has_started.is_set():
                self._process.kill()
                self._process.wait()
                self._failure = _read_last_line(self._log_path)
                self._has_started.set()
                return
            code = self._process.wait()
            if not self._is_closed.is_set():
                _log.warning("the executor service of this node exited with code %d; restarting it", code)
                self._is_closed.wait(backoff_s(num_failures))
                num_failures += 1

    def _has_exited(self) -> bool:
        return self._is_closed.is_set() or self._process is None or self._process.poll() is not None

    def _start(self) -> "subprocess.Popen[bytes]":
        config = {
            "backend": self._backend,
            "unix_socket": str(_get_socket(self._folder)),
            "drain_s": STOP_TIMEOUT_S / 2,
        }
        command = [sys.executable, "-m", "executor.service.per_node"]
        command += [json.dumps(config), json.dumps(self._time_factor), str(os.getpid())]
        path = os.pathsep.join([str(_REPOSITORY), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._log_path.open("ab") as log:
            return subprocess.Popen(
                command,
                env={**os.environ, "PYTHONPATH": path},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches the ranks only, and they stop the service
            )


def _get_socket(folder: Path) -> Path:
    return folder / "socket"


def _get_url(folder: Path) -> str:
    return f"http+unix://{_get_socket(folder)}"


def _wait_for_health(url: str, has_exited: Callable[[], bool]) -> dict[str, Any] | None:
    """Poll /healthz; None if the service has exited or does not answer in `START_TIMEOUT_S`."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and not has_exited():
        connection = ServiceConnection(url, None)
        try:
            return connection.get("/healthz")[0]
        except ServiceError:
            time.sleep(_POLL_S)
        finally:
            connection.close()
    return None


def _read_last_line(path: Path) -> str:
    lines = path.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else "its log is empty"


def use_cores_of_job() -> None:
    """In a Slurm job, use all cores of the job on this node, and not only those of the rank that started this process.

    The kernel leaves out cores that the job's cgroup forbids. Without such a cgroup nothing changes.
    """
    num_cores = os.environ.get("SLURM_CPUS_ON_NODE", "")
    if not num_cores.isdigit():
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, range(os.cpu_count() or 1))
    if len(os.sched_getaffinity(0)) > int(num_cores):
        os.sched_setaffinity(0, before)


def main(config: ServiceConfig, *, time_factor: float | None, parent: int) -> int:
    """Serve until a signal, the end of `parent` or a failure of the sandboxes; returns the exit code."""
    from executor.service.app import create_app
    from executor.service.metrics import log_as_json
    from executor.service.server import listen, serve

    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it ended before the line above
        return 1
    log_as_json()
    use_cores_of_job()
    try:
        with open_local(config.backend, hash_seed=config.hash_seed, time_factor=time_factor) as executor:
            listener, _ = listen(config)
            with listener:
                serve(create_app(executor, config, None), config, listener)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    given = ServiceConfig(**json.loads(sys.argv[1]))
    sys.exit(main(given, time_factor=json.loads(sys.argv[2]), parent=int(sys.argv[3])))
