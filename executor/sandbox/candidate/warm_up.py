"""Run a known program in the worker before the first fork, so that candidates start with warm code.

CPython 3.11 and later specialize bytecode in place after a few executions, and allocate caches on first use. Done once
in the worker, this is inherited by every fork; otherwise each candidate repeats it, in memory pages that are copied for
it. Only the constant program below runs here, and nothing is written to the results pipe.
"""

import json
import os
import sys
from typing import Any

from ..framing import pack_frame, read_exactly, read_header
from .calls import make_call
from .program import load_entry_point, load_prelude

_NUM_RUNS = 20
"""Bytecode is specialized after 8 to 16 executions."""
_REQUEST = pack_frame({"source": "def solve(n):\n    return [n]\n", "entry_point": "solve"}, b"[[1]]")


def warm_up() -> None:
    """Read, load and call a program several times, and remove its module again."""
    main = sys.modules["__main__"]
    reader, writer = os.pipe()
    encode = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    try:
        for _ in range(_NUM_RUNS):
            os.write(writer, _REQUEST)
            program, body_size = read_header(reader) or ({}, 0)
            calls = json.loads(read_exactly(reader, body_size) or b"")
            namespace = load_prelude(program)
            function = load_entry_point(program, namespace)
            _call(function, calls, namespace, encode)
    finally:
        sys.modules["__main__"] = main
        sys.modules.pop("candidate", None)
        os.close(reader)
        os.close(writer)


def _call(function: Any, calls: list[Any], namespace: dict[str, Any], encode: Any) -> None:
    call = make_call(has_tags=False, device=None)
    for args in calls:
        call(function, args, lambda kind, payload: encode(payload), namespace)
