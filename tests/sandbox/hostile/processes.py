"""Fork bombs, thread bombs, daemons of all kinds, and what they hold on to."""

# ruff: noqa: E501

PROGRAMS = {
    "fork_bomb": ("", "import os\ndef solve(n):\n    while True: os.fork()"),
    "fork_bomb_forgiving": (
        "",
        "import os\ndef solve(n):\n    while True:\n        try: os.fork()\n        except OSError: pass",
    ),
    "fork_bomb_at_load": (
        "",
        "import os\nwhile True:\n    try: os.fork()\n    except OSError: pass",
    ),
    "fork_bomb_leaving_sessions": (
        "",
        "import os\ndef solve(n):\n    while True:\n        try:\n            if os.fork() == 0: os.setsid()\n"
        "        except OSError: pass",
    ),
    "fork_chain": (
        "",
        "import os\ndef solve(n):\n    while True:\n        if os.fork(): os._exit(0)",
    ),
    "fork_chain_that_keeps_the_first": (
        "",
        "import os\ndef solve(n):\n    pid = os.fork()\n    while pid == 0:\n        try:\n            if os.fork(): os._exit(0)\n"
        "        except OSError: pass\n    return 0",
    ),
    "shell_bomb": ("", "import subprocess\ndef solve(n): return subprocess.call(':(){ :|:& };:', shell=True)"),
    "clone_bomb": (
        "",
        "import ctypes\ndef solve(n):\n    while True: ctypes.CDLL(None).syscall(57 if ctypes.sizeof(ctypes.c_void_p) else 0)",
    ),
    "thread_bomb": (
        "exception",
        "import threading\ndef solve(n):\n    while True: threading.Thread(target=threading.Event().wait).start()",
    ),
    "zombies": (
        "exception wrong",
        "import os\ndef solve(n):\n    for _ in range(200):\n        if os.fork() == 0: os._exit(0)\n    return 0",
    ),
    "daemon": (
        "wrong",
        "import os, time\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        if os.fork() == 0:\n"
        "            while True: time.sleep(0.01)\n        os._exit(0)\n    return 0",
    ),
    "daemon_with_all_signals_blocked": (
        "wrong",
        "import os, signal, time\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n"
        "        signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n        while True: time.sleep(1)\n    return 0",
    ),
    "daemons_reviving_each_other": (
        "",
        "import os, time\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
        "            pid = os.fork()\n            if pid:\n                try: os.waitpid(pid, 0)\n                except OSError: pass\n"
        "            else: time.sleep(0.02); os._exit(0)\n    return 0",
    ),
    "daemon_by_nohup": (
        "wrong",
        "import subprocess\ndef solve(n): return subprocess.call('nohup setsid sleep 600 >/dev/null 2>&1 &', shell=True)",
    ),
    "daemon_burns_cpu": (
        "wrong",
        "import os\ndef solve(n):\n    if n == 0 and os.fork() == 0:\n        os.setsid()\n        while True: pass\n    return 0",
    ),
    "stopped_daemon": (
        "wrong",
        "import os\ndef solve(n):\n    if os.fork() == 0: os.setsid(); os.kill(os.getpid(), 19)\n    return 0",
    ),
    "stopper_daemon": (
        "",
        "import os, signal\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
        "            try: os.kill(-1, signal.SIGSTOP)\n            except OSError: pass\n    return 0",
    ),
    "stopper_daemons": (
        "",
        "import os, signal\ndef solve(n):\n    for _ in range(6):\n        if os.fork() == 0:\n            os.setsid()\n"
        "            while True:\n                for s in (signal.SIGSTOP, signal.SIGCONT):\n"
        "                    try: os.kill(-1, s)\n                    except OSError: pass\n    return 0",
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
    "daemon_refills_the_scratch": (
        "",
        "import os\ndef solve(n):\n    if os.fork() == 0:\n        os.setsid()\n        while True:\n"
        "            try: open(f'/tmp/{os.urandom(4).hex()}', 'w').close()\n            except OSError: pass\n    return 0",
    ),
    "leader_dies_children_answer": (
        "crash",
        "import os, time\nif os.fork(): os._exit(0)\ntime.sleep(0.1)\nos.write(3, b'v1\\nv10\\nv101\\nv17\\n')",
    ),
    "shell": (
        "wrong",
        "import subprocess\ndef solve(n): return subprocess.run(['/bin/sh', '-c', 'exit 0']).returncode",
    ),
    "two_candidates_in_one": (
        "crash wrong",
        "import os\nwrong = os.fork() != 0\ndef solve(n): return n * n + 1 - wrong",
    ),
}
