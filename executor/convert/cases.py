"""Build the test cases of task rows: stdin tests from texts, call tests from values."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from executor.convert.columns import MalformedRow, SkipRow, check_json, check_list, check_text
from executor.convert.json_values import count_elements, tag_value
from executor.grading.tasks.values import prepare_value
from executor.sandbox.codec import MAX_NODES

FLOAT_TOL = 1e-6
"""Tolerance of most contests, where a task expects decimals and its statement names no other."""
_DECIMAL = re.compile(r"(?<!\S)[+-]?(?:\d+\.\d*|\.\d+|\d+(?:\.\d*)?[eE][+-]?\d+)(?!\S)")
_TOLERANCE = re.compile(r"(?:10\s{0,3}\^?\s{0,3}\{?\s{0,3}[-−–]\s{0,3}|1e-)(\d{1,2})\b")
_INTERACTIVE = re.compile(
    r"\binteractive (?:problem|task)\b|^[-#* \t]*Interaction[-:* \t]*$", re.IGNORECASE | re.MULTILINE
)
_ANY_ANSWER = re.compile(
    r"\b(?:print|output|return|report|display)\s+(?:\w+\s+)?any\b"
    r"|\b(?:multiple|several|many|more than one)\s+(?:\w+\s+){0,3}?"
    r"(?:answers?|solutions?|ways|outputs?)\b[^.]{0,80}\b(?:any|arbitrary)\b",
    re.IGNORECASE,
)


def reject_interactive(statement: str) -> None:
    """Raise SkipRow where a statement says that the program talks to another one."""
    if _INTERACTIVE.search(statement):
        raise SkipRow("interactive")


def accepts_several_answers(statement: str) -> bool:
    """Whether a statement accepts any of several answers, of which tests hold one."""
    return _ANY_ANSWER.search(statement) is not None


def make_stdin_tests(inputs: Any, outputs: Any) -> list[dict[str, str]]:
    """Pair inputs with outputs, each a text or a list of its lines; pairs that occur twice are kept once.

    Raises:
        MalformedRow: they are not lists of texts of one length.
        SkipRow: there are none, or every expected output is blank, so that an empty program would pass.
    """
    pairs = dict.fromkeys(
        (_join_lines(stdin, "an input"), _join_lines(stdout, "an output"))
        for stdin, stdout in pair_tests(inputs, outputs)
    )
    if not any(stdout.strip() for _, stdout in pairs):
        raise SkipRow("no expected output")
    return [{"stdin": stdin, "stdout": stdout} for stdin, stdout in pairs]


def pair_tests(inputs: Any, outputs: Any) -> list[tuple[Any, Any]]:
    """Pair two lists.

    Raises:
        MalformedRow: they are not lists of one length.
        SkipRow: they are empty.
    """
    check_list(inputs, "inputs")
    check_list(outputs, "outputs")
    if len(inputs) != len(outputs):
        raise MalformedRow("inputs and outputs differ in number")
    if not inputs:
        raise SkipRow("no tests")
    return list(zip(inputs, outputs, strict=True))


def choose_stdin_tolerance(tests: Sequence[Mapping[str, str]], statement: str) -> float | None:
    """Choose the tolerance of stdin tests: None unless a decimal is expected; then that of the statement."""
    if not any(_DECIMAL.search(test["stdout"]) for test in tests):
        return None
    exponents = [
        int(match[1])
        for word in re.finditer(r"\b(?:error|precision|accuracy|accurate|differs?|deviat\w+|tolerance)\b", statement)
        for match in _TOLERANCE.finditer(statement, max(0, word.start() - 100), word.end() + 100)
    ]
    return 10.0 ** -min(exponents) if exponents and 2 <= min(exponents) <= 12 else FLOAT_TOL


def make_call_tests(calls: Sequence[tuple[list, Any]]) -> list[dict[str, Any]]:
    """Tag the arguments and expected values of calls.

    Raises:
        MalformedRow: a value that no test can hold.
        SkipRow: an expected value has more elements than a program can return.
    """
    tests = []
    for args, expected in calls:
        try:
            test = {
                "args": [prepare_value(tag_value(arg)) for arg in args],
                "expected": prepare_value(tag_value(expected)),
            }
        except ValueError:
            raise MalformedRow("a value that tests cannot hold (nested too deeply, or of an unknown type)") from None
        if count_elements(test["expected"]) > MAX_NODES:
            raise SkipRow(f"an expected value of over {MAX_NODES} elements")
        tests.append(test)
    return tests


def choose_call_tolerance(tests: Sequence[Mapping[str, Any]]) -> float:
    """Choose the tolerance of call tests: 0, under which 1 equals 1.0 as in Python, unless a float is expected."""
    return FLOAT_TOL if any(_holds_float(test["expected"]) for test in tests) else 0


def make_apps_calls(inputs: Any, outputs: Any, *, returns: str | None = None) -> list[tuple[list, Any]]:
    """Read the calls of APPS: each input is a list of arguments, each output a value or a list around it.

    The harness of APPS accepts both readings of an output. Here the outputs of a task are read alike: as lists around
    the values where each is a list of exactly one element, unless `returns` says that the function returns lists of
    just that nesting. A dictionary that is the only argument or the output gets back the integer keys that JSON
    turned into strings.

    Args:
        inputs: a list of lists of arguments.
        outputs: as many outputs.
        returns: the return annotation in the starter code, such as `List[int]`, where there is one.

    Raises:
        MalformedRow: they are not such lists.
        SkipRow: there are none.
    """
    pairs = pair_tests(inputs, outputs)
    wrapped = all(isinstance(output, list) and len(output) == 1 for _, output in pairs)
    if wrapped and returns is not None:
        depth = len(re.findall(r"\b(?:list|List|Sequence|Iterable|Tuple|tuple)\b", returns))
        wrapped = max(_measure_nesting(output) for _, output in pairs) > depth
    return [
        (_restore_keys(check_list(args, "an input")), _restore_key(output[0] if wrapped else output))
        for args, output in pairs
    ]


def find_return_annotation(starter: str, function: str) -> str | None:
    """Find the return annotation of a function in starter code, which does not parse; None where there is none."""
    match = re.search(rf"\bdef[ \t]+{re.escape(function)}\b[^\n]{{0,2000}}->[ \t]*([^\n:]{{1,200}}):", starter)
    return None if match is None else match[1].strip().strip("'\"")


def make_json_line_calls(inputs: Sequence[str], outputs: Sequence[str]) -> list[tuple[list, Any]]:
    """Read calls in LiveCodeBench's form: an input has one JSON value a line for each argument, an output one.

    Raises:
        MalformedRow: a text is not JSON.
        SkipRow: there are none.
    """
    return [
        (
            [check_json(line, "an input") for line in check_text(text, "an input").split("\n") if line.strip()],
            check_json(check_text(output, "an output"), "an output"),
        )
        for text, output in pair_tests(inputs, outputs)
    ]


def _join_lines(value: Any, what: str) -> str:
    if isinstance(value, list):
        return "\n".join(check_text(line, f"a line of {what}") for line in value)
    return check_text(value, what)


def _restore_keys(args: list) -> list:
    return [_restore_key(args[0])] if len(args) == 1 else args


def _restore_key(value: Any) -> Any:
    if not isinstance(value, dict) or not value:
        return value
    if all(isinstance(key, str) and re.fullmatch(r"-?[0-9]{1,4000}", key) for key in value):
        return {int(key): item for key, item in value.items()}
    return value


def _measure_nesting(value: Any) -> int:
    if not isinstance(value, list):
        return 0
    return 1 + max(map(_measure_nesting, value), default=0)


def _holds_float(tagged: Any) -> bool:
    if isinstance(tagged, list):
        return any(map(_holds_float, tagged))
    if isinstance(tagged, dict):
        return "$float" in tagged or any(map(_holds_float, tagged.values()))
    return type(tagged) is float
