"""The filter, run by a small interpreter of the kernel's filter language; and a worker that cannot install one."""

import base64
import errno
import struct
import subprocess

import pytest

from executor.backends.base import SANDBOX_DIR, worker_command
from executor.backends.seccomp import seccomp_program

ALLOW = 0x7FFF0000
X86_64, AARCH64 = 0xC000003E, 0xC00000B7


def refusal(code):
    return 0x00050000 | code


def decide(program, arch, number, arg0=0):
    """What the filter returns for a system call: struct seccomp_data is number, arch, address, arguments."""
    data = struct.pack("<IIQ6Q", number, arch, 0, arg0, *[0] * 5)
    steps = [struct.unpack_from("=HBBI", program, at) for at in range(0, len(program), 8)]
    register = at = 0
    while True:
        operation, if_true, if_false, operand = steps[at]
        at += 1
        if operation == 0x20:
            [register] = struct.unpack_from("<I", data, operand)
        elif operation == 0x06:
            return operand
        else:
            holds = {
                0x15: register == operand,
                0x35: register >= operand,
                0x45: bool(register & operand),
            }[operation]
            at += if_true if holds else if_false


@pytest.mark.parametrize(
    ("machine", "arch", "numbers"),
    [
        ("x86_64", X86_64, {"read": 0, "openat": 257, "ptrace": 101, "unshare": 272, "clone": 56, "clone3": 435,
                            "socket": 41, "prlimit64": 302, "keyctl": 250, "io_uring_setup": 425}),
        ("aarch64", AARCH64, {"read": 63, "openat": 56, "ptrace": 117, "unshare": 97, "clone": 220, "clone3": 435,
                              "socket": 198, "prlimit64": 261, "keyctl": 219, "io_uring_setup": 425}),
    ],
)  # fmt: skip
def test_what_is_refused(machine, arch, numbers):
    program = seccomp_program(machine)
    assert program is not None

    def of(name, arg0=0):
        return decide(program, arch, numbers[name], arg0)

    assert of("read") == of("openat") == ALLOW
    for name in ("ptrace", "unshare", "keyctl", "io_uring_setup"):
        assert of(name) == refusal(errno.EPERM), name
    assert of("clone3") == refusal(errno.ENOSYS)
    assert of("clone", 17) == ALLOW  # SIGCHLD: a fork
    assert of("clone", 0x10000000 | 17) == refusal(errno.EPERM)  # CLONE_NEWUSER
    assert of("socket", 1) == ALLOW
    assert of("socket", 2) == refusal(errno.EPERM)
    assert of("prlimit64", 0) == ALLOW
    assert of("prlimit64", 1) == refusal(errno.EPERM)
    assert decide(program, 0x40000003, numbers["read"]) == refusal(errno.EPERM)  # 32-bit calls


def test_the_second_table_of_x86_is_refused():
    assert decide(seccomp_program("x86_64"), X86_64, 0x40000000) == refusal(errno.EPERM)


def test_other_machines_have_none():
    assert seccomp_program("riscv64") is None


@pytest.mark.parametrize("broken", [b"\xff" * 16, b"\x06\x00\x00\x00\x00\x00\x00"])
def test_a_worker_that_cannot_be_confined_does_not_greet(tmp_path, broken):
    box = {"uid": None, "max_processes": None, "scratch": str(tmp_path), "owns_namespace": False}
    box["seccomp"] = base64.b64encode(broken).decode()
    done = subprocess.run(worker_command(SANDBOX_DIR, box), input=b"", capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"worker: it could not be confined: ")
    assert len(done.stderr.splitlines()) == 1


def test_a_worker_with_a_filter_greets(tmp_path):
    box = {"uid": None, "max_processes": None, "scratch": str(tmp_path), "owns_namespace": False}
    program = seccomp_program()
    if program is None:
        pytest.skip("no filter for this machine")
    box["seccomp"] = base64.b64encode(program).decode()
    done = subprocess.run(worker_command(SANDBOX_DIR, box), input=b"", capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"ready" in done.stdout
