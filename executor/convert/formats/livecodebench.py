"""LiveCodeBench (`livecodebench/code_generation_lite`).

Stdin tests are compared as its harness does, by decimals of equal value (`float_tol` 0); functional tests call a
method of `class Solution`. Private tests come as JSON, or as base64 of zlib of a pickle. `read_pickle` interprets the
few opcodes that plain values need, so a hostile pickle can import, call and allocate nothing. The layout of
SandboxFusion is read too: `content`, `labels`, and `test`, packed in the same way.

Provenance: SandboxFusion's layout is tested with real rows; the data set's own columns are written from the loader of
LiveCodeBench.
"""

import base64
import binascii
import itertools
import pickletools
import zlib
from collections.abc import Mapping
from typing import Any

from executor.convert.build import add_labels, build_call_task
from executor.convert.cases import make_json_line_calls, make_stdin_tests
from executor.convert.columns import (
    MalformedRow,
    SkipRow,
    check_json,
    check_list,
    check_text,
    read_mapping,
    read_statement,
    read_text,
)
from executor.convert.programs import choose_entry_point, write_prompt

TIME_LIMIT_S = 6.0
"""Seconds a test, as in its harness."""
PRELUDE = "leetcode"
MAX_TESTS_BYTES = 256 << 20
"""Unpacked private tests of one row; zlib packs a thousand to one at most."""
MAX_OPCODES = 1000
"""A pickle of one text has six."""
_CONSTANTS = {"NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_ATOMS = frozenset(
    {*_CONSTANTS, "UNICODE", "SHORT_BINUNICODE", "BINUNICODE", "BINUNICODE8"}
    | {"BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT"}
)
_NUM_ITEMS = {"APPEND": 1, "APPENDS": 0, "SETITEM": 2, "SETITEMS": 0}
"""Items that an opcode takes from the stack; 0: all above the mark."""
_PUTS = frozenset({"MEMOIZE", "PUT", "BINPUT", "LONG_BINPUT"})
_GETS = frozenset({"GET", "BINGET", "LONG_BINGET"})
_IGNORED = frozenset({"PROTO", "FRAME"})


