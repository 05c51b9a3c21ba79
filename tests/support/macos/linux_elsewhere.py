"""A backend for simulated macOS: stands in for Docker Desktop, whose sandboxes are on a Linux machine."""

from unittest import mock

from executor.backends import process


class LinuxElsewhere(process.ProcessBackend):
    """Workers as plain processes of Linux."""

    def __init__(self, *, hash_seed: int = 0, profile: str = "cpu"):
        with mock.patch.object(process, "is_linux", return_value=True):
            super().__init__(hash_seed=hash_seed, profile=profile)
