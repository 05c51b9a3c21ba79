"""A plain process: the same worker with nothing around it. Used only when named, for machines without a sandbox."""

import os
import shutil
import tempfile

from executor.backends.sandbox import SOURCE_DIR, ProcessSandbox, worker_command


class ProcessBackend:
    """Runs programs as this user, on this machine, with time and memory limits only."""

    name = "process"
    description = (
        "process: NOT a sandbox; programs run as this user and can read and delete its files, use the network and "
        "leave processes behind; only time, memory and output are limited"
    )

    def __init__(self, *, hash_seed: int = 0):
        self._hash_seed = hash_seed

    def start(self) -> "_PlainSandbox":
        return _PlainSandbox(self._hash_seed)

    def close(self) -> None:
        """Nothing is held."""


class _PlainSandbox(ProcessSandbox):
    def __init__(self, hash_seed: int):
        self._scratch = tempfile.mkdtemp(prefix="atomforge-")
        box = {"uid": None, "max_processes": None, "scratch": self._scratch, "owns_namespace": False}
        super().__init__(worker_command(os.fspath(SOURCE_DIR / "worker.py"), box), hash_seed=hash_seed)

    def kill(self) -> str:
        said = super().kill()
        self.killed_from_outside = False  # what runs in it could have done it
        shutil.rmtree(self._scratch, ignore_errors=True)
        return said
