"""The record of an atomic function and the decorator that makes it.

An atom is one hand-written Python function whose source is its only definition: the text that models are
trained on, that compositions embed and that the oracle runs is `inspect.getsource` of the function, decorator
removed. This module holds no registry of its own; `datamodules.atoms.ATOMS` is collected from the topic modules.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType, ModuleType
from typing import Any, get_type_hints

from datamodules.atoms.domains import Domain, default_domain, is_tensor_type

LANGUAGES = ("en", "zh")
MIN_PHRASINGS = 4


@dataclass(frozen=True)
class Parameter:
    """One argument: its name, its type as spelled in the annotation, and where its values come from."""

    name: str
    type_name: str
    domain: Domain


@dataclass(frozen=True)
class Atom:
    """One atomic function.

    `phrasings[language]` are imperative clauses without a final stop that hold `{parameter}` once for every
    parameter, for example `rotate {values} left by {k} places`.
    """

    name: str
    topic: str
    source: str
    parameters: tuple[Parameter, ...]
    return_type: str
    phrasings: Mapping[str, tuple[str, ...]]
    function: Callable[..., Any] = field(repr=False, compare=False)

    def __call__(self, *args: Any) -> Any:
        return self.function(*args)


def atom(
    *, en: tuple[str, ...], zh: tuple[str, ...], domains: Mapping[str, Domain] | None = None
) -> Callable[[Callable[..., Any]], Atom]:
    """Turn a typed function into an `Atom`; its topic is the name of its module.

    Args:
        en: at least four English phrasings.
        zh: at least four Chinese phrasings.
        domains: domain by parameter name; parameters left out get `default_domain` of their type.

    Raises:
        ValueError: a type, domain or phrasing is missing or does not fit the signature.
    """

    def decorate(function: Callable[..., Any]) -> Atom:
        hints = _hints(function)
        names = tuple(inspect.signature(function).parameters)
        if missing := [name for name in (*names, "return") if name not in hints]:
            raise ValueError(f"atom {function.__name__}: no type annotation for {', '.join(missing)}")
        chosen = dict(domains or {})
        if unknown := set(chosen) - set(names):
            raise ValueError(f"atom {function.__name__}: domain for unknown parameter {', '.join(sorted(unknown))}")
        parameters = tuple(_parameter(function.__name__, name, _type_name(hints[name]), chosen) for name in names)
        phrasings = MappingProxyType({"en": tuple(en), "zh": tuple(zh)})
        _check_phrasings(function.__name__, names, phrasings)
        return Atom(
            name=function.__name__,
            topic=function.__module__.rpartition(".")[2],
            source=_source_without_decorator(function),
            parameters=parameters,
            return_type=_type_name(hints["return"]),
            phrasings=phrasings,
            function=function,
        )

    return decorate


def collect_atoms(topics: Iterable[ModuleType]) -> Mapping[str, Atom]:
    """All atoms of the topic modules by name, in order of definition.

    Raises:
        ValueError: two atoms share a name.
    """
    atoms: dict[str, Atom] = {}
    for module in topics:
        for value in vars(module).values():
            if isinstance(value, Atom):
                if value.name in atoms:
                    raise ValueError(f"two atoms are called {value.name}")
                atoms[value.name] = value
    return MappingProxyType(atoms)


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations: types, or where they are those of tensors the strings themselves."""
    written = function.__annotations__
    is_of_tensors = any(isinstance(hint, str) and is_tensor_type(repr(hint)) for hint in written.values())
    return written if is_of_tensors else get_type_hints(function)


def _type_name(hint: Any) -> str:
    if isinstance(hint, str):
        return repr(hint)
    return hint.__name__ if isinstance(hint, type) and not hasattr(hint, "__args__") else str(hint)


def _parameter(atom_name: str, name: str, type_name: str, domains: Mapping[str, Domain]) -> Parameter:
    domain = domains.get(name) or default_domain(type_name)
    if domain.type_name != type_name:
        raise ValueError(f"atom {atom_name}: domain of {name} is {domain.type_name}, its annotation {type_name}")
    return Parameter(name, type_name, domain)


def _check_phrasings(atom_name: str, names: tuple[str, ...], phrasings: Mapping[str, tuple[str, ...]]) -> None:
    for language, texts in phrasings.items():
        if len(set(texts)) < MIN_PHRASINGS:
            raise ValueError(f"atom {atom_name}: {len(set(texts))} {language} phrasings, want {MIN_PHRASINGS} or more")
        for text in texts:
            if sorted(re.findall(r"{(\w+)}", text)) != sorted(names):
                raise ValueError(f"atom {atom_name}: {text!r} must hold each of {{{'}, {'.join(names)}}} exactly once")


def _source_without_decorator(function: Callable[..., Any]) -> str:
    source = textwrap.dedent(inspect.getsource(function))
    definition = ast.parse(source).body[0]
    assert isinstance(definition, ast.FunctionDef)
    return "\n".join(source.splitlines()[definition.lineno - 1 :]) + "\n"
