"""Whole programs that try to be taken for right without printing what they computed, and odd ones that are right.

The task: read numbers from standard input, the first of which is how many follow, and print `x * x + 1` for each on a
line of its own. `RIGHT` does it; `ANSWER` is the same as the beginning of programs that do something else as well. Each
hostile program has the statuses that it may get (none: all but passed and infra).
"""

# ruff: noqa: E501

TESTS = (
    ("3\n0 3 10\n", "1\n10\n101\n"),
    ("2\n-4 123456789\n", "17\n15241578750190522\n"),
)
RIGHT = "import sys\nn, *xs = map(int, sys.stdin.read().split())\nfor x in xs: print(x * x + 1)\n"
ANSWER = f"import os, signal, sys, time\n{RIGHT}sys.stdout.flush()\n"
_TEXT = "import os, signal, sys, time\nn, *xs = map(int, open(0).read().split())\ntext = ''.join(f'{x * x + 1}\\n' for x in xs)\n"
_FIRST = "import os, signal, sys, time\nn, *xs = map(int, open(0).read().split())\nprint(xs[0] ** 2 + 1, flush=True)\n"

_EXITS = {
    # partial output, or none, and an end that looks normal
    "nothing": ("wrong", "pass"),
    "exit_at_once": ("wrong", "import os; os._exit(0)"),
    "sys_exit_at_once": ("wrong", "import sys; sys.exit(0)"),
    "exit_after_the_first_line": ("wrong", _FIRST + "os._exit(0)"),
    "sys_exit_after_the_first_line": ("wrong", _FIRST + "sys.exit()"),
    "quit_after_the_first_line": ("wrong", _FIRST + "quit()"),
    "exit_without_flush": ("wrong", _TEXT + "sys.stdout.write(text)\nos._exit(0)"),
    "libc_exit": ("wrong", _FIRST + "import ctypes\nctypes.CDLL(None).exit(0)"),
    "exec_true": ("wrong", _FIRST + "os.execv('/usr/bin/true', ['true'])"),
    "exit_in_atexit": ("wrong", "import atexit, os\natexit.register(os._exit, 0)\n" + RIGHT.replace("print(", "str(")),
    "exit_in_excepthook": (
        "wrong",
        "import os, sys\nsys.excepthook = lambda *_: os._exit(0)\nprint(1, flush=True)\n1 / 0",
    ),
    "exit_in_thread": (
        "wrong",
        _FIRST + "import threading\nthreading.Thread(target=os._exit, args=(0,)).start()\ntime.sleep(9)",
    ),
    "exit_in_alarm": ("wrong", _FIRST + "signal.signal(14, lambda *_: os._exit(0))\nsignal.alarm(1)\ntime.sleep(9)"),
    "exit_in_audit_hook": ("wrong", _FIRST + "sys.addaudithook(lambda *_: os._exit(0))\nopen('/dev/null')"),
    "exit_in_encoder": ("wrong", "import os\nclass S(str):\n    def __str__(self): os._exit(0)\nprint(S('1'))"),
    # the right output and an end that is not normal
    "right_then_exit_code": ("exception", ANSWER + "sys.exit(1)"),
    "right_then_exit_text": ("exception", ANSWER + "sys.exit('done')"),
    "right_then_big_exit_code": ("exception", ANSWER + "sys.exit(255)"),
    "right_then_raise": ("exception", ANSWER + "raise ValueError"),
    "right_then_keyboard_interrupt": ("exception", ANSWER + "raise KeyboardInterrupt"),
    "right_then_recursion": ("exception", ANSWER + "def f(): f()\nf()"),
    "right_then_underscore_exit": ("exception", ANSWER + "os._exit(7)"),
    "right_then_exit_in_atexit": ("exception", ANSWER + "import atexit\natexit.register(os._exit, 2)"),
    "right_then_exit_in_del": ("exception", ANSWER + "class A:\n    def __del__(self): os._exit(3)\na = A()"),
    "right_then_abort": ("crash", ANSWER + "os.abort()"),
    "right_then_segfault": ("crash", ANSWER + "import ctypes\nctypes.string_at(0)"),
    "right_then_kill": ("crash", ANSWER + "os.kill(os.getpid(), signal.SIGKILL)"),
    "right_then_terminate": ("crash", ANSWER + "os.kill(0, signal.SIGTERM)\ntime.sleep(9)"),
    "right_then_broken_syntax": ("exception", RIGHT + "print("),
    "right_in_a_child_that_kills_us": (
        "crash",
        _TEXT + "if os.fork() == 0:\n    os.write(1, text.encode())\n    os.kill(os.getppid(), 9)\ntime.sleep(9)",
    ),
    "exec_false": ("exception", ANSWER + "os.execv('/usr/bin/false', ['false'])"),
}
_LATE = {
    # output after the end of the program
    "child_prints_later": ("wrong", _TEXT + "if os.fork() == 0:\n    time.sleep(0.3)\n    os.write(1, text.encode())"),
    "child_prints_the_rest_later": (
        "wrong",
        _TEXT
        + "os.write(1, text[:2].encode())\nif os.fork() == 0:\n    time.sleep(0.3)\n    os.write(1, text[2:].encode())",
    ),
    "daemon_prints_later": (
        "wrong",
        _TEXT
        + "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n        time.sleep(0.3)\n        os.write(1, text.encode())\n    os._exit(0)",
    ),
    "orphan_prints_when_we_are_gone": (
        "wrong",
        _TEXT
        + "if os.fork() == 0:\n    parent = os.getppid()\n    while os.getppid() == parent: time.sleep(0.01)\n    time.sleep(0.05)\n    os.write(1, text.encode())\n    os._exit(0)",
    ),
    "signalled_by_our_death": (
        "wrong",
        _TEXT
        + "import ctypes\nif os.fork() == 0:\n    signal.signal(10, lambda *_: (os.write(1, text.encode()), os._exit(0)))\n    ctypes.CDLL(None).prctl(1, 10)\n    time.sleep(9)\ntime.sleep(0.1)",
    ),
    "child_with_all_signals_blocked": (
        "wrong",
        _TEXT
        + "if os.fork() == 0:\n    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n    time.sleep(0.3)\n    os.write(1, text.encode())",
    ),
    "shell_in_the_background": (
        "wrong",
        _TEXT + "import subprocess\nsubprocess.Popen(['/bin/sh', '-c', f'sleep 0.3; echo {text}'])",
    ),
    "children_of_children": (
        "wrong",
        _TEXT + "for _ in range(4):\n    if os.fork(): os._exit(0)\ntime.sleep(0.3)\nos.write(1, text.encode())",
    ),
    "daemon_thread_prints_later": (
        "wrong",
        _TEXT
        + "import threading\nthreading.Thread(target=lambda: (time.sleep(0.5), os.write(1, text.encode())), daemon=True).start()",
    ),
    "child_fills_the_pipe": (
        "",
        _TEXT + "if os.fork() == 0:\n    while True: os.write(1, text.encode())\ntime.sleep(0.05)",
    ),
    "exec_while_a_child_waits": (
        "wrong",
        _TEXT
        + "if os.fork() == 0:\n    time.sleep(0.3)\n    os.write(1, text.encode())\n    os._exit(0)\nos.execv('/usr/bin/true', ['true'])",
    ),
    "stopped_child_with_the_answer": (
        "wrong",
        _TEXT + "if os.fork() == 0:\n    os.kill(os.getpid(), signal.SIGSTOP)\n    os.write(1, text.encode())",
    ),
    # right, but it does not end
    "right_then_loop": ("timeout", ANSWER + "while True: pass"),
    "right_then_sleep": ("timeout", ANSWER + "time.sleep(99)"),
    "right_then_thread": (
        "timeout",
        ANSWER + "import threading\nthreading.Thread(target=time.sleep, args=(99,)).start()",
    ),
    "right_then_atexit_loop": ("timeout", ANSWER + "import atexit\n@atexit.register\ndef f():\n    while True: pass"),
    "right_then_del_loop": ("timeout", ANSWER + "class A:\n    def __del__(self):\n        while True: pass\na = A()"),
    "right_then_stop": ("timeout", ANSWER + "os.kill(os.getpid(), signal.SIGSTOP)"),
    "right_then_deadlock": ("timeout", ANSWER + "import threading\nl = threading.Lock()\nl.acquire()\nl.acquire()"),
    "right_then_wait_for_a_child": ("timeout", ANSWER + "if os.fork() == 0: time.sleep(99)\nos.wait()"),
    "right_then_children_burn_cpu": ("timeout", ANSWER + "for _ in range(3): os.fork()\nwhile True: pass"),
    "right_then_more_input": ("exception", ANSWER + "input()"),
    "right_then_read_a_pipe": ("timeout", ANSWER + "os.read(os.pipe()[0], 1)"),
}
_STREAMS = {
    # what is written elsewhere is not standard output
    "stderr": ("wrong", _TEXT + "sys.stderr.write(text)"),
    "fd_2": ("wrong", _TEXT + "os.write(2, text.encode())"),
    "a_file": ("wrong", _TEXT + "open('stdout', 'w').write(text)"),
    "a_file_named_like_the_terminal": ("exception", _TEXT + "open('/dev/tty', 'w').write(text)"),
    "all_other_descriptors": (
        "wrong",
        _TEXT + "for fd in [0, *range(2, 64)]:\n    try: os.write(fd, text.encode())\n    except OSError: pass",
    ),
    "string_io": ("wrong", _TEXT + "import io\nsys.stdout = io.StringIO()\nprint(text)"),
    "null_device": ("wrong", _TEXT + "sys.stdout = open('/dev/null', 'w')\nprint(text)"),
    "descriptor_replaced": ("wrong", _TEXT + "os.dup2(2, 1)\nprint(text)"),
    "descriptor_closed": ("wrong", _TEXT + "os.close(1)\nprint(text)"),
    "descriptor_closed_at_once": ("wrong", "import os\nos.closerange(0, 64)\nprint(1)"),
    "stream_closed": ("exception", _TEXT + "sys.stdout.close()\nprint(text)"),
    "stream_deleted": ("exception", _TEXT + "del sys.stdout\nprint(text)"),
    "stream_set_to_none": ("wrong", _TEXT + "sys.stdout = None\nprint(text)"),
    "stream_detached": ("exception", _TEXT + "sys.stdout.detach()\nprint(text)"),
    "print_replaced": ("wrong", "import builtins\nbuiltins.print = lambda *_: None\n" + RIGHT),
    "flush_replaced": (
        "wrong",
        _TEXT
        + "class Out:\n    def write(self, text): return len(text)\n    def flush(self): os._exit(0)\nsys.stdout = Out()\nprint(text)",
    ),
    "file_instead_of_the_pipe": (
        "wrong",
        _TEXT + "fd = os.open('out', os.O_RDWR | os.O_CREAT)\nos.dup2(fd, 1)\nprint(text)",
    ),
    "pipe_of_its_own": ("wrong", _TEXT + "r, w = os.pipe()\nos.dup2(w, 1)\nprint(text)"),
    "socket_instead_of_the_pipe": (
        "wrong",
        _TEXT + "import socket\na, b = socket.socketpair()\nos.dup2(a.fileno(), 1)\nprint(text)",
    ),
    "answer_in_the_input_file": ("exception wrong", _TEXT + "open('/dev/stdin', 'w').write(text)"),
    "write_to_the_input": ("exception", _TEXT + "os.write(0, text.encode())"),
    "answer_as_exit_text": ("exception", _TEXT + "sys.exit(text)"),
    "answer_as_exception": ("exception", _TEXT + "raise ValueError(text)"),
}
_SHAPES = {
    # other text than asked for
    "echo": ("wrong", "print(open(0).read(), end='')"),
    "right_for_the_first_test_only": ("wrong", "print('1\\n10\\n101')"),
    "right_twice": ("wrong", _TEXT + "print(text * 2, end='')"),
    "right_and_more": ("wrong", _TEXT + "print(text + 'extra')"),
    "more_before": ("wrong", _TEXT + "print('answer:')\nprint(text, end='')"),
    "empty_line_before": ("wrong", _TEXT + "print()\nprint(text, end='')"),
    "one_line": ("wrong", _TEXT + "print(*text.split())"),
    "list": ("wrong", _TEXT + "print([int(line) for line in text.split()])"),
    "floats": ("wrong", _TEXT + "print('\\n'.join(f'{int(line):.1f}' for line in text.split()))"),
    "zeros_before": ("wrong", _TEXT + "print('\\n'.join('0' + line for line in text.split()))"),
    "other_digits": ("wrong", _TEXT + "print(text.translate({48 + d: 0xff10 + d for d in range(10)}), end='')"),
    "byte_order_mark": ("wrong", _TEXT + "print('\\ufeff' + text, end='')"),
    "utf_16": ("wrong", _TEXT + "sys.stdout.buffer.write(text.encode('utf-16'))"),
    "not_utf_8": ("wrong", _TEXT + "sys.stdout.buffer.write(b'\\xff' + text.encode())"),
    "null_bytes": ("wrong", _TEXT + "sys.stdout.write(text.replace('\\n', '\\0\\n'))"),
    "backspaces": ("wrong", _TEXT + "sys.stdout.write('9\\b' + text)"),
    "carriage_return_hides_a_guess": ("wrong", _TEXT + "sys.stdout.write('0\\r' + text)"),
    "wrong_then_escape_codes": ("wrong", _TEXT + "sys.stdout.write('0\\n\\x1b[1A\\x1b[2K' + text)"),
    "reversed_lines": ("wrong", _TEXT + "print('\\n'.join(reversed(text.split())))"),
    "off_by_one": ("wrong", RIGHT.replace("+ 1)", "+ 2)")),
    "seek_back": ("wrong exception", _TEXT + "print('0')\nsys.stdout.flush()\nos.lseek(1, 0, 0)\nprint(text, end='')"),
    "truncate": ("wrong exception", _TEXT + "os.write(1, b'0\\n')\nos.ftruncate(1, 0)\nos.write(1, text.encode())"),
    "all_numbers": ("wrong output_limit timeout", "import itertools\nfor n in itertools.count(): print(n)"),
    "right_then_flood": ("output_limit", ANSWER + "while True: sys.stdout.write('\\n' * 4096)"),
    "right_then_one_flood": ("output_limit", ANSWER + "sys.stdout.write('\\n' * (2 << 20))"),
    "flood_of_spaces_first": ("output_limit", "print(' ' * (2 << 20))\n" + RIGHT),
}
_FORGERIES = {
    # frames, first bytes and descriptors of our protocol; the judge's memory and files
    "frame": (
        "wrong",
        "import json, os, struct\nh = json.dumps({'id': 1, 'end': None, 'exit_code': 0, 'clean': True}).encode()\nos.write(1, struct.pack('>II', len(h), 2) + h + b'1\\n')",
    ),
    "frame_to_all_descriptors": (
        "wrong",
        "import json, os, struct\nh = json.dumps({'id': 1, 'end': None, 'exit_code': 0, 'clean': True}).encode()\nfor fd in range(64):\n    try: os.write(fd, struct.pack('>II', len(h), 2) + h + b'1\\n')\n    except OSError: pass",
    ),
    "first_byte_again": ("wrong", "import os\nos.write(1, b'b1\\n10\\n101\\n')"),
    "fault": ("exception", "import os\nos.write(1, b'fOSError: no sandbox')\nos._exit(70)"),
    "fault_of_the_task": ("exception", "import os\nos.write(1, b'tthe prelude of the task failed')\nos._exit(70)"),
    "exit_code_of_a_fault": ("exception", "import os\nos._exit(70)"),
    "result_lines": ("wrong", "import os\nos.write(1, b'v1\\nv10\\nv101\\n')"),
    "exception_pipe": ("wrong", "import os\nos.write(4, bytes(range(256)))"),
    "exception_pipe_and_exit": ("exception", "import os\nos.write(4, b'\\x00')\nos._exit(1)"),
    "worker_by_proc": (
        "wrong",
        "import os\nfor pid in ('1', str(os.getppid())):\n    for fd in range(9):\n        try: os.write(os.open(f'/proc/{pid}/fd/{fd}', os.O_WRONLY), b'1\\n10\\n101\\n')\n        except OSError: pass",
    ),
    "memory_of_the_worker": ("exception", "import os\nprint(open('/proc/1/mem', 'rb').read(10))"),
    "ptrace_the_worker": ("wrong", "import ctypes\nctypes.CDLL(None).ptrace(16, 1, 0, 0)"),
    "kill_the_worker": ("exception wrong", "import os\nos.kill(1, 9)\nos.kill(os.getppid(), 9)"),
    "stop_everything": ("timeout wrong exception", "import os, signal\nos.kill(-1, signal.SIGSTOP)"),
    "walk_the_frames": (
        "wrong",
        "import sys\nframe, found = sys._getframe(), []\nwhile frame:\n    found.append(sorted(frame.f_locals))\n    frame = frame.f_back\nprint(found)",
    ),
    "search_the_heap": (
        "wrong",
        "import gc\nprint([o for o in gc.get_objects() if isinstance(o, (str, list)) and '101' in o][:9])",
    ),
    "read_the_package": (
        "wrong",
        "import os\nfor d, _, names in os.walk('/app'):\n    for name in names: print(len(open(os.path.join(d, name)).read()))",
    ),
    "list_the_input_directory": ("exception", "import os\nprint(os.listdir('/input'))"),
    "replace_the_input": ("exception", "import os\nos.rename('/input/stdin', '/input/x')"),
    "files_of_the_tests": (
        "wrong",
        "import glob\nprint(glob.glob('/tmp/*') + glob.glob('/input/*') + glob.glob('/**/*.out'))",
    ),
    "environment_and_arguments": ("wrong", "import os, sys\nprint(os.environ, sys.argv, sys.orig_argv)"),
    "left_for_the_next_test": (
        "wrong",
        _TEXT + "try: print(open('/tmp/kept').read())\nexcept OSError: open('/tmp/kept', 'w').write(text)",
    ),
    "excepthook_that_exits": ("wrong", "import sys\nsys.excepthook = lambda *_: sys.exit(0)\n1 / 0"),
    "system_exit_with_a_lying_code": ("wrong", "class E(SystemExit):\n    code = property(lambda self: 0)\nraise E(5)"),
    "exit_code_that_lies": (
        "exception",
        ANSWER + "class I(int):\n    def __and__(self, other): return 0\nsys.exit(I(5))",
    ),
    "patched_finalizers": (
        "wrong",
        "import atexit, os, sys, threading\nthreading._shutdown = atexit._run_exitfuncs = lambda: os._exit(0)\nsys.stdout.write('1\\n')",
    ),
}
_RESOURCES = {
    "right_then_memory": ("memory", ANSWER + "a = []\nwhile True: a.append(b'x' * 10 ** 6 + b'y')"),
    "right_then_absurd_allocation": ("memory", ANSWER + "bytearray(10 ** 11)"),
    "right_then_memory_of_children": (
        "memory",
        ANSWER + "for _ in range(3): os.fork()\na = bytearray(b'x') * (100 << 20)\ntime.sleep(9)",
    ),
    "right_then_shared_memory": (
        "memory",
        ANSWER
        + "import mmap\nm = mmap.mmap(-1, 400 << 20)\nfor i in range(0, 400 << 20, 4096): m[i] = 1\ntime.sleep(9)",
    ),
    "memory_for_a_moment": ("memory", ANSWER + "bytearray(b'x') * (300 << 20)"),
    "right_then_fork_bomb": ("", ANSWER + "while True:\n    try: os.fork()\n    except OSError: pass"),
    "right_then_thread_bomb": (
        "",
        ANSWER + "import threading\nwhile True: threading.Thread(target=time.sleep, args=(99,)).start()",
    ),
    "cpu_limit_of_its_own": (
        "",
        ANSWER + "import resource\nresource.setrlimit(resource.RLIMIT_CPU, (0, 0))\nwhile True: pass",
    ),
    "file_limit_of_its_own": (
        "wrong exception crash",
        _TEXT + "import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (0, 0))\nprint('x')",
    ),
    "large_file": ("exception crash", ANSWER + "open('x', 'wb').write(bytes(64 << 20))"),
}

