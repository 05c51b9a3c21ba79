"""Capabilities, namespaces, mounts and the wide interfaces of the kernel. Each returns only if it succeeds.

Numbers of system calls are those of x86-64; elsewhere they name other calls, which must not succeed either.
"""

# ruff: noqa: E501

_LIBC = (
    "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def must(result):\n    if result < 0: raise OSError(ctypes.get_errno(), 'refused')\n    return result\n"
    "buffer = ctypes.create_string_buffer(4096)\n"
)


def _call(expression: str) -> tuple[str, str]:
    return "exception", f"{_LIBC}def solve(n): return must(libc.{expression})"


def _number(number: int, *arguments: str) -> tuple[str, str]:
    return _call(f"syscall({', '.join((str(number), *arguments))})")


PROGRAMS = {
    "mount_tmpfs": _call("mount(b'none', b'/tmp', b'tmpfs', 0, b'')"),
    "mount_proc": _call("mount(b'proc', b'/tmp', b'proc', 0, b'')"),
    "mount_bind": _call("mount(b'/app', b'/tmp', b'', 4096, b'')"),
    "remount_root": _call("mount(b'', b'/', b'', 32, b'')"),
    "unmount_scratch": _call("umount2(b'/tmp', 2)"),
    "open_tree": _number(428, "-100", "b'/'", "1"),
    "move_mount": _number(429, "-100", "b'/app'", "-100", "b'/tmp'", "0"),
    "fsopen": _number(430, "b'tmpfs'", "0"),
    "mount_setattr": _number(442, "-100", "b'/'", "0", "buffer", "32"),
    "pivot_root": _number(155, "b'/tmp'", "b'/tmp'"),
    "chroot": ("exception", "import os\ndef solve(n): os.chroot('/tmp')"),
    "new_user_namespace": _call("unshare(0x10000000)"),
    "new_mount_namespace": _call("unshare(0x00020000)"),
    "new_pid_namespace": _call("unshare(0x20000000)"),
    "new_net_namespace": _call("unshare(0x40000000)"),
    "new_time_namespace": _call("unshare(0x00000080)"),
    "new_cgroup_namespace": _call("unshare(0x02000000)"),
    "clone_user_namespace": _number(56, "0x10000011", "0", "0", "0", "0"),
    "clone3_user_namespace": (
        "exception",
        _LIBC + "import struct\ndef solve(n):\n    a = struct.pack('8Q', 0x10000000, 0, 0, 0, 17, 0, 0, 0)\n"
        "    pid = must(libc.syscall(435, a, len(a)))\n    if pid == 0: os._exit(0)\n    return pid",
    ),
    "setns_self": (
        "exception",
        _LIBC + "def solve(n): return must(libc.setns(os.pidfd_open(os.getpid()), 0x10000000))",
    ),
    "shared_memory": _call("shmget(0, 4096, 0o1777)"),
    "message_queue": _call("msgget(0, 0o1777)"),
    "semaphore": _call("semget(0, 1, 0o1777)"),
    "posix_queue": _call("mq_open(b'/x', 0o102, 0o777, None)"),
    "posix_queue_raw": _number(240, "b'x'", "0o102", "0o777", "None"),
    "add_key": _number(248, "b'user'", "b'secret'", "b'x'", "1", "-4"),
    "add_key_to_session": _number(248, "b'user'", "b'secret'", "b'x'", "1", "-3"),
    "request_key": _number(249, "b'user'", "b'secret'", "None", "-4"),
    "keyctl": _number(250, "0", "-4", "1"),
    "io_uring": _number(425, "8", "buffer"),
    "userfaultfd": _number(323, "0"),
    "bpf": _number(321, "0", "buffer", "64"),
    "perf_event": _number(298, "buffer", "0", "-1", "-1", "0"),
    "fanotify": _number(300, "0", "0"),
    "memfd_secret": _number(447, "0"),
    "kernel_log": _number(103, "3", "buffer", "4096"),
    "personality": _call("personality(0x0040000)"),
    "init_module": _number(175, "buffer", "8", "b''"),
    "finit_module": _number(313, "0", "b''", "0"),
    "kexec": _number(246, "0", "0", "0", "0"),
    "reboot": _number(169, "0xfee1dead", "672274793", "0"),
    "swapon": _number(167, "b'/tmp/x'", "0"),
    "acct": _number(163, "b'/tmp/x'"),
    "quotactl": _number(179, "0x800002", "b'/'", "0", "buffer"),
    "set_host_name": _call("sethostname(b'x', 1)"),
    "set_domain_name": _call("setdomainname(b'x', 1)"),
    "set_clock": ("exception", "import time\ndef solve(n): time.clock_settime(time.CLOCK_REALTIME, 0)"),
    "adjust_clock": (
        "exception",
        _LIBC + "import struct\ndef solve(n): return must(libc.adjtimex(struct.pack('I', 2) + bytes(400)))",
    ),
    "ports": _call("ioperm(0x80, 1, 1)"),
    "port_level": _call("iopl(3)"),
    "handle_of_a_file": (
        "exception",
        _LIBC
        + "def solve(n): return must(libc.name_to_handle_at(-100, b'/', buffer, ctypes.byref(ctypes.c_int()), 0))",
    ),
    "process_madvise": (
        "exception",
        _LIBC + "def solve(n): return must(libc.syscall(440, os.pidfd_open(1), buffer, 1, 4, 0))",
    ),
    "capabilities": (
        "wrong",
        "import ctypes, struct\ndef solve(n):\n    header, data = struct.pack('Ii', 0x20080522, 0), ctypes.create_string_buffer(24)\n"
        "    assert ctypes.CDLL(None).capget(header, data) == 0\n"
        "    e, p, _, e2, p2, _ = struct.unpack('6I', data.raw)\n    assert e | p | e2 | p2 == 0\n    return 0",
    ),
    "raise_capabilities": (
        "exception",
        _LIBC + "import struct\ndef solve(n):\n    h = struct.pack('Ii', 0x20080522, 0)\n"
        "    return must(libc.capset(h, struct.pack('6I', *[0x3fffffff] * 6)))",
    ),
    "ambient_capabilities": _call("prctl(47, 2, 7, 0, 0)"),
    "keep_capabilities": (
        "wrong exception",
        _LIBC + "def solve(n):\n    libc.prctl(8, 1, 0, 0, 0)\n    assert os.getuid() and os.geteuid()\n    return 0",
    ),
    "new_privileges_forbidden": (
        "wrong",
        "import ctypes\ndef solve(n):\n    assert ctypes.CDLL(None).prctl(39, 0, 0, 0, 0) == 1\n    return 0",
    ),
    "new_privileges_back": (
        "wrong",
        "import ctypes\ndef solve(n):\n    assert ctypes.CDLL(None).prctl(38, 0, 0, 0, 0) == -1\n    return 0",
    ),
    "filter_in_place": (
        "wrong",
        "import ctypes\ndef solve(n):\n    assert ctypes.CDLL(None).prctl(21, 0, 0, 0, 0) in (2, -1)\n    return 0",
    ),
    "own_filter_that_lies": (
        "wrong crash exception timeout",
        "import ctypes, struct\ncode = struct.pack('HBBI', 0x20, 0, 0, 0) + struct.pack('HBBI', 0x15, 0, 1, 1)\n"
        "code += struct.pack('HBBI', 6, 0, 0, 0x50000) + struct.pack('HBBI', 6, 0, 0, 0x7fff0000)\n"
        "b = ctypes.create_string_buffer(code)\nlibc = ctypes.CDLL(None)\n"
        "libc.prctl(22, 2, struct.pack('HxxxxxxQ', 4, ctypes.addressof(b)), 0, 0)\ndef solve(n): return 0",
    ),
    "thirty_two_bit_calls": (
        "crash exception",
        "import ctypes, mmap\ndef solve(n):\n    m = mmap.mmap(-1, 4096, prot=7)\n"
        "    m.write(b'\\xb8\\x14\\x00\\x00\\x00\\xcd\\x80\\xc3')\n"
        "    f = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(m)))\n"
        "    if f() < 0: raise OSError\n    return 0",
    ),
    "x32_calls": _number(0x40000000 + 39),
    "set_user_id_programs": (
        "wrong exception",
        "import os, subprocess\ndef solve(n):\n    for p in ('su', 'mount', 'passwd', 'newgrp', 'chsh', 'gpasswd', 'umount', 'sudo'):\n"
        "        path = f'/usr/bin/{p}'\n        if os.path.exists(path):\n"
        "            subprocess.run([path, '--version'], stdin=subprocess.DEVNULL, capture_output=True, timeout=1)\n"
        "    out = subprocess.run(['/bin/sh', '-c', 'id -u'], capture_output=True).stdout\n    assert int(out) != 0\n    return 0",
    ),
    "su_to_root": (
        "wrong exception timeout",
        "import subprocess\ndef solve(n): return subprocess.run(['su', '-c', 'true']).returncode == 0 and 10",
    ),
    "unshare_program": (
        "wrong exception",
        "import subprocess\ndef solve(n): return subprocess.run(['unshare', '-Ur', 'true']).returncode == 0 and 10",
    ),
    "gpu": ("exception", "import os\ndef solve(n): return os.open('/dev/nvidiactl', os.O_RDWR)"),
}
