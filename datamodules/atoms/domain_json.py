"""Domains as JSON, so that a data set can say where the arguments of a task come from.

A domain is an object of its `kind` (the name of the class in `domains`) and every field of that class:
`{"kind": "Ints", "low": -20, "high": 50}`. Reading is strict and draws nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

from datamodules.atoms.domains import (
    Bools,
    Dicts,
    Domain,
    Floats,
    Grids,
    Ints,
    Lists,
    Sentences,
    Tensors,
    Texts,
    Tuples,
)

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Ints, Floats, Bools, Texts, Sentences, Lists, Grids, Tuples, Dicts, Tensors)
}
_ORDERED = (("low", "high"), ("min_length", "max_length"))
_AT_LEAST_ONE = ("max_rows", "max_columns")


def domains_to_json(domains: Sequence[Domain]) -> str:
    """Write the domains of a task's parameters, in their order."""
    return json.dumps([_to_plain(domain) for domain in domains], ensure_ascii=False, separators=(",", ":"))


def domains_from_json(text: str) -> tuple[Domain, ...]:
    """Read what `domains_to_json` wrote.

    Raises:
        ValueError: it is something else; one line naming the domain, the field and what would be right.
    """
    try:
        plain = json.loads(text)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("domains are not readable JSON") from None
    if not isinstance(plain, list) or not plain:
        raise ValueError("domains must be a list with one domain for each parameter")
    return tuple(_domain(item, f"domain {index}") for index, item in enumerate(plain))


def _to_plain(value: Any) -> Any:
    if type(value) in KINDS.values():
        return {"kind": type(value).__name__, **{f.name: _to_plain(getattr(value, f.name)) for f in fields(value)}}
    if isinstance(value, tuple):
        return [_to_plain(item) for item in value]
    assert isinstance(value, int | float | str), f"a domain holds {value!r}, which JSON cannot say"
    return value


def _domain(plain: Any, where: str) -> Domain:
    kind = plain.get("kind") if isinstance(plain, dict) else None
    if not isinstance(kind, str) or kind not in KINDS:
        raise ValueError(f"{where}: kind is {kind!r:.40}; known are {', '.join(KINDS)}")
    wanted = {field.name: str(field.type) for field in fields(KINDS[kind])}
    if set(plain) - {"kind"} != set(wanted):
        raise ValueError(f"{where}: {kind} has exactly the fields {', '.join(wanted) or '(none)'}, not {list(plain)}")
    values = {name: _READERS[kind_of](plain[name], f"{where}.{name}") for name, kind_of in wanted.items()}
    for low, high in _ORDERED:
        if low in values and high in values and values[low] > values[high]:
            raise ValueError(f"{where}: {low} is {values[low]}, above {high}, which is {values[high]}")
    for name in _AT_LEAST_ONE:
        if name in values and values[name] < 1:
            raise ValueError(f"{where}: {name} is {values[name]}, at least 1 is needed")
    return KINDS[kind](**values)


def _int(value: Any, where: str) -> int:
    if type(value) is not int:
        raise ValueError(f"{where} must be a whole number, not {value!r:.40}")
    return value


def _float(value: Any, where: str) -> float:
    if type(value) not in (int, float) or not float("-inf") < value < float("inf"):
        raise ValueError(f"{where} must be a finite number, not {value!r:.40}")
    return value


def _str(value: Any, where: str) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{where} must be a string, not {value!r:.40}")
    return value


def _build_tuple_reader(read: Callable[[Any, str], Any]) -> Callable[[Any, str], tuple[Any, ...]]:
    def read_all(value: Any, where: str) -> tuple[Any, ...]:
        if not isinstance(value, list):
            raise ValueError(f"{where} must be a list, not {value!r:.40}")
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return read_all


_READERS: dict[str, Callable[[Any, str], Any]] = {
    "int": _int,
    "float": _float,
    "str": _str,
    "Domain": _domain,
    "tuple[int, ...]": _build_tuple_reader(_int),
    "tuple[str, ...]": _build_tuple_reader(_str),
    "tuple[Domain, ...]": _build_tuple_reader(_domain),
}
"""By the annotation of a field in `domains`."""
