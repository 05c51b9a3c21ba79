"""Too much output, by value, by pipe and by print."""

PROGRAMS = {
    "huge": ("output_limit", "def solve(n): return 'x' * (8 << 20)"),
    "many": ("output_limit", "def solve(n): return [n] * 100000 + ['x' * 99999] * 20"),
    "many_nodes": ("output_limit", "def solve(n): return [0] * 10 ** 6"),
    "huge_int": ("output_limit", "def solve(n): return 1 << 10 ** 7"),
    "huge_int_printable": (
        "output_limit",
        "import sys\nsys.set_int_max_str_digits(0)\ndef solve(n): return 10 ** 500000",
    ),
    "cyclic": ("output_limit", "def solve(n):\n    a = []\n    a.append(a)\n    return a"),
    "cyclic_dict": ("output_limit", "def solve(n):\n    a = {}\n    a['x'] = a\n    return a"),
    "doubling": ("output_limit timeout", "def solve(n):\n    a = []\n    for _ in range(60): a = [a, a]\n    return a"),
    "deep": ("output_limit", "def solve(n):\n    a = 1\n    for _ in range(10 ** 5): a = [a]\n    return a"),
    "deep_tuples": (
        "output_limit",
        "def solve(n):\n    a = 1\n    for _ in range(10 ** 5): a = (a, {'k': a})\n    return a",
    ),
    "escapes": ("output_limit", "def solve(n): return '\\udce9\\x00\\U0010ffff' * 300000"),
    "flood_fd_3": ("output_limit crash", "import os\ndef solve(n):\n    while True: os.write(3, b'x' * 65536)"),
    "flood_fd_3_and_sleep": (
        "output_limit crash timeout",
        "import os, time\ndef solve(n):\n    os.set_blocking(3, False)\n    for _ in range(64):\n"
        "        try: os.write(3, b'v1\\n' * 9999)\n        except BlockingIOError: time.sleep(0.03)",
    ),
    "flood_stdout": ("timeout", "def solve(n):\n    while True: print('x' * 65536)"),
    "flood_stderr_at_load": ("timeout", "import os\nwhile True: os.write(2, b'x' * 65536)"),
    "many_errors": ("exception", "def solve(n): raise ValueError('x' * 10 ** 7)"),
    "load_error_with_a_huge_message": ("load_error memory", "raise ValueError('x' * 10 ** 8)"),
    "grows_while_encoded": (
        "wrong output_limit exception",
        "class A(list):\n    def __iter__(s):\n        while True: yield 1\ndef solve(n): return A()",
    ),
    "prints_the_answer": ("wrong", "def solve(n): print(n * n + 1)"),
    "prints_the_answer_to_every_descriptor": (
        "crash wrong output_limit",
        "import os\ndef solve(n):\n    for fd in range(64):\n        try: os.write(fd, str(n * n + 1).encode())\n"
        "        except OSError: pass",
    ),
    "prints_passed": ("wrong", "print('passed', 'OK', 'All tests passed')\ndef solve(n): print('PASS')"),
}
