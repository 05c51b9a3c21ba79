"""The parts of a report, and their rendering as one HTML page and as Markdown by the templates of this package.

The page needs no network and no script: styles and pictures are inline. The Markdown has the same text and numbers,
with tables instead of pictures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    words: str


@dataclass(frozen=True, kw_only=True)
class Table:
    """Rows of cells; the first column names the row."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    caption: str = ""
    shades: Sequence[Sequence[float | None]] | None = None
    """Background of all cells but the first of each row, 0 to 1, for a heat map."""


class Panel(NamedTuple):
    """A picture with its title."""

    title: str
    svg: str


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture, and its numbers as a table."""

    title: str
    svg: str
    note: str = ""
    numbers: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Small pictures of one kind and scale, side by side."""

    title: str
    panels: Sequence[Panel]
    note: str = ""
    numbers: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Programs:
    """A prompt and two completions, each with a label."""

    title: str
    prompt: str
    sides: Sequence[tuple[str, str]]


@dataclass(frozen=True, kw_only=True)
class Collapsible:
    """Long text that is collapsed at first."""

    title: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A hypothesis with its verdict, its number and its evidence."""

    name: str
    verdict: str
    style: str
    """holds, fails, open or missing: the colour of the card."""
    headline: str
    claim: str
    explanation: str
    blocks: Sequence[Table | Figure]


Block = Text | Table | Figure | Gallery | Programs | Collapsible | Card


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with blocks."""

    title: str
    anchor: str
    blocks: Sequence[Block]

    @property
    def runs(self) -> list[tuple[bool, list[Block]]]:
        """Blocks in runs of figures, which are shown side by side, and of others: (are figures, blocks)."""
        grouped = groupby(self.blocks, key=lambda block: isinstance(block, Figure))
        return [(are_figures, list(run)) for are_figures, run in grouped]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    """(name, value), in one line below the title."""
    sections: Sequence[Section]


def render_html(document: Document) -> str:
    """Render the page."""
    return _environment().get_template("page.html.j2").render(document=document)


def render_markdown(document: Document) -> str:
    """Render the Markdown file."""
    return _environment().get_template("page.md.j2").render(document=document).rstrip() + "\n"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("cli.report"),
        autoescape=lambda name: name is not None and ".html" in name,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    environment.filters |= {"kind": _kind, "cell": _escape_cell, "fence": _fence}
    return environment


def _kind(block: Any) -> str:
    return type(block).__name__


def _escape_cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _fence(code: str) -> str:
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}\n{code.rstrip()}\n{fence}"
