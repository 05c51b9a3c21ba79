"""Odd deeds of programs that are right: output, threads, files, processes, patches, big numbers. Each must pass."""

# ruff: noqa: E501

from tests.sandbox.hostile.record import RIGHT, dedented

PROGRAMS = dedented(
    chatty="""
        import sys
        def solve(n):
            print("x" * 200000)
            sys.stderr.write("y" * 200000)
            sys.stdout.flush()
            return n * n + 1
    """,
    very_chatty="def solve(n):\n    for i in range(20000): print(i, flush=i % 100 == 0)\n    return n * n + 1",
    raw_writes="import os\ndef solve(n):\n    for _ in range(50): os.write(1, b'x' * 65536)\n    return n * n + 1",
    prints_bytes="import sys\ndef solve(n):\n    sys.stdout.buffer.write(bytes(range(256)))\n    return n * n + 1",
    closes_stdout="import sys\nsys.stdout.close()\nsys.stderr.close()\ndef solve(n): return n * n + 1",
    redirects_stdout="""
        import contextlib, io
        def solve(n):
            with contextlib.redirect_stdout(io.StringIO()) as out: print(n * n + 1)
            return int(out.getvalue())
    """,
    captures_stdin="import io, sys\ndef solve(n):\n    sys.stdin = io.StringIO(str(n))\n    return int(input()) ** 2 + 1",
    empty_stdin="import sys\ndef solve(n): return n * n + 1 + len(sys.stdin.read())",
    logs="""
        import logging
        logging.basicConfig(level=logging.DEBUG)
        def solve(n):
            logging.getLogger(__name__).warning("solving %s", n)
            return n * n + 1
    """,
    warns="""
        import warnings
        warnings.simplefilter("always")
        def solve(n):
            warnings.warn("odd")
            return n * n + 1
    """,
    warning_from_the_compiler="def solve(n): return n * n + 1 if n is not 1000 or '\\d' else 0",
    prints_a_traceback="""
        import traceback
        def solve(n):
            try: 1 / 0
            except ZeroDivisionError: traceback.print_exc()
            return n * n + 1
    """,
    threads="""
        from concurrent.futures import ThreadPoolExecutor
        def solve(n):
            with ThreadPoolExecutor(4) as pool:
                return sum(pool.map(lambda x: x, [n * n, 1]))
    """,
    thread_left_running="""
        import threading, time
        threading.Thread(target=time.sleep, args=(600,)).start()
        def solve(n): return n * n + 1
    """,
    daemon_thread_left_running="""
        import threading
        def solve(n):
            threading.Thread(target=threading.Event().wait, daemon=True).start()
            return n * n + 1
    """,
    queue_between_threads="""
        import queue, threading
        def solve(n):
            q = queue.Queue()
            threading.Thread(target=lambda: q.put(n * n + 1)).start()
            return q.get(timeout=5)
    """,
    timer="""
        import threading
        def solve(n):
            out = []
            t = threading.Timer(0.01, lambda: out.append(n * n + 1)); t.start(); t.join()
            return out[0]
    """,
    context_variables="""
        import contextvars
        v = contextvars.ContextVar("v")
        def solve(n):
            v.set(n)
            return contextvars.copy_context().run(lambda: v.get() ** 2 + 1)
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
    temporary_file_unnamed="""
        import tempfile
        def solve(n):
            with tempfile.TemporaryFile("w+") as file:
                file.write(str(n * n + 1)); file.seek(0)
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
    module_written_and_imported="""
        import sys
        open("helper_module.py", "w").write("def square(n): return n * n")
        sys.path.insert(0, ".")
        from helper_module import square
        def solve(n): return square(n) + 1
    """,
    database="""
        import sqlite3
        def solve(n):
            db = sqlite3.connect(":memory:")
            return db.execute("select ? * ? + 1", (n, n)).fetchone()[0]
    """,
    subprocess_="""
        import subprocess, sys
        def solve(n):
            return int(subprocess.run(["/bin/sh", "-c", f"echo $(({n} * {n} + 1))"], capture_output=True).stdout)
    """,
    subprocess_python="""
        import subprocess, sys
        answers = {}
        def solve(n):
            code = f"print(({n}) ** 2 + 1)"
            return int(subprocess.check_output([sys.executable, "-c", code]))
    """,
    catches_its_own_exit="""
        import sys
        def solve(n):
            try:
                sys.exit(1)
            except SystemExit:
                return n * n + 1
    """,
    exits_in_a_thread="""
        import sys, threading
        def solve(n):
            t = threading.Thread(target=sys.exit); t.start(); t.join()
            return n * n + 1
    """,
    finally_wins="def solve(n):\n    try: raise SystemExit\n    finally: return n * n + 1",
    main_guard=RIGHT + "\nif __name__ == '__main__':\n    raise SystemExit(solve(int(input())))\n",
    main_guard_with_unittest=RIGHT
    + "\nimport unittest\nclass T(unittest.TestCase):\n    def test(self): self.assertEqual(solve(1), 2)\n"
    "\nif __name__ == '__main__':\n    unittest.main()\n",
    doctest_="""
        def solve(n):
            '''
            >>> solve(3)
            10
            '''
            import doctest
            return n * n + 1
    """,
    asserts_of_its_own=RIGHT + "assert solve(3) == 10, 'self test'\nassert not solve(2) == 4\n",
    asyncio_inside="""
        import asyncio
        async def square(n):
            await asyncio.sleep(0)
            return n * n + 1
        def solve(n):
            return asyncio.run(square(n))
    """,
    asyncio_gather="""
        import asyncio
        async def one(): return 1
        async def go(n): return sum(await asyncio.gather(*[one() for _ in range(n * n + 1)]))
        def solve(n): return asyncio.new_event_loop().run_until_complete(go(n))
    """,
    patched_builtins="""
        import builtins, json
        def solve(n):
            result = n * n + 1
            builtins.print = builtins.open = json.dumps = json.JSONEncoder = None
            return result
    """,
    shadowed_builtins="""
        list = str = len = type = 3
        def solve(int): return int * int + 1
    """,
    builtins_removed="import builtins\nfor name in ('open', 'print', 'eval', 'input'): delattr(builtins, name)\n"
    "def solve(n): return n * n + 1",
    deletes_itself="""
        def solve(n):
            global solve
            keep = solve
            del solve
            solve = keep
            return n * n + 1
    """,
    replaces_itself="""
        def solve(n):
            global solve
            solve = lambda n: 0
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
    child_never_reaped="import os\ndef solve(n):\n    if os.fork() == 0: os._exit(1)\n    return n * n + 1",
    multiprocessing_="""
        import multiprocessing as mp
        def work(pipe, n): pipe.send(n * n + 1)
        def solve(n):
            ours, theirs = mp.get_context("fork").Pipe()
            p = mp.get_context("fork").Process(target=work, args=(theirs, n)); p.start()
            answer = ours.recv(); p.join()
            return answer
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
    signal_handlers="""
        import signal, os
        hits = []
        signal.signal(signal.SIGUSR1, lambda *a: hits.append(1))
        def solve(n):
            hits.clear()
            os.kill(os.getpid(), signal.SIGUSR1)
            return n * n + sum(hits)
    """,
    alarm_handled="""
        import signal, time
        class Late(Exception): pass
        def late(*a): raise Late
        def solve(n):
            signal.signal(signal.SIGALRM, late)
            signal.setitimer(signal.ITIMER_REAL, 0.01)
            try: time.sleep(5)
            except Late: return n * n + 1
    """,
    many_imports="""
        import collections, re, json, math, random, string, itertools, functools, heapq, bisect, decimal, fractions
        import statistics, datetime, typing, operator, copy, hashlib, zlib, unicodedata, calendar, cmath, numbers
        import contextlib, abc, enum, dataclasses, array, struct, base64, binascii, csv, io, time, pprint, textwrap
        import difflib, graphlib, queue, secrets, uuid, zoneinfo, locale, ast, inspect, types, weakref, gc, sys, os
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
    recursion_limit_raised="""
        import sys
        sys.setrecursionlimit(50000)
        def depth(k): return 0 if k == 0 else 1 + depth(k - 1)
        def solve(n): return n * n + 1 + depth(20000) - 20000
    """,
    deep_but_legal="""
        def depth(k):
            return 0 if k == 0 else 1 + depth(k - 1)
        def solve(n):
            return n * n + 1 + depth(900) - 900
    """,
    handles_recursion_error="""
        def forever(n): return forever(n)
        def solve(n):
            try: forever(n)
            except RecursionError: return n * n + 1
    """,
    handles_memory_error="""
        def solve(n):
            try: [0] * 10 ** 12
            except MemoryError: return n * n + 1
    """,
    large_but_within_memory="def solve(n):\n    b = bytearray(100 << 20)\n    b[::4096] = b'x' * len(b[::4096])\n    return n * n + len(b[:1])",
    big_integers="def solve(n): return n * n + 1 + (7 ** 20000) % 7",
    decimals="from decimal import *\ngetcontext().prec = 200\ndef solve(n): return int(Decimal(n) * Decimal(n) + Decimal('1.0'))",
    floats_made_int="def solve(n): return int(round((n ** 4) ** 0.5)) + 1",
    random_but_right="import random\ndef solve(n):\n    random.seed()\n    return n * n + 1 + 0 * random.randrange(99)",
    sets_in_any_order="def solve(n): return sum(sorted({abs(n)} | {0})) ** 2 + 1",
    time_dependent="import time, datetime\ndef solve(n): return n * n + (time.time() > 0) + 0 * datetime.datetime.now().year",
    sleeps_a_little="import time\ndef solve(n):\n    time.sleep(0.02)\n    return n * n + 1",
    weak_references="""
        import weakref, gc
        class Node: pass
        def solve(n):
            a, b = Node(), Node()
            a.b, b.a = b, a
            r = weakref.ref(a)
            del a, b
            gc.collect()
            return n * n + (r() is None)
    """,
    finalisers="""
        class A:
            def __del__(self): raise ValueError("ignored")
        def solve(n):
            A()
            return n * n + 1
    """,
    atexit_that_raises="import atexit\natexit.register(lambda: 1 / 0)\ndef solve(n): return n * n + 1",
    excepthook_set="import sys\nsys.excepthook = lambda *a: None\ndef solve(n): return n * n + 1",
    tracing="import sys\nsys.settrace(lambda *a: None)\ndef solve(n): return n * n + 1",
    garbage_collector_off="import gc\ngc.disable()\ngc.set_threshold(0)\ndef solve(n): return n * n + 1",
    changes_folder="import os\ndef solve(n):\n    os.chdir('/')\n    return n * n + 1",
    changes_environment="import os\nos.environ.clear()\nos.environ['LANG'] = 'C'\ndef solve(n): return n * n + 1",
    changes_locale="import locale\nlocale.setlocale(locale.LC_ALL, 'C')\ndef solve(n): return n * n + 1",
    ctypes_="import ctypes\nlibc = ctypes.CDLL(None)\ndef solve(n): return libc.abs(n) * libc.abs(n) + 1",
    module_introspection="import sys\nme = sys.modules[__name__]\ndef helper(n): return n * n\ndef solve(n): return me.helper(n) + 1",
    main_module_introspection="import __main__\ndef helper(n): return n * n\ndef solve(n): return __main__.helper(n) + 1",
    frames="import inspect\ndef solve(n): return n * n + (inspect.currentframe().f_code.co_name == 'solve')",
)
