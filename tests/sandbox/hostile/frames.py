"""Forged results: whatever lies in the pipe is worth no more than a value."""

# ruff: noqa: E501

PROGRAMS = {
    "values": ("", "import os\nos.write(3, b'v1\\nv1\\nv1\\nv1\\n'); os._exit(0)"),
    "too_many": ("crash", "import os\nos.write(3, b'v1\\n' * 999)\ndef solve(n): return n * n + 1"),
    "one_too_many_at_the_end": (
        "crash",
        "import os\ndef solve(n):\n    if n == -4: os.write(3, b'v17\\nv17\\n')\n    return n * n + 1",
    ),
    "shifted_by_one": ("crash wrong", "import os\nos.write(3, b'v0\\n')\ndef solve(n): return n * n + 1"),
    "joins_the_next_line": ("crash", "import os\nos.write(3, b'v1')\ndef solve(n): return n * n + 1"),
    "tags": ("crash", "import os\nos.write(3, b'v{\"$set\":[[1]]}\\n'); os._exit(0)"),
    "escaped_tag": ("crash", "import os\nos.write(3, b'v{\"\\\\u0024set\":[[1]]}\\n' * 4); os._exit(0)"),
    "tag_beside_keys": ("crash", 'import os\nos.write(3, b\'v{"$tuple":[1],"a":1}\\n\' * 4); os._exit(0)'),
    "duplicate_keys": ("wrong crash", 'import os\nos.write(3, b\'v{"a":1,"a":10}\\n\' * 4); os._exit(0)'),
    "float_tag_of_a_bool": ("crash", "import os\nos.write(3, b'v{\"$float\":true}\\n' * 4); os._exit(0)"),
    "deep": ("crash", "import os\nos.write(3, b'v' + b'[' * 200000 + b'\\n'); os._exit(0)"),
    "deep_objects": ("crash", "import os\nos.write(3, b'v' + b'{\"a\":' * 90000 + b'\\n'); os._exit(0)"),
    "deep_but_closed": ("crash", "import os\nos.write(3, b'v' + b'[' * 500 + b']' * 500 + b'\\n'); os._exit(0)"),
    "long_int": ("crash", "import os\nos.write(3, b'v' + b'9' * 900000 + b'\\n'); os._exit(0)"),
    "long_float": ("crash wrong", "import os\nos.write(3, b'v1' + b'0' * 4000 + b'e-4000\\n'); os._exit(0)"),
    "overflowing_float": ("crash wrong", "import os\nos.write(3, b'v1e999999\\n' * 4); os._exit(0)"),
    "tensor_beyond_the_floats": (
        "crash",
        'import os\nos.write(3, b\'v{"$tensor":{"dtype":"float32","shape":[1],"data":[1\' + b\'0\' * 400 + b\']}}\\n\'); os._exit(0)',
    ),
    "equal_hashes": (
        "crash",
        'import os\nos.write(3, b\'v{"$set":[\' + b",".join(b"%d" % (n * (2**61 - 1)) for n in range(40000)) + b\']}\\n\'); os._exit(0)',
    ),
    "nan": ("crash", "import os\nos.write(3, b'vNaN\\n' * 4); os._exit(0)"),
    "infinity": ("crash", "import os\nos.write(3, b'v-Infinity\\n' * 4); os._exit(0)"),
    "raw_bytes": ("crash", "import os\nos.write(3, bytes(range(256)) * 9); os._exit(0)"),
    "utf8": ("crash", "import os\nos.write(3, 'v\"\u00e9\"\\n'.encode() * 4); os._exit(0)"),
    "utf16": ("crash", "import os\nos.write(3, 'v1\\n'.encode('utf-16')); os._exit(0)"),
    "null_bytes": ("crash", "import os\nos.write(3, bytes(5000)); os._exit(0)"),
    "empty_lines": ("crash", "import os\nos.write(3, b'\\n' * 5000); os._exit(0)"),
    "empty_value": ("crash", "import os\nos.write(3, b'v\\n' * 4); os._exit(0)"),
    "carriage_returns": ("wrong crash", "import os\nos.write(3, b'v1\\r\\nv10\\r\\nv101\\r\\nv0\\r\\n'); os._exit(0)"),
    "spaces": ("wrong crash", "import os\nos.write(3, b'v 1 \\nv 0 \\n'); os._exit(0)"),
    "no_last_line_break": ("crash", "import os\nos.write(3, b'v1\\nv10\\nv101\\nv17'); os._exit(0)"),
    "unknown_kind": ("crash", "import os\nos.write(3, b'p1\\nP10\\n'); os._exit(0)"),
    "status": ("crash", 'import os\nos.write(3, b\'{"status": "passed"}\\n\' * 4); os._exit(0)'),
    "reply_frame": (
        "crash wrong load_error",
        "import json, os, struct\n"
        "h = json.dumps(dict(id=0, end=None, exit_code=0, cpu_s=0, wall_s=0, clean=True)).encode()\nb = b'v1\\nv10\\n'\n"
        "for fd in list(range(3)) + list(range(4, 64)):\n"
        "    try: os.write(fd, struct.pack('>II', len(h), len(b)) + h + b)\n    except OSError: pass\nos._exit(0)",
    ),
    "reply_frame_down_the_pipe": (
        "crash",
        "import json, os, struct\n"
        "h = json.dumps(dict(id=0, end=None, exit_code=0, cpu_s=0, wall_s=0, clean=True)).encode()\n"
        "os.write(3, struct.pack('>II', len(h), 9) + h + b'v1\\nv10\\n'); os._exit(0)",
    ),
    "greeting": ("crash", "import os\nos.write(3, b'\\0\\0\\0\\x0f\\0\\0\\0\\0{\"ready\": true}'); os._exit(0)"),
    "load_error_after_results": ("crash", 'import os\nos.write(3, b\'v1\\nl["a","b"]\\n\'); os._exit(0)'),
    "load_error_of_nonsense": ("crash", "import os\nos.write(3, b'l{\"a\":[]}\\n'); os._exit(0)"),
    "load_error_forged": ("load_error", 'import os\nos.write(3, b\'l["infra","no sandbox"]\\n\'); os._exit(0)'),
    "fault": ("crash", "import os\nos.write(3, b'fOSError: no sandbox\\n'); os._exit(70)"),
    "fault_in_silence": ("crash", "import os\nos._exit(70)"),
    "takes_its_beginning_back": (
        "crash",
        "import os\nfor path in ('/proc/self/fd/3', '/dev/fd/3', '/proc/thread-self/fd/3'):\n"
        "    try: os.read(os.open(path, os.O_RDONLY | os.O_NONBLOCK), 99)\n    except OSError: pass\n"
        "os.write(3, b'fOSError: no sandbox'); os._exit(70)",
    ),
    "begins_again": ("crash", "import os\nos.write(3, b'bv1\\nv10\\nv101\\nv17\\n'); os._exit(0)"),
    "infra": ("", "import os\nos.write(3, b'e\"infra\"\\n' * 4); os._exit(0)"),
    "error_that_is_no_string": ("crash", "import os\nos.write(3, b'e[1]\\n' * 4); os._exit(0)"),
    "unsupported_then_value": ("crash", "import os\nos.write(3, b'u\"int\"\\nv10\\nv101\\n'); os._exit(0)"),
    "closes_the_pipe": ("crash", "import os\nos.close(3)\ndef solve(n): return n * n + 1"),
    "replaces_the_pipe": ("crash", "import os\nos.dup2(os.open('/dev/null', 1), 3)\ndef solve(n): return n * n + 1"),
    "reads_the_pipe": ("exception", "import os\ndef solve(n): return os.read(3, 9)"),
    "nonblocking_pipe": (
        "output_limit crash",
        "import os\nos.set_blocking(3, False)\ndef solve(n): return 'x' * 900000",
    ),
    "narrow_pipe": (
        "wrong",
        "import fcntl\nfcntl.fcntl(3, 1031, 4096)\ndef solve(n): return 'x' * 100000",
    ),
    "patches_the_encoder": (
        "wrong crash exception output_limit",
        "import sys\nfor m in list(sys.modules.values()):\n    for k in ('encode_value', '_encode', 'dumps', 'decode_value'):\n"
        "        if m and k in vars(m): setattr(m, k, lambda *a, **b: 10)\ndef solve(n): return 0",
    ),
    "patches_os_write": (
        "wrong crash exception output_limit",
        "import os\nreal = os.write\nos.write = lambda fd, b: real(fd, b'v10\\n')\ndef solve(n): return 0",
    ),
    "patches_exit": ("wrong", "import os, sys\nos._exit = sys.exit = lambda *a: None\ndef solve(n): return 0"),
    "writes_in_the_callers_frame": (
        "wrong exception crash",
        "import ctypes, sys\ndef solve(n):\n    f = sys._getframe(1)\n    f.f_locals.update(value=10, kind='v', results=[10] * 9)\n"
        "    ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(f), ctypes.c_int(0))\n    return 0",
    ),
    "swaps_the_callers_code": (
        "wrong exception crash",
        "import sys\ndef solve(n):\n    g = sys._getframe(1).f_globals\n    for k, v in list(g.items()):\n"
        "        if hasattr(v, '__code__'):\n            try: v.__code__ = (lambda *a: 10).__code__\n"
        "            except Exception: pass\n    return 0",
    ),
    "calls_itself_with_other_arguments": (
        "wrong crash exception",
        "import sys\ndef solve(n):\n    f = sys._getframe(1)\n    for a in f.f_locals.get('arguments', []): a[:] = [0]\n    return 0",
    ),
}
