"""Whole programs with standard input and output, in a worker without a sandbox around it."""

import sys

import pytest

from tests.support.sandbox_driver import is_normal_end

READS = {
    "input": "print(int(input()) + int(input()))",
    "stdin": "import sys\nprint(sum(map(int, sys.stdin)))",
    "buffer": "import sys\nprint(sum(map(int, sys.stdin.buffer.read().split())))",
    "open_0": "print(sum(map(int, open(0))))",
    "open_dev_stdin": "print(sum(map(int, open('/dev/stdin').read().split())))",
    "os_read": "import os\nprint(sum(map(int, os.read(0, os.fstat(0).st_size).split())))",
    "seek": "import sys\nsys.stdin.read()\nsys.stdin.seek(0)\nprint(sum(map(int, sys.stdin.readlines())))",
    "mmap": "import mmap\nprint(sum(map(int, mmap.mmap(0, 0, prot=mmap.PROT_READ)[:].split())))",
    "fileinput": "import fileinput\nprint(sum(map(int, fileinput.input())))",
}


@pytest.mark.parametrize("source", READS.values(), ids=READS)
def test_every_way_to_read_the_input(driver, source):
    reply, stdout = driver.run_stdin(source, "30\n12\n")
    assert stdout == b"42\n"
    assert {name: reply[name] for name in ("end", "exit_code", "error", "clean")} == {
        "end": None, "exit_code": 0, "error": None, "clean": True
    }  # fmt: skip


def test_input_is_a_regular_file_that_cannot_be_written(driver):
    source = """
import os, stat
print(stat.S_ISREG(os.fstat(0).st_mode), os.lseek(0, 0, 2))
try:
    os.write(0, b"x")
except OSError as error:
    print(error.strerror)
"""
    assert driver.run_stdin(source, "abc")[1] == b"True 3\nBad file descriptor\n"


def test_input_at_its_end_and_empty_input(driver):
    source = "try: input()\nexcept EOFError: print('end')"
    assert driver.run_stdin(source)[1] == b"end\n"


def test_bytes_of_any_kind_pass_through_the_text_streams(driver):
    every_byte = bytes(range(256)).replace(b"\r", b"")
    assert driver.run_stdin("import sys\nsys.stdout.write(sys.stdin.read())", every_byte)[1] == every_byte


def test_large_input_and_output(driver):
    data = b"0123456789abcde\n" * (1 << 20)
    source = "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read())"
    reply, stdout = driver.run_stdin(source, data, output_bytes=32 << 20)
    assert stdout == data
    assert is_normal_end(reply)


def test_input_beyond_the_maximum_is_a_fault(driver):
    reply, stdout = driver.run_stdin("print(1)", bytes((64 << 20) + 1))
    assert (reply["end"], stdout) == ("fault", b"")
    assert "67108865 bytes; 67108864 are allowed" in reply["why"]
    assert driver.run_stdin("print(1)")[1] == b"1\n"
    assert driver.num_replaced == 0


ENDS = {
    # source: exit code, output, error
    "print('a')": (0, "a\n", None),
    "import sys\nprint('a')\nsys.exit()": (0, "a\n", None),
    "import sys\nprint('a')\nsys.exit(3)": (3, "a\n", None),
    "import sys\nsys.exit('text')": (1, "", None),
    "import sys\nsys.exit(-1)": (255, "", None),
    "import sys\nsys.exit(True)": (1, "", None),
    "print('a')\nexit()": (0, "a\n", None),
    "print('a')\nquit(2)": (2, "a\n", None),
    "raise SystemExit": (0, "", None),
    "print('a')\n1 / 0": (1, "a\n", "ZeroDivisionError"),
    "class E(ValueError): pass\nraise E": (1, "", "ValueError"),
    "raise MemoryError": (1, "", "MemoryError"),
    "raise KeyboardInterrupt": (130, "", None),
    "print(": (1, "", "SyntaxError"),
    "import os\nprint('a')\nos._exit(0)": (0, "", None),
    "import os\nprint('a', flush=True)\nprint('b')\nos._exit(0)": (0, "a\n", None),
    "import atexit\natexit.register(print, 'b')\nprint('a')": (0, "a\nb\n", None),
    "import atexit\natexit.register(lambda: 1 / 0)\nprint('a')": (0, "a\n", None),
    "import sys, atexit\natexit.register(print, 'b')\nsys.exit(4)": (4, "b\n", None),
    "import os\nprint('a', flush=True)\nos.close(1)": (0, "a\n", None),
    "import sys\nprint('a')\nsys.stdout.close()": (0, "a\n", None),
    "import sys\nprint('a')\nsys.stdout = None": (0, "a\n", None),
    "import io, sys\nsys.stdout = io.StringIO()\nprint('a')": (0, "", None),
    "f = open(1, 'w', closefd=False)\nf.write('a')": (0, "a", None),
    "class A:\n    def __del__(self): print('gone')\na = A()\nb = [a]\nb.append(b)": (0, "gone\n", None),
    "import sys\nsys.excepthook = lambda *_: print('hook')\n1 / 0": (1, "hook\n", "ZeroDivisionError"),
    "import sys\nsys.excepthook = lambda *_: sys.exit(0)\n1 / 0": (0, "", None),
    "import threading, time\ndef f():\n    time.sleep(0.1)\n    print('late')\nthreading.Thread(target=f).start()": (
        0, "late\n", None,
    ),
    "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\nprint('a')": (
        0, "a\n", None,
    ),
    "print(__name__, __file__)": (0, "__main__ main.py\n", None),
    "import __main__\nx = 5\nprint(__main__.x)": (0, "5\n", None),
}  # fmt: skip


