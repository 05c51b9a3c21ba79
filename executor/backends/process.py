"""A plain process: the worker without any sandbox around it. Used only when requested by name."""

import os
import shutil
import tempfile

from executor.backends.base import SANDBOX_DIR, ProcessSandbox, worker_command
from executor.backends.profiles import SandboxProfile, load_profile
from executor.machine import is_linux


class ProcessBackend:
    """Runs programs as this user, on this machine, with only time, memory and output limits.

    Raises:
        ValueError: this is not Linux.
    """

    name = "process"
    description = (
        "process: NOT a sandbox; programs run as this user and can read and delete its files, use the network and "
        "leave processes behind; only time, memory and output are limited"
    )

    def __init__(self, *, hash_seed: int = 0, profile: str = "cpu"):
        if not is_linux():
            raise ValueError("the backend process exists on Linux only: use docker")
        self._hash_seed = hash_seed
        self._profile = load_profile(profile)

    def with_profile(self, profile: str) -> "ProcessBackend":
        return ProcessBackend(hash_seed=self._hash_seed, profile=profile)

    def start(self) -> "_PlainProcess":
        return _PlainProcess(self._hash_seed, self._profile)

    def close(self) -> None:
        """Do nothing: no resources are held."""


class _PlainProcess(ProcessSandbox):
    def __init__(self, hash_seed: int, profile: SandboxProfile):
        self._directory = tempfile.mkdtemp(prefix="atomforge-")
        spec = {
            "uid": None,
            "max_processes": None,
            "scratch": f"{self._directory}/scratch",
            "input": f"{self._directory}/input",
            "owns_namespace": False,
            "proc": "/proc" if os.path.isdir("/proc/self") else None,
            **profile.spec,
        }
        for name in ("scratch", "input"):
            os.mkdir(spec[name])
        if profile.packages:  # where they are installed, as nothing is mounted
            spec["packages"] = str(next(iter(profile.packages.values())).parent)
        super().__init__(worker_command(SANDBOX_DIR, spec), hash_seed=hash_seed)

    def kill(self) -> str:
        stderr_tail = super().kill()
        self.killed_from_outside = False  # a program could have killed it
        shutil.rmtree(self._directory, ignore_errors=True)
        return stderr_tail
