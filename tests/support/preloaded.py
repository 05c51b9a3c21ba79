"""Runs `python -m MODULE` in forks of a server that has imported our packages: importing is most of a short run.

A fork has its own session, directory, environment and log, and runs the module as `__main__`. Ranks that a run starts
itself are started as always; `run_ranks` forks them, with the environment that torchrun gives them. Two servers with
different hash seeds take turns, so that a run and its resumption differ in the order of sets, as separate commands do.
"""

import atexit
import functools
import itertools
import json
import os
import runpy
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from lightning.fabric.plugins.environments.lightning import find_free_network_port

ROOT = Path(__file__).resolve().parents[2]
MODULES = (
    *("cli.config.cli", "datamodules.rl_data", "datamodules.sft_data", "executor.api", "executor.service.per_node"),
    *("lightning_modules.rl_module", "lightning_modules.sft_module", "torch.utils.tensorboard"),
)
_turns = itertools.cycle((1, 2))


class PreloadedProcess:
    """A run, with the methods of `subprocess.Popen` that tests use."""

    def __init__(self, server: "Server", pid: int) -> None:
        self._server = server
        self.pid = pid
        self.returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = self._server.ask({"poll": self.pid})
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        deadline = None if timeout is None else time.monotonic() + timeout
        while self.poll() is None:
            if deadline is not None and time.monotonic() > deadline:
                raise subprocess.TimeoutExpired("cli.main", timeout or 0.0)
            time.sleep(0.02)
        assert self.returncode is not None
        return self.returncode

    def kill(self) -> None:
        os.kill(self.pid, signal.SIGKILL)


class Server:
    """A process that has imported `MODULES` and forks for each run."""

    def __init__(self, hash_seed: int) -> None:
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": str(hash_seed)}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.preloaded"],
            cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        atexit.register(self._process.kill)

    def ask(self, request: dict[str, Any]) -> Any:
        """Send a request and return the answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@functools.cache
def _get_server(hash_seed: int) -> Server:
    return Server(hash_seed)


def start_preloaded(
    arguments: list[str], *, folder: Path, environment: dict[str, str], log: Path, module: str = "cli.main"
) -> PreloadedProcess:
    """Start `python -m MODULE ARGUMENTS` in a folder; standard output and error are appended to a log."""
    server = _get_server(next(_turns))
    request = {
        "module": module, "arguments": arguments, "folder": str(folder), "environment": environment, "log": str(log),
    }  # fmt: skip
    return PreloadedProcess(server, server.ask(request))


def run_ranks(module: str, arguments: list[str], num_ranks: int, *, folder: Path) -> None:
    """Run `python -m MODULE ARGUMENTS` on some ranks of this machine, with the environment that torchrun gives them."""
    port = find_free_network_port()
    shared = {"WORLD_SIZE": num_ranks, "LOCAL_WORLD_SIZE": num_ranks, "GROUP_RANK": 0, "MASTER_PORT": port}
    log, processes = folder / "ranks.log", []
    for rank in range(num_ranks):
        variables = {**shared, "RANK": rank, "LOCAL_RANK": rank, "MASTER_ADDR": "127.0.0.1"} if num_ranks > 1 else {}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", **{name: str(value) for name, value in variables.items()}}
        processes.append(start_preloaded(arguments, folder=folder, environment=environment, log=log, module=module))
    try:
        codes = [process.wait(200) for process in processes]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
    assert codes == [0] * num_ranks, log.read_text()[-2000:]


def serve() -> str:
    """Answer requests until standard input ends; returns in a fork the module that it has to run."""
    for name in MODULES:
        __import__(name)
    for line in sys.stdin:
        request = json.loads(line)
        if "poll" in request:
            pid, status = os.waitpid(request["poll"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if pid else None
        else:
            answer = os.fork()
            if answer == 0:
                _become(request)
                return request["module"]
        print(json.dumps(answer), flush=True)
    sys.exit(0)


def _become(request: dict[str, Any]) -> None:
    """Turn a fork of the server into the process that was asked for."""
    os.setsid()
    os.chdir(request["folder"])
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for descriptor, source in ((0, nothing), (1, log), (2, log)):
        os.dup2(source, descriptor)
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv = [request["module"], *request["arguments"]]
    sys.path[0] = request["folder"]


if __name__ == "__main__":
    runpy.run_module(serve(), run_name="__main__", alter_sys=True)
