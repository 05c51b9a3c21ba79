"""Task rows: from a row of a file, a request or a data set to a `Task`, and back.

Every key is checked, and unknown keys are errors: a task with a misspelled key, or one that no program can pass, must
not be graded. Nothing is run. `executor.grading.tasks.tests` reads the tests.
"""

import ast
import keyword
import re
import sys
from collections.abc import Mapping
from dataclasses import fields
from functools import lru_cache
from typing import Any

from executor.grading.tasks.preludes import PRELUDES
from executor.grading.tasks.tests import (
    check_result,
    parse_inputs,
    parse_tests,
    reject_contradictions,
    reject_unknown_keys,
    test_to_row,
)
from executor.grading.tasks.values import holds_tensor, show
from executor.syntax import parse_module
from executor.types import MAX_MEMORY_BYTES, MAX_TIME_S, MIN_MEMORY_BYTES, PROFILES, Task, TestKind

MIN_TIME_LIMIT_S = 0.001
_ALIASES = {"test": "check", "canonical_solution": "solution"}
"""HumanEval's names of keys."""
_STRINGS = (
    *("prompt", "solution", "prelude", "checker", "check", "reference"),
    *("language", "split", "group"),
)
_NUMBERED = ("float_tol", "time_limit_s", "memory_mib")
_KEYS_OF_EVERY_KIND = (
    *("task_id", "prompt", "solution", "prelude", "library", "time_limit_s", "memory_mib"),
    *("language", "split", "group", "profile", "metadata"),
)
_KEYS_OF_KIND = {
    TestKind.CALL: ("entry_point", "tests", "float_tol", "result"),
    TestKind.STDIN: ("tests", "float_tol", "checker"),
    TestKind.CHECK: ("entry_point", "check"),
    TestKind.REFERENCE: ("entry_point", "reference", "inputs", "float_tol", "result"),
}
_KEYS_OF_KIND[TestKind.METHOD] = _KEYS_OF_KIND[TestKind.CALL]
_DESCRIPTIONS = {
    TestKind.CALL: "tests of a function",
    TestKind.METHOD: "tests of a method",
    TestKind.STDIN: "stdin tests",
    TestKind.CHECK: "a check",
    TestKind.REFERENCE: "a reference",
}
TASK_KEYS = tuple(dict.fromkeys([*_KEYS_OF_EVERY_KIND, *(key for keys in _KEYS_OF_KIND.values() for key in keys)]))
_DECIDING = ("tests", "check", "reference")
_PROFILE_PACKAGES = {"torch": "torch", "numpy": "torch"}
"""Packages outside the standard library that a check can import, and the profile of the sandbox that has them."""
_IMPORT = re.compile(r"^(?:import|from)[ \t]+(\w+)", re.MULTILINE)


def parse_task(row: Mapping[str, Any]) -> Task:
    """Check a row of a task file, a request or a data set.

    Args:
        row: the keys of `TASK_KEYS`, as documented in `Task` and `Test`; None stands for a key that is absent. `tests`
            may be a list or its JSON text. HumanEval's `test` and `canonical_solution` are read as `check` and
            `solution`.

    Raises:
        ValueError: one line naming the task, the key, the value and what would be right. Tests are counted from 0.
    """
    given = {key: value for key, value in row.items() if value is not None}
    where = f"task {_parse_task_id(given['task_id'])}: " if "task_id" in given else ""
    try:
        return _parse(_rename_aliases(given))
    except ValueError as error:
        raise ValueError(f"{where}{error}") from None


def task_to_row(task: Task) -> dict[str, Any]:
    """Write a task as a row that `parse_task` reads."""
    row = {item.name: getattr(task, item.name) for item in fields(task)}
    tests, stdin_tests = row.pop("tests"), row.pop("stdin_tests")
    if tests or stdin_tests:
        row["tests"] = [test_to_row(test) for test in tests or stdin_tests]
    row["inputs"] = list(task.inputs) or None
    row["entry_point"] = task.entry_point or None
    row["profile"] = None if task.profile == "cpu" else task.profile
    return {key: value for key, value in row.items() if value is not None}


