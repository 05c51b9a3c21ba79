"""The life of one candidate program, in its own process inside the sandbox: load, call, write down what came back.

Standard library only. Everything in this process belongs to the candidate once its source runs, so nothing here is
trusted: it can only state its own outputs, and no expected value ever gets here. `executor.worker` forks the process
and ends it.

Results are lines: `v` and a tagged value, `e` and an exception's name, `u` and a type no test can hold, `o` for a
value over the caps, `l` and why the program did not load.
"""

import json
import math
import os
import resource
import sys
import types
from typing import Any, NoReturn

from values import decode_value, encode_value  # type: ignore[import-not-found]  # lies beside this file in the sandbox

MAX_FILE_BYTES = 16 << 20
MAX_OPEN_FILES = 64
MAX_DETAIL_CHARS = 200
RESULTS_FD = 3


def run_candidate(program: dict[str, Any], calls: bytes, results_fd: int, box: dict[str, Any]) -> NoReturn:
    """Confine this process, run the program in it, and leave.

    Args:
        program: source, entry_point and the limits.
        calls: JSON, a list of lists of tagged arguments.
        results_fd: where the result lines go.
        box: uid (None: stay who we are), max_processes (None: no limit) and scratch, the only writable folder.
    """
    leave = os._exit
    try:
        _confine(program, results_fd, box)
        _load_and_call(program, calls)
    finally:
        leave(70)


def become(uid: int | None) -> None:
    """Give up root for good: groups first, then the group, then the user."""
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)


def _confine(program: dict[str, Any], results_fd: int, box: dict[str, Any]) -> None:
    os.setsid()
    os.chdir(box["scratch"])
    os.umask(0o077)
    os.dup2(results_fd, RESULTS_FD)
    os.closerange(RESULTS_FD + 1, MAX_OPEN_FILES)
    become(box["uid"])
    cpu_s = math.ceil(program["cpu_time_s"])
    limits = {
        resource.RLIMIT_AS: program["memory_bytes"],
        resource.RLIMIT_FSIZE: MAX_FILE_BYTES,
        resource.RLIMIT_NOFILE: MAX_OPEN_FILES,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MSGQUEUE: 0,
        resource.RLIMIT_MEMLOCK: 0,
    }
    if box["max_processes"] is not None:
        limits[resource.RLIMIT_NPROC] = box["max_processes"]
    for limit, value in limits.items():
        resource.setrlimit(limit, (value, value))
    resource.setrlimit(resource.RLIMIT_CPU, (cpu_s, cpu_s + 1))


def _load_and_call(program: dict[str, Any], calls: bytes) -> None:
    encode, encode_json = encode_value, json.JSONEncoder(check_circular=False, separators=(",", ":")).encode
    write, leave = os.write, os._exit

    def state(kind: str, payload: Any) -> None:
        line = f"{kind}{encode_json(payload)}\n".encode("ascii")
        while line:
            line = line[write(RESULTS_FD, line) :]

    arguments = json.loads(calls)
    tagged = b'"$' in calls  # the host's JSON, so no other spelling of a tag
    try:
        function = _load(program["source"], program["entry_point"])
    except BaseException as error:
        state("l", [_type_name(error), _message(error)])
        leave(0)
    for args in arguments:
        try:
            value = function(*[decode_value(arg) for arg in args]) if tagged else function(*args)
        except BaseException as error:
            state("e", _type_name(error))
            continue
        try:
            form = encode(value)
        except TypeError:
            state("u", _type_name(value))
        except (ValueError, RecursionError):
            state("o", None)
        else:
            state("v", form)
        value = form = None
    leave(0)


def _load(source: str, entry_point: str) -> Any:
    module = types.ModuleType("candidate")
    sys.modules["candidate"] = sys.modules["__main__"] = module
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
