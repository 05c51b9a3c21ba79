"""A frame: how a prompt numbers, links and names its steps, and where it states the signature.

Placeholders: `{typed}` is `solve(a: list[int]) -> int`, `{bare}` is `solve(a)`, `{types}` lists the parameters with
their types; `{clause}` is a phrasing with its arguments, `{Clause}` the same capitalised; `{number}` counts steps from
1 and `{name}` is the variable of a step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Frame:
    """A template that combines steps into a prompt.

    `first`, `middle` and `last` are templates of steps by position, `only` is that of a single step. `previous` refers
    to the result of the step immediately before, `earlier` to any older result.
    """

    name: str
    opening: str
    first: str
    middle: str
    last: str
    only: str
    joiner: str
    closing: str
    previous: str
    earlier: str


NAMED = {"previous": "`{name}`", "earlier": "`{name}`"}
"""Arguments of frames that refer to each result by the variable of its step."""
