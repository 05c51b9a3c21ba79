"""Call the entry point of a program and write one result line per call.

Result lines: `v` and a tagged value; `e` and an exception (see `exceptions.describe_exception`); `u` and the name of a
type that no test can hold; `o` for a value beyond the limits of the codec; `m` where the program changed tensors among
its arguments; `l` and the name and message of the exception that loading the program raised.

A call is a list of tagged arguments, or an object with `args` and optionally `kwargs` (name to tagged argument) and
`result`: `args.N` returns argument N after the call in place of the value. In a session there is also the line `r` once
the program has loaded; each call then arrives as a line `[[tagged arguments], {name: tagged argument}]`.
"""

import json
import os
from collections.abc import Callable
from functools import partial
from typing import Any

from ..codec import decode_value, encode_value
from ..hardening import CALLS_FD, RESULTS_FD
from .exceptions import describe_exception, error_message, type_name
from .node_objects import build_nodes, read_nodes
from .program import Namespace, load_entry_point

Emit = Callable[[str, Any], None]
"""Writes a result line: its kind and its payload."""
Call = Callable[..., None]
"""Calls a function with tagged arguments and emits the result; parameters as those of `_call`."""


def make_call(*, has_tags: bool, device: str | None) -> Call:
    """Make the function that calls a program.

    Args:
        has_tags: whether any argument differs from its JSON form.
        device: torch device of tensors among the arguments; None where there is no torch.
    """
    if device is not None:
        return _make_tensor_call(device)
    return partial(_call, has_tags=has_tags)


def run_calls(program: dict[str, Any], namespace: Namespace, calls: list[Any], call: Call) -> None:
    """Load a program, make all calls, and exit.

    Args:
        program: `source` and `entry_point`.
        namespace: to execute it in.
        calls: see above.
        call: one of `make_call`.
    """
    exit_now, emit = os._exit, _make_emitter()
    function = _load_or_exit(program, namespace, emit)
    for item in calls:
        if type(item) is list:
            call(function, item, emit, namespace)
        else:
            result = item.get("result")
            position = None if result is None else int(result.removeprefix("args."))
            call(function, item["args"], emit, namespace, item.get("kwargs"), position)
    exit_now(0)


def serve_calls(program: dict[str, Any], namespace: Namespace) -> None:
    """Load a program and make the calls that arrive on `CALLS_FD`, until its end."""
    exit_now, emit = os._exit, _make_emitter()
    read, parse, call = os.read, json.loads, partial(_call, has_tags=True, extended=True)
    function = _load_or_exit(program, namespace, emit)
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
        call(function, args, emit, namespace, kwargs)


def _make_emitter() -> Emit:
    """Make the function that writes a result line, with everything it needs bound before the program can change it."""
    encode_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    write = os.write

    def emit(kind: str, payload: Any) -> None:
        line = f"{kind}{encode_json(payload)}\n".encode("ascii")
        while line:
            line = line[write(RESULTS_FD, line) :]

    return emit


def _load_or_exit(program: dict[str, Any], namespace: Namespace, emit: Emit) -> Any:
    exit_now = os._exit
    try:
        return load_entry_point(program, namespace)
    except BaseException as error:
        emit("l", [type_name(error), error_message(error)])
        exit_now(0)


def _call(
    function: Any,
    args: list,
    emit: Emit,
    namespace: Namespace,
    kwargs: dict[str, Any] | None = None,
    result: int | None = None,
    *,
    has_tags: bool,
    extended: bool = False,
) -> None:
    """Call a function and emit the result.

    Args:
        function: the entry point.
        args: tagged values.
        emit: writes the line.
        namespace: of the program; its node classes are those of trees and lists.
        kwargs: likewise, by name.
        result: position of the argument to return in place of the value.
        has_tags: whether any argument differs from its JSON form.
        extended: as in `encode_value`.
    """
    encode, named = encode_value, kwargs or {}
    try:
        if has_tags:  # the program's own node classes may raise
            args = [build_nodes(decode_value(arg, extended=extended), namespace) for arg in args]
            named = {key: build_nodes(decode_value(arg, extended=extended), namespace) for key, arg in named.items()}
        value = function(*args, **named)
        if result is not None:
            value = args[result]
    except BaseException as error:
        emit("e", describe_exception(error, always_full=extended))
        return
    try:
        try:
            form = encode(value, extended=extended)
        except TypeError:
            form = encode(read_nodes(value, namespace), extended=extended)
    except TypeError:
        emit("u", type_name(value))
    except (ValueError, RecursionError):
        emit("o", None)
    except BaseException as error:  # from the program's own node classes
        emit("e", describe_exception(error, always_full=extended))
    else:
        emit("v", form)


def _make_tensor_call(device: str) -> Call:
    """Make a function that passes fresh torch tensors on a device, which the program must not change."""
    from .torch_values import OUT_OF_MEMORY, from_torch, to_torch

    decode, encode = decode_value, encode_value
    get_mro = type.__dict__["__mro__"].__get__

    def call(
        function: Any,
        args: list,
        emit: Emit,
        namespace: Namespace,
        kwargs: dict[str, Any] | None = None,
        result: int | None = None,
    ) -> None:
        values = [to_torch(build_nodes(decode(arg), namespace), device) for arg in args]
        named = {name: to_torch(decode(arg), device) for name, arg in (kwargs or {}).items()}
        unchanged = [value for position, value in enumerate(values) if position != result]
        before = encode(from_torch([unchanged, named]))
        try:
            value = function(*values, **named)
            if result is not None:
                value = values[result]
        except BaseException as error:
            is_oom = any(kind is OUT_OF_MEMORY for kind in get_mro(type(error)))  # of the GPU
            is_oom |= "allocate memory" in error_message(error)
            emit("e", "MemoryError" if is_oom else describe_exception(error))
            return
        try:
            form = encode(from_torch(value))
            is_changed = encode(from_torch([unchanged, named])) != before
        except TypeError:
            emit("u", type_name(value))
        except (ValueError, RecursionError):
            emit("o", None)
        except BaseException as error:
            emit("e", describe_exception(error))
        else:
            emit("m" if is_changed else "v", None if is_changed else form)

    return call
