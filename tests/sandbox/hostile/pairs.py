"""Pairs: the first program leaves something behind, the second looks for it and must find nothing."""

# ruff: noqa: E501

_LOOKS_FOR_A_WORD = """
import gc, sys
def holds(part):
    if type(part) in (bytes, bytearray): part = part.decode('latin-1')
    return type(part) is str and WORD[::-1] in part
def is_anywhere(waiting):
    seen = {}
    while waiting:
        part = waiting.pop()
        if id(part) in seen or part is seen or part is waiting: continue
        seen[id(part)] = part
        if holds(part): return True
        waiting += [part.f_locals, part.f_back] if type(part) is type(sys._getframe()) else gc.get_referents(part)
    return False
"""
"""The word stands backwards in the probe, which would find itself otherwise."""
_SECRET = "secret = 'the-word-' + 'kept' * 2  # the-word-keptkept"
_WORD = "WORD = 'tpektpek-drow-eht'"

# name: (poison, probe that sets `found`)
POISON_AND_PROBE = {
    "file": ("open('/tmp/secret', 'w').write('x')", "import os\nfound = os.path.exists('/tmp/secret')"),
    "file_name_in_dot": ("open('/tmp/.hidden', 'w')", "import os\nfound = bool(os.listdir('/tmp'))"),
    "file_held_open_by_a_daemon": (
        "import os, time\nf = open('/tmp/held', 'w')\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
        "import os\nfound = bool(os.listdir('.'))",
    ),
    "scratch_mode": ("import os\ntry: os.chmod('/tmp', 0o700)\nexcept OSError: pass",
                     "import os\nfound = os.stat('/tmp').st_mode & 0o7777 != 0o1777"),
    "scratch_time": ("import os\nopen('/tmp/a', 'w').close(); os.unlink('/tmp/a')",
                     "import os\nfound = os.stat('/tmp').st_mtime_ns != 0"),
    "scratch_attribute": ("import os\ntry: os.setxattr('/tmp', 'user.a', b'x')\nexcept OSError: pass",
                          "import os\nfound = bool(os.listxattr('/tmp'))"),
    "scratch_space": ("open('/tmp/big', 'wb').write(bytes(12 << 20))",
                      "import os\ns = os.statvfs('/tmp')\nfound = (s.f_blocks - s.f_bfree) * s.f_frsize > 1 << 20"),
    "scratch_inodes": ("for i in range(500): open(f'/tmp/{i}', 'w').close()",
                       "import os\ns = os.statvfs('/tmp')\nfound = s.f_files - s.f_ffree > 50"),
    "device_time": ("import os, time\nfor d in ('null', 'zero', 'full', 'random', 'urandom'):\n    try: os.utime(f'/dev/{d}')\n"
                    "    except OSError: pass\ntime.sleep(1.0)",
                    "import os, time\nfound = any(0.8 < time.time() - os.stat(f'/dev/{d}').st_mtime < 1.6"
                    " for d in ('null', 'zero', 'full', 'random', 'urandom'))"),
    "module": ("import sys, types\nsys.modules['secret'] = types.ModuleType('secret')",
               "import sys\nfound = 'secret' in sys.modules"),
    "module_of_its_own_name": ("import sys\nsys.modules[__name__].secret = 1", "found = 'secret' in globals()"),
    "builtins": ("import builtins\nbuiltins.len = lambda x: 0", "found = len([1]) == 0"),
    "class_attribute": ("import fractions\nfractions.Fraction.secret = 1",
                        "import fractions\nfound = hasattr(fractions.Fraction, 'secret')"),
    "interned_int": ("import ctypes\nctypes.memset(id(77) + 24, 1, 1)", "found = 70 + 7 != 77"),
    "recursion_limit": ("import sys\nsys.setrecursionlimit(123)", "import sys\nfound = sys.getrecursionlimit() == 123"),
    "audit_hook": ("import sys\ndef hook(*a): raise SystemExit\nsys.addaudithook(hook)",
                   "found = False\ntry: open('/dev/null').close()\nexcept BaseException: found = True"),
    "import_hook": ("import sys\nsys.meta_path.insert(0, 'secret')", "import sys\nfound = 'secret' in sys.meta_path"),
    "signal_handler": ("import signal\nsignal.signal(signal.SIGUSR1, signal.SIG_IGN)",
                       "import signal\nfound = signal.getsignal(signal.SIGUSR1) != signal.SIG_DFL"),
    "signal_mask": ("import signal\nsignal.pthread_sigmask(signal.SIG_BLOCK, [10])",
                    "import signal\nfound = bool(signal.pthread_sigmask(signal.SIG_BLOCK, []))"),
    "alarm": ("import signal\nsignal.alarm(1)", "import signal\nfound = signal.alarm(0) != 0"),
    "working_folder": ("import os\nos.mkdir('d')\nos.chdir('d')", "import os\nfound = os.getcwd() != '/tmp'"),
    "umask": ("import os\nos.umask(0)", "import os\nfound = os.umask(0o077) == 0"),
    "limits": ("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (9, 9))",
               "import resource\nfound = resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 9"),
    "niceness": ("import os\ntry: os.nice(7)\nexcept OSError: pass", "import os\nfound = os.getpriority(0, 0) != 0"),
    "process_name": ("import ctypes\nctypes.CDLL(None).prctl(15, b'secret')",
                     "import ctypes\nb = ctypes.create_string_buffer(16)\nctypes.CDLL(None).prctl(16, b)\n"
                     "found = b.value == b'secret'"),
    "random_state": ("import random\nrandom.seed(5)\nrandom.getstate()",
                     "import random\na = random.getstate()\nrandom.seed(5)\nfound = a == random.getstate()"),
    "environment": ("import os\nos.environ['secret'] = 'x'\nos.putenv('secret', 'x')",
                    "import os\nfound = 'secret' in os.environ"),
    "daemon": ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
               "import os\ntry:\n    os.kill(-1, 0)\n    found = True\nexcept (ProcessLookupError, PermissionError):\n"
               "    found = False\nfor pid in range(2, 400):\n    try:\n        os.kill(pid, 0)\n"
               "        found |= pid not in (os.getpid(), os.getppid())\n    except ProcessLookupError: pass\n"
               "    except PermissionError: found = True"),
    "daemon_seen_in_proc": ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
                            "import os\nfound = os.path.isdir('/proc/1') and"
                            " len([p for p in os.listdir('/proc') if p.isdigit()]) > 2"),
    "daemon_that_would_answer": ("import os, time\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(0.05)\n    while True:\n"
                                 "        try: os.write(3, b'v1\\n')\n        except OSError: pass",
                                 "import time\ntime.sleep(0.1)\nfound = False"),
    "unix_socket": ("import socket, os, time\ns = socket.socket(socket.AF_UNIX)\ns.bind('\\0secret')\ns.listen()\n"
                    "if os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
                    "import socket\nfound = socket.socket(socket.AF_UNIX).connect_ex('\\0secret') == 0"),
    "named_pipe": ("import os\nos.mkfifo('/tmp/fifo')", "import os\nfound = os.path.exists('/tmp/fifo')"),
    "shared_memory": ("import ctypes\nctypes.CDLL(None).shmget(4242, 64, 0o1777)",
                      "import ctypes\nfound = ctypes.CDLL(None).shmget(4242, 64, 0) >= 0"),
    "posix_shared_memory": ("from multiprocessing import shared_memory as s\n"
                            "try: s.SharedMemory('secret', create=True, size=64)\nexcept OSError: pass",
                            "from multiprocessing import shared_memory as s\nfound = True\n"
                            "try: s.SharedMemory('secret')\nexcept OSError: found = False"),
    "message_queue": ("import ctypes\nctypes.CDLL(None).msgget(4242, 0o1777)",
                      "import ctypes\nfound = ctypes.CDLL(None).msgget(4242, 0) >= 0"),
    "semaphore": ("import ctypes\nctypes.CDLL(None).semget(4242, 1, 0o1777)",
                  "import ctypes\nfound = ctypes.CDLL(None).semget(4242, 1, 0) >= 0"),
    "posix_semaphore": ("import ctypes\nctypes.CDLL(None).sem_open(b'/secret', 0o102, 0o777, 1)",
                        "import ctypes\nf = ctypes.CDLL(None).sem_open\nf.restype = ctypes.c_void_p\n"
                        "found = bool(f(b'/secret', 0))"),
    "posix_queue": ("import ctypes\nctypes.CDLL(None, use_errno=True).mq_open(b'/secret', 0o102, 0o777, None)",
                    "import ctypes\nfound = ctypes.CDLL(None).mq_open(b'/secret', 0) >= 0"),
    "kernel_key": ("import ctypes\nctypes.CDLL(None).syscall(248, b'user', b'secret', b'x', 1, -4)",
                   "import ctypes\nfound = ctypes.CDLL(None).syscall(249, b'user', b'secret', None, -4) > 0"),
    "open_file": ("import os\nos.open('/dev/zero', os.O_RDONLY)",
                  "import os\nfound = False\nfor fd in range(4, 64):\n    try:\n        os.fstat(fd)\n        found = True\n"
                  "    except OSError: pass"),
    "file_lock": ("import fcntl, os, time\nf = open('/app/worker.py')\nfcntl.flock(f, 1)\n"
                  "if os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
                  # other sandboxes of this machine may hold the lock for a moment
                  "import fcntl, time\nfor _ in range(40):\n    try: fcntl.flock(open('/app/worker.py'), 2 | 4)\n"
                  "    except BlockingIOError: found = True\n    else: found = False; break\n    time.sleep(0.05)"),
    "terminal": ("import os, time\ntry: os.openpty()\nexcept OSError: pass\nif os.fork() == 0:\n    os.setsid()\n    time.sleep(99)",
                 "import os\nfound = os.path.isdir('/dev/pts') and any(n.isdigit() for n in os.listdir('/dev/pts'))"),
    "dev_shm": ("try: open('/dev/shm/x', 'w')\nexcept OSError: pass", "import os\nfound = os.path.exists('/dev/shm/x')"),
    "dev_mqueue": ("try: open('/dev/mqueue/x', 'w')\nexcept OSError: pass",
                   "import os\nfound = os.path.exists('/dev/mqueue/x')"),
    "var_tmp": ("try: open('/var/tmp/x', 'w')\nexcept OSError: pass", "import os\nfound = os.path.exists('/var/tmp/x')"),
    "bytecode": ("import os\ntry: os.makedirs('/app/__pycache__')\nexcept OSError: pass",
                 "import os\nfound = os.path.exists('/app/__pycache__')"),
    "host_name": ("import ctypes\nctypes.CDLL(None).sethostname(b'secret', 6)",
                  "import os\nfound = os.uname().nodename == 'secret'"),
    "cpu_budget": ("import time\nend = time.process_time() + 0.3\nwhile time.process_time() < end: pass",
                   "import time\nfound = time.process_time() > 0.25"),
    "full_process_table": ("import os, time\nfor _ in range(40):\n    try:\n        if os.fork() == 0: time.sleep(99)\n"
                           "    except OSError: pass",
                           "import os\nfound = False\ntry:\n    pid = os.fork()\n    if pid == 0: os._exit(0)\n"
                           "    os.waitpid(pid, 0)\nexcept OSError: found = True"),
    "source_in_a_frame": (_SECRET, f"{_WORD}{_LOOKS_FOR_A_WORD}found = is_anywhere([sys._getframe()])"),
    "source_among_objects": (_SECRET, f"{_WORD}{_LOOKS_FOR_A_WORD}gc.unfreeze()\nfound = is_anywhere(gc.get_objects())"),
    "memory_hog": ("import os, time\nfor _ in range(2):\n    if os.fork() == 0:\n        b = bytearray(b'x') * (80 << 20)\n"
                   "        time.sleep(99)",
                   "found = False\ntry: b = bytearray(b'x' * (100 << 20))\nexcept MemoryError: found = True"),
}  # fmt: skip
