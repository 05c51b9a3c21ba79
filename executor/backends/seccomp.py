"""The seccomp filter of a sandbox: system calls that reach beyond it, or whose effects outlive a candidate, fail.

It is a deny list, because the interpreter and its libraries need most other calls. It applies to the worker as well,
which uses none of these. Numbers are those of the kernel for x86-64 and 64-bit ARM.
"""

import base64
import errno
import platform
import struct

_X86_64 = 0xC000003E
_AARCH64 = 0xC00000B7

# name: (x86-64, aarch64)
_DENIED = {
    # other processes' memory and descriptors
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "kcmp": (312, 272),
    "pidfd_getfd": (438, 438),
    # kernel objects that outlive a process: keys, System V and POSIX queues, anonymous files outside any quota
    "keyctl": (250, 219), "add_key": (248, 217), "request_key": (249, 218),
    "shmget": (29, 194), "shmat": (30, 196), "shmctl": (31, 195), "shmdt": (67, 197),
    "semget": (64, 190), "semop": (65, 193), "semctl": (66, 191), "semtimedop": (220, 192),
    "msgget": (68, 186), "msgsnd": (69, 189), "msgrcv": (70, 188), "msgctl": (71, 187),
    "mq_open": (240, 180), "mq_unlink": (241, 181), "memfd_create": (319, 279), "memfd_secret": (447, 447),
    # namespaces and mounts
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "chroot": (161, 51), "open_tree": (428, 428), "move_mount": (429, 429), "fsopen": (430, 430),
    "fsconfig": (431, 431), "fsmount": (432, 432), "fspick": (433, 433), "mount_setattr": (442, 442),
    "open_tree_attr": (467, 467), "statmount": (457, 457), "listmount": (458, 458),
    "name_to_handle_at": (303, 264), "open_by_handle_at": (304, 265), "fanotify_init": (300, 262),
    # large kernel interfaces that no candidate needs
    "io_uring_setup": (425, 425), "io_uring_enter": (426, 426), "io_uring_register": (427, 427),
    "userfaultfd": (323, 282), "bpf": (321, 280), "perf_event_open": (298, 241), "syslog": (103, 116),
    "personality": (135, 92),
    # scheduling of the worker
    "setpriority": (141, 140), "sched_setaffinity": (203, 122), "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119), "sched_setattr": (314, 274), "ioprio_set": (251, 30),
}  # fmt: skip
# (x86-64, aarch64)
_CLONE, _CLONE3, _SOCKET, _PRLIMIT = (56, 220), (435, 435), (41, 198), (302, 261)
_NEW_NAMESPACES = 0x7E020080  # CLONE_NEWTIME, NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET
_AF_UNIX = 1
_X32_BIT = 0x40000000

_LOAD, _JUMP_EQUAL, _JUMP_AT_LEAST, _JUMP_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
_ALLOW = 0x7FFF0000
_NUMBER_AT, _ARCH_AT, _ARG0_AT = 0, 4, 16


def build_seccomp_filter(machine: str | None = None) -> bytes | None:
    """Build the filter, an array of `struct sock_filter`.

    Args:
        machine: in the spelling of `platform.machine()` on Linux or macOS; default: this machine.

    Returns:
        The filter, or None for a machine whose system call numbers are unknown.
    """
    architectures = {"x86_64": (0, _X86_64), "aarch64": (1, _AARCH64), "arm64": (1, _AARCH64)}
    found = architectures.get(machine or platform.machine())
    if found is None:
        return None
    column, arch = found
    code = [
        _step(_LOAD, 0, 0, _ARCH_AT),
        _step(_JUMP_EQUAL, 1, 0, arch),
        _deny(errno.EPERM),  # 32-bit calls of the same machine
        _step(_LOAD, 0, 0, _NUMBER_AT),
    ]
    if column == 0:
        code += [_step(_JUMP_AT_LEAST, 0, 1, _X32_BIT), _deny(errno.EPERM)]
    for numbers in _DENIED.values():
        code += [_step(_JUMP_EQUAL, 0, 1, numbers[column]), _deny(errno.EPERM)]
    # ENOSYS makes the C library fall back to clone, whose flags a filter can inspect.
    code += [_step(_JUMP_EQUAL, 0, 1, _CLONE3[column]), _deny(errno.ENOSYS)]
    for number, allow_if in (
        (_CLONE, _step(_JUMP_ANY_BIT, 0, 1, _NEW_NAMESPACES)),
        (_SOCKET, _step(_JUMP_EQUAL, 1, 0, _AF_UNIX)),
        (_PRLIMIT, _step(_JUMP_EQUAL, 1, 0, 0)),  # PID 0: the caller's own limits
    ):
        code += [
            _step(_JUMP_EQUAL, 0, 4, number[column]),
            _step(_LOAD, 0, 0, _ARG0_AT),
            allow_if,
            _deny(errno.EPERM),
            _step(_RETURN, 0, 0, _ALLOW),
        ]
    code.append(_step(_RETURN, 0, 0, _ALLOW))
    return b"".join(code)


def encode_seccomp_filter(machine: str | None = None) -> str | None:
    """Return the filter of `build_seccomp_filter` in base64, for the sandbox spec; None for an unknown machine."""
    code = build_seccomp_filter(machine)
    return None if code is None else base64.b64encode(code).decode("ascii")


def _step(operation: int, jump_true: int, jump_false: int, operand: int) -> bytes:
    return struct.pack("=HBBI", operation, jump_true, jump_false, operand)


def _deny(code: int) -> bytes:
    return _step(_RETURN, 0, 0, 0x00050000 | code)
