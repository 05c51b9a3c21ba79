"""Memory bombs: address space, processes together, files, kernel objects, recursion.

Those that fill hundreds of megabytes may meet the limit of time first: the machine's speed decides.
"""

# ruff: noqa: E501

PROGRAMS = {
    "list": ("memory", "def solve(n): return [0] * 10 ** 10"),
    "growing": (
        "memory timeout",
        "def solve(n):\n    a = []\n    while True: a.append('x' * 10 ** 6 + str(len(a)))",
    ),
    "at_load": ("memory", "a = bytearray(10 ** 10)"),
    "string_format": ("memory", "def solve(n): return len(f'{n:>9999999999}')"),
    "dict": ("memory timeout", "def solve(n): return len({i: [i] * 9 for i in range(10 ** 9)})"),
    "big_shift": ("memory timeout", "def solve(n): return (1 << (1 << 33)).bit_length()"),
    "factorial": ("timeout memory", "import math\ndef solve(n): return math.factorial(10 ** 8) % 7"),
    "join": ("memory", "def solve(n): return len(','.join(['x' * 10 ** 6] * 10 ** 4))"),
    "caught_again_and_again": (
        "timeout memory",
        "def solve(n):\n    while True:\n        try: bytearray(10 ** 10)\n        except MemoryError: pass",
    ),
    "hoard_then_answer_wrong": (
        "wrong memory timeout",
        "a = []\ntry:\n    while True: a.append(bytearray(10 ** 6))\nexcept MemoryError: pass\ndef solve(n): return 0",
    ),
    "in_children": (
        "",
        "import os\ndef solve(n):\n    while True:\n        try: os.fork()\n        except OSError: pass\n"
        "        try: bytearray(200 << 20)[::4096]\n        except MemoryError: pass",
    ),
    "touched_in_children": (
        "",
        "import os, time\nfor _ in range(8):\n    if os.fork() == 0:\n        b = bytearray(180 << 20)\n"
        "        for i in range(0, len(b), 4096): b[i] = 1\n        time.sleep(60)\n"
        "def solve(n):\n    b = bytearray(180 << 20)\n    for i in range(0, len(b), 4096): b[i] = 1\n    time.sleep(60)",
    ),
    "raise_own_limit": (
        "exception",
        "import resource\ndef solve(n): resource.setrlimit(resource.RLIMIT_AS, (-1, -1)); return 0",
    ),
    "raise_every_limit": (
        "load_error",
        "import resource\nfor r in range(16): resource.setrlimit(r, (1 << 40, 1 << 40))\ndef solve(n): return 0",
    ),
    "mmap": ("exception", "import mmap\ndef solve(n): return len(mmap.mmap(-1, 1 << 40))"),
    "mmap_shared": (
        "exception memory timeout",
        "import mmap\na = []\ndef solve(n):\n    while True:\n        a.append(mmap.mmap(-1, 32 << 20))\n"
        "        a[-1].write(b'x' * (32 << 20))",
    ),
    "files": (
        "exception",
        "def solve(n):\n    for i in range(100):\n        with open(f'/tmp/{i}', 'wb') as f: f.write(bytes(8 << 20))",
    ),
    "one_file": ("exception crash", "def solve(n):\n    with open('f', 'wb') as f: f.write(bytes(64 << 20))"),
    "sparse_file": ("exception crash", "import os\ndef solve(n): os.truncate(os.open('f', 66), 1 << 40); return 0"),
    "unlinked_files": (
        "exception",
        "import os\nfds = []\ndef solve(n):\n    while True:\n        fds.append(os.open('f', 66))\n        os.unlink('f')\n"
        "        os.write(fds[-1], bytes(1 << 20))",
    ),
    "many_inodes": ("exception timeout", "def solve(n):\n    for i in range(10 ** 7): open(f'i{i}', 'w').close()"),
    "many_folders": ("exception timeout", "import os\ndef solve(n):\n    while True: os.mkdir('d'); os.chdir('d')"),
    "many_links": (
        "exception timeout",
        "import os\ndef solve(n):\n    for i in range(10 ** 7): os.symlink('x' * 4000, f'l{i}')",
    ),
    "many_attributes": (
        "exception timeout",
        "import os\ndef solve(n):\n    open('f', 'w').close()\n    for i in range(10 ** 7): os.setxattr('f', f'user.{i}', b'x' * 60000)",
    ),
    "many_descriptors": ("exception", "import os\ndef solve(n):\n    while True: os.open('/dev/null', 0)"),
    "many_pipes": ("exception", "import os\ndef solve(n):\n    while True: os.pipe()"),
    "wide_pipes": (
        "exception",
        "import fcntl, os\ndef solve(n):\n    while True:\n        r, w = os.pipe()\n        fcntl.fcntl(w, 1031, 1 << 20)\n"
        "        os.write(w, bytes(1 << 20))",
    ),
    "socket_buffers": (
        "exception",
        "import socket\nkept = []\ndef solve(n):\n    while True:\n        a, b = socket.socketpair()\n        kept.append((a, b))\n"
        "        a.setblocking(False)\n        try:\n            while True: a.send(bytes(1 << 16))\n"
        "        except BlockingIOError: pass",
    ),
    "memfd": ("exception", "import os\ndef solve(n): return os.memfd_create('x')"),
    "mlock": (
        "exception",
        "import ctypes\ndef solve(n):\n    b = ctypes.create_string_buffer(1 << 22)\n"
        "    if ctypes.CDLL(None).mlock(b, 1 << 22): raise OSError\n    return 0",
    ),
    "timers": (
        "exception timeout memory wrong",
        "import ctypes\ndef solve(n):\n    c, t = ctypes.CDLL(None), ctypes.c_void_p()\n    for _ in range(10 ** 6):\n"
        "        if c.timer_create(1, None, ctypes.byref(t)): raise OSError\n    return 0",
    ),
    "inotify": (
        "exception",
        "import ctypes\ndef solve(n):\n    while True:\n        if ctypes.CDLL(None).inotify_init() < 0: raise OSError",
    ),
    "recursion": ("exception", "def solve(n): return solve(n)"),
    "recursion_unlimited": (
        "crash memory timeout",
        "import sys\nsys.setrecursionlimit(10 ** 9)\ndef solve(n): return [solve(n)].pop()",
    ),
    "recursion_in_c": (
        "crash exception memory",
        "import sys\nsys.setrecursionlimit(10 ** 9)\nclass A:\n    def __repr__(self): return repr([self])\n"
        "def solve(n): return repr(A())",
    ),
    "recursion_in_del": (
        "crash wrong exception memory timeout",
        "def solve(n):\n    a = None\n    for _ in range(3 * 10 ** 6): a = (a,)\n    del a\n    return 0",
    ),
    "recursion_in_catch": (
        "timeout exception crash memory",
        "def solve(n):\n    try: return solve(n)\n    finally: solve(n)",
    ),
    "zip_bomb": (
        "memory timeout",
        "import zlib\ndef solve(n):\n    d = zlib.compress(bytes(10 ** 8))\n    return len(zlib.decompress(d) * 99)",
    ),
}