def parse_profile(profile: Any) -> str:
    """Check the name of a profile; None is `cpu`.

    Raises:
        ValueError: there is no such profile.
    """
    if profile is not None and profile not in PROFILES:
        raise ValueError(f"profile must be one of {', '.join(PROFILES)}, not {show(profile)}")
    return profile or "cpu"


def parse_entry_point(entry_point: Any) -> str:
    """Check the name of a function, or of a method as `Solution.f` or `Solution().f`; returns `f` or `Solution.f`.

    Raises:
        ValueError: it is neither.
    """
    if isinstance(entry_point, str):
        owner, dot, name = entry_point.rpartition(".")
        names = [owner.removesuffix("()"), name] if dot else [name]
        if all(part.isidentifier() and not keyword.iskeyword(part) for part in names):
            return ".".join(names)
    raise ValueError(
        f"entry_point must be the name of a function, or of a method as Solution.f, not {show(entry_point)}"
    )


def choose_check_profile(check: str, profile: str | None = None) -> str:
    """Choose the sandbox profile of a check: the given one, or the smallest one that has what the check imports.

    Args:
        check: source; only imports at its top level count.
        profile: None to choose.

    Raises:
        ValueError: the check imports a package that no sandbox has, or that the given profile lacks.
    """
    needed = {name for name in _imported_modules(check) if name not in sys.stdlib_module_names}
    if unknown := sorted(needed - _PROFILE_PACKAGES.keys()):
        raise ValueError(
            f"the check imports {unknown[0]}; sandboxes have the standard library, and with profile torch "
            f"{' and '.join(sorted(_PROFILE_PACKAGES))}"
        )
    chosen = profile or next((_PROFILE_PACKAGES[name] for name in needed), "cpu")
    if chosen == "cpu" and needed:
        raise ValueError(f"the check imports {sorted(needed)[0]}, which profile cpu lacks; profile torch has it")
    return chosen


def _rename_aliases(given: dict[str, Any]) -> dict[str, Any]:
    for alias, key in _ALIASES.items():
        if alias in given and key in given:
            raise ValueError(f"{alias} and {key} are two names of one key; give one of them")
    return {_ALIASES.get(key, key): value for key, value in given.items()}


def _parse(given: dict[str, Any]) -> Task:
    reject_unknown_keys(given, TASK_KEYS)
    kind, tests, stdin_tests = _find_kind(given)
    for key in given:
        if key not in _KEYS_OF_EVERY_KIND and key not in _KEYS_OF_KIND[kind]:
            raise ValueError(f"{key} does not apply to a task with {_DESCRIPTIONS[kind]}; remove it")
    for key in _STRINGS:
        if key in given and not isinstance(given[key], str):
            raise ValueError(f"{key} must be a string, not {show(given[key])}")
    if not isinstance(given.get("metadata", {}), Mapping):
        raise ValueError(f"metadata must be an object, not {show(given['metadata'])}")
    _check_numbers(given)
    _check_sources(given)
    _check_library(given.get("library", {}))
    inputs = parse_inputs(given.get("inputs")) if kind is TestKind.REFERENCE else ()
    args_of_calls = inputs or tuple(test.args for test in tests if test.result is None and test.raises is None)
    check_result(given.get("result"), args_of_calls)
    profile = parse_profile(given.get("profile"))
    if kind is TestKind.CHECK:
        profile = _choose_profile_of_check(given)
    elif profile == "cpu" and any(map(holds_tensor, (*inputs, *map(test_to_row, tests)))):
        raise ValueError("it has tensors among its values: its profile must be torch or cuda, not cpu")
    if "checker" not in given:
        reject_contradictions(tests or stdin_tests, float_tol=given.get("float_tol"))
    return Task(
        task_id=_parse_task_id(given["task_id"]),
        entry_point="" if kind is TestKind.STDIN else parse_entry_point(given["entry_point"]),
        tests=tests,
        stdin_tests=stdin_tests,
        inputs=inputs,
        profile=profile,
        metadata=given.get("metadata"),
        library=given.get("library"),
        result=given.get("result"),
        **{key: given.get(key) for key in (*_STRINGS, *_NUMBERED)},
    )


