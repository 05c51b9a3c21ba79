"""Restrictions that worker and candidates impose on themselves and cannot lift again.

The worker gives up its privileges before it reports that it is ready, so that no process forked from it has them. Each
candidate adds its resource limits and its user id. Namespaces, mounts and cgroups are the backend's part.
"""

import _signal  # pyright: ignore[reportMissingImports]  # `signal` converts to enums, 5 % of a short candidate
import base64
import ctypes
import math
import os
import resource
import sys
from typing import Any

MAX_FILE_BYTES = 16 << 20
MAX_OPEN_FILES = 64
RESULTS_FD = 3
CALLS_FD = 4
THREAD_STACKS_BYTES = (16 * 512 + 512) << 20
"""Address space for 16 threads with stacks of 512 MiB, which competitive programs use, and their heaps."""
_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_FILTER_STEP_BYTES = 8
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2


class _FilterProgram(ctypes.Structure):
    _fields_ = (("num_steps", ctypes.c_ushort), ("steps", ctypes.c_char_p))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    """Two of these, for the lower and the upper 32 capabilities."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def harden_worker(spec: dict[str, Any]) -> None:
    """Install the seccomp filter of the sandbox spec (`seccomp`, base64) for this process and all its children.

    In a PID namespace of its own, also make the worker's memory, descriptors and environment inaccessible to
    candidates that run as the same user, and drop the capability with which it opened the private procfs.

    Raises:
        OSError: the kernel rejects one of these; no candidate may run then.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if spec["owns_namespace"]:
        _prctl(libc, _PR_SET_DUMPABLE, 0)
        _drop_dac_read_search(libc)
    encoded = spec.get("seccomp")
    if encoded is not None:
        steps = base64.b64decode(encoded)
        program = _FilterProgram(len(steps) // _FILTER_STEP_BYTES, steps)
        _prctl(libc, _PR_SET_NO_NEW_PRIVS, 1)
        _prctl(libc, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def harden_candidate(limits: dict[str, Any], spec: dict[str, Any], fds: dict[int, int]) -> None:
    """Apply the limits of one program to this process, and give it its descriptors.

    Args:
        limits: `memory_bytes` and `cpu_time_s`.
        spec: the sandbox spec; `measures_memory` is true if the worker enforces `memory_bytes` itself. The address
            space of each process then has room for thread stacks and is a mere backstop; else it is the limit.
        fds: descriptor by its number in this process. Of 0 to 2 those missing stay as they are, all others are closed.
    """
    os.setsid()
    _signal.signal(_signal.SIGINT, _signal.default_int_handler)  # Python's default; the worker has removed it
    os.chdir(spec["scratch"])
    os.umask(0o077)
    for target, fd in fds.items():
        os.dup2(fd, target)
    max_open_files = spec.get("max_open_files", MAX_OPEN_FILES)
    os.closerange(max(fds) + 1, max_open_files)
    drop_privileges(spec["uid"])
    if spec.get("cuda") is not None:  # the driver writes to /proc/self/task/*/comm, which is root's otherwise
        _prctl(ctypes.CDLL(None, use_errno=True), _PR_SET_DUMPABLE, 1)
    sys.set_int_max_str_digits(0)
    cpu_s = math.ceil(limits["cpu_time_s"])
    stacks_bytes = THREAD_STACKS_BYTES if spec["measures_memory"] else 0
    kernel_limits = {
        resource.RLIMIT_AS: limits["memory_bytes"] + spec.get("base_bytes", 0) + stacks_bytes,
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: max_open_files,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    if spec["max_processes"] is not None:
        kernel_limits[resource.RLIMIT_NPROC] = spec["max_processes"]
    for limit, value in kernel_limits.items():
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))


def drop_privileges(uid: int | None) -> None:
    """Become another user for good: supplementary groups first, then the group, then the user. None: stay."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _prctl(libc: ctypes.CDLL, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _check(libc.prctl(option, *padded), f"prctl {option}")


def _drop_dac_read_search(libc: ctypes.CDLL) -> None:
    header, sets = _CapabilityHeader(_CAPABILITY_VERSION, 0), (_Capabilities * 2)()
    _check(libc.capget(ctypes.byref(header), sets), "capget")
    for name in ("effective", "permitted", "inheritable"):
        setattr(sets[0], name, getattr(sets[0], name) & ~_CAP_DAC_READ_SEARCH)
    _check(libc.capset(ctypes.byref(header), sets), "capset")


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
