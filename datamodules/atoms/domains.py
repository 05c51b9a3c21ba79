"""Value domains: where the arguments of an atom come from.

A domain draws values (`sample`) and names the edge cases worth testing always (`edges`). Draws depend only
on the generator handed in. Every value is plain Python data that the executor can encode. Domains
do not know about atoms, tasks or splits.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from math import prod
from random import Random
from typing import Any, Protocol

from executor.sandbox.tensors import TensorValue

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ("apple", "bee", "cat", "dog", "egg", "fox", "level", "moon", "noon", "Ox", "pear", "Red", "sun", "tea", "zoo")


class Domain(Protocol):
    """Values of one type. `type_name` is spelled as in annotations, for example `list[int]`."""

    @property
    def type_name(self) -> str: ...

    def sample(self, rng: Random) -> Any:
        """Draw one value; a pure function of the state of `rng`."""
        ...

    def edges(self) -> tuple[Any, ...]:
        """List the edge cases of this domain, the plainest first."""
        ...


@dataclass(frozen=True)
class Ints:
    """Integers of `low..high`, both included."""

    low: int = -20
    high: int = 50
    type_name = "int"

    def sample(self, rng: Random) -> int:
        return rng.randint(self.low, self.high)

    def edges(self) -> tuple[int, ...]:
        near = [value for value in (0, 1, -1, 2) if self.low <= value <= self.high]
        return tuple(dict.fromkeys([*near, self.low, self.high]))


@dataclass(frozen=True)
class Floats:
    """Floats of `low..high` rounded to `digits` decimals."""

    low: float = -20.0
    high: float = 20.0
    digits: int = 2
    type_name = "float"

    def sample(self, rng: Random) -> float:
        return round(rng.uniform(self.low, self.high), self.digits)

    def edges(self) -> tuple[float, ...]:
        near = [value for value in (0.0, 1.0, -1.0, 0.5) if self.low <= value <= self.high]
        return tuple(dict.fromkeys([*near, float(self.low), float(self.high)]))


@dataclass(frozen=True)
class Bools:
    """The two truth values."""

    type_name = "bool"

    def sample(self, rng: Random) -> bool:
        return rng.random() < 0.5

    def edges(self) -> tuple[bool, ...]:
        return (False, True)


@dataclass(frozen=True)
class Texts:
    """Strings of `min_length..max_length` characters of `alphabet`, and a few `examples` always worth testing."""

    alphabet: str = LETTERS[:8] + "ABC 012"
    max_length: int = 12
    min_length: int = 0
    examples: tuple[str, ...] = ()
    type_name = "str"

    def sample(self, rng: Random) -> str:
        if self.examples and rng.random() < 0.2:
            return rng.choice(self.examples)
        return "".join(rng.choice(self.alphabet) for _ in range(rng.randint(self.min_length, self.max_length)))

    def edges(self) -> tuple[str, ...]:
        plain = [self.alphabet[0] * self.min_length, self.alphabet[0] * max(1, self.min_length)]
        return tuple(dict.fromkeys([*plain, *self.examples]))


@dataclass(frozen=True)
class Sentences:
    """Up to `max_words` words of `vocabulary` with a single space between them."""

    max_words: int = 6
    vocabulary: tuple[str, ...] = WORDS
    type_name = "str"

    def sample(self, rng: Random) -> str:
        return " ".join(rng.choice(self.vocabulary) for _ in range(rng.randint(0, self.max_words)))

    def edges(self) -> tuple[str, ...]:
        return ("", self.vocabulary[0], f"{self.vocabulary[0]} {self.vocabulary[0]} {self.vocabulary[1]}")


@dataclass(frozen=True)
class Lists:
    """Lists of `min_length..max_length` values of `item`."""

    item: Domain
    max_length: int = 8
    min_length: int = 0

    @property
    def type_name(self) -> str:
        return f"list[{self.item.type_name}]"

    def sample(self, rng: Random) -> list[Any]:
        return [self.item.sample(rng) for _ in range(rng.randint(self.min_length, self.max_length))]

    def edges(self) -> tuple[list[Any], ...]:
        items = self.item.edges()
        lengths = {self.min_length, max(1, self.min_length), max(3, self.min_length)}
        same = [[items[0]] * length for length in sorted(lengths)]
        return (*same, list(items)[: max(self.max_length, self.min_length)])


@dataclass(frozen=True)
class Grids:
    """Rectangular lists of lists of `item`: at most `max_rows` by `max_columns`. The empty one is an edge case."""

    item: Domain
    max_rows: int = 4
    max_columns: int = 4

    @property
    def type_name(self) -> str:
        return f"list[list[{self.item.type_name}]]"

    def sample(self, rng: Random) -> list[list[Any]]:
        rows, columns = rng.randint(1, self.max_rows), rng.randint(1, self.max_columns)
        return [[self.item.sample(rng) for _ in range(columns)] for _ in range(rows)]

    def edges(self) -> tuple[list[list[Any]], ...]:
        first = self.item.edges()[0]
        other = self.item.edges()[-1]
        return ([], [[first]], [[first, other], [other, first]], [[first, other]], [[first], [other]])


@dataclass(frozen=True)
class Tuples:
    """Tuples with one value of each of `items`."""

    items: tuple[Domain, ...]

    @property
    def type_name(self) -> str:
        return f"tuple[{', '.join(item.type_name for item in self.items)}]"

    def sample(self, rng: Random) -> tuple[Any, ...]:
        return tuple(item.sample(rng) for item in self.items)

    def edges(self) -> tuple[tuple[Any, ...], ...]:
        return (tuple(item.edges()[0] for item in self.items), tuple(item.edges()[-1] for item in self.items))


@dataclass(frozen=True)
class Dicts:
    """Dictionaries of at most `max_length` entries."""

    key: Domain
    value: Domain
    max_length: int = 6

    @property
    def type_name(self) -> str:
        return f"dict[{self.key.type_name}, {self.value.type_name}]"

    def sample(self, rng: Random) -> dict[Any, Any]:
        return {self.key.sample(rng): self.value.sample(rng) for _ in range(rng.randint(0, self.max_length))}

    def edges(self) -> tuple[dict[Any, Any], ...]:
        keys, values = self.key.edges(), self.value.edges()
        return ({}, {keys[-1]: values[0]}, dict.fromkeys(keys, values[-1]))


@dataclass(frozen=True)
class Tensors:
    """Tensors of one dtype and shape, whose elements are drawn from `item`: `Floats` or `Ints`."""

    dtype: str
    shape: tuple[int, ...]
    item: Domain

    @property
    def type_name(self) -> str:
        return repr(f"{self.dtype}[{', '.join(map(str, self.shape))}]")

    def sample(self, rng: Random) -> TensorValue:
        return TensorValue(self.dtype, self.shape, tuple(self.item.sample(rng) for _ in range(prod(self.shape))))

    def edges(self) -> tuple[TensorValue, ...]:
        items, size = self.item.edges(), prod(self.shape)
        same = [tuple([item] * size) for item in items[:3]]
        mixed = tuple(items[place % len(items)] for place in range(size))
        return tuple(TensorValue(self.dtype, self.shape, data) for data in [*same, mixed])


def is_tensor_type(type_name: str) -> bool:
    """Whether a type is one of tensors: a string such as `'float32[4, 4]'`, quotes included."""
    return re.fullmatch(r"'(float|int)\d+\[[\d, ]*\]'", type_name) is not None


def default_domain(type_name: str) -> Domain:
    """Return the domain of a type for atoms that name none.

    Raises:
        ValueError: no default is known for the type; name a domain on the atom.
    """
    words = Texts(alphabet=LETTERS[:6], max_length=5, examples=WORDS[:8])
    defaults: tuple[Domain, ...] = (
        Ints(),
        Floats(),
        Bools(),
        Texts(examples=("level", "Hello World", "a1b2", "aaabbc", "the cat sat on the mat")),
        Lists(Ints()),
        Lists(Floats()),
        Lists(Bools()),
        Lists(words, max_length=6),
        Grids(Ints(-9, 9)),
        Lists(Tuples((Ints(), Ints())), max_length=6),
        Tuples((Ints(), Ints())),
        Dicts(words, Ints()),
        Tensors("float32", (4,), Floats(-3.0, 3.0)),
        Tensors("float32", (4, 4), Floats(-3.0, 3.0)),
        Tensors("int64", (4,), Ints(0, 3)),
    )
    for domain in defaults:
        if domain.type_name == type_name:
            return domain
    raise ValueError(f"no default domain for type {type_name!r}; known: {', '.join(d.type_name for d in defaults)}")
