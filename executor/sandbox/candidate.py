"""The life of one candidate program, in its own process inside the sandbox: load, call, write down what came back.

Standard library only. Everything in this process belongs to the candidate once its source runs, so nothing here is
trusted: it can only state its own outputs, and no expected value ever gets here. `executor.sandbox.worker` forks the process
and ends it.

Results are lines: `v` and a tagged value, `e` and an exception's name, `u` and a type no test can hold, `o` for a
value over the caps, `m` where tensors among the arguments were changed, `l` and why the program did not load. In a
session (`executor.sandbox.session`) there is also `r` once it has loaded; then each call comes as a line, `[[tagged
arguments], {name: tagged argument}]`. One byte comes before all lines (`executor.sandbox.process`).
"""

import contextlib
import json
import math
import os
import resource
import signal
import sys
import types
from collections.abc import Callable
from functools import partial
from typing import Any, NoReturn

from .check_harness import run_tester
from .codec import decode_value, encode_value
from .framing import read_frame
from .process import BEGUN, FAULT

MAX_FILE_BYTES = 16 << 20
MAX_OPEN_FILES = 64
MAX_DETAIL_CHARS = 200
RESULTS_FD = 3
CALLS_FD = 4
State = Callable[[str, Any], None]
"""Writes a result line."""
AnswerCall = Callable[[Any, list, State], None]
"""Makes one call of a function with tagged arguments, and states what came of it."""


def run_candidate(
    limits: dict[str, Any],
    box: dict[str, Any],
    *,
    requests_fd: int,
    results_fd: int,
    calls_fd: int | None = None,
    proc_fd: int | None = None,
) -> NoReturn:
    """Read a program, confine this process, run the program in it, and leave.

    Args:
        limits: what the program may use; `session` is `candidate`, `tester` or absent.
        box: uid (None: stay who we are), max_processes (None: no limit), scratch, the only writable folder,
            oom_score_adj, and where torch was preloaded base_bytes, the address space that it takes, and device, where
            tensors among the arguments lie.
        requests_fd: where the program comes from, in a frame: source and entry_point, and JSON, a list of lists of
            tagged arguments. For a tester the frame's body is a check (`executor.sandbox.check_harness`).
        results_fd: where the result lines go.
        calls_fd: where the lines of a session come from.
        proc_fd: a procfs, or None.
    """
    leave = os._exit
    try:
        frame = read_frame(requests_fd)
        if frame is None:  # the host has gone
            leave(70)
        program, calls = frame
        _volunteer(box.get("oom_score_adj"), proc_fd)
        _confine(limits, box, results_fd=results_fd, calls_fd=calls_fd)
        run = _prepare(limits.get("session"), program, calls, device=box.get("device"))
    except BaseException as error:
        _state_fault(error, results_fd)
        leave(70)
    try:
        os.write(RESULTS_FD, BEGUN)
        run()
    finally:
        leave(70)


def _prepare(session: str | None, program: dict[str, Any], calls: bytes, *, device: str | None) -> Callable[[], None]:
    """Do what must not fail before anything of the program runs; returns what runs it."""
    if session == "tester":
        return partial(run_tester, json.loads(calls), reader=CALLS_FD, writer=RESULTS_FD)
    if session is not None:
        return partial(_load_and_answer, program)
    arguments = json.loads(calls)
    if device is not None:
        return partial(_load_and_call, program, arguments, _answer_with_tensors(device))
    has_tags = b'"$' in calls  # the host's JSON, so no other spelling of a tag
    return partial(_load_and_call, program, arguments, _answer_decoded if has_tags else _answer_as_they_are)


def _state_fault(error: BaseException, results_fd: int) -> None:
    """Tell the worker why nothing of the program will run."""
    line = " ".join(f"{_type_name(error)}: {_message(error)}".split()).rstrip(":")
    words = FAULT + line.encode("ascii", "replace")
    for fd in (results_fd, RESULTS_FD):  # the first is closed once we are confined
        with contextlib.suppress(OSError):
            os.write(fd, words)
            return


def _volunteer(oom_score_adj: int | None, proc_fd: int | None) -> None:
    """Ask to be ended first where memory runs out; not everywhere may one."""
    if oom_score_adj is None or proc_fd is None:
        return
    with contextlib.suppress(OSError):
        fd = os.open("self/oom_score_adj", os.O_WRONLY, dir_fd=proc_fd)
        try:
            os.write(fd, str(oom_score_adj).encode("ascii"))
        finally:
            os.close(fd)