def _find_kind(given: Mapping[str, Any]) -> tuple[TestKind, tuple, tuple]:
    """Find what decides, and read its tests: calls and stdin tests."""
    deciding = [key for key in _DECIDING if key in given]
    if len(deciding) > 1:
        raise ValueError(f"it has {' and '.join(deciding)}; exactly one of them decides")
    tests, stdin_tests = parse_tests(given["tests"]) if deciding == ["tests"] else ((), ())
    required = ("task_id",) if stdin_tests else ("task_id", "entry_point")
    missing = [*(key for key in required if key not in given), *([] if deciding else ["tests"])]
    if missing:
        raise ValueError(
            "a task needs task_id, entry_point (except with stdin tests) and tests, check or reference; "
            f"missing: {', '.join(missing)}"
        )
    if tests:
        return (TestKind.METHOD if "." in str(given["entry_point"]) else TestKind.CALL), tests, ()
    return (TestKind.STDIN if stdin_tests else TestKind(deciding[0])), (), stdin_tests


def _parse_task_id(task_id: Any) -> str:
    if type(task_id) is str or (type(task_id) is int and task_id.bit_length() <= 64):
        return str(task_id)
    raise ValueError(f"task_id must be a string or an integer of at most 64 bits, not {show(task_id)}")


def _check_numbers(given: Mapping[str, Any]) -> None:
    _check_number(given, "float_tol", (int, float), 0, sys.float_info.max, "a finite number of at least 0")
    what = f"a number of seconds from {MIN_TIME_LIMIT_S} to {MAX_TIME_S:.0f}"
    _check_number(given, "time_limit_s", (int, float), MIN_TIME_LIMIT_S, MAX_TIME_S, what)
    least, most = MIN_MEMORY_BYTES >> 20, MAX_MEMORY_BYTES >> 20
    _check_number(given, "memory_mib", (int,), least, most, f"an integer from {least} to {most} MiB")


def _check_number(
    given: Mapping[str, Any], key: str, kinds: tuple[type, ...], least: float, most: float, what: str
) -> None:
    if key in given and not (type(given[key]) in kinds and least <= given[key] <= most):
        raise ValueError(f"{key} must be {what}, not {show(given[key])}")


def _check_sources(given: Mapping[str, Any]) -> None:
    """Reject preludes and checkers with which no program could pass."""
    prelude = given.get("prelude", "leetcode")
    if prelude not in PRELUDES and prelude.isidentifier():
        raise ValueError(f"prelude must be Python source or one of {', '.join(PRELUDES)}, not {show(prelude)}")
    for key in ("prelude", "checker"):
        if key not in given or (key == "prelude" and prelude in PRELUDES):
            continue
        if problem := _find_syntax_error(given[key]):
            raise ValueError(f"{key} is not valid Python: {problem}")
    if given.get("checker") is not None and given.get("float_tol") is not None:
        raise ValueError("float_tol does not apply to a task with a checker; remove it")


def _check_library(library: Any) -> None:
    if not isinstance(library, Mapping) or any(type(source) is not str for source in library.values()):
        raise ValueError(f"library must be an object of function name to source, not {show(library)}")
    for name, source in library.items():
        if not name.isidentifier() or keyword.iskeyword(name):
            raise ValueError(f"library: {show(name)} must be the name of a function")
        if problem := _find_syntax_error(source):
            raise ValueError(f"library: the source of {name} is not valid Python: {problem}")


@lru_cache(maxsize=1024)
def _find_syntax_error(source: str) -> str | None:
    try:
        parse_module(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return error.msg if isinstance(error, SyntaxError) else str(error) or "too deeply nested"
    return None


def _choose_profile_of_check(given: Mapping[str, Any]) -> str:
    if given.get("profile") == "cuda":
        raise ValueError("profile must be cpu or torch for a check, not 'cuda'")
    return choose_check_profile(given["check"], given.get("profile"))


def _imported_modules(source: str) -> set[str]:
    """Top-level packages that a source imports at its top level; the source is parsed only where it matters."""
    if all(name in sys.stdlib_module_names for name in _IMPORT.findall(source)):
        return set()
    try:
        body = parse_module(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()  # grading reports it
    modules = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    modules |= {node.module for node in body if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in modules}
