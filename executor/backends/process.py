"""A plain process: the same worker with nothing around it. Used only when named, for machines without a sandbox."""

import shutil
import tempfile

from executor.backends.base import SANDBOX_DIR, ProcessSandbox, worker_command
from executor.backends.profiles import PROFILE_PARTS, ProfileParts


class ProcessBackend:
    """Runs programs as this user, on this machine, with time and memory limits only."""

    name = "process"
    description = (
        "process: NOT a sandbox; programs run as this user and can read and delete its files, use the network and "
        "leave processes behind; only time, memory and output are limited"
    )

    def __init__(self, *, hash_seed: int = 0, profile: str = "cpu"):
        self._hash_seed = hash_seed
        self._profile = PROFILE_PARTS[profile]()

    def with_profile(self, profile: str) -> "ProcessBackend":
        return ProcessBackend(hash_seed=self._hash_seed, profile=profile)

    def start(self) -> "_PlainSandbox":
        return _PlainSandbox(self._hash_seed, self._profile)

    def close(self) -> None:
        """Nothing is held."""


class _PlainSandbox(ProcessSandbox):
    def __init__(self, hash_seed: int, profile: ProfileParts):
        self._scratch = tempfile.mkdtemp(prefix="atomforge-")
        box = {"uid": None, "max_processes": None, "scratch": self._scratch, "owns_namespace": False, **profile.box}
        if profile.files:  # they lie where they are installed, nothing is hidden here
            box["packages"] = str(next(iter(profile.files.values())).parent)
        super().__init__(worker_command(SANDBOX_DIR, box), hash_seed=hash_seed)

    def kill(self) -> str:
        said = super().kill()
        self.killed_from_outside = False  # what runs in it could have done it
        shutil.rmtree(self._scratch, ignore_errors=True)
        return said
