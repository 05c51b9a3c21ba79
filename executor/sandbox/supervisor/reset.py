"""Remove everything that a candidate left behind, and prove that nothing remains.

A reset kills all processes, empties the directories that the candidate or its input used, and restores times that it
may have changed. File names are not read unless they must be, because they would stay in the worker's memory.
"""

import contextlib
import os
import signal
import stat
import time
from typing import Any

from ..candidate.stdin_program import INPUT_FILE
from ..hardening import drop_privileges

MAX_RESET_S = 1.0
_MODES = {"scratch": 0o1777, "input": 0o711}


def describe_sandbox(spec: dict[str, Any]) -> dict[str, Any]:
    """Return what `reset` compares with, as further keys of the sandbox spec; call it before the first candidate."""
    directories = {name: spec[name] for name in _MODES if name in spec}
    return {
        "devices": _writable_devices() if spec["owns_namespace"] else {},
        "empty_sizes": {name: os.stat(path).st_size for name, path in directories.items()},
        "attributes": {name: os.listxattr(path) for name, path in directories.items()},
    }


def reset(pid: int, spec: dict[str, Any], *, had_input: bool) -> bool:
    """Clean up after a candidate.

    Args:
        pid: of its first process, which has been reaped.
        spec: the sandbox spec with the keys of `describe_sandbox`.
        had_input: whether the directory `input` was used. Only the worker's user can write to it, so it is clean
            otherwise, unless candidates run as that user.

    Returns:
        True only if nothing remains, after at most `MAX_RESET_S` or the spec's `max_reset_s`.
    """
    start = time.monotonic()
    if spec["owns_namespace"]:
        used = [name for name in spec["empty_sizes"] if name != "input" or had_input or spec["uid"] is None]
        clean = _kill_all() and all(_clean_directory(name, spec) for name in used)
        _reset_device_times(spec["devices"])
    else:
        kill_candidate(pid, spec)
        for name in spec["empty_sizes"]:
            _remove_contents(spec[name])
        clean = not any(os.listdir(spec[name]) for name in spec["empty_sizes"])
    return clean and time.monotonic() - start < spec.get("max_reset_s", MAX_RESET_S)


def kill_candidate(pid: int, spec: dict[str, Any]) -> None:
    """Kill all processes of a candidate; those that left its session only where the namespace is our own."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if spec["owns_namespace"]:
            os.kill(-1, signal.SIGKILL)
        else:
            os.killpg(pid, signal.SIGKILL)


def _kill_all() -> bool:
    """Kill and reap all other processes of the namespace. Orphans become children of process 1, so none escapes."""
    for _ in range(4):
        try:
            os.kill(-1, signal.SIGKILL)
        except ProcessLookupError:
            return True
        try:
            while True:
                os.waitpid(-1, 0)
        except ChildProcessError:
            pass
    return False


def _clean_directory(name: str, spec: dict[str, Any]) -> bool:
    path = spec[name]
    if spec["uid"] is None:
        os.chmod(path, _MODES[name])  # candidates run as the worker's user, so they may have locked it
    if name == "input":
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{path}/{INPUT_FILE}")
    if not _is_empty(name, spec):
        pid = os.fork()  # the files belong to the candidate's user: remove them as that user
        if pid == 0:
            try:
                drop_privileges(spec["uid"])
                _remove_contents(path)
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        if not _is_empty(name, spec):
            return False
    if os.listxattr(path) != spec["attributes"][name]:  # in our memory now, so this worker must not continue
        return False
    os.utime(path, ns=(0, 0))
    return True


def _is_empty(name: str, spec: dict[str, Any]) -> bool:
    """Check whether a directory is empty. Names are read only if its size is inconclusive."""
    return os.stat(spec[name]).st_size == spec["empty_sizes"][name] and not os.listdir(spec[name])


def _remove_contents(directory: str) -> None:
    """Empty a directory as far as permissions allow; the caller checks what is left.

    It changes directory one level at a time, because trees may be deeper than a path or Python's stack can be.
    """
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY)
    os.chdir(directory)
    path: list[str] = []
    pending = [os.listdir(".")]
    try:
        while True:
            if pending[-1]:
                name = pending[-1].pop()
                with contextlib.suppress(OSError):
                    if not stat.S_ISDIR(os.lstat(name).st_mode):
                        os.unlink(name)
                        continue
                    os.chmod(name, 0o700)
                    os.chdir(name)
                    path.append(name)
                    pending.append(os.listdir("."))
            elif not path:
                return
            else:
                pending.pop()
                os.chdir("..")
                with contextlib.suppress(OSError):
                    os.rmdir(path.pop())
    finally:
        os.fchdir(here)
        os.close(here)


def _writable_devices() -> dict[str, tuple[int, int] | None]:
    """Find the devices that everyone may write to, and their times in ns; None where we may not set these."""
    found: dict[str, tuple[int, int] | None] = {}
    for entry in os.scandir("/dev"):
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISCHR(status.st_mode) and status.st_mode & stat.S_IWOTH:
            found[entry.path] = (status.st_atime_ns, status.st_mtime_ns) if os.geteuid() == status.st_uid else None
    return found


def _reset_device_times(devices: dict[str, tuple[int, int] | None]) -> None:
    """Restore the times of devices, the only trace that touching a device leaves; or set them to now."""
    for device, times in devices.items():
        with contextlib.suppress(OSError):
            os.utime(device, ns=times) if times is not None else os.utime(device)
