"""A backend that is not ours, by the dotted path of its class. What it protects is for its author to say."""

from typing import Any

from executor.backends.base import Backend
from executor.backends.import_path import load_object

_PARTS = ("name", "description", "start", "close", "with_profile")


def foreign_backend(path: str, *, hash_seed: int) -> Backend:
    """Make a backend of a class that follows `executor.backends.base.Backend`.

    Raises:
        ValueError: there is no such class, it lacks something, or it does not work here; one line.
    """
    made = load_object(path, what="backend")
    if not callable(made):
        raise ValueError(f"backend: {path} is no class but {type(made).__name__}")
    try:
        backend: Any = made(hash_seed=hash_seed)
    except TypeError as error:
        raise ValueError(f"backend: {path} must be made by (*, hash_seed: int): {error}") from None
    if missing := [name for name in _PARTS if not hasattr(backend, name)]:
        raise ValueError(f"backend: {path} has no {', '.join(missing)}; see executor.backends.base.Backend")
    return backend
