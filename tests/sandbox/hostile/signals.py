"""Signals: sent to oneself, to the worker, to all; ignored, caught, queued, from timers."""

# ruff: noqa: E501

PROGRAMS = {
    "kill_self": ("crash", "import os\ndef solve(n): os.kill(os.getpid(), 9)"),
    "kill_own_group": ("crash", "import os\ndef solve(n): os.killpg(0, 9)"),
    "abort": ("crash", "import os\ndef solve(n): os.abort()"),
    "segfault": ("crash", "import ctypes\ndef solve(n): return ctypes.string_at(1)"),
    "segfault_at_load": ("crash", "import ctypes\nctypes.string_at(0)"),
    "bad_bytecode": (
        "crash exception timeout memory",
        "def f(): pass\ndef solve(n):\n    f.__code__ = f.__code__.replace(co_code=b'\\x64\\xff' * 40, co_consts=())\n"
        "    return f()",
    ),
    "scribble_over_none": (
        "crash exception wrong timeout memory",
        "import ctypes\ndef solve(n):\n    ctypes.memset(id(None), 255, 16)\n    return [None] * 3",
    ),
    "scribble_over_small_ints": (
        "wrong crash exception",
        "import ctypes\ndef solve(n):\n    for i in range(30):\n        ctypes.memmove(id(i) + 24, id(1) + 24, 4)\n"
        "    return n * n + 1",
    ),
    "bus_error": (
        "crash",
        "import mmap, os\ndef solve(n):\n    f = os.open('x', os.O_RDWR | os.O_CREAT)\n    os.ftruncate(f, 4096)\n"
        "    m = mmap.mmap(f, 4096)\n    os.ftruncate(f, 0)\n    return m[0]",
    ),
    "illegal_instruction": ("crash", "import os, signal\ndef solve(n): os.kill(os.getpid(), signal.SIGILL)"),
    "stop_self": ("timeout", "import os, signal\ndef solve(n): os.kill(os.getpid(), signal.SIGSTOP)"),
    "tty_stop_self": ("timeout crash exception wrong", "import os, signal\ndef solve(n): os.kill(0, signal.SIGTSTP)"),
    "stop_and_be_continued": (
        "timeout",
        "import os, signal, time\nme = os.getpid()\nif os.fork() == 0:\n    while True:\n        os.kill(me, 19)\n"
        "        time.sleep(0.01)\n        os.kill(me, 18)\ndef solve(n):\n    while True: pass",
    ),
    "kill_everything": ("crash exception", "import os\ndef solve(n): os.kill(-1, 9); return 0"),
    "kill_everything_often": (
        "crash exception wrong timeout",
        "import os\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n    for s in range(1, 65):\n"
        "        try: os.kill(-1, s)\n        except OSError: pass\n    return 0",
    ),
    "kill_parent": ("exception wrong crash", "import os\ndef solve(n): os.kill(os.getppid(), 9); return 0"),
    "kill_pid_1": ("exception wrong crash", "import os\ndef solve(n):\n    for s in range(1, 65): os.kill(1, s)\n"),
    "stop_parent": ("exception wrong", "import os, signal\ndef solve(n): os.kill(1, signal.SIGSTOP); return 0"),
    "stop_parent_for_long": (
        "timeout exception",
        "import os, signal\ndef solve(n):\n    while True:\n        os.kill(1, signal.SIGSTOP)\n        os.kill(1, signal.SIGTSTP)",
    ),
    "queue_signals_to_parent": (
        "exception wrong",
        "import ctypes\ndef solve(n):\n    c = ctypes.CDLL(None)\n    if c.sigqueue(1, 10, 0): raise OSError\n"
        "    for _ in range(5000): c.sigqueue(1, 34, 0)\n    return 0",
    ),
    "thread_kill_parent": (
        "exception wrong",
        "import ctypes\ndef solve(n):\n    if ctypes.CDLL(None).syscall(234, 1, 1, 9): raise OSError\n    return 0",
    ),
    "pidfd_kill_parent": (
        "exception wrong",
        "import os, signal\ndef solve(n): signal.pidfd_send_signal(os.pidfd_open(1), 9); return 0",
    ),
    "make_parent_the_owner_of_a_signal": (
        "exception wrong crash",
        "import fcntl, os, signal\ndef solve(n):\n    r, w = os.pipe()\n    fcntl.fcntl(r, fcntl.F_SETOWN, 1)\n"
        "    fcntl.fcntl(r, 10, signal.SIGKILL)\n    fcntl.fcntl(r, fcntl.F_SETFL, os.O_ASYNC)\n    os.write(w, b'x')\n"
        "    return 0",
    ),
    "ask_for_a_signal_at_parents_death": (
        "wrong",
        "import ctypes, os\ndef solve(n):\n    ctypes.CDLL(None).prctl(1, 9)\n    os.kill(os.getpid(), 0)\n    return 0",
    ),
    "ignore_all_and_loop": (
        "timeout",
        "import signal\nfor s in range(1, 32):\n    try: signal.signal(s, signal.SIG_IGN)\n    except Exception: pass\n"
        "def solve(n):\n    while True: pass\n",
    ),
    "block_all_and_loop": (
        "timeout",
        "import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\ndef solve(n):\n    while True: pass\n",
    ),
    "catch_sigxcpu_and_go_on": (
        "timeout",
        "import signal\nsignal.signal(signal.SIGXCPU, lambda *a: None)\ndef solve(n):\n    while True: pass\n",
    ),
    "handlers_that_never_return": (
        "timeout exception",
        "import os, signal\ndef h(*a):\n    while True: os.kill(os.getpid(), signal.SIGUSR1)\n"
        "signal.signal(signal.SIGUSR1, h)\ndef solve(n): os.kill(os.getpid(), signal.SIGUSR1)",
    ),
    "become_a_subreaper": (
        "timeout",
        "import ctypes, os, time\nctypes.CDLL(None).prctl(36, 1)\nfor _ in range(3):\n    if os.fork() == 0:\n"
        "        os.setsid()\n        time.sleep(99)\ndef solve(n):\n    while True: os.wait()",
    ),
}
