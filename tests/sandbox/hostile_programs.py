"""Hostile programs, and odd but correct ones, for the task `solve(n) == n * n + 1`.

Each hostile program gives its best to be taken for right, to take the judge down, or to reach what is not its own.
None may pass. Where the verdict matters too, it is named; "" leaves it open.
"""

# ruff: noqa: E501

from textwrap import dedent


def _programs(**sources: str) -> dict[str, str]:
    return {name: dedent(source) for name, source in sources.items()}


RIGHT = "def solve(n):\n    return n * n + 1\n"

# name: (statuses allowed, source)
_HOSTILE = {
    # -- leaving early, by every door
    "exit_at_load": ("crash", "import os; os._exit(0)"),
    "sys_exit_at_load": ("load_error", "import sys; sys.exit(0)"),
    "sys_exit_in_call": ("exception", "import sys\ndef solve(n): sys.exit(0)"),
    "os_exit_in_call": ("crash", "import os\ndef solve(n): os._exit(0)"),
    "raise_system_exit": ("exception", "def solve(n): raise SystemExit(0)"),
    "keyboard_interrupt": ("exception", "def solve(n): raise KeyboardInterrupt"),
    "generator_exit": ("exception", "def solve(n): raise GeneratorExit"),
    "exec_true": ("crash", "import os\ndef solve(n): os.execv('/usr/bin/true', ['true'])"),
    "atexit_only": ("wrong", "import atexit, os\natexit.register(os._exit, 0)\ndef solve(n): return None"),
    "fork_and_leave": ("crash", "import os\ndef solve(n):\n    if os.fork(): os._exit(0)\n    return n * n + 1\n"),
    "quit_builtin": ("load_error exception", "quit()"),
    # -- signals
    "kill_self": ("crash", "import os\ndef solve(n): os.kill(os.getpid(), 9)"),
    "abort": ("crash", "import os\ndef solve(n): os.abort()"),
    "segfault": ("crash", "import ctypes\ndef solve(n): return ctypes.string_at(1)"),
    "stop_self": ("timeout", "import os, signal\ndef solve(n): os.kill(os.getpid(), signal.SIGSTOP)"),
    "kill_everything": ("crash exception", "import os\ndef solve(n): os.kill(-1, 9); return 0"),
    "kill_parent": ("exception wrong crash", "import os\ndef solve(n): os.kill(os.getppid(), 9); return 0"),
    "kill_pid_1": ("exception wrong crash", "import os\ndef solve(n):\n    for s in range(1, 65): os.kill(1, s)\n"),
    "stop_parent": ("exception wrong", "import os, signal\ndef solve(n): os.kill(1, signal.SIGSTOP); return 0"),
    "ignore_all_and_loop": (
        "timeout",
        "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\n"
        "def solve(n):\n    while True: pass\n",
    ),
    # -- time
    "loop": ("timeout", "def solve(n):\n    while True: pass"),
    "loop_at_load": ("timeout", "while True: pass"),
    "loop_in_c_sum": ("timeout", "import itertools\ndef solve(n): return sum(itertools.repeat(0))"),
    "loop_in_c_pow": ("timeout", "def solve(n): return len(str(7 ** (7 ** 11)))"),
    "loop_in_c_regex": ("timeout", "import re\ndef solve(n): return re.match(r'(a+)+b', 'a' * 60)"),
    "loop_catching_all": (
        "timeout",
        "def solve(n):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    ),
    "loop_in_eq": (
        "timeout",
        "class A:\n    def __hash__(self):\n        while True: pass\ndef solve(n): return {A()}",
    ),
    "sleep": ("timeout", "import time\ndef solve(n): time.sleep(3600)"),
    "sleep_in_last_call": (
        "timeout",
        "import time\ndef solve(n):\n    if n == -4: time.sleep(99)\n    return n * n + 1",
    ),
    "wait_for_input": ("exception", "def solve(n): return input()"),
    "join_a_thread": (
        "timeout",
        "import threading\ndef solve(n):\n    t = threading.Thread(target=threading.Event().wait)\n    t.start(); t.join()",
    ),
    "compile_bomb": ("load_error memory timeout crash", "(" * 5000 + ")" * 5000),
    "deep_unary": ("load_error memory timeout crash", "x = " + "-" * 60000 + "1"),
    "deep_attribute": ("load_error memory timeout crash", "x = a" + ".b" * 25000),
    "constant_folding": ("load_error memory timeout crash", "x = " + "(1 << 100000) * " * 20 + "'a' * 10 ** 9"),
    # -- memory
    "memory_list": ("memory", "def solve(n): return [0] * 10 ** 10"),
    "memory_growing": (
        "memory timeout",
        "def solve(n):\n    a = []\n    while True: a.append('x' * 10 ** 6 + str(len(a)))",
    ),
    "memory_at_load": ("memory", "a = bytearray(10 ** 10)"),
    "memory_in_children": (
        "",
        "import os\ndef solve(n):\n    while True:\n        try: os.fork()\n        except OSError: pass\n"
        "        try: bytearray(200 << 20)[::4096]\n        except MemoryError: pass",
    ),
    "memory_mmap": ("exception", "import mmap\ndef solve(n): return len(mmap.mmap(-1, 1 << 40))"),
    "memory_files": (
        "exception",
        "def solve(n):\n    for i in range(100):\n        with open(f'/tmp/{i}', 'wb') as f: f.write(bytes(8 << 20))",
    ),
    "memory_memfd": ("exception", "import os\ndef solve(n): return os.memfd_create('x')"),
    "recursion": ("exception", "def solve(n): return solve(n)"),
    "recursion_unlimited": (
        "crash memory timeout",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef solve(n): return [solve(n)].pop()",
    ),
    # -- processes
    "fork_bomb": ("", "import os\ndef solve(n):\n    while True: os.fork()"),
    "fork_bomb_forgiving": (
        "",
        "import os\ndef solve(n):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    ),
    "thread_bomb": (
        "exception",
        "import threading\ndef solve(n):\n    while True: threading.Thread(target=threading.Event().wait).start()",
    ),
    "daemon": (
        "wrong",
        "import os, time\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            while True: time.sleep(0.01)\n        os._exit(0)\n    return 0",
    ),
    "stopper_daemon": (
        "",
        "import os, signal\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
        "            try: os.kill(-1, signal.SIGSTOP)\n            except OSError: pass\n    return 0",
    ),
    "daemon_holds_the_pipe": (
        "wrong",
        "import os, time\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid(); time.sleep(600)\n    return 0",
    ),
    "daemon_writes_the_pipe": (
        "",
        "import os\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        while True: os.write(3, b'v10\\n')\n    return 0",
    ),
    "shell": (
        "wrong",
        "import subprocess\ndef solve(n): return subprocess.run(['/bin/sh', '-c', 'exit 0']).returncode",
    ),
    # -- output
    "output_huge": ("output_limit", "def solve(n): return 'x' * (8 << 20)"),
    "output_many": ("output_limit", "def solve(n): return [n] * 100000 + ['x' * 99999] * 20"),
    "output_too_many_nodes": ("output_limit", "def solve(n): return [0] * 10 ** 6"),
    "output_huge_int": ("output_limit", "def solve(n): return 1 << 10 ** 6"),
    "output_cyclic": ("output_limit", "def solve(n):\n    a = []\n    a.append(a)\n    return a"),
    "output_doubling": ("output_limit", "def solve(n):\n    a = []\n    for _ in range(60): a = [a, a]\n    return a"),
    "output_deep": ("output_limit", "def solve(n):\n    a = 1\n    for _ in range(10 ** 5): a = [a]\n    return a"),
    "output_flood_fd_3": ("output_limit crash", "import os\ndef solve(n):\n    while True: os.write(3, b'x' * 65536)"),
    "prints_the_answer": ("wrong", "def solve(n): print(n * n + 1)"),
    # -- values that only look right
    "always_equal": (
        "wrong",
        "class A:\n    def __eq__(self, o): return True\n    __hash__ = None\ndef solve(n): return A()",
    ),
    "int_subclass": (
        "wrong",
        "class I(int):\n    def __eq__(self, o): return True\n    __hash__ = int.__hash__\ndef solve(n): return I(n * n + 1)",
    ),
    "float_for_int": ("wrong", "def solve(n): return float(n * n + 1)"),
    "string_for_int": ("wrong", "def solve(n): return str(n * n + 1)"),
    "list_for_int": ("wrong", "def solve(n): return [n * n + 1]"),
    "generator": ("wrong", "def solve(n): yield n * n + 1"),
    "coroutine": ("wrong", "async def solve(n): return n * n + 1"),
    "mock": ("wrong", "from unittest.mock import ANY\ndef solve(n): return ANY"),
    "bytes": ("wrong", "def solve(n): return str(n * n + 1).encode()"),
    "nan": ("wrong", "def solve(n): return float('nan')"),
    "patched_metaclass": (
        "wrong",
        "class M(type):\n    def __eq__(s, o): return True\n    __hash__ = type.__hash__\n    __name__ = 'int'\n"
        "class A(metaclass=M): pass\ndef solve(n): return A()",
    ),
    "bool_for_one": ("wrong", "def solve(n): return True if n == 0 else n * n + 1"),
    "right_once": ("wrong", "def solve(n): return 1"),
    "a_prefix_of_right_answers": (
        "crash",
        "import os\ndef solve(n):\n    if n == -4: os._exit(0)\n    return n * n + 1",
    ),
    # -- sources that are no programs
    "empty": ("load_error", ""),
    "syntax_error": ("load_error", "def solve(n: return n"),
    "null_byte": ("load_error", "def solve(n):\n    return 1\x00"),
    "surrogate": ("load_error", "x = '\ud800'"),
    "other_name": ("load_error", "def solver(n): return n * n + 1"),
    "raises_at_load": ("load_error", "1 / 0"),
    "raises_what_cannot_be_shown": (
        "load_error",
        "class E(Exception):\n    def __str__(self): raise SystemExit\nraise E",
    ),
    "raises_what_never_shows": (
        "timeout",
        "class E(Exception):\n    def __str__(self):\n        while True: pass\nraise E",
    ),
    "entry_point_is_no_function": ("exception", "solve = 3"),
    "wrong_arity": ("exception", "def solve(): return 1"),
    "too_long": ("source_too_long", "#" * 70000 + "\n" + RIGHT),
    "missing_module": ("load_error", "import numpy_that_is_not_there\ndef solve(n): return n * n + 1"),
    # -- forged frames
    "forged_values": ("", "import os\nos.write(3, b'v1\\nv1\\nv1\\nv1\\n'); os._exit(0)"),
    "forged_too_many": ("crash", "import os\nos.write(3, b'v1\\n' * 999)\ndef solve(n): return n * n + 1"),
    "forged_tags": ("crash", "import os\nos.write(3, b'v{\"$set\":[[1]]}\\n'); os._exit(0)"),
    "forged_escaped_tag": ("crash", "import os\nos.write(3, b'v{\"\\\\u0024set\":[[1]]}\\n' * 4); os._exit(0)"),
    "forged_deep": ("crash", "import os\nos.write(3, b'v' + b'[' * 200000 + b'\\n'); os._exit(0)"),
    "forged_long_int": ("crash", "import os\nos.write(3, b'v' + b'9' * 900000 + b'\\n'); os._exit(0)"),
    "forged_nan": ("crash", "import os\nos.write(3, b'vNaN\\n' * 4); os._exit(0)"),
    "forged_raw_bytes": ("crash", "import os\nos.write(3, bytes(range(256)) * 9); os._exit(0)"),
    "forged_status": ("crash", 'import os\nos.write(3, b\'{"status": "passed"}\\n\' * 4); os._exit(0)'),
    "forged_reply_frame": (
        "crash wrong load_error",
        "import json, os, struct\n"
        "h = json.dumps(dict(id=0, end=None, exit_code=0, cpu_s=0, wall_s=0, clean=True)).encode()\nb = b'v1\\nv10\\n'\n"
        "for fd in list(range(3)) + list(range(4, 64)):\n"
        "    try: os.write(fd, struct.pack('>II', len(h), len(b)) + h + b)\n    except OSError: pass\nos._exit(0)",
    ),
    "forged_load_error_after_results": ("crash", 'import os\nos.write(3, b\'v1\\nl["a","b"]\\n\'); os._exit(0)'),
    "forged_infra": ("", "import os\nos.write(3, b'e\"infra\"\\n' * 4); os._exit(0)"),
    "closes_the_pipe": ("crash", "import os\nos.close(3)\ndef solve(n): return n * n + 1"),
    "replaces_the_pipe": ("crash", "import os\nos.dup2(os.open('/dev/null', 1), 3)\ndef solve(n): return n * n + 1"),
    # -- attacks on what judges and on the worker
    "patch_judge": (
        "wrong load_error",
        "import sys\nfor m in list(sys.modules.values()):\n    for k in list(vars(m)) if m else []:\n"
        "        if 'equal' in k or 'judge' in k: setattr(m, k, lambda *a, **b: True)\ndef solve(n): return 0",
    ),
    "expected_in_gc": (
        "wrong exception",
        "import gc\ndef solve(n):\n    for o in gc.get_objects():\n"
        "        if isinstance(o, (list, dict, tuple)) and 'expected' in repr(o)[:2000].split(\"'\"): return o['expected']\n"
        "    return -1",
    ),
    "expected_in_frames": (
        "wrong exception",
        "import sys\ndef solve(n):\n    f = sys._getframe()\n    while f:\n        for k, v in f.f_locals.items():\n"
        "            if k in ('expected', 'test', 'tests', 'task'): return v\n        f = f.f_back\n    return -1",
    ),
    "loops_over_the_worker": (
        "",
        "import sys\ndef solve(n):\n    f = sys._getframe().f_back\n    for k, v in list(f.f_globals.items()):\n"
        "        if callable(v): f.f_globals[k] = lambda *a, **b: 10\n    return 10",
    ),
    "import_worker_and_serve": ("load_error", "import worker\nworker.serve(0, 1, {})"),
    "ptrace_parent": (
        "wrong",
        "import ctypes, os\ndef solve(n): return ctypes.CDLL(None).ptrace(16, os.getppid(), 0, 0)",
    ),
    "read_parent_memory": ("exception", "def solve(n): return open('/proc/1/mem', 'rb').read(10)"),
    "proc_environ": ("exception", "def solve(n): return open('/proc/1/environ').read()"),
    "lower_parent_limits": (
        "exception",
        "import resource\ndef solve(n): resource.prlimit(1, resource.RLIMIT_NOFILE, (0, 0)); return 0",
    ),
    "renice_parent": ("exception", "import os\ndef solve(n): os.setpriority(os.PRIO_PROCESS, 1, 19); return 0"),
    "pin_parent": ("exception", "import os\ndef solve(n): os.sched_setaffinity(1, {0}); return 0"),
    "become_root": ("exception", "import os\ndef solve(n): os.setuid(0); return os.open('/app/worker.py', os.O_RDWR)"),
    "write_worker": ("exception", "def solve(n): open('/app/worker.py', 'w')"),
    "write_python": ("exception", "import os\ndef solve(n): open(os.__file__, 'w')"),
    "write_root": ("exception", "def solve(n): open('/x', 'w')"),
    "write_dev": ("exception", "def solve(n): open('/dev/x', 'w')"),
    "read_secrets": ("exception", "def solve(n): return open('/etc/shadow').read()"),
    "read_home": ("exception wrong", "import os\ndef solve(n): return os.listdir('/home') + os.listdir('/root/.ssh')"),
    "mount": (
        "wrong",
        "import ctypes\ndef solve(n): return ctypes.CDLL(None).mount(b'none', b'/tmp', b'tmpfs', 0, b'')",
    ),
    "new_namespace": ("wrong", "import ctypes\ndef solve(n): return ctypes.CDLL(None).unshare(0x10000000)"),
    "chroot": ("exception", "import os\ndef solve(n): os.chroot('/tmp')"),
    # -- network
    "inet_socket": ("exception", "import socket\ndef solve(n): return socket.socket().connect_ex(('1.1.1.1', 53))"),
    "resolve": ("exception", "import socket\ndef solve(n): return socket.gethostbyname('example.com')"),
    "vsock": ("exception", "import socket\ndef solve(n): return socket.socket(40, 1).fileno()"),
    "netlink": ("exception", "import socket\ndef solve(n): return socket.socket(16, 3).fileno()"),
    "host_unix_socket": (
        "exception",
        "import socket\ndef solve(n): socket.socket(socket.AF_UNIX).connect('/run/docker.sock'); return 0",
    ),
}
HOSTILE = {name: (set(statuses.split()), source) for name, (statuses, source) in _HOSTILE.items()}

ODD_BUT_RIGHT = _programs(
    plain=RIGHT,
    lambda_="solve = lambda n: n * n + 1",
    callable_object="""
        class Square:
            def __call__(self, n):
                return n * n + 1
        solve = Square()
    """,
    chatty="""
        import sys
        def solve(n):
            print("x" * 200000)
            sys.stderr.write("y" * 200000)
            sys.stdout.flush()
            return n * n + 1
    """,
    threads="""
        from concurrent.futures import ThreadPoolExecutor
        def solve(n):
            with ThreadPoolExecutor(4) as pool:
                return sum(pool.map(lambda x: x, [n * n, 1]))
    """,
    temporary_files="""
        import tempfile, os
        def solve(n):
            with tempfile.TemporaryDirectory() as folder:
                path = os.path.join(folder, "x")
                with open(path, "w") as file:
                    file.write(str(n * n + 1))
                with open(path) as file:
                    return int(file.read())
    """,
    files_left_behind="""
        import os
        def solve(n):
            os.makedirs("a/b/c", exist_ok=True)
            open("a/b/c/x", "w").close()
            os.symlink("/etc", f"link{n}")
            return n * n + 1
    """,
    locked_files_left_behind="""
        import os
        def solve(n):
            name = f"d{n}"
            os.mkdir(name)
            open(name + "/x", "w").close()
            os.chmod(name, 0)
            return n * n + 1
    """,
    dataclass_="""
        from __future__ import annotations
        from dataclasses import dataclass
        from typing import NamedTuple, get_type_hints
        @dataclass
        class Point:
            x: int
        class Pair(NamedTuple):
            a: int
        get_type_hints(Point)
        def solve(n):
            return Point(n).x * Pair(n).a + 1
    """,
    subprocess_="""
        import subprocess, sys
        def solve(n):
            return int(subprocess.run(["/bin/sh", "-c", f"echo $(({n} * {n} + 1))"], capture_output=True).stdout)
    """,
    catches_its_own_exit="""
        import sys
        def solve(n):
            try:
                sys.exit(1)
            except SystemExit:
                return n * n + 1
    """,
    main_guard=RIGHT + "\nif __name__ == '__main__':\n    raise SystemExit(solve(int(input())))\n",
    asyncio_inside="""
        import asyncio
        async def square(n):
            await asyncio.sleep(0)
            return n * n + 1
        def solve(n):
            return asyncio.run(square(n))
    """,
    patched_builtins="""
        import builtins, json
        def solve(n):
            result = n * n + 1
            builtins.print = builtins.open = json.dumps = json.JSONEncoder = None
            return result
    """,
    deletes_itself="""
        def solve(n):
            global solve
            keep = solve
            del solve
            solve = keep
            return n * n + 1
    """,
    child_process="""
        import os
        def solve(n):
            reader, writer = os.pipe()
            pid = os.fork()
            if pid == 0:
                os.write(writer, str(n * n + 1).encode())
                os._exit(0)
            os.waitpid(pid, 0)
            return int(os.read(reader, 99))
    """,
    idle_daemon_left="""
        import os, time
        if os.fork() == 0:
            os.setsid()
            time.sleep(600)
            os._exit(0)
        def solve(n):
            return n * n + 1
    """,
    many_imports="""
        import collections, re, json, math, random, string, itertools, functools, heapq, bisect, decimal, fractions
        import statistics, datetime, typing, operator, copy, hashlib, zlib, unicodedata, calendar, cmath, numbers
        def solve(n):
            return int(decimal.Decimal(n) ** 2) + 1
    """,
    devices="""
        import os
        def solve(n):
            with open("/dev/null", "w") as sink:
                sink.write("x")
            with open("/dev/urandom", "rb") as source:
                return n * n + len(source.read(1)) * len(os.urandom(1))
    """,
    unused_warning="""
        import warnings
        def solve(n):
            warnings.warn("odd")
            return n * n + 1
    """,
    deep_but_legal="""
        def depth(k):
            return 0 if k == 0 else 1 + depth(k - 1)
        def solve(n):
            return n * n + 1 + depth(900) - 900
    """,
)

# A pair is two programs in a row in one sandbox: the first leaves something behind, the second returns 1 where it sees
# it and 0 where all is as it was.
POISON_AND_PROBE = {
    "file": ("open('/tmp/secret', 'w').write('x')", "import os\nfound = os.path.exists('/tmp/secret')"),
    "file_name_in_dot": ("open('/tmp/.hidden', 'w')", "import os\nfound = bool(os.listdir('/tmp'))"),
    "scratch_mode": ("import os\ntry: os.chmod('/tmp', 0o700)\nexcept OSError: pass",
                     "import os\nfound = os.stat('/tmp').st_mode & 0o7777 != 0o1777"),
    "scratch_time": ("import os\nopen('/tmp/a', 'w').close(); os.unlink('/tmp/a')",
                     "import os\nfound = os.stat('/tmp').st_mtime_ns != 0"),
    "scratch_attribute": ("import os\ntry: os.setxattr('/tmp', 'user.a', b'x')\nexcept OSError: pass",
                          "import os\nfound = bool(os.listxattr('/tmp'))"),
    "module": ("import sys, types\nsys.modules['secret'] = types.ModuleType('secret')",
               "import sys\nfound = 'secret' in sys.modules"),
    "builtins": ("import builtins\nbuiltins.len = lambda x: 0", "found = len([1]) == 0"),
    "class_attribute": ("import fractions\nfractions.Fraction.secret = 1",
                        "import fractions\nfound = hasattr(fractions.Fraction, 'secret')"),
    "random_state": ("import random\nrandom.seed(5)\nrandom.getstate()",
                     "import random\na = random.getstate()\nrandom.seed(5)\nfound = a == random.getstate()"),
    "environment": ("import os\nos.environ['secret'] = 'x'\nos.putenv('secret', 'x')",
                    "import os\nfound = 'secret' in os.environ"),
    "daemon": ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
               "import os\ntry:\n    os.kill(-1, 0)\n    found = True\nexcept (ProcessLookupError, PermissionError):\n"
               "    found = False\nfor pid in range(2, 400):\n    try:\n        os.kill(pid, 0)\n"
               "        found |= pid not in (os.getpid(), os.getppid())\n    except ProcessLookupError: pass\n"
               "    except PermissionError: found = True"),
    "unix_socket": ("import socket, os, time\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0secret')\ns.listen()\n"
                    "if os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
                    "import socket\nfound = socket.socket(socket.AF_UNIX).connect_ex('\\0secret') == 0"),
    "shared_memory": ("import ctypes\nctypes.CDLL(None).shmget(4242, 64, 0o1777)",
                      "import ctypes\nfound = ctypes.CDLL(None).shmget(4242, 64, 0) >= 0"),
    "message_queue": ("import ctypes\nctypes.CDLL(None).msgget(4242, 0o1777)",
                      "import ctypes\nfound = ctypes.CDLL(None).msgget(4242, 0) >= 0"),
    "semaphore": ("import ctypes\nctypes.CDLL(None).semget(4242, 1, 0o1777)",
                  "import ctypes\nfound = ctypes.CDLL(None).semget(4242, 1, 0) >= 0"),
    "posix_queue": ("import ctypes\nctypes.CDLL(None, use_errno=True).mq_open(b'/secret', 0o102, 0o777, None)",
                    "import ctypes\nfound = ctypes.CDLL(None).mq_open(b'/secret', 0) >= 0"),
    "kernel_key": ("import ctypes\nctypes.CDLL(None).syscall(248, b'user', b'secret', b'x', 1, -4)",
                   "import ctypes\nfound = ctypes.CDLL(None).syscall(249, b'user', b'secret', None, -4) > 0"),
    "open_file": ("import os\nos.open('/dev/zero', os.O_RDONLY)",
                  "import os\nfound = False\nfor fd in range(4, 64):\n    try:\n        os.fstat(fd)\n        found = True\n"
                  "    except OSError: pass"),
    "dev_shm": ("try: open('/dev/shm/x', 'w')\nexcept OSError: pass", "import os\nfound = os.path.exists('/dev/shm/x')"),
}  # fmt: skip
