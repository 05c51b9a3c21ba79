"""`atomforge serve` in a process, and raw sockets to send it invalid HTTP."""

import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.wait import wait_until

TOKEN = "a-token-for-the-tests-alone"
ROOT = Path(__file__).resolve().parents[2]
_START_S = 60.0


@dataclass
class Served:
    """A running service."""

    process: subprocess.Popen
    address: str = ""
    log: list[str] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=30)

    def accepts(self) -> bool:
        unix = self.address.removeprefix("http+unix://")
        with socket.socket(socket.AF_INET if unix == self.address else socket.AF_UNIX) as connection:
            return connection.connect_ex(("127.0.0.1", self.port) if unix == self.address else unix) == 0

    def request(self, head: bytes, body: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Send raw bytes; returns status, headers and body of the response."""
        with self.connect() as connection:
            connection.sendall(head + body)
            return read_answer(connection)

    def post(self, path: str, body: Any, *, token: str | None = TOKEN) -> tuple[int, dict[str, str], bytes]:
        encoded = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request(head_of(path, len(encoded), token=token), encoded)

    def metric(self, name: str) -> float:
        status, _, text = self.request(head_of("/metrics", None, method="GET"))
        assert status == 200
        return sum(float(line.split()[-1]) for line in text.decode().splitlines() if re.match(rf"{name}[ {{]", line))

    def stop(self, *, within_s: float = 30.0) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)


def head_of(path: str, num_bytes: int | None, *, token: str | None = TOKEN, method: str = "POST") -> bytes:
    """Build request headers with `Connection: close`; without Content-Length if num_bytes is None."""
    lines = [f"{method} {path} HTTP/1.1", "Host: service", "Connection: close"]
    lines += [f"Authorization: Bearer {token}"] * (token is not None)
    lines += [f"Content-Length: {num_bytes}"] * (num_bytes is not None)
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def read_answer(connection: socket.socket) -> tuple[int, dict[str, str], bytes]:
    """Read to the end; an empty answer has status 0. Chunks are put together."""
    data = b"".join(pieces(connection))
    if not data:
        return 0, {}, b""
    head, _, body = data.partition(b"\r\n\r\n")
    first, *rest = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join(re.findall(rb"[0-9a-f]+\r\n(.*?)\r\n", body, re.DOTALL))
    return int(first.split()[1]), headers, body


def pieces(connection: socket.socket) -> Iterator[bytes]:
    """Yield what comes until the other end closes, or resets."""
    try:
        while piece := connection.recv(1 << 16):
            yield piece
    except ConnectionResetError:
        return


def rows(body: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in body.splitlines() if line]


@contextmanager
def running_service(
    folder: Path,
    *,
    token: str | None = TOKEN,
    wait_for_listening: bool = True,
    num_descriptors: int | None = None,
    python: str | Path = sys.executable,
    **keys: Any,
) -> Iterator[Served]:
    """Start `atomforge serve` on a free port, or the Unix socket of the keys; killed at the end where it still runs.

    With `num_descriptors` it can open so many and no more.
    """
    if os.environ.get("ATOMFORGE_SKIP_SANDBOX_TESTS") == "1":
        pytest.skip("ATOMFORGE_SKIP_SANDBOX_TESTS=1")
    config = folder / "service.yaml"
    config.write_text(yaml.safe_dump({"backend": "bubblewrap", "num_workers": 1, "port": 0, "drain_s": 20.0} | keys))
    environment = {name: value for name, value in os.environ.items() if name != "ATOMFORGE_EXECUTOR_TOKEN"}
    if token is not None:
        environment["ATOMFORGE_EXECUTOR_TOKEN"] = token
    prefix = [] if num_descriptors is None else ["/bin/sh", "-c", f'ulimit -n {num_descriptors}; exec "$0" "$@"']
    process = subprocess.Popen(
        [*prefix, str(python), "-m", "executor.commands", "serve", "--config", str(config)],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    )
    served = Served(process)
    ready: queue.SimpleQueue[str | None] = queue.SimpleQueue()
    threading.Thread(target=_collect, args=(served, ready), daemon=True).start()
    try:
        line = ready.get(timeout=_START_S)
        assert line is not None, "the service ended: " + "".join(served.log)
        served.address = line.split(" at ")[1].split()[0]
        if wait_for_listening:
            wait_until(served.accepts)
        yield served
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def _collect(served: Served, ready: "queue.SimpleQueue[str | None]") -> None:
    assert served.process.stderr is not None
    for line in served.process.stderr:
        served.log.append(line)
        if line.startswith("atomforge: serving at "):
            ready.put(line)
    ready.put(None)
