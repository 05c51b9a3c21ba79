"""Run a whole program as `__main__`, as `python3 main.py < input | checker` would, and end its process likewise.

Standard input is a read-only regular file. Standard output is the results pipe, so all that any process of the
candidate writes to it counts, and nothing else does. Standard error is discarded. At its end the interpreter joins
threads, runs exit handlers, drops the program's objects and flushes; the process exits with the interpreter's code.
"""

import atexit
import builtins
import contextlib
import gc
import io
import os
import signal
import sys
import weakref
from typing import Any, NoReturn, cast

from ..framing import read_exactly
from ..hardening import CALLS_FD, RESULTS_FD
from .exceptions import builtin_number
from .program import TaskFault, execute

MAX_INPUT_BYTES = 64 << 20
INPUT_FILE = "stdin"
_COPY_BYTES = 1 << 20
_SIGINT_CODE = 130


def store_input(requests_fd: int, size: int, directory: str) -> int:
    """Copy the standard input from the host's stream to a file that candidates cannot write; return it opened to read.

    The stream is read to the end of the input in any case.

    Raises:
        TaskFault: the input is too large.
        OSError: the file cannot be written, or the stream ends too early.
    """
    path = f"{directory}/{INPUT_FILE}"
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o444)
    left = size
    while left > 0:
        chunk = read_exactly(requests_fd, min(left, _COPY_BYTES))
        if chunk is None:
            raise OSError("the standard input was cut off")
        left -= len(chunk)
        while chunk and size <= MAX_INPUT_BYTES:
            chunk = chunk[os.write(fd, chunk) :]
    os.close(fd)
    if size > MAX_INPUT_BYTES:
        raise TaskFault(f"the standard input has {size} bytes; {MAX_INPUT_BYTES} are allowed")
    return os.open(path, os.O_RDONLY)


def write_files(files: dict[str, str]) -> None:
    """Write text files into the current directory.

    Raises:
        TaskFault: a name is not that of a file in it, or there is no room for a file.
    """
    for name, text in files.items():
        if "/" in name or name in ("", ".", ".."):
            raise TaskFault(f"files: {name!r:.80} is not a file name")
        try:
            with open(name, "x", encoding="utf-8", newline="") as file:
                file.write(text)
        except (OSError, ValueError) as error:
            raise TaskFault(f"files: {name!r:.80} cannot be written: {error}") from None


def run_stdin_program(program: dict[str, Any], *, owns_namespace: bool) -> NoReturn:
    """Run a program in the module `__main__`, which may hold the names of a prelude, and exit.

    Args:
        program: `source` and optionally `argv`, the arguments after its name.
        owns_namespace: whether all other processes in the PID namespace that we may kill are the program's.
    """
    exit_now, kill, write = os._exit, os.kill, os.write
    os.dup2(RESULTS_FD, 1)
    os.close(RESULTS_FD)
    _open_standard_streams()
    _prepare_interpreter(program)
    code, exception_number = _execute(program["source"])
    _finalize()
    if exception_number is not None and code == 1:
        with contextlib.suppress(BaseException):
            write(CALLS_FD, bytes([exception_number]))
    if owns_namespace:  # so what children print later does not count
        with contextlib.suppress(BaseException):
            kill(-1, signal.SIGKILL)
    exit_now(code)


def _open_standard_streams() -> None:
    """Make `sys.stdin`; the other two are still those that the worker began with, and nothing has been written to them.

    The encoding is that of an interpreter without a locale.
    """
    sys.stdin = sys.__stdin__ = open(0, encoding="utf-8", errors="surrogateescape", closefd=False)  # noqa: SIM115
    if sys.stdout.encoding != "utf-8" or sys.stdout.errors != "surrogateescape":
        cast("io.TextIOWrapper", sys.stdout).reconfigure(encoding="utf-8", errors="surrogateescape")


def _prepare_interpreter(program: dict[str, Any]) -> None:
    from _sitebuiltins import Quitter

    atexit._clear()  # what the worker's modules have registered
    sys.argv = ["main.py", *program.get("argv", ())]
    vars(sys.modules["__main__"])["__file__"] = "main.py"
    for name in ("exit", "quit"):
        setattr(builtins, name, Quitter(name, "Ctrl-D (i.e. EOF)"))


def _execute(source: str) -> tuple[int, int | None]:
    """Execute a program; return the interpreter's exit code and the number of an exception that ended it.

    No reference to the module is kept, so that it can be collected at the end.
    """
    default_hook = sys.excepthook
    try:
        execute(source, "main.py", vars(sys.modules["__main__"]))
    except SystemExit as request:
        return _exit_code(request), None
    except BaseException as error:
        code = _SIGINT_CODE if isinstance(error, KeyboardInterrupt) else 1
        if sys.excepthook is not default_hook:  # the default one writes to standard error only
            try:
                sys.excepthook(type(error), error, error.__traceback__)
            except SystemExit as request:
                code = _exit_code(request)
            except BaseException:
                pass
        return code, builtin_number(error)
    return 0, None


def _exit_code(request: SystemExit) -> int:
    """Return the exit code that a SystemExit asks for; all but None and integers mean 1."""
    try:
        code = request.code
    except BaseException:
        return 1
    if code is None:
        return 0
    return int.__and__(code, 0xFF) if isinstance(code, int) else 1


def _finalize() -> None:
    """Do what the interpreter does at its end and a program can observe on its standard output."""
    threading = sys.modules.get("threading")
    with contextlib.suppress(BaseException):
        if threading is not None:
            threading._shutdown()  # joins all threads but daemons
    with contextlib.suppress(BaseException):
        atexit._run_exitfuncs()
    _flush()
    with contextlib.suppress(BaseException):
        module = weakref.ref(sys.modules.pop("__main__"))
        gc.collect()  # finalizers of the program's objects still find its globals
        left = module()
        if left is not None and (threading is None or threading.active_count() == 1):  # daemons would run on without
            _clear_globals(vars(left))
    _flush()


def _clear_globals(namespace: dict[str, Any]) -> None:
    """Drop the globals of a module that is still in use, in the interpreter's order."""
    for is_private in (True, False):
        for name in list(namespace):
            if (name[:1] == "_" and name[1:2] != "_") or (not is_private and name != "__builtins__"):
                namespace[name] = None
    gc.collect()


def _flush() -> None:
    """Flush the standard streams. The program may have closed them or their descriptors."""
    for stream in (sys.stdout, sys.__stdout__, sys.stderr):
        with contextlib.suppress(BaseException):
            if stream is not None:
                stream.flush()