@pytest.mark.parametrize("source", ENDS)
def test_every_way_to_end(driver, source):
    code, output, error = ENDS[source]
    reply, stdout = driver.run_stdin(source)
    assert (reply["end"], reply["exit_code"], stdout, reply["error"]) == (None, code, output.encode(), error)


@pytest.mark.parametrize(
    ("source", "limits", "end"),
    [
        ("while True: pass", {"cpu_time_s": 0.2}, "timeout"),
        ("import time\ntime.sleep(60)", {"wall_time_s": 0.2}, "timeout"),
        ("while True: print('x' * 1000)", {"output_bytes": 100_000}, "output_limit"),
        ("print('x' * 1001, end='')", {"output_bytes": 1000}, "output_limit"),
        ("print('x' * 1000, end='')", {"output_bytes": 1000}, None),
        ("bytearray(80 << 20)", {"memory_bytes": 64 << 20}, "memory"),  # may be gone at the next check
        ("a = []\nwhile True: a.append(bytes(b'x' * 10 ** 6))", {"memory_bytes": 64 << 20}, "memory"),
    ],
)
def test_exceeded_limits(driver, source, limits, end):
    reply, stdout = driver.run_stdin(source, **limits)
    assert (reply["end"], reply["clean"]) == (end, True)
    assert len(stdout) <= limits.get("output_bytes", 0)


def test_untouched_memory_does_not_count_and_absurd_allocations_raise(driver):
    assert driver.run_stdin("import mmap\nmmap.mmap(-1, 100 << 20)\nprint(1)", memory_bytes=64 << 20)[1] == b"1\n"
    reply, _ = driver.run_stdin("bytearray(10 ** 10)")
    assert (reply["exit_code"], reply["error"]) == (1, "MemoryError")


def test_threads_with_large_stacks_and_deep_recursion(driver):
    depth = 9000 if sys.version_info < (3, 12) else 400  # later versions bound recursion through C code themselves
    source = f"""
import sys, threading
sys.setrecursionlimit(10 ** 6)
threading.stack_size(512 << 20)
def depth(n):
    return 0 if n == 0 else 1 + max(depth(m) for m in [n - 1])
results = []
threads = [threading.Thread(target=lambda: results.append(depth({depth}))) for _ in range(16)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(results)
"""
    assert driver.run_stdin(source)[1] == f"{[depth] * 16}\n".encode()


def test_integers_of_any_length_can_be_printed_and_parsed(driver):
    digits = "7" * 20_000
    assert driver.run_stdin("print(int(input()) + 1)", digits)[1].decode() == digits[:-1] + "8\n"


def test_arguments_files_and_prelude(driver):
    program = {"argv": ["-x", "y"], "files": {"input.txt": "5\n"}, "prelude": "from math import gcd\nK = 6"}
    source = "import sys\nprint(sys.argv, open('input.txt').read().strip(), gcd(K, 4), __name__)"
    assert driver.run_stdin(source, program=program)[1] == b"['main.py', '-x', 'y'] 5 2 __main__\n"
    assert driver.run_stdin("import os\nprint(os.listdir('.'))")[1] == b"[]\n"


@pytest.mark.parametrize("name", ["a/b", "..", "", "/etc/x"])
def test_file_outside_the_directory_is_a_fault(driver, name):
    reply, _ = driver.run_stdin("print(1)", program={"files": {name: ""}})
    assert reply["end"] == "fault"
    assert f"files: {name!r}" in reply["why"]


@pytest.mark.parametrize("prelude", ["1 / 0", "print(", "import sys; sys.exit(0)"])
def test_prelude_that_fails_is_a_fault_and_costs_no_sandbox(driver, prelude):
    before = driver.num_replaced
    reply, stdout = driver.run_stdin("print(1)", program={"prelude": prelude})
    assert (reply["end"], reply["clean"], stdout) == ("fault", True, b"")
    assert reply["why"].startswith("the prelude of the task failed: ")
    assert driver.run_stdin("print(1)")[1] == b"1\n"
    assert driver.num_replaced == before


def test_program_cannot_forge_a_fault(driver):
    reply, stdout = driver.run_stdin("import os\nos.write(1, b'tno')\nos._exit(70)")
    assert (reply["end"], reply["exit_code"], stdout) == (None, 70, b"tno")


@pytest.mark.parametrize("number", [0xFF, 0])
def test_program_can_only_name_a_builtin_exception(driver, number):
    reply, _ = driver.run_stdin(f"import os\nos.write(4, bytes([{number}]) * 9)\nos._exit(1)")
    assert reply["error"] == (None if number else "ArithmeticError")


def test_output_after_the_end_of_the_program_does_not_count(driver):
    source = """
import os, time
print("now", flush=True)
if os.fork() == 0:
    time.sleep(0.5)
    print("later", flush=True)
"""
    assert driver.run_stdin(source)[1] == b"now\n"


def test_output_of_children_during_the_program_counts(driver):
    assert driver.run_stdin("import subprocess\nsubprocess.run(['echo', '42'])")[1] == b"42\n"
