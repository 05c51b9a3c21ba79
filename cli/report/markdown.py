"""A document as Markdown: the same words and numbers as the page, tables in the place of pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from cli.report.document import Block, Card, Document, Figure, Fold, Gallery, Programs, Table, Text


def as_markdown(document: Document) -> str:
    """Write a document as Markdown."""
    facts = ", ".join(f"{name}: {value}" for name, value in document.facts)
    parts = [f"# {document.title}", f"**{document.summary}**", facts]
    for section in document.sections:
        parts += [f"## {section.title}", *map(_block, section.blocks)]
    return "\n\n".join(part for part in parts if part) + "\n"


def _block(block: Block) -> str:
    return _WRITERS[type(block)](block)


def _text(text: Text) -> str:
    return text.words


def _table(table: Table) -> str:
    lines = [_row(table.columns), "|" + "---|" * len(table.columns), *map(_row, table.rows)]
    return (f"{table.caption}\n\n" if table.caption else "") + "\n".join(lines)


def _row(cells: Any) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |"


def _picture(shown: Figure | Gallery) -> str:
    parts = [f"### {shown.title}"]
    if isinstance(shown, Gallery):
        parts.append("\n".join(f"- {seen}" for seen, _ in shown.panels))
    parts += [shown.note, "" if shown.numbers is None else _table(shown.numbers)]
    return "\n\n".join(part for part in parts if part)


def _programs(programs: Programs) -> str:
    sides = [f"{who}:\n\n{_fenced(program)}" for who, program in (programs.left, programs.right)]
    return "\n\n".join([f"### {programs.title}", programs.prompt, *sides])


def _fenced(code: str) -> str:
    fence = "```"
    while fence in code:
        fence += "`"
    return f"{fence}\n{code.rstrip()}\n{fence}"


def _fold(fold: Fold) -> str:
    return f"<details><summary>{fold.title}</summary>\n\n{_fenced(fold.code)}\n\n</details>"


def _card(card: Card) -> str:
    title = f"### {card.name}, {card.verdict}: {card.claim}: {card.headline}"
    tables = [_table(block) for block in card.blocks if isinstance(block, Table)]
    seen = [block.title for block in card.blocks if isinstance(block, Figure)]
    return "\n\n".join([title, card.reading, "\n".join(f"- {words}" for words in seen), *tables]).replace(
        "\n\n\n\n", "\n\n"
    )


_WRITERS: Mapping[type, Callable[[Any], str]] = {
    Text: _text,
    Table: _table,
    Figure: _picture,
    Gallery: _picture,
    Programs: _programs,
    Fold: _fold,
    Card: _card,
}
