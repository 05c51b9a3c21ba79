"""Run a HumanEval-style check against a program that runs in another sandbox.

The harness runs in a sandbox without any candidate, so the values that a check expects stay out of every candidate's
reach. In the check's namespace, `candidate` and the name of the entry point are a proxy: its calls leave as lines, and
results arrive as lines. Trees and linked lists cross as values (see `node_objects`); of numpy, arrays and scalars among
the arguments cross as lists and numbers.

Lines out: `c` and `[[tagged arguments], {name: tagged argument}]` for each call, and one final line: `p` passed; `w`
and why the check failed; `x` and the name of the program's exception that the check let through; `f` and a fault of the
check itself. Lines in, one per call: `v` and a tagged value, or `e` and an exception (see `exceptions`).
"""

import ast
import builtins
import contextlib
import functools
import json
import os
import random
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any, NoReturn

from ..codec import decode_value, encode_value
from .exceptions import MAX_DETAIL_CHARS, error_message
from .node_objects import build_nodes, read_nodes
from .program import execute

_CHECK_FILE, _PROMPT_FILE = "<check>", "<prompt>"
_BODY = "\n    pass\n"
_ITERATION_ENDS = (StopIteration, StopAsyncIteration, GeneratorExit)
Line = tuple[str, Any]
"""Kind and payload."""


def run_check_harness(task: dict[str, Any], *, reader: int, writer: int) -> NoReturn:
    """Run a check, write its final line, and exit.

    Args:
        task: `prompt` (or None), `check`, `entry_point`, and optionally `prelude`.
        reader: descriptor of lines in.
        writer: descriptor of lines out.
    """
    lines = os.fdopen(reader, "rb")

    def send(kind: str, payload: Any) -> None:
        line = f"{kind}{json.dumps(payload)}\n".encode("ascii")
        while line:
            line = line[os.write(writer, line) :]

    def call(arguments: list) -> Line:
        send("c", arguments)
        line = lines.readline()
        if not line:
            os._exit(0)
        return chr(line[0]), json.loads(line[1:])

    send(*run_check(task, call))
    os._exit(0)


class HarnessError(BaseException):
    """The check makes a call that cannot be sent. No `Exception`, so that a check does not handle it by accident."""


def run_check(task: dict[str, Any], call: Callable[[list], Line]) -> Line:
    """Load prompt and check and run the check.

    Args:
        task: `prompt` (or None), `check` and `entry_point`.
        call: calls the program with `[arguments, named arguments]`, all tagged; returns `("v", tagged value)` or
            `("e", exception)`.

    Returns:
        The final line.
    """
    random.seed(0)
    module = types.ModuleType("check")
    proxy = _Proxy(call, module.__dict__)
    sys.modules["check"] = module
    try:
        if task.get("prelude"):
            execute(task["prelude"], "<prelude>", module.__dict__)
        _load_prompt(task["prompt"], module.__dict__)
        module.__dict__.update({"candidate": proxy, task["entry_point"]: proxy})
        exec(compile(task["check"], _CHECK_FILE, "exec", dont_inherit=True), module.__dict__)
        if "check" not in module.__dict__:
            return "f", "the test does not define check"
    except BaseException as error:
        if proxy.num_calls == 0:
            return "f", f"the check does not load: {_describe(error)}"
        return _classify(proxy, error)
    try:
        module.__dict__["check"](proxy)
    except BaseException as error:
        return _classify(proxy, error)
    return ("p", None) if proxy.fault is None else ("f", proxy.fault)


