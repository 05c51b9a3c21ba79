"""The other side of a check: loads prompt and test, and calls a program that runs in another sandbox.

Standard library only: runs inside a sandbox of its own, where no candidate ever runs, so that what a test expects
stays out of every candidate's reach. In its namespace `candidate` and the entry point's name are a proxy, whose calls
leave as lines and whose results come back as lines.

Lines out: `c` and `[[tagged arguments], {name: tagged argument}]`, a call; and one last line: `p`, passed; `w` and why
it is wrong; `x` and the name of the program's exception that came through; `f` and a fault of the check itself. Lines
in, one for each call: `v` and a tagged value, or `e` and the name of an exception.
"""

import builtins
import json
import os
import random
import sys
import types
from collections.abc import Callable
from typing import Any, NoReturn

from .codec import decode_value, encode_value

MAX_DETAIL_CHARS = 200
_BODY = "\n    pass\n"
_ENDS = (StopIteration, StopAsyncIteration, GeneratorExit)


def run_tester(task: dict[str, Any], *, reader: int, writer: int) -> NoReturn:
    """Run a check, state its verdict, and leave.

    Args:
        task: prompt (or None), check and entry_point.
        reader: where the answers to calls come from.
        writer: where lines go.
    """
    lines = os.fdopen(reader, "rb")

    def say(kind: str, payload: Any) -> None:
        line = f"{kind}{json.dumps(payload)}\n".encode("ascii")
        while line:
            line = line[os.write(writer, line) :]

    def ask(call: list) -> tuple[str, Any]:
        say("c", call)
        line = lines.readline()
        if not line:
            os._exit(0)
        return chr(line[0]), json.loads(line[1:])

    say(*verdict_of(task, ask))
    os._exit(0)


class _Fault(BaseException):
    """The check asks for what no candidate can be asked."""


def verdict_of(task: dict[str, Any], ask: Callable[[list], tuple[str, Any]]) -> tuple[str, Any]:
    """Load prompt and check, run the check, and say how it went.

    Args:
        task: prompt (or None), check and entry_point.
        ask: makes one call of the program; gives `("v", tagged value)` or `("e", name of an exception)`.

    Returns:
        The kind and payload of the last line.
    """
    proxy = _Proxy(ask)
    random.seed(0)
    module = types.ModuleType("check")
    sys.modules["check"] = module
    try:
        _load_prompt(task["prompt"], module.__dict__)
        module.__dict__.update({"candidate": proxy, task["entry_point"]: proxy})
        exec(compile(task["check"], "<check>", "exec", dont_inherit=True), module.__dict__)
        if "check" not in module.__dict__:
            return "f", "the test does not define check"
    except BaseException as error:
        if proxy.num_calls == 0:
            return "f", f"the check does not load: {_told(error)}"
        return _verdict(proxy, error)
    try:
        module.__dict__["check"](proxy)
    except BaseException as error:
        return _verdict(proxy, error)
    return ("p", None) if proxy.fault is None else ("f", proxy.fault)


class _Proxy:
    """Stands for the program in a check."""

    def __init__(self, ask: Callable[[list], tuple[str, Any]]):
        self._ask = ask
        self.num_calls = 0
        self.raised: list[BaseException] = []
        self.names: list[str] = []
        self.fault: str | None = None

    def __call__(self, *args: Any, **named: Any) -> Any:
        self.num_calls += 1
        try:
            call = [
                [encode_value(arg, wide=True) for arg in args],
                {name: encode_value(arg, wide=True) for name, arg in named.items()},
            ]
        except (TypeError, ValueError, RecursionError) as error:
            self.fault = f"the check makes a call that cannot be passed on: {_told(error)}"
            raise _Fault from None
        kind, payload = self._ask(call)
        if kind == "v":
            return decode_value(payload, wide=True)
        self.names.append(payload)
        self.raised.append(_exception_named(payload))
        raise self.raised[-1]


def _verdict(proxy: _Proxy, error: BaseException) -> tuple[str, Any]:
    if proxy.fault is not None:
        return "f", proxy.fault
    for name, raised in zip(proxy.names, proxy.raised, strict=True):
        if error is raised:
            return "x", name
    if proxy.names and not isinstance(error, AssertionError):
        return "x", proxy.names[-1]
    return "w", _told(error)


def _exception_named(name: str) -> BaseException:
    """Make what the program raised, as the check can catch it; but what Python takes for an end is a RuntimeError.

    Those others would end a `map` or a `zip` of the check without a word, and asserts that never ran would have held.
    Any other exception is lost only where the check says so itself, by an `except`, a `getattr` or a class of its own.
    """
    kind = getattr(builtins, name, None)
    if isinstance(kind, type) and issubclass(kind, BaseException) and not issubclass(kind, _ENDS):
        try:
            return kind()
        except TypeError:  # it takes arguments that did not come along
            pass
    return RuntimeError(name)


def _load_prompt(prompt: str | None, namespace: dict[str, Any]) -> None:
    """Run the prompt for its imports and helpers; one that is prose, no program even with a body, has none."""
    for source in () if prompt is None else (prompt, prompt + _BODY):
        try:
            code = compile(source, "<prompt>", "exec", dont_inherit=True)
        except (SyntaxError, ValueError):
            continue
        exec(code, namespace)
        return


def _told(error: BaseException) -> str:
    name = type(error).__name__
    try:
        words = str(error)
    except BaseException:
        words = ""
    return (f"{name}: {words}" if words else name)[:MAX_DETAIL_CHARS]
