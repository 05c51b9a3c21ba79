"""The seccomp filter, run by a small BPF interpreter; and workers that can and cannot install one."""

import base64
import errno
import re
import struct
import subprocess
from pathlib import Path

import pytest

from executor.backends import seccomp
from executor.backends.base import SANDBOX_DIR, worker_command
from executor.backends.seccomp import build_seccomp_filter

ALLOW = 0x7FFF0000
X86_64, AARCH64 = 0xC000003E, 0xC00000B7


def denial(code):
    return 0x00050000 | code


def decide(program, arch, number, arg0=0):
    """Return the action for a system call; struct seccomp_data is number, arch, address, arguments."""
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
def test_filter_denies_dangerous_calls(machine, arch, numbers):
    program = build_seccomp_filter(machine)
    assert program is not None

    def action(name, arg0=0):
        return decide(program, arch, numbers[name], arg0)

    assert action("read") == action("openat") == ALLOW
    for name in ("ptrace", "unshare", "keyctl", "io_uring_setup"):
        assert action(name) == denial(errno.EPERM), name
    assert action("clone3") == denial(errno.ENOSYS)
    assert action("clone", 17) == ALLOW  # SIGCHLD: a fork
    assert action("clone", 0x10000000 | 17) == denial(errno.EPERM)  # CLONE_NEWUSER
    assert action("socket", 1) == ALLOW
    assert action("socket", 2) == denial(errno.EPERM)
    assert action("prlimit64", 0) == ALLOW
    assert action("prlimit64", 1) == denial(errno.EPERM)
    assert decide(program, 0x40000003, numbers["read"]) == denial(errno.EPERM)  # 32-bit calls


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), (1, "/usr/include/asm-generic/unistd.h")],
)
def test_numbers_are_those_of_the_kernel_s_headers(column, header):
    if not Path(header).exists():
        pytest.skip("the kernel's headers are not installed")
    numbers = dict(re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)\b", Path(header).read_text()))
    latest = max(map(int, numbers.values()))
    names = {
        "clone": seccomp._CLONE,
        "clone3": seccomp._CLONE3,
        "socket": seccomp._SOCKET,
        "prlimit64": seccomp._PRLIMIT,
    }
    ours = {name: number[column] for name, number in (seccomp._DENIED | names).items() if number[column] <= latest}
    assert len(ours) > 50
    assert ours == {name: int(numbers[name]) for name in ours}


def test_filter_denies_x32_calls():
    assert decide(build_seccomp_filter("x86_64"), X86_64, 0x40000000) == denial(errno.EPERM)


def test_containers_on_a_mac_have_the_filter_of_64_bit_arm():
    assert build_seccomp_filter("arm64") == build_seccomp_filter("aarch64")


def test_unknown_machine_has_no_filter():
    assert build_seccomp_filter("riscv64") is None


@pytest.mark.parametrize("broken", [b"\xff" * 16, b"\x06\x00\x00\x00\x00\x00\x00"])
def test_worker_with_a_broken_filter_does_not_become_ready(tmp_path, broken):
    spec = {"uid": None, "max_processes": None, "scratch": str(tmp_path), "owns_namespace": False}
    spec["seccomp"] = base64.b64encode(broken).decode()
    done = subprocess.run(worker_command(SANDBOX_DIR, spec), input=b"", capture_output=True, timeout=60)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.startswith(b"worker: hardening failed: ")
    assert len(done.stderr.splitlines()) == 1


def test_worker_with_a_filter_becomes_ready(tmp_path):
    spec = {"uid": None, "max_processes": None, "scratch": str(tmp_path), "owns_namespace": False}
    program = build_seccomp_filter()
    if program is None:
        pytest.skip("no filter for this machine")
    spec["seccomp"] = base64.b64encode(program).decode()
    done = subprocess.run(worker_command(SANDBOX_DIR, spec), input=b"", capture_output=True, timeout=60)
    assert done.returncode == 0
    assert b"ready" in done.stdout
