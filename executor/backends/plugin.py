"""Import objects by dotted path, among them backends from outside atomforge.

It checks that an object exists and has the right interface; what a foreign backend protects is its author's claim.
"""

import importlib
import os
import sys
from types import ModuleType
from typing import Any

from executor.backends.base import Backend

_BACKEND_ATTRIBUTES = ("name", "description", "start", "close", "with_profile")


def load_module(path: str, *, what: str) -> ModuleType:
    """Import a module from PYTHONPATH or the current directory.

    Args:
        path: `package.module`.
        what: name of the setting that contains the path, for error messages.

    Raises:
        ValueError: the module does not exist or its import fails.
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
        message = " ".join(str(error).split())[:200]
        raise ValueError(f"{what}: {path} does not import: {type(error).__name__}: {message}") from None


def load_object(path: str, *, what: str) -> Any:
    """Import the object `package.module.name`.

    Args:
        path: dotted path of the object.
        what: name of the setting that contains the path, for error messages.

    Raises:
        ValueError: the path is malformed, `load_module` fails, or the module has no such name.
    """
    module, _, name = path.rpartition(".")
    if not module or not all(part.isidentifier() for part in path.split(".")):
        raise ValueError(f"{what} must be a dotted path such as my_module.my_name, not {path!r:.80}")
    loaded = load_module(module, what=what)
    if not hasattr(loaded, name):
        raise ValueError(f"{what}: the module {module} has no {name}")
    return getattr(loaded, name)


def load_backend(path: str, *, hash_seed: int) -> Backend:
    """Import a class with the interface of `executor.backends.base.Backend` and make an instance.

    Raises:
        ValueError: there is no such class, it lacks an attribute, or its constructor rejects this machine.
    """
    backend_class = load_object(path, what="backend")
    if not callable(backend_class):
        raise ValueError(f"backend: {path} must be a class, not an instance of {type(backend_class).__name__}")
    try:
        backend: Any = backend_class(hash_seed=hash_seed)
    except TypeError as error:
        raise ValueError(f"backend: {path} must accept (*, hash_seed: int): {error}") from None
    if missing := [name for name in _BACKEND_ATTRIBUTES if not hasattr(backend, name)]:
        raise ValueError(f"backend: {path} has no {', '.join(missing)}; see executor.backends.base.Backend")
    return backend
