"""A document as one HTML page that needs nothing else: styles and pictures inline, no script, no network."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from html import escape
from itertools import groupby
from typing import Any

from cli.report.document import Block, Card, Document, Figure, Fold, Gallery, Programs, Section, Table, Text
from cli.report.style import CSS

_LONG = 40
"""Cells of more letters may break."""
_MARKS = {"holds": "\N{CHECK MARK}", "fails": "\N{MULTIPLICATION X}", "open": "?", "missing": "\N{HORIZONTAL ELLIPSIS}"}


def as_page(document: Document) -> str:
    """Write a document as HTML."""
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in document.facts)
    links = "".join(f'<a href="#{section.anchor}">{escape(section.title)}</a>' for section in document.sections)
    body = "".join(map(_section, document.sections))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f'<link rel="icon" href="data:,"><title>{escape(document.title)}</title>'
        f"<style>{CSS}</style></head>\n<body><main>"
        f'<h1>{escape(document.title)}</h1><p class="summary">{escape(document.summary)}</p>'
        f'<dl class="facts">{facts}</dl><nav aria-label="Sections">{links}</nav>\n{body}</main></body></html>\n'
    )


def _section(section: Section) -> str:
    """Write a section; figures that follow one another stand side by side where there is room."""
    runs = [(kind, list(run)) for kind, run in groupby(section.blocks, key=lambda block: isinstance(block, Figure))]
    written = [(are_figures, "\n".join(map(_block, run))) for are_figures, run in runs]
    blocks = "\n".join(f'<div class="figures">{run}</div>' if are_figures else run for are_figures, run in written)
    return f'<section id="{section.anchor}"><h2>{escape(section.title)}</h2>\n{blocks}</section>\n'


def _block(block: Block) -> str:
    return _WRITERS[type(block)](block)


def _text(text: Text) -> str:
    return f"<p>{escape(text.words)}</p>"


def _table(table: Table) -> str:
    caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = []
    for place, row in enumerate(table.rows):
        shades = None if table.shades is None else table.shades[place]
        cells = "".join(_cell(words, None if shades is None else shades[index]) for index, words in enumerate(row[1:]))
        rows.append(f'<tr><th scope="row">{escape(row[0])}</th>{cells}</tr>')
    kind = "" if table.shades is None else ' class="heat"'
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption or "table")}"><table{kind}>'
        f"{caption}<thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table></div>"
    )


def _cell(words: str, shade: float | None) -> str:
    style = "" if shade is None else f' style="--v:{shade:.2f}"'
    long = ' class="long"' if len(words) > _LONG else ""
    return f"<td{style}{long}>{escape(words)}</td>"


def _figure(figure: Figure) -> str:
    return f"<figure><h3>{escape(figure.title)}</h3>{figure.svg}{_below(figure)}</figure>"


def _gallery(gallery: Gallery) -> str:
    panels = "".join(f"<figure><h4>{escape(seen)}</h4>{svg}</figure>" for seen, svg in gallery.panels)
    title = f"<h3>{escape(gallery.title)}</h3>"
    return f'<div class="gallery">{title}<div class="panels">{panels}</div>{_below(gallery)}</div>'


def _below(shown: Figure | Gallery) -> str:
    note = f'<p class="note">{escape(shown.note)}</p>' if shown.note else ""
    return note + (
        "" if shown.numbers is None else f"<details><summary>Numbers</summary>{_table(shown.numbers)}</details>"
    )


def _programs(programs: Programs) -> str:
    sides = "".join(
        f'<div><h4>{escape(who)}</h4><pre tabindex="0"><code>{escape(program)}</code></pre></div>'
        for who, program in (programs.left, programs.right)
    )
    return (
        f'<div class="programs"><h3>{escape(programs.title)}</h3><p>{escape(programs.prompt)}</p>'
        f'<div class="pair">{sides}</div></div>'
    )


def _fold(fold: Fold) -> str:
    code = f'<pre tabindex="0"><code>{escape(fold.code)}</code></pre>'
    return f"<details><summary>{escape(fold.title)}</summary>{code}</details>"


def _card(card: Card) -> str:
    evidence = "".join(map(_block, card.blocks))
    return (
        f'<article class="card {card.tone}"><header><span class="name">{escape(card.name)}</span>'
        f'<span class="verdict">{_MARKS[card.tone]} {escape(card.verdict)}</span></header>'
        f'<h3 class="headline">{escape(card.claim)}: {escape(card.headline)}</h3>'
        f'<p>{escape(card.reading)}</p><div class="evidence">{evidence}</div></article>'
    )


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    Text: _text,
    Table: _table,
    Figure: _figure,
    Gallery: _gallery,
    Programs: _programs,
    Fold: _fold,
    Card: _card,
}
