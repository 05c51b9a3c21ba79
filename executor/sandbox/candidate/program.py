"""Load a program: the prelude of its task, its source in the same namespace, and the entry point."""

import sys
import types
from collections.abc import Callable
from typing import Any

from .exceptions import error_message, type_name

Namespace = dict[str, Any]


class TaskFault(Exception):
    """What a task brings along cannot be used, such as its prelude. The program has not run."""


def load_prelude(program: dict[str, Any], name: str = "candidate") -> Namespace:
    """Make the program's module, also importable as `__main__`, and execute `prelude` in it if there is one.

    Raises:
        TaskFault: the prelude raises, or is no program.
    """
    module = types.ModuleType(name)
    sys.modules[name] = sys.modules["__main__"] = module
    try:
        if program.get("prelude"):
            execute(program["prelude"], "<prelude>", module.__dict__)
    except BaseException as error:
        raise TaskFault(f"the prelude of the task failed: {type_name(error)}: {error_message(error)}") from None
    return module.__dict__


def execute(source: str, filename: str, namespace: Namespace) -> None:
    """Compile and execute source, which may begin with the byte order mark of a file."""
    exec(compile(source.removeprefix("\ufeff"), filename, "exec", dont_inherit=True), namespace)


def load_entry_point(program: dict[str, Any], namespace: Namespace) -> Callable[..., Any]:
    """Execute `source` and return the function `entry_point`; for `Class.method`, one that makes an instance per call.

    Raises:
        NameError: the program does not define it.
    """
    execute(program["source"], "<candidate>", namespace)
    entry_point = program["entry_point"]
    name, _, method = entry_point.partition(".")
    if name not in namespace or (method and not hasattr(namespace[name], method)):
        raise NameError(f"the program does not define {entry_point}")
    function = namespace[name]
    if not method:
        return function
    return lambda *args, **kwargs: getattr(function(), method)(*args, **kwargs)
