"""What a report consists of, free of any format: sections of texts, tables, figures, programs and folded parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


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
    """Of all cells but the first of each row, 0 to 1, for a heat map."""


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture, what is seen in it, and its numbers for those who cannot or need not look."""

    title: str
    svg: str
    note: str = ""
    numbers: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Gallery:
    """Small pictures side by side, of one kind and scale."""

    title: str
    panels: Sequence[tuple[str, str]]
    """(what is seen, SVG)."""
    note: str = ""
    numbers: Table | None = None


@dataclass(frozen=True, kw_only=True)
class Programs:
    """What was asked, and two answers."""

    title: str
    prompt: str
    left: tuple[str, str]
    """(who and with what verdict, program)."""
    right: tuple[str, str]


@dataclass(frozen=True, kw_only=True)
class Fold:
    """Something long, closed until asked for."""

    title: str
    code: str


@dataclass(frozen=True, kw_only=True)
class Card:
    """A finding: its verdict, its number, its evidence."""

    name: str
    verdict: str
    tone: str
    """holds, fails, open or missing: how it is coloured, not how large it is."""
    headline: str
    claim: str
    reading: str
    blocks: Sequence[Text | Table | Figure]


Block = Text | Table | Figure | Gallery | Programs | Fold | Card


@dataclass(frozen=True, kw_only=True)
class Section:
    """A heading with blocks."""

    title: str
    anchor: str
    blocks: Sequence[Block]


@dataclass(frozen=True, kw_only=True)
class Document:
    """A whole report."""

    title: str
    summary: str
    facts: Sequence[tuple[str, str]]
    """(what, how much) in one line under the title."""
    sections: Sequence[Section]