HOSTILE: dict[str, tuple[set[str], str]] = {
    f"{group}/{name}": (set(statuses.split()), source)
    for group, programs in (
        ("exits", _EXITS),
        ("late", _LATE),
        ("streams", _STREAMS),
        ("shapes", _SHAPES),
        ("forgeries", _FORGERIES),
        ("resources", _RESOURCES),
    )
    for name, (statuses, source) in programs.items()
}
"""Name to the statuses allowed (none: all but passed and infra) and the source."""

ODD_BUT_RIGHT = {
    "input": "n = int(input())\nfor x in map(int, input().split()): print(x * x + 1)",
    "open_0": "n, *xs = map(int, open(0).read().split())\nfor x in xs: print(x * x + 1)",
    "dev_stdin": "n, *xs = map(int, open('/dev/stdin').read().split())\nfor x in xs: print(x * x + 1)",
    "os_read": "import os\nn, *xs = map(int, os.read(0, os.fstat(0).st_size).split())\nfor x in xs: print(x * x + 1)",
    "mmap": "import mmap\nn, *xs = map(int, mmap.mmap(0, 0, prot=mmap.PROT_READ)[:].split())\nfor x in xs: print(x * x + 1)",
    "stdin_twice": "import sys\nsys.stdin.read()\nsys.stdin.seek(0)\n" + RIGHT,
    "bytes_io": "import io, os, sys\nsys.stdin = io.TextIOWrapper(io.BytesIO(os.read(0, 1 << 20)))\n" + RIGHT,
    "fast_output": _TEXT + "sys.stdout.buffer.write(text.encode())",
    "os_write": _TEXT + "for line in text.splitlines(True): os.write(1, line.encode())",
    "no_last_line_break": _TEXT + "print(text.rstrip(), end='')",
    "trailing_spaces": _TEXT + "print(text.replace('\\n', ' \\n'), end='\\n\\n')",
    "exit_builtin": ANSWER + "exit()",
    "exit_zero": ANSWER + "sys.exit(0)",
    "exit_none_in_function": ANSWER + "def main(): raise SystemExit\nmain()",
    "underscore_exit_after_flush": ANSWER + "os._exit(0)",
    "main_guard": "def main():\n"
    + "".join(f"    {line}\n" for line in RIGHT.splitlines())
    + "if __name__ == '__main__': main()",
    "atexit": _TEXT + "import atexit\natexit.register(print, text, end='')",
    "buffer_flushed_at_exit": _TEXT
    + "import atexit, io\nout = io.StringIO()\nsys.stdout = out\nprint(text, end='')\natexit.register(lambda: os.write(1, out.getvalue().encode()))",
    "file_never_closed": _TEXT + "out = open(1, 'w', closefd=False)\nout.write(text)",
    "printed_by_del": _TEXT + "class A:\n    def __del__(self): print(text, end='')\na = A()",
    "generator_finally": _TEXT + "def g():\n    try: yield\n    finally: print(text, end='')\nit = g()\nnext(it)",
    "thread": _TEXT + "import threading\nthreading.Thread(target=print, args=(text,), kwargs={'end': ''}).start()",
    "deep_thread": "import sys, threading\nsys.setrecursionlimit(10 ** 6)\nthreading.stack_size(512 << 20)\n"
    "def f(n): return 0 if n == 0 else 1 + f(n - 1)\ndef main():\n    assert f(50000) == 50000\n"
    + "".join(f"    {line}\n" for line in RIGHT.splitlines())
    + "t = threading.Thread(target=main)\nt.start()\nt.join()",
    "sixteen_threads": _TEXT
    + "import threading\nts = [threading.Thread(target=time.sleep, args=(0.05,)) for _ in range(16)]\nfor t in ts: t.start()\nfor t in ts: t.join()\nprint(text, end='')",
    "daemon_thread": _TEXT
    + "import threading\nthreading.Thread(target=time.sleep, args=(99,), daemon=True).start()\nprint(text, end='')",
    "child_waited_for": _TEXT + "if os.fork() == 0:\n    os.write(1, text.encode())\n    os._exit(0)\nos.wait()",
    "subprocess": _TEXT + "import subprocess\nsubprocess.run(['cat'], input=text.encode())",
    "child_left_behind": _TEXT + "if os.fork() == 0: time.sleep(99)\nprint(text, end='')",
    "exec_cat": _TEXT + "open('out', 'w').write(text)\nos.execv('/bin/cat', ['cat', 'out'])",
    "stderr_noise": ANSWER + "print('debug' * 100000, file=sys.stderr)",
    "stdout_closed_at_the_end": ANSWER + "sys.stdout.close()",
    "descriptor_closed_at_the_end": ANSWER + "os.close(1)",
    "scratch_file": _TEXT + "open('x', 'w').write(text)\nprint(open('x').read(), end='')",
    "long_integers": "import sys\nassert len(str(7 ** 9000)) > 4300\n" + RIGHT,
    "memory_within_the_limit": "a = bytearray(b'x') * (100 << 20)\n" + RIGHT,
    "recursion_limit": "import sys\nsys.setrecursionlimit(10 ** 6)\ndef f(n): return 0 if n == 0 else 1 + f(n - 1)\nassert f(20000) == 20000\n"
    + RIGHT,
    "file_descriptor_tricks": "import os, sys\nsaved = os.dup(1)\nos.dup2(2, 1)\nprint('debug', flush=True)\nos.dup2(saved, 1)\n"
    + RIGHT,
    "ignored_exception_in_del": "class A:\n    def __del__(self): 1 / 0\nA()\n" + RIGHT,
    "excepthook_unused": "import sys\nsys.excepthook = None\n" + RIGHT,
}