def become(uid: int | None) -> None:
    """Give up root for good: groups first, then the group, then the user."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _confine(limits: dict[str, Any], box: dict[str, Any], *, results_fd: int, calls_fd: int | None) -> None:
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)  # as in any Python; the worker has put it off
    os.chdir(box["scratch"])
    os.umask(0o077)
    os.dup2(results_fd, RESULTS_FD)
    if calls_fd is not None:
        os.dup2(calls_fd, CALLS_FD)
    os.closerange(RESULTS_FD + 1 if calls_fd is None else CALLS_FD + 1, MAX_OPEN_FILES)
    become(box["uid"])
    cpu_s = math.ceil(limits["cpu_time_s"])
    kernel_limits = {
        resource.RLIMIT_AS: limits["memory_bytes"] + box.get("base_bytes", 0),
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    if box["max_processes"] is not None:
        kernel_limits[resource.RLIMIT_NPROC] = box["max_processes"]
    for limit, value in kernel_limits.items():
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))


def _load_and_call(program: dict[str, Any], arguments: list[list], answer: AnswerCall) -> None:
    leave, state = os._exit, _make_state()
    function = _load_or_leave(program, state)
    for args in arguments:
        answer(function, args, state)
    leave(0)


def _answer_as_they_are(function: Any, args: list, state: State) -> None:
    _answer(function, args, {}, state)


def _answer_decoded(function: Any, args: list, state: State) -> None:
    _answer(function, [decode_value(arg) for arg in args], {}, state)


def _load_and_answer(program: dict[str, Any]) -> None:
    leave, state = os._exit, _make_state()
    read, parse, decode, answer = os.read, json.loads, decode_value, _answer
    function = _load_or_leave(program, state)
    state("r", None)
    buffer = b""
    while True:
        while b"\n" not in buffer:
            chunk = read(CALLS_FD, 1 << 16)
            if not chunk:
                leave(0)
            buffer += chunk
        line, buffer = buffer.split(b"\n", 1)
        args, named = parse(line)
        arguments = [decode(arg, wide=True) for arg in args]
        answer(function, arguments, {name: decode(arg, wide=True) for name, arg in named.items()}, state, wide=True)


def _make_state() -> State:
    """Make the function that writes a result line, with all it needs bound before the candidate can change it."""
    encode_json = json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    write = os.write

    def state(kind: str, payload: Any) -> None:
        line = f"{kind}{encode_json(payload)}\n".encode("ascii")
        while line:
            line = line[write(RESULTS_FD, line) :]

    return state


def _load_or_leave(program: dict[str, Any], state: State) -> Any:
    leave = os._exit
    try:
        return _load(program["source"], program["entry_point"])
    except BaseException as error:
        state("l", [_type_name(error), _message(error)])
        leave(0)


def _answer(function: Any, args: list, named: dict[str, Any], state: State, *, wide: bool = False) -> None:
    encode = encode_value
    try:
        value = function(*args, **named)
    except BaseException as error:
        state("e", _type_name(error))
        return
    try:
        form = encode(value, wide=wide)
    except TypeError:
        state("u", _type_name(value))
    except (ValueError, RecursionError):
        state("o", None)
    else:
        state("v", form)


def _answer_with_tensors(device: str) -> AnswerCall:
    """Make the function that calls with fresh torch tensors on the device; a program may not change them."""
    from .torch_values import from_torch, to_torch

    decode, encode = decode_value, encode_value

    def answer(function: Any, args: list, state: State) -> None:
        values = [to_torch(decode(arg), device) for arg in args]
        before = encode(from_torch(values))
        try:
            value = function(*values)
        except BaseException as error:
            is_full = "allocate memory" in _message(error)  # torch has no type of its own for this on the CPU
            state("e", "MemoryError" if is_full else _type_name(error))
            return
        try:
            form = encode(from_torch(value))
            is_changed = encode(from_torch(values)) != before
        except TypeError:
            state("u", _type_name(value))
        except (ValueError, RecursionError):
            state("o", None)
        except BaseException as error:
            state("e", _type_name(error))
        else:
            state("m" if is_changed else "v", None if is_changed else form)

    return answer


def _load(source: str, entry_point: str) -> Any:
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = sys.modules["__main__"] = module
    source = source.removeprefix("\ufeff")  # the byte order mark of a file
    exec(compile(source, "<candidate>", "exec", dont_inherit=True), module.__dict__)
    if entry_point not in module.__dict__:
        raise NameError(f"the program does not define {entry_point}")
    return module.__dict__[entry_point]


def _type_name(value: object) -> str:
    try:
        return str(type(value).__name__)[:MAX_DETAIL_CHARS]
    except BaseException:
        return "Exception"


def _message(error: BaseException) -> str:
    try:
        return str(error)[:MAX_DETAIL_CHARS]
    except BaseException:
        return ""
