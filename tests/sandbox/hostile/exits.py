"""Leaving early, by every door, and tearing down: an exit code is no verdict."""

# ruff: noqa: E501

PROGRAMS = {
    "exit_at_load": ("crash", "import os; os._exit(0)"),
    "sys_exit_at_load": ("load_error", "import sys; sys.exit(0)"),
    "sys_exit_in_call": ("exception", "import sys\ndef solve(n): sys.exit(0)"),
    "os_exit_in_call": ("crash", "import os\ndef solve(n): os._exit(0)"),
    "raise_system_exit": ("exception", "def solve(n): raise SystemExit(0)"),
    "raise_system_exit_at_load": ("load_error", "raise SystemExit"),
    "keyboard_interrupt": ("exception", "def solve(n): raise KeyboardInterrupt"),
    "generator_exit": ("exception", "def solve(n): raise GeneratorExit"),
    "stop_iteration": ("exception", "def solve(n): raise StopIteration(n * n + 1)"),
    "exec_true": ("crash", "import os\ndef solve(n): os.execv('/usr/bin/true', ['true'])"),
    "exec_true_at_load": ("crash", "import os\nos.execv('/bin/sh', ['sh', '-c', 'exit 0'])"),
    "exec_python_printing_the_answer": (
        "crash",
        "import os, sys\ndef solve(n): os.execv(sys.executable, [sys.executable, '-c', f'print({n * n + 1})'])",
    ),
    "atexit_only": ("wrong", "import atexit, os\natexit.register(os._exit, 0)\ndef solve(n): return None"),
    "libc_exit": ("crash", "import ctypes\ndef solve(n): ctypes.CDLL(None).exit(0)"),
    "libc_underscore_exit": ("crash", "import ctypes\ndef solve(n): ctypes.CDLL(None)._exit(0)"),
    "fork_and_leave": ("crash", "import os\ndef solve(n):\n    if os.fork(): os._exit(0)\n    return n * n + 1\n"),
    "child_answers_for_us": (
        "crash",
        "import os, time\npid = os.fork()\nif pid: os.waitpid(pid, 0); os._exit(0)\ntime.sleep(0.05); os._exit(0)",
    ),
    "quit_builtin": ("load_error exception", "quit()"),
    "exit_in_a_thread": (
        "crash",
        "import os, threading\ndef solve(n):\n    t = threading.Thread(target=os._exit, args=(0,)); t.start(); t.join()",
    ),
    "exit_in_del": (
        "crash",
        "import os\nclass A:\n    def __del__(self): os._exit(0)\ndef solve(n):\n    A()\n    return n * n + 1",
    ),
    "exit_in_weakref": (
        "crash",
        "import os, weakref\nclass A: pass\na = A()\nr = weakref.ref(a, lambda _: os._exit(0))\n"
        "def solve(n):\n    global a\n    a = None\n    return n * n + 1",
    ),
    "exit_in_trace": (
        "crash",
        "import os, sys\ndef solve(n):\n    sys.settrace(lambda *a: os._exit(0))\n    (lambda: 0)()\n    return n * n + 1",
    ),
    "exit_in_profile": ("crash", "import os, sys\nsys.setprofile(lambda *a: os._exit(0))\ndef solve(n): return n"),
    "exit_in_audit_hook": (
        "crash",
        "import os, sys\nsys.addaudithook(lambda *a: os._exit(0))\ndef solve(n): return open('/dev/null') and n",
    ),
    "exit_in_alarm": (
        "crash",
        "import os, signal, time\nsignal.signal(signal.SIGALRM, lambda *a: os._exit(0))\nsignal.setitimer(0, 0.01)\n"
        "def solve(n): time.sleep(5)",
    ),
    "excepthook_says_all_is_well": (
        "load_error",
        "import os, sys\nsys.excepthook = lambda *a: os._exit(0)\nraise ValueError",
    ),
    "system_exit_in_repr_of_an_error": (
        "exception",
        "class E(Exception):\n    def __repr__(self): raise SystemExit(0)\n    __str__ = __repr__\ndef solve(n): raise E",
    ),
    "error_whose_type_lies": (
        "exception",
        "class M(type):\n    __name__ = property(lambda s: 'passed')\nclass E(Exception, metaclass=M): pass\n"
        "def solve(n): raise E",
    ),
    "error_whose_type_explodes": (
        "exception",
        "class M(type):\n    __name__ = property(lambda s: 1 / 0)\nclass E(Exception, metaclass=M): pass\n"
        "def solve(n): raise E",
    ),
    "error_named_infra": ("exception", "E = type('infra', (Exception,), {})\ndef solve(n): raise E"),
    "error_named_passed": ("exception", "E = type('passed\\n', (Exception,), {})\ndef solve(n): raise E"),
    "error_with_a_surrogate_name": (
        "exception load_error",
        "E = type('\\udce9' * 500, (Exception,), {})\ndef solve(n): raise E",
    ),
    "error_with_a_huge_name": ("exception", "E = type('x' * 9000000, (Exception,), {})\ndef solve(n): raise E"),
    "exception_group": (
        "exception",
        "def solve(n): raise BaseExceptionGroup('x', [SystemExit(0), KeyboardInterrupt()])",
    ),
    "a_prefix_of_right_answers": (
        "crash",
        "import os\ndef solve(n):\n    if n == -4: os._exit(0)\n    return n * n + 1",
    ),
}
