"""Looking for the expected values, and patching what might compare: neither is in the sandbox."""

# ruff: noqa: E501

PROGRAMS = {
    "patch_judge": (
        "wrong load_error",
        "import sys\nfor m in list(sys.modules.values()):\n    for k in list(vars(m)) if m else []:\n"
        "        if 'equal' in k or 'judge' in k: setattr(m, k, lambda *a, **b: True)\ndef solve(n): return 0",
    ),
    "patch_operator": (
        "wrong",
        "import operator\noperator.eq = operator.__eq__ = operator.is_ = lambda a, b: True\ndef solve(n): return 0",
    ),
    "patch_all_any": (
        "wrong load_error exception crash",
        "import builtins\nbuiltins.all = builtins.any = builtins.isinstance = lambda *a: True\n"
        "builtins.len = lambda x: 4\ndef solve(n): return 0",
    ),
    "builtins_taken_from_us_too": (
        "crash",
        "import builtins\nfor name in ('len', 'isinstance', 'all', 'type', 'ValueError'): delattr(builtins, name)\n"
        "def solve(n): return n * n + 1",
    ),
    "patch_type_to_int": (
        "wrong crash exception",
        "import builtins\nreal = builtins.type\nbuiltins.type = lambda x: int\nclass A(real(1)): pass\ndef solve(n): return A(0)",
    ),
    "patch_int_by_ctypes": (
        "wrong crash exception memory timeout",
        "import ctypes, gc\ndef solve(n):\n    d = gc.get_referents(int.__dict__)[0]\n    d['__eq__'] = lambda a, b: True\n"
        "    ctypes.pythonapi.PyType_Modified(ctypes.py_object(int))\n    return 0",
    ),
    "patch_unittest": (
        "wrong",
        "import unittest\nunittest.TestCase.assertEqual = lambda *a: None\ndef solve(n): return 0",
    ),
    "patch_json": (
        "wrong crash exception",
        "import json\njson.dumps = json.loads = json.JSONEncoder.encode = json.JSONEncoder.default = lambda *a, **k: '10'\n"
        "def solve(n): return 0",
    ),
    "patch_assert": (
        "wrong",
        "__debug = False\nimport sys\nsys.flags = None\nAssertionError = SystemExit\ndef solve(n): return 0",
    ),
    "patch_import": (
        "wrong",
        "import builtins\nreal = builtins.__import__\nbuiltins.__import__ = lambda *a, **k: real('math')\ndef solve(n): return 0",
    ),
    "patch_time": (
        "timeout",
        "import time\ntime.time = time.monotonic = time.perf_counter = time.process_time = lambda: 0.0\n"
        "def solve(n):\n    while True: pass",
    ),
    "expected_in_gc": (
        "wrong exception",
        "import gc\ndef solve(n):\n    for o in gc.get_objects():\n"
        "        if isinstance(o, (list, dict, tuple)) and 'expected' in repr(o)[:2000].split(\"'\"): return o['expected']\n"
        "    return -1",
    ),
    "expected_in_gc_by_shape": (
        "wrong",
        "import gc\ndef solve(n):\n    given = [0, 3, 10, -4]\n    for o in gc.get_objects():\n"
        "        if type(o) is list and len(o) == 4 and o != given and all(type(i) is int for i in o):\n"
        "            return o[given.index(n)]\n    return -1",
    ),
    "expected_in_frames": (
        "wrong exception",
        "import sys\ndef solve(n):\n    f = sys._getframe()\n    while f:\n        for k, v in f.f_locals.items():\n"
        "            if k in ('expected', 'test', 'tests', 'task'): return v\n        f = f.f_back\n    return -1",
    ),
    "expected_in_constants": (
        "wrong",
        "import sys\ndef solve(n):\n    f = sys._getframe(1)\n    while f:\n        for c in f.f_code.co_consts:\n"
        "            if type(c) is int and c in (10, 101, 17): return c\n        f = f.f_back\n    return -1",
    ),
    "expected_in_memory": (
        "exception wrong",
        "def solve(n):\n    for line in open('/proc/self/maps'):\n        if 'rw' in line and 'heap' in line:\n"
        "            a, b = (int(x, 16) for x in line.split()[0].split('-'))\n            f = open('/proc/self/mem', 'rb')\n"
        "            f.seek(a)\n            return b'expected' in f.read(b - a)\n    return -1",
    ),
    "expected_in_files": (
        "wrong exception timeout",
        "import os\ndef solve(n):\n    for folder, _, files in os.walk('/'):\n        if folder.startswith(('/usr', '/proc', '/sys', '/lib')): continue\n"
        "        for name in files:\n            if 'test' in name or 'expected' in name or name.endswith('.jsonl'):\n"
        "                return open(os.path.join(folder, name)).read()\n    return -1",
    ),
    "expected_in_environment": (
        "wrong",
        "import os\ndef solve(n): return os.environ.get('EXPECTED', os.environ.get('TESTS', -1))",
    ),
    "expected_in_arguments_of_the_worker": (
        "wrong exception",
        "import sys\ndef solve(n): return [a for a in sys.argv if '101' in a]",
    ),
    "expected_in_other_requests": (
        "exception wrong",
        "import os\ndef solve(n):\n    for fd in range(64):\n        if fd == 3: continue\n        try: d = os.read(fd, 1 << 20)\n"
        "        except OSError: continue\n        if d: return 10\n    return -1",
    ),
    "next_arguments_in_frames": (
        "wrong",
        "import sys\ndef solve(n):\n    seen = sys._getframe(1).f_locals.get('arguments', [])\n    return len(seen) * 1000",
    ),
    "loops_over_the_worker": (
        "",
        "import sys\ndef solve(n):\n    f = sys._getframe().f_back\n    for k, v in list(f.f_globals.items()):\n"
        "        if callable(v): f.f_globals[k] = lambda *a, **b: 10\n    return 10",
    ),
    "asks_a_debugger": (
        "wrong exception crash",
        "import pdb, sys\ndef solve(n): return pdb.Pdb().set_trace(sys._getframe(1))",
    ),
    "posts_to_the_service": (
        "exception",
        "import urllib.request\ndef solve(n): return urllib.request.urlopen('http://127.0.0.1:8000/run').read()",
    ),
}
