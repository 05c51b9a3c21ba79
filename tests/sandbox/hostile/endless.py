"""Programs that do not end: loops in Python and in C, at every place where our code calls theirs; sleeps; waits."""

# ruff: noqa: E501

PROGRAMS = {
    "loop": ("timeout", "def solve(n):\n    while True: pass"),
    "loop_at_load": ("timeout", "while True: pass"),
    "loop_in_c_sum": ("timeout", "import itertools\ndef solve(n): return sum(itertools.repeat(0))"),
    "loop_in_c_pow": ("timeout", "def solve(n): return len(str(7 ** (7 ** 11)))"),
    "loop_in_c_regex": ("timeout", "import re\ndef solve(n): return re.match(r'(a+)+b', 'a' * 60)"),
    "loop_in_c_contains": ("timeout", "import itertools\ndef solve(n): return 1 in itertools.repeat(0)"),
    "loop_in_c_extend": ("timeout memory", "import itertools\ndef solve(n): return [].extend(itertools.repeat(0))"),
    "loop_in_c_int_parse": (
        "timeout",
        "import sys\nsys.set_int_max_str_digits(0)\ndef solve(n): return int('7' * 40000000) % 10",
    ),
    "loop_in_c_ctypes": (
        "timeout",
        "import ctypes\ndef solve(n):\n    c = ctypes.CDLL(None)\n    a = (ctypes.c_int * 2000000)(*range(2000000))\n"
        "    f = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)(lambda x, y: 0)\n"
        "    c.qsort(a, 2000000, 4, f)",
    ),
    "loop_holding_the_gil": (
        "timeout",
        "import ctypes, threading\ndef solve(n):\n    ctypes.PyDLL(None).sleep(999)",
    ),
    "loop_catching_all": (
        "timeout",
        "def solve(n):\n    while True:\n        try:\n            while True: pass\n        except BaseException: pass",
    ),
    "loop_in_hash": (
        "timeout",
        "class A:\n    def __hash__(self):\n        while True: pass\ndef solve(n): return {A()}",
    ),
    "loop_in_del": (
        "timeout",
        "class A:\n    def __del__(self):\n        while True: pass\ndef solve(n):\n    A()\n    return n * n + 1",
    ),
    "loop_in_getattr_of_a_module": (
        "load_error timeout",
        "def __getattr__(name):\n    while True: pass\nimport sys\nsys.modules['candidate'].solve",
    ),
    "loop_in_type_name": (
        "timeout",
        "class M(type):\n    @property\n    def __name__(self):\n        while True: pass\nclass A(metaclass=M): pass\n"
        "def solve(n): return A()",
    ),
    "loop_in_call": ("timeout", "class A:\n    def __call__(self, n):\n        while True: pass\nsolve = A()"),
    "loop_in_a_decorator": ("timeout", "def d(f):\n    while True: pass\n@d\ndef solve(n): return n * n + 1"),
    "loop_in_a_class_body": ("timeout", "class A:\n    while True: pass\ndef solve(n): return n * n + 1"),
    "loop_in_generator": ("timeout", "def g():\n    while True: yield 0\ndef solve(n): return sum(g())"),
    "loop_in_a_trace_function": (
        "timeout",
        "import sys\ndef t(*a):\n    while True: pass\nsys.settrace(t)\ndef solve(n): return n * n + 1",
    ),
    "loop_in_the_last_call": ("timeout", "def solve(n):\n    while n == -4: pass\n    return n * n + 1"),
    "loop_in_threads": (
        "timeout",
        "import threading\ndef f():\n    while True: pass\nfor _ in range(4): threading.Thread(target=f).start()\n"
        "def solve(n):\n    while True: pass",
    ),
    "loop_in_children": (
        "timeout",
        "import os\nfor _ in range(3): os.fork()\ndef solve(n):\n    while True: pass",
    ),
    "child_loops_while_we_wait": (
        "timeout",
        "import os\ndef solve(n):\n    pid = os.fork()\n    while pid == 0: pass\n    os.waitpid(pid, 0)",
    ),
    "loop_of_exceptions": (
        "timeout",
        "def solve(n):\n    while True:\n        try: raise ValueError\n        except ValueError: continue",
    ),
    "loop_of_system_calls": ("timeout", "import os\ndef solve(n):\n    while True: os.stat('/')"),
    "busy_allocation": ("timeout", "def solve(n):\n    while True: bytearray(50 << 20)"),
    "quadratic_string": ("timeout memory", "def solve(n):\n    s = 'x'\n    while True: s = (s + 'y')[:10 ** 7] * 2"),
    "ackermann": (
        "timeout exception crash",
        "def a(m, n): return n + 1 if m == 0 else a(m - 1, 1 if n == 0 else a(m, n - 1))\n"
        "import sys\nsys.setrecursionlimit(10 ** 5)\ndef solve(n): return a(3, 30)",
    ),
    "collatz_that_never_ends": ("timeout", "def solve(n):\n    while n != 1: n = n // 2 if n % 2 == 0 else 3 * n - 1"),
    "sleep": ("timeout", "import time\ndef solve(n): time.sleep(3600)"),
    "sleep_at_load": ("timeout", "import time\ntime.sleep(3600)"),
    "sleep_in_pieces": ("timeout", "import time\ndef solve(n):\n    while True: time.sleep(0.001)"),
    "sleep_in_last_call": (
        "timeout",
        "import time\ndef solve(n):\n    if n == -4: time.sleep(99)\n    return n * n + 1",
    ),
    "sleep_in_select": ("timeout", "import select\ndef solve(n): select.select([], [], [])"),
    "sleep_in_pause": ("timeout", "import signal\ndef solve(n): signal.pause()"),
    "read_own_pipe": ("timeout", "import os\ndef solve(n): os.read(os.pipe()[0], 1)"),
    "open_a_fifo": ("timeout", "import os\ndef solve(n):\n    os.mkfifo('f')\n    open('f')"),
    "deadlock": ("timeout", "import threading\nl = threading.Lock()\nl.acquire()\ndef solve(n): l.acquire()"),
    "await_forever": ("timeout", "import asyncio\ndef solve(n): asyncio.run(asyncio.Event().wait())"),
    "wait_for_input": ("exception", "def solve(n): return input()"),
    "wait_for_a_stopped_child": (
        "timeout",
        "import os\ndef solve(n):\n    pid = os.fork()\n    if pid == 0: os.kill(os.getpid(), 19)\n    os.waitpid(pid, 0)",
    ),
    "vfork_with_a_stopped_child": (
        "timeout wrong exception crash",
        "import subprocess\ndef solve(n): return subprocess.run(['/bin/sh', '-c', 'kill -STOP $$']).returncode",
    ),
    "join_a_thread": (
        "timeout",
        "import threading\ndef solve(n):\n    t = threading.Thread(target=threading.Event().wait)\n    t.start(); t.join()",
    ),
    "lock_a_file_twice": (
        "timeout",
        "import fcntl, os\ndef solve(n):\n    a, b = (os.open('l', os.O_RDWR | os.O_CREAT) for _ in 'ab')\n"
        "    fcntl.flock(a, 2)\n    fcntl.flock(b, 2)",
    ),
}
