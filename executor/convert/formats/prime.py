"""PRIME's verifiable coding problems: `PrimeIntellect/verifiable-coding-problems`, `PrimeIntellect/SYNTHETIC-1`,
`open-r1/verifiable-coding-problems-python`, and the rows of prime-rl's genesys.

`verification_info` is an object, JSON, or the text of a Python literal. Its `test_cases` are a list of
`{"type", "fn_name", "input", "output"}`, or `{"inputs", "outputs"}` with a column `fn_name`, both also as JSON.

Provenance: written from the cards and from the loaders of rllm and prime-rl.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from executor.convert.build import add_labels, build_task, digest
from executor.convert.columns import MalformedRow, SkipRow, check_list, read_statement, read_text
from executor.convert.json_values import parse_literal
from executor.convert.programs import strip_fence

_PYTHON = ("", "python", "python3", "py")
_CODE = "verifiable_code"


def convert_prime(row: Mapping[str, Any]) -> dict[str, Any]:
    """Convert a row of PRIME's verifiable coding problems, in any of its layouts.

    Raises:
        SkipRow: it is no coding task or asks for another language, has no tests, or is malformed.
    """
    task_type = read_text(row, "task_type", _CODE)
    statement = read_statement(row, "problem_statement" if row.get("problem_statement") is not None else "prompt")
    info = _read_literal(row.get("verification_info"), "verification_info")
    if not isinstance(info, Mapping) or "test_cases" not in info:
        if task_type != _CODE:
            raise SkipRow("not a coding task")
        raise MalformedRow("verification_info has no test_cases")
    if read_text(info, "language", "").lower() not in _PYTHON:
        raise SkipRow("asks for another language than Python")
    gold = read_text(row, "gold_standard_solution", "")
    cases = _read_literal(info["test_cases"], "test_cases")
    if isinstance(cases, Mapping):
        cases = {"fn_name": info.get("fn_name"), **cases}
    else:
        cases = join_test_cases(cases, "test_cases")
    problem_id = row.get("problem_id")
    name = problem_id if isinstance(problem_id, str) and problem_id else f"prime/{digest(statement)}"
    task = {
        "task_id": name,
        **build_task(cases, "test_cases", statement=statement, solutions=[strip_fence(gold)] if gold else []),
    }
    source = read_text(row, "source", "")
    return add_labels(task, group=source, metadata={"source": source, "in_source_id": row.get("in_source_id")})


def join_test_cases(cases: Any, what: str) -> dict[str, Any]:
    """Join `{"type", "fn_name", "input", "output"}` items to the form of APPS.

    Raises:
        SkipRow: there are none.
        MalformedRow: they are no such items, or mix types or functions.
    """
    if cases in (None, []):
        raise SkipRow("no tests")
    if not all(isinstance(case, Mapping) for case in check_list(cases, what)):
        raise MalformedRow(f"{what} must be a list of objects")
    kinds = {(read_text(case, "type"), read_text(case, "fn_name", "")) for case in cases}
    if len(kinds) > 1:
        raise MalformedRow(f"{what} mix types or functions")
    [(kind, function)] = kinds
    if any(key not in case for case in cases for key in ("input", "output")):
        raise MalformedRow(f"an item of {what} has no input or no output")
    inputs, outputs = [case["input"] for case in cases], [case["output"] for case in cases]
    if kind == "stdin_stdout":
        return {"inputs": inputs, "outputs": outputs}
    if kind != "function_call":
        raise MalformedRow(f"the type of {what} must be stdin_stdout or function_call")
    if not function:
        raise MalformedRow(f"{what} have no fn_name")
    if any(isinstance(text, str) for text in inputs):
        inputs, outputs = [_read_literal(text, f"an input of {what}") for text in inputs], _parse_outputs(outputs)
    return {"inputs": inputs, "outputs": outputs, "fn_name": function}


def _parse_outputs(outputs: Sequence[Any]) -> list[Any]:
    """Parse outputs that are all JSON texts; where one is not, they are the values themselves."""
    try:
        return [parse_literal(output) if isinstance(output, str) else output for output in outputs]
    except ValueError:
        return list(outputs)


def _read_literal(value: Any, what: str) -> Any:
    """Parse a text; anything else is the value itself."""
    if not isinstance(value, str):
        return value
    if not value.strip():
        raise MalformedRow(f"{what} is empty")
    try:
        return parse_literal(value)
    except ValueError:
        raise MalformedRow(f"{what} is neither JSON nor a Python literal") from None