class _Proxy:
    """Stands for the program in a check."""

    def __init__(self, call: Callable[[list], Line], namespace: dict[str, Any]):
        self._call = call
        self._namespace = namespace
        self.num_calls = 0
        self.raised: list[tuple[str, BaseException]] = []
        """Names of the program's exceptions, and what was raised here for them."""
        self.fault: str | None = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.num_calls += 1
        try:
            arguments = [[self._encode(arg) for arg in args], {name: self._encode(arg) for name, arg in kwargs.items()}]
        except (TypeError, ValueError, RecursionError) as error:
            self.fault = f"the check makes a call that cannot be passed on: {_describe(error)}"
            raise HarnessError from None
        kind, payload = self._call(arguments)
        if kind == "v":
            return build_nodes(decode_value(payload, extended=True), self._namespace)
        name, bases, message = payload if type(payload) is list else (payload, [], None)
        self.raised.append((name, _make_exception(name, bases, message)))
        raise self.raised[-1][1]

    def _encode(self, value: Any) -> Any:
        try:
            return encode_value(value, extended=True)
        except TypeError:
            return encode_value(read_nodes(_without_numpy(value), self._namespace), extended=True)


def _without_numpy(value: Any) -> Any:
    """Replace numpy's arrays and scalars by lists and numbers, also within lists, tuples and dictionaries."""
    kind = type(value)
    if kind is list or kind is tuple:
        return kind([_without_numpy(item) for item in value])
    if kind is dict:
        return {_without_numpy(key): _without_numpy(item) for key, item in value.items()}
    return value.tolist() if kind.__module__ == "numpy" and hasattr(kind, "tolist") else value


def _classify(proxy: _Proxy, error: BaseException) -> Line:
    """Decide whether an exception that ended the check is the check's fault, its assertion or the program's."""
    if proxy.fault is not None:
        return "f", proxy.fault
    for name, raised in proxy.raised:
        if error is raised:
            return "x", name
    if proxy.raised and not isinstance(error, AssertionError):
        return "x", proxy.raised[-1][0]
    if _is_mistake(error):
        return "f", f"{type(error).__name__} in the check: {error_message(error)}"
    return "w", _describe(error)


def _is_mistake(error: BaseException) -> bool:
    """Whether the check itself is wrong: it uses a name or a module that does not exist.

    Source that the check makes of a value and evaluates is not the check itself: the program chose the value.
    """
    files = [frame.f_code.co_filename for frame, _ in traceback.walk_tb(error.__traceback__)]
    if isinstance(error, ImportError):
        return "<string>" not in files
    return isinstance(error, NameError) and files[-1] in (_CHECK_FILE, _PROMPT_FILE)


def _make_exception(name: str, bases: list[str], message: str | None) -> BaseException:
    """Make the exception that the program raised, as the check can catch it.

    It is of the first builtin class among its own and its bases, else a RuntimeError. Exceptions that end an iteration
    also become a RuntimeError. They would silently end a `map` or a `zip` in the check, and the asserts that follow
    would never run.
    """
    arguments: tuple[Any, ...] = () if message is None else (message,)
    for candidate in (name, *bases):
        kind = getattr(builtins, candidate, None)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            continue
        if issubclass(kind, _ITERATION_ENDS):
            break
        if issubclass(kind, KeyError):  # its text is the repr of its argument
            with contextlib.suppress(ValueError, SyntaxError):
                arguments = (ast.literal_eval(arguments[0]),) if arguments else ()
        for make in (kind, functools.partial(kind.__new__, kind)):
            with contextlib.suppress(TypeError):  # it requires other arguments
                return make(*arguments)
    return RuntimeError(name)


def _load_prompt(prompt: str | None, namespace: dict[str, Any]) -> None:
    """Execute the prompt for its imports and helpers. A prompt that is no program, even with a body, has none.

    Nor has one that only parses as a program by chance, such as a single word: it has nothing but expressions.
    """
    for source in () if prompt is None else (prompt, prompt + _BODY):
        try:
            tree = ast.parse(source, _PROMPT_FILE)
        except (SyntaxError, ValueError):
            continue
        if not all(isinstance(statement, ast.Expr) for statement in tree.body):
            exec(compile(tree, _PROMPT_FILE, "exec", dont_inherit=True), namespace)
        return


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__}: {error_message(error)}".removesuffix(": ")[:MAX_DETAIL_CHARS]
