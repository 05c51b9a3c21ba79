"""A Unix socket in front of a container engine, whose connections a test may cut."""

import contextlib
import socket
import threading
from collections.abc import Iterator
from pathlib import Path


class EngineProxy:
    """Copies bytes between clients and the engine; remembers the connections that attach to containers."""

    def __init__(self, path: Path, engine_path: str):
        self.num_cut = 0
        self._engine_path = engine_path
        self._attached: list[socket.socket] = []
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def cut_attached(self) -> None:
        """Close every attach stream that is open, on the client's side and on the engine's."""
        while self._attached:
            with contextlib.suppress(OSError):  # closed already by its owner
                self._attached.pop().shutdown(socket.SHUT_RDWR)
                self.num_cut += 1

    def _accept(self) -> None:
        with contextlib.suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                engine = socket.socket(socket.AF_UNIX)
                engine.connect(self._engine_path)
                for source, target in ((client, engine), (engine, client)):
                    threading.Thread(target=self._copy, args=(source, target), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if b"/attach?" in data and data.startswith(b"POST "):
                    self._attached.append(source)
                target.sendall(data)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


@contextlib.contextmanager
def running_proxy(path: Path, engine_path: str) -> Iterator[EngineProxy]:
    """Run a proxy at `path`."""
    proxy = EngineProxy(path, engine_path)
    try:
        yield proxy
    finally:
        proxy.close()
