"""Objects of others by dotted path, `package.module.name`. It checks no more than that they are there."""

import importlib
import os
import sys
from types import ModuleType
from typing import Any


def load_module(path: str, *, what: str) -> ModuleType:
    """Import a module; one in the current directory is found, too.

    Args:
        path: `package.module`.
        what: the key it was named by, for messages.

    Raises:
        ValueError: there is none, or it does not import; one line.
    """
    if os.getcwd() not in sys.path:
        sys.path.append(os.getcwd())
    importlib.invalidate_caches()
    try:
        return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is not None and (path == error.name or path.startswith(f"{error.name}.")):
            raise ValueError(f"{what}: there is no module {path} here or on PYTHONPATH") from None
        raise ValueError(f"{what}: {path} needs the module {error.name}, which is missing") from None
    except Exception as error:
        raise ValueError(f"{what}: {path} does not import: {type(error).__name__}: {_one_line(error)}") from None


def load_object(path: str, *, what: str) -> Any:
    """Import what `package.module.name` names.

    Raises:
        ValueError: as of `load_module`, or the module has no such name; one line.
    """
    module, _, name = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"{what} must be a dotted path such as my_module.my_name, not {path!r:.80}")
    loaded = load_module(module, what=what)
    if not hasattr(loaded, name):
        raise ValueError(f"{what}: the module {module} has no {name}")
    return getattr(loaded, name)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200]
