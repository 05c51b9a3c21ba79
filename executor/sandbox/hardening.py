"""What the worker gives up for good before it greets, so that no process forked from it ever has it.

Standard library only: runs inside the sandbox. Limits of a single candidate are in `executor.sandbox.candidate`.
"""

import base64
import ctypes
import os
from typing import Any

_PR_SET_DUMPABLE, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 4, 22, 38
_SECCOMP_MODE_FILTER = 2
_FILTER_STEP_BYTES = 8
_CAPABILITY_VERSION = 0x20080522
_CAP_DAC_READ_SEARCH = 1 << 2


class _Program(ctypes.Structure):
    _fields_ = (("num_steps", ctypes.c_ushort), ("steps", ctypes.c_char_p))


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _Capabilities(ctypes.Structure):
    """Two of these, for the lower and the upper 32 capabilities."""

    _fields_ = (("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32))


def confine_worker(box: dict[str, Any]) -> None:
    """Give up what the box says: its `seccomp` program (base64) holds from here on.

    Where the sandbox has a process namespace of its own, the worker's memory, descriptors and environment are closed
    to its children, of the same user too, and so is the folder that only CAP_DAC_READ_SEARCH opened.

    Raises:
        OSError: the kernel refuses; no candidate may run then.
    """
    library = ctypes.CDLL(None, use_errno=True)
    if box["owns_namespace"]:
        _prctl(library, _PR_SET_DUMPABLE, 0)
        _drop_reading_everything(library)
    encoded = box.get("seccomp")
    if encoded is not None:
        steps = base64.b64decode(encoded)
        program = _Program(len(steps) // _FILTER_STEP_BYTES, steps)
        _prctl(library, _PR_SET_NO_NEW_PRIVS, 1)
        _prctl(library, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _prctl(library: ctypes.CDLL, option: int, *arguments: int) -> None:
    padded = [ctypes.c_ulong(argument) for argument in (*arguments, 0, 0, 0, 0)[:4]]
    _check(library.prctl(option, *padded), f"prctl {option}")


def _drop_reading_everything(library: ctypes.CDLL) -> None:
    header, sets = _CapabilityHeader(_CAPABILITY_VERSION, 0), (_Capabilities * 2)()
    _check(library.capget(ctypes.byref(header), sets), "capget")
    for name in ("effective", "permitted", "inheritable"):
        setattr(sets[0], name, getattr(sets[0], name) & ~_CAP_DAC_READ_SEARCH)
    _check(library.capset(ctypes.byref(header), sets), "capset")


def _check(result: int, call: str) -> None:
    if result != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{call}: {os.strerror(code)}")
