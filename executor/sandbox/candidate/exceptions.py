"""Describe exceptions and types of a program without trusting their methods, which it may have replaced."""

import builtins
from typing import Any

MAX_DETAIL_CHARS = 200
MAX_BASES = 16
_BUILTINS = {
    name: kind for name, kind in vars(builtins).items() if isinstance(kind, type) and issubclass(kind, BaseException)
}
BUILTIN_NAMES = tuple(sorted(_BUILTINS))
"""Names of the builtin exceptions; their positions here stand for them on a pipe."""
_NUMBERS = {
    id(_BUILTINS[name]): number for number, name in enumerate(BUILTIN_NAMES) if name == _BUILTINS[name].__name__
}
# Bound here, as a metaclass can override what `kind.__mro__` and `kind.__name__` give.
_get_mro = type.__dict__["__mro__"].__get__
_get_name = type.__dict__["__name__"].__get__


def describe_exception(error: BaseException, *, always_full: bool = False) -> Any:
    """Return what the host learns about an exception.

    Args:
        error: any exception that a program raised.
        always_full: also describe builtin exceptions by the long form.

    Returns:
        The name of a builtin exception. For others a list: the name; the names of its base classes in method resolution
        order, at most `MAX_BASES`, without BaseException and object; the message.
    """
    number = _NUMBERS.get(id(type(error)))
    if number is not None and not always_full:
        return BUILTIN_NAMES[number]
    names = [
        str.__getitem__(_get_name(kind), slice(MAX_DETAIL_CHARS))
        for kind in _get_mro(type(error))
        if kind is not BaseException and kind is not object
    ]
    if number is not None and not names:
        names = ["BaseException"]
    return [names[0], names[1 : MAX_BASES + 1], error_message(error)]


def builtin_number(error: BaseException) -> int:
    """Return the position in `BUILTIN_NAMES` of an exception's class, or of its first builtin base."""
    return next(_NUMBERS[id(kind)] for kind in _get_mro(type(error)) if id(kind) in _NUMBERS)


def type_name(value: object) -> str:
    """Return the name of a value's type; a program may have made it anything."""
    try:
        return str(type(value).__name__)[:MAX_DETAIL_CHARS]
    except BaseException:
        return "Exception"


def error_message(error: BaseException) -> str:
    """Return the text of an exception, cut to `MAX_DETAIL_CHARS`; its `__str__` may be the program's."""
    try:
        return str.__getitem__(str(error), slice(MAX_DETAIL_CHARS))
    except BaseException:
        return ""