def convert_livecodebench(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of LiveCodeBench, in its own layout or SandboxFusion's.

    Raises:
        SkipRow: it has no tests, its tests are too large, or it is malformed.
    """
    if "content" in row and "labels" in row:
        return _convert_sandbox_fusion(row)
    statement = read_statement(row, "question_content")
    question_id = read_text(row, "question_id").strip()
    if not question_id:
        raise MalformedRow("question_id is empty")
    public = read_text(row, "public_test_cases", "")
    tests = [
        *(_check_tests(check_json(public, "public_test_cases"), "public_test_cases") if public.strip() else ()),
        *read_private_tests(read_text(row, "private_test_cases", "")),
    ]
    types = {read_text(test, "testtype") for test in tests}
    if len(types) > 1 or not types <= {"stdin", "functional"}:
        raise MalformedRow("testtype must be stdin or functional, the same in all tests")
    inputs = [read_text(test, "input") for test in tests]
    outputs = [read_text(test, "output") for test in tests]
    function = read_text(read_mapping(row, "metadata"), "func_name") if types == {"functional"} else None
    starter = read_text(row, "starter_code", "")
    task = {
        "task_id": question_id,
        **_build_tests(inputs, outputs, function=function, statement=statement, starter=starter),
    }
    names = ("question_title", "platform", "contest_id", "contest_date", "difficulty")
    metadata = {name: row.get(name) for name in names}
    return add_labels(task, group=read_text(row, "difficulty", ""), metadata=metadata)


def read_private_tests(text: str) -> list[Mapping[str, Any]]:
    """Read private tests: JSON, or base64 of zlib of a pickle of JSON text; none of empty text.

    Raises:
        SkipRow: they are larger than `MAX_TESTS_BYTES`.
        MalformedRow: they are something else.
    """
    column = "private_test_cases"
    if not text.strip():
        return []
    if not text.lstrip().startswith("["):
        text = check_text(read_pickle(unpack(text, column), column), f"the pickle of {column}")
    return _check_tests(check_json(text, column), column)


def unpack(text: str, column: str) -> bytes:
    """Decode base64 and zlib, at most `MAX_TESTS_BYTES` of it.

    Raises:
        SkipRow: it is larger.
        MalformedRow: it is not base64, or not one whole zlib stream.
    """
    try:
        packed = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise MalformedRow(f"{column} is neither JSON nor base64") from None
    stream = zlib.decompressobj()
    try:
        data = stream.decompress(packed, MAX_TESTS_BYTES)
    except zlib.error:
        raise MalformedRow(f"{column} is not compressed with zlib") from None
    if not stream.eof and len(data) >= MAX_TESTS_BYTES:
        raise SkipRow(f"tests of over {MAX_TESTS_BYTES >> 20} MiB")
    if not stream.eof:
        raise MalformedRow(f"{column} is truncated")
    return data


def read_pickle(data: bytes, column: str, *, max_opcodes: int = MAX_OPCODES) -> Any:
    """Read a pickle of strings and numbers, in any lists and dictionaries, without unpickling it.

    Raises:
        MalformedRow: it has any other opcode or over `max_opcodes`, or is truncated.
    """
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[Any, Any] = {}
    try:
        for opcode, argument, _ in itertools.islice(pickletools.genops(data), max_opcodes):
            name = opcode.name
            if name in _ATOMS:
                stack.append(_CONSTANTS.get(name, argument))
            elif name in ("EMPTY_DICT", "EMPTY_LIST"):
                stack.append({} if name == "EMPTY_DICT" else [])
            elif name == "MARK":
                marks.append(len(stack))
            elif name in _NUM_ITEMS:
                start = marks.pop() if name.endswith("S") else len(stack) - _NUM_ITEMS[name]
                items = stack[start:]
                del stack[start:]
                if name.startswith("APPEND"):
                    stack[-1].extend(items)
                else:
                    stack[-1].update(zip(items[::2], items[1::2], strict=True))
            elif name in _PUTS:
                memo[len(memo) if name == "MEMOIZE" else argument] = stack[-1]
            elif name in _GETS:
                stack.append(memo[argument])
            elif name == "STOP" and len(stack) == 1:
                return stack[0]
            elif name not in _IGNORED:
                break
    except (ValueError, LookupError, TypeError, AttributeError):  # truncated, or opcodes in a wrong order
        pass
    raise MalformedRow(f"{column} holds a pickle of something other than texts, numbers, lists and dictionaries")


def _check_tests(tests: Any, column: str) -> list[Mapping[str, Any]]:
    if not all(isinstance(test, Mapping) for test in check_list(tests, column)):
        raise MalformedRow(f"{column} must be a list of objects")
    return tests


def _build_tests(inputs: Any, outputs: Any, *, function: str | None, statement: str, starter: str) -> dict[str, Any]:
    if function is None:
        tests = make_stdin_tests(inputs, outputs)
        prompt = write_prompt(statement, starter=starter)
        return {"prompt": prompt, "tests": tests, "float_tol": 0, "time_limit_s": TIME_LIMIT_S}
    task = build_call_task(
        make_json_line_calls(inputs, outputs),
        entry_point=choose_entry_point(function, starter="class Solution", solutions=()),
        statement=statement,
        solutions=(),
        starter=starter,
        prelude=PRELUDE,
    )
    return {**task, "float_tol": 0, "time_limit_s": TIME_LIMIT_S}


def _convert_sandbox_fusion(row: Mapping[str, Any]) -> dict[str, Any]:
    labels = read_mapping(row, "labels")
    statement = read_statement(row, "content")
    packed = read_pickle(unpack(read_text(row, "test"), "test"), "test")
    if not isinstance(packed, Mapping):
        raise MalformedRow("the pickle of test must be a dictionary")
    tests = read_mapping(packed, "input_output")
    function = read_text(tests, "fn_name", "") or None
    task = {
        "task_id": read_text(labels, "task_id"),
        **_build_tests(tests.get("inputs"), tests.get("outputs"), function=function, statement=statement, starter=""),
        "prompt": statement,  # it holds the starter code and says how the program is run
    }
    difficulty = read_text(labels, "difficulty", "")
    return add_labels(task, group=difficulty, metadata={"difficulty": difficulty, "platform": labels.get("category")})
