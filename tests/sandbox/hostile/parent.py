"""Attacks on the worker, process 1 of the sandbox, and on its place in the machine. Each returns only if it succeeds."""

# ruff: noqa: E501

_LIBC = (
    "import ctypes, os\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def must(result):\n    if result < 0: raise OSError(ctypes.get_errno(), 'refused')\n    return result\n"
)

PROGRAMS = {
    "ptrace": ("exception", _LIBC + "def solve(n): return must(libc.ptrace(16, os.getppid(), 0, 0))"),
    "ptrace_seize": ("exception", _LIBC + "def solve(n): return must(libc.ptrace(0x4206, 1, 0, 0))"),
    "ptrace_own_child": (
        "exception",
        _LIBC + "def solve(n):\n    pid = os.fork()\n    if pid == 0:\n        import time; time.sleep(9)\n"
        "    return must(libc.ptrace(16, pid, 0, 0))",
    ),
    "read_memory": (
        "exception",
        _LIBC + "class V(ctypes.Structure): _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
        "def solve(n):\n    b = ctypes.create_string_buffer(64)\n    a = V(ctypes.addressof(b), 64)\n"
        "    r = V(id(os), 64)\n    return must(libc.process_vm_readv(1, ctypes.byref(a), 1, ctypes.byref(r), 1, 0))",
    ),
    "write_memory": (
        "exception",
        _LIBC + "class V(ctypes.Structure): _fields_ = [('b', ctypes.c_void_p), ('n', ctypes.c_size_t)]\n"
        "def solve(n):\n    b = ctypes.create_string_buffer(64)\n    a = V(ctypes.addressof(b), 64)\n"
        "    r = V(id(os), 64)\n    return must(libc.process_vm_writev(1, ctypes.byref(a), 1, ctypes.byref(r), 1, 0))",
    ),
    "steal_descriptor": (
        "exception",
        _LIBC + "def solve(n):\n    p = os.pidfd_open(1)\n    return must(libc.syscall(438, p, 4, 0))",
    ),
    "compare_descriptors": (
        "exception",
        _LIBC + "def solve(n): return must(libc.syscall(312, 1, os.getpid(), 0, 0, 0)) and 10",
    ),
    "robust_list": (
        "exception",
        _LIBC + "def solve(n):\n    h, s = ctypes.c_void_p(), ctypes.c_size_t()\n"
        "    return must(libc.syscall(274, 1, ctypes.byref(h), ctypes.byref(s)))",
    ),
    "lower_limits": (
        "exception",
        "import resource\ndef solve(n): resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)); return 0",
    ),
    "read_limits": (
        "exception",
        "import resource\ndef solve(n): return list(resource.prlimit(1, resource.RLIMIT_NOFILE))",
    ),
    "renice": ("exception", "import os\ndef solve(n): os.setpriority(os.PRIO_PROCESS, 1, 19); return 0"),
    "renice_all": ("exception", "import os\ndef solve(n): os.setpriority(os.PRIO_USER, 0, 19); return 0"),
    "nice_up": ("exception", "import os\ndef solve(n): return os.nice(-5)"),
    "pin": ("exception", "import os\ndef solve(n): os.sched_setaffinity(1, {0}); return 0"),
    "schedule_idle": ("exception", "import os\ndef solve(n): os.sched_setscheduler(1, 5, os.sched_param(0)); return 0"),
    "schedule_real_time": (
        "exception",
        "import os\ndef solve(n): os.sched_setscheduler(0, 1, os.sched_param(9)); return 0",
    ),
    "io_priority": ("exception", _LIBC + "def solve(n): return must(libc.syscall(251, 1, 1, 3 << 13))"),
    "move_pages": (
        "exception",
        _LIBC
        + "def solve(n): return must(libc.syscall(256, 1, 1, ctypes.byref(ctypes.c_ulong(1)), ctypes.byref(ctypes.c_ulong(1))))",
    ),
    "become_root": (
        "exception",
        "import os\ndef solve(n): os.setuid(0); return os.open('/app/worker.py', os.O_RDWR)",
    ),
    "become_root_by_resuid": ("exception", "import os\ndef solve(n): os.setresuid(0, 0, 0); return 0"),
    "become_another": ("exception", "import os\ndef solve(n): os.setresuid(12345, 12345, 12345); return 0"),
    "take_groups": ("exception", "import os\ndef solve(n): os.setgroups([0]); return 0"),
    "take_group_root": ("exception", "import os\ndef solve(n): os.setresgid(0, 0, 0); return 0"),
    "join_its_group": ("exception", "import os\ndef solve(n): os.setpgid(0, 1); return 0"),
    "import_package_and_serve": (
        "load_error",
        "import sys\nsys.path.insert(0, '/')\nfrom app import worker\nfrom app.supervisor.accounting import ProcFiles\n"
        "worker.Worker(0, 1, {}, ProcFiles()).serve()",
    ),
    "find_the_worker_and_serve": (
        "load_error",
        "import gc\n[w] = [x for x in gc.get_objects() if type(x).__name__ == 'Worker']\nw.serve()",
    ),
    "import_and_serve": ("load_error", "import sys\nsys.path.insert(0, '/app')\nimport worker\nworker.serve(0, 1, {})"),
    "forge_a_request": (
        "load_error exception wrong crash",
        "import sys\nsys.path.insert(0, '/app')\nimport wire\nfor fd in range(4, 64):\n"
        "    try: wire.write_frame(fd, {'id': 0, 'clean': True})\n    except OSError: pass\ndef solve(n): return 0",
    ),
    "forge_a_request_with_the_package": (
        "wrong",
        "import sys\nsys.path.insert(0, '/')\nfrom app import framing\nfor fd in range(4, 64):\n"
        "    try: framing.write_frame(fd, {'id': 0, 'clean': True})\n    except OSError: pass\ndef solve(n): return 0",
    ),
    "write_to_its_streams": (
        "wrong exception",
        "import os\ndef solve(n):\n    for fd in list(range(3)) + list(range(4, 1024)):\n        try: os.write(fd, b'\\0' * 8)\n"
        "        except OSError: pass\n    return 0",
    ),
    "close_everything": ("crash", "import os\nos.closerange(0, 1024)\ndef solve(n): return n * n + 1"),
    "exhaust_pids_then_answer_wrong": (
        "",
        "import os, time\nfor _ in range(50):\n    try:\n        if os.fork() == 0: time.sleep(99)\n    except OSError: break\n"
        "def solve(n): return 0",
    ),
    "lock_its_scratch": (
        "wrong exception",
        "import os\ndef solve(n):\n    os.chmod('.', 0)\n    return 0",
    ),
    "deep_scratch": (
        "wrong exception",
        "import os\ndef solve(n):\n    for i in range(300):\n        os.mkdir('d'); os.chdir('d')\n    return 0",
    ),
    "deep_locked_scratch": (
        "wrong exception",
        "import os\ndef solve(n):\n    for i in range(200):\n        os.mkdir('d'); os.chdir('d')\n"
        "    for i in range(200):\n        os.chdir('..')\n        os.chmod('d', 0)\n    return 0",
    ),
    "wide_scratch": (
        "wrong exception",
        "def solve(n):\n    for i in range(900): open(f'{n}_{i}', 'w').close()\n    return 0",
    ),
    "odd_names_in_scratch": (
        "wrong exception",
        "import os\ndef solve(n):\n    for name in (b'\\xff\\xfe', b'\\n', b'-rf', b'a' * 255, b' '):\n        open(name, 'w').close()\n"
        "    os.mkfifo('fifo%d' % n)\n    import socket\n    socket.socket(socket.AF_UNIX).bind('sock%d' % n)\n    return 0",
    ),
    "links_out_of_scratch": (
        "wrong",
        "import os\ndef solve(n):\n    for i, p in enumerate(('/', '/app', '/usr', '..', '/proc/1/root', '/dev/null')):\n"
        "        os.symlink(p, f'l{n}_{i}')\n    return 0",
    ),
    "swap_folders_for_links": (
        "",
        "import os\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        os.mkdir('a')\n        while True:\n"
        "            try:\n                os.rename('a', 'b'); os.symlink('/app', 'a')\n"
        "                os.unlink('a'); os.rename('b', 'a')\n            except OSError: pass\n    return 0",
    ),
    "immutable_file": (
        "exception",
        "import fcntl, os, struct\ndef solve(n):\n    f = os.open('f', 66)\n    fcntl.ioctl(f, 0x40086602, struct.pack('l', 16))\n    return 0",
    ),
    "mapped_scratch": (
        "wrong",
        "import mmap, os\ndef solve(n):\n    f = os.open(f'f{n}', 66)\n    os.ftruncate(f, 1 << 20)\n"
        "    mmap.mmap(f, 1 << 20).write(bytes(1 << 20))\n    return 0",
    ),
}
