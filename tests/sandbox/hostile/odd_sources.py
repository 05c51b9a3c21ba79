"""Odd spellings of programs that are right: unicode, line ends, lengths; and odd last deeds. Each must pass."""

# ruff: noqa: E501

from tests.sandbox.hostile.record import RIGHT, dedented

PROGRAMS = dedented(
    unicode_identifiers="def solve(\u03bd):\n    \u03c0\u03b1\u03c1\u03ac, \u5e73\u65b9 = 1, \u03bd * \u03bd\n    return \u5e73\u65b9 + \u03c0\u03b1\u03c1\u03ac",
    unicode_normalised="def \uff53\uff4f\uff4c\uff56\uff45(n): return n * n + 1",
    unicode_strings="def solve(n):\n    '''\U0001f600 \u202e \u200b'''\n    return n * n + len('\U0001f600')",
    byte_order_mark="\ufeffdef solve(n): return n * n + 1",
    carriage_returns="def solve(n):\r\n    if n:\r\n        return n * n + 1\r\n    return 1\r\n",
    old_mac_line_ends="def solve(n):\r    return n * n + 1\r",
    tabs="def solve(n):\n\tif n:\n\t\treturn n * n + 1\n\treturn 1",
    form_feeds="\x0cdef solve(n):\n    return n * n + 1\n\x0c\n",
    no_last_line_break="def solve(n): return n * n + 1",
    encoding_cookie="# -*- coding: utf-8 -*-\ndef solve(n): return n * n + 1",
    encoding_cookie_latin="# -*- coding: latin-1 -*-\ndef solve(n): return n * n + len('\u00e9')",
    shebang="#!/usr/bin/env python3\ndef solve(n): return n * n + 1",
    future_imports="from __future__ import annotations, division, print_function\ndef solve(n: Unknown) -> Unknown: return n * n + 1",
    line_continuations="def solve \\\n    (n): \\\n    return n * \\\n    n + 1",
    semicolons="def solve(n): a = n; b = a * a; return b + 1;",
    backslash_at_the_end="x = 1\ndef solve(n): return n * n + 1 \\\n\n",
    long_line="def solve(n): return n * n + 1" + " + 0" * 900,
    many_lines="\n" * 30000 + RIGHT,
    long_comment="# " + "x" * 60000 + "\n" + RIGHT,
    many_definitions="\n".join(f"def f{i}(): return {i}" for i in range(1500)) + "\n" + RIGHT,
    deep_nesting_legal="x = " + "[" * 80 + "]" * 80 + "\n" + RIGHT,
    fences_inside="text = '''\n```python\ndef solve(n): return 0\n```\n'''\n" + RIGHT,
    name_in_a_string_first="s = 'def solve(n): return 0'\n" + RIGHT,
    tests_printed="print('FAILED 1 / 4')\n" + RIGHT,
    named_infra="class infra(Exception): pass\n" + RIGHT,
    writes_to_a_high_descriptor="import os\ntry: os.write(60, b'x')\nexcept OSError: pass\n" + RIGHT,
    lists_its_descriptors="""
        import os
        def solve(n):
            opened = 0
            for fd in range(3, 64):
                try: os.fstat(fd); opened += 1
                except OSError: pass
            return n * n + 1 + 0 * opened
    """,
    restores_the_results_descriptor="import os\nkeep = os.dup(3)\nos.dup2(keep, 3)\nos.close(keep)\n" + RIGHT,
    itself_called_in_a_fork="import os\ndef solve(n):\n    if os.fork() == 0: os._exit(solve.__code__.co_argcount)\n    os.wait()\n    return n * n + 1",
    uses_argv="import sys\ndef solve(n): return n * n + 1 + 0 * len(sys.argv)",
    random_hash_order="def solve(n): return n * n + 1 + 0 * hash('x')",
    coroutines_by_hand="async def c(n): return n * n + 1\ndef solve(n):\n    try: c(n).send(None)\n    except StopIteration as stop: return stop.value",
    exception_groups="def solve(n):\n    try: raise ExceptionGroup('x', [ValueError(n)])\n    except* ValueError as g: r = g.exceptions[0].args[0] ** 2 + 1\n    return r",
    struct_and_bytes="import struct\ndef solve(n): return struct.unpack('<q', struct.pack('<q', n * n))[0] + 1",
    regular_expressions="import re\ndef solve(n): return len(re.findall('.', 'x' * (n * n))) + 1",
    heap_and_bisect="import heapq, bisect\ndef solve(n):\n    h = [n * n + 1, 10 ** 9]\n    heapq.heapify(h)\n    return heapq.heappop(h)",
    itertools_="from itertools import *\ndef solve(n): return sum(islice(repeat(1), n * n + 1))",
    spawned_shell_left="import subprocess\nsubprocess.Popen(['sleep', '600'])\n" + RIGHT,
    resource_lowered="import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (20, 64))\n" + RIGHT,
    umask_changed="import os\nos.umask(0o777)\n" + RIGHT,
    new_session_fails_quietly="import os\ntry: os.setsid()\nexcept OSError: pass\n" + RIGHT,
)
