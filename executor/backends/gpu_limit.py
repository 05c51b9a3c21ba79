"""A backend whose sandboxes have a GPU, with the watch over their memory of it."""

import os

from executor.backends.base import Backend, Sandbox
from executor.backends.gpu_watch import GpuWatch

MEMORY_VARIABLE = "ATOMFORGE_SANDBOX_GPU_MIB"
DEFAULT_MIB = 4096


class WatchedBackend:
    """Starts the sandboxes of another backend, and has each watched.

    Raises:
        ValueError: the driver does not answer, or the limit is no number.
    """

    def __init__(self, backend: Backend):
        given = os.environ.get(MEMORY_VARIABLE, str(DEFAULT_MIB))
        if not given.isdigit() or int(given) < 1:
            raise ValueError(f"{MEMORY_VARIABLE} must be a number of MiB of at least 1, not {given!r:.40}")
        self.name = backend.name
        self.description = f"{backend.description}; at most {given} MiB of the GPU a program"
        self._backend = backend
        try:
            self._watch = GpuWatch(limit_bytes=int(given) << 20)
        except OSError as error:
            raise ValueError(f"profile cuda: {error}") from None

    def with_profile(self, profile: str) -> Backend:
        return self._backend.with_profile(profile)

    def start(self) -> Sandbox:
        sandbox = self._backend.start()
        self._watch.add(sandbox.root_pid)
        return sandbox

    def close(self) -> None:
        self._watch.close()
        self._backend.close()
