"""Load a program, call its entry point and write one result line per call.

Result lines: `v` and a tagged value; `e` and the name of an exception; `u` and the name of a type that no test can
hold; `o` for a value beyond the limits of the codec; `m` where the program changed tensors among its arguments; `l` and
the name and message of the exception that loading the program raised. In a session there is also `r` once the program
has loaded; each call then arrives as a line `[[tagged arguments], {name: tagged argument}]`.
"""

import json
import os
import sys
import types
from collections.abc import Callable
from typing import Any

from ..codec import decode_value, encode_value
from ..hardening import CALLS_FD, RESULTS_FD

MAX_DETAIL_CHARS = 200
Emit = Callable[[str, Any], None]
"""Writes a result line: its kind and its payload."""
Call = Callable[[Any, list, Emit], None]
"""Calls a function with tagged arguments and emits the result."""


def make_call(*, has_tags: bool, device: str | None) -> Call:
    """Make the function that calls a program.

    Args:
        has_tags: whether any argument differs from its JSON form.
        device: torch device of tensors among the arguments; None where there is no torch.
    """
    if device is not None:
        return _make_tensor_call(device)
    return _call_with_tags if has_tags else _call


def run_calls(program: dict[str, Any], arguments: list[list], call: Call) -> None:
    """Load a program (`source` and `entry_point`), call it with each list of tagged arguments, and exit."""
    exit_now, emit = os._exit, _make_emitter()
    function = _load_or_exit(program, emit)
    for args in arguments:
        call(function, args, emit)
    exit_now(0)


def serve_calls(program: dict[str, Any]) -> None:
    """Load a program and make the calls that arrive on `CALLS_FD`, until its end."""
    exit_now, emit = os._exit, _make_emitter()
    read, parse, decode, call = os.read, json.loads, decode_value, _call
    function = _load_or_exit(program, emit)
    emit("r", None)
    buffer = b""
    while True:
        while b"\n" not in buffer:
            chunk = read(CALLS_FD, 1 << 16)
            if not chunk:
                exit_now(0)
            buffer += chunk
        line, buffer = buffer.split(b"\n", 1)
        args, kwargs = parse(line)
        decoded = [decode(arg, extended=True) for arg in args]
        call(function, decoded, emit, {name: decode(arg, extended=True) for name, arg in kwargs.items()}, extended=True)


def _make_emitter() -> Emit:
    """Make the function that writes a result line, with everything it needs bound before the program can change it."""
    encode_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    write = os.write

    def emit(kind: str, payload: Any) -> None:
        line = f"{kind}{encode_json(payload)}\n".encode("ascii")
        while line:
            line = line[write(RESULTS_FD, line) :]

    return emit


def _load_or_exit(program: dict[str, Any], emit: Emit) -> Any:
    exit_now = os._exit
    try:
        return _load(program["source"], program["entry_point"])
    except BaseException as error:
        emit("l", [type_name(error), error_message(error)])
        exit_now(0)


def _load(source: str, entry_point: str) -> Any:
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = sys.modules["__main__"] = module
    source = source.removeprefix("\ufeff")  # the byte order mark of a file
    exec(compile(source, "<candidate>", "exec", dont_inherit=True), module.__dict__)
    if entry_point not in module.__dict__:
        raise NameError(f"the program does not define {entry_point}")
    return module.__dict__[entry_point]


def _call(
    function: Any, args: list, emit: Emit, kwargs: dict[str, Any] | None = None, *, extended: bool = False
) -> None:
    encode = encode_value
    try:
        value = function(*args, **(kwargs or {}))
    except BaseException as error:
        emit("e", type_name(error))
        return
    try:
        form = encode(value, extended=extended)
    except TypeError:
        emit("u", type_name(value))
    except (ValueError, RecursionError):
        emit("o", None)
    else:
        emit("v", form)


def _call_with_tags(function: Any, args: list, emit: Emit) -> None:
    _call(function, [decode_value(arg) for arg in args], emit)


def _make_tensor_call(device: str) -> Call:
    """Make a function that passes fresh torch tensors on a device, which the program must not change."""
    from .torch_values import from_torch, to_torch

    decode, encode = decode_value, encode_value

    def call(function: Any, args: list, emit: Emit) -> None:
        values = [to_torch(decode(arg), device) for arg in args]
        before = encode(from_torch(values))
        try:
            value = function(*values)
        except BaseException as error:
            is_oom = "allocate memory" in error_message(error)  # torch has no exception type for this on the CPU
            emit("e", "MemoryError" if is_oom else type_name(error))
            return
        try:
            form = encode(from_torch(value))
            is_changed = encode(from_torch(values)) != before
        except TypeError:
            emit("u", type_name(value))
        except (ValueError, RecursionError):
            emit("o", None)
        except BaseException as error:
            emit("e", type_name(error))
        else:
            emit("m" if is_changed else "v", None if is_changed else form)

    return call


def type_name(value: object) -> str:
    """Return the name of a value's type; a program may have made it anything."""
    try:
        return str(type(value).__name__)[:MAX_DETAIL_CHARS]
    except BaseException:
        return "Exception"


def error_message(error: BaseException) -> str:
    """Return the text of an exception, cut to `MAX_DETAIL_CHARS`; its `__str__` may be the program's."""
    try:
        return str(error)[:MAX_DETAIL_CHARS]
    except BaseException:
        return ""
