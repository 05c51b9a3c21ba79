"""A backend of one's own: plain processes at the lowest priority. It protects as little as `process` does."""

import os

from executor.backends.base import Sandbox
from executor.backends.process import ProcessBackend


class LowPriorityBackend:
    """Starts the workers of `process` and lets everything else on the machine go first."""

    name = "low-priority"
    description = "low-priority: NOT a sandbox, as `process`; at nice 19"

    def __init__(self, *, hash_seed: int = 0, profile: str = "cpu"):
        self._hash_seed = hash_seed
        self._plain = ProcessBackend(hash_seed=hash_seed, profile=profile)

    def with_profile(self, profile: str) -> "LowPriorityBackend":
        return LowPriorityBackend(hash_seed=self._hash_seed, profile=profile)

    def start(self) -> Sandbox:
        sandbox = self._plain.start()
        os.setpriority(os.PRIO_PROCESS, sandbox.root_pid, 19)
        return sandbox

    def close(self) -> None:
        self._plain.close()
