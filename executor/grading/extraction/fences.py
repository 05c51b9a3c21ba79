"""Finds the fenced blocks of a Markdown answer.

Fences follow CommonMark (0.31, section 4.5) with what models need beyond it: fences indented by a list or a quotation,
`[PYTHON]` and `<code>` tags as fences, an opening fence that ends an unclosed block, a closing fence at the end of a
line of code, an answer that begins inside a block, and fences inside a docstring. A fence inside an open triple quote
closes a block only where the block does not parse with the fence as a part of the string.
"""

import functools
import re
from collections.abc import Callable
from dataclasses import dataclass, replace

from executor.grading.extraction.parsing import Parser
from executor.grading.extraction.scanner import ends_in_comment, scan_line

_OPENING = re.compile(
    r"(?P<prefix>[ \t]*(?:>[> \t]*)?(?:(?:[-*+]|\d{1,9}[.)])[ \t]+)?)"
    r"(?:(?P<fence>`{3,})(?P<info>[^`]*)|(?P<tilde>~{3,})(?P<tilde_info>.*)"
    r"|(?P<tag>\[PYTHON\]|<(?:pre|code|python|answer|solution)(?:[ ][^<>]*)?>(?:<code(?:[ ][^<>]*)?>)?)[ \t]*)$",
    re.IGNORECASE,
)
_FENCE = re.compile(r"[`~]{3}|\[PYTHON\]|<(?:pre|code|python|answer|solution)\b", re.IGNORECASE)
_LOOKAHEAD = 5000
MAX_BLOCKS = 500
"""Of an answer with more blocks than that, the last ones are looked at."""
_INLINE = re.compile(r"[ \t]*(`{3,})(?:python3?|py)?(?P<code>[^`]+)\1[ \t]*$")
_QUOTED = re.compile(r"[ \t]*>[> \t]*")
_LABEL = re.compile(r"[{\s]*(?:lang(?:uage)?[=:])?\.?([\w+#./-]*)")
_PYTHON = re.compile(r"(?:i?python|py|pypy)[-_.]?[\d.]*|(?:python[-_]?)?code|[\w./-]*\.py")
_SESSION = ("pycon", "python-repl", "python-console", "doctest")


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block.

    Args:
        label: the first word of its info string, lower-case.
        content: its lines, each with its line break.
        is_closed: whether it has an opening and a closing fence.
    """

    label: str
    content: str
    is_closed: bool = True

    @property
    def may_be_python(self) -> bool:
        """Whether the label says Python or nothing."""
        return _is_python(self.label)

    @property
    def is_session(self) -> bool:
        """Whether the label says that this is a session of the interpreter."""
        return self.label in _SESSION


@dataclass(frozen=True, slots=True)
class Document:
    """An answer taken apart: its blocks, in their order, and the text outside of them."""

    blocks: tuple[Block, ...]
    outside: str


@dataclass(frozen=True, slots=True)
class _Fence:
    """An opening fence: what closes it (of a tag, all its closing tags), how it is indented, and its label."""

    mark: str
    indent: int
    quote_depth: int
    label: str

    @property
    def is_tag(self) -> bool:
        return self.mark[0] not in "`~"

    @property
    def holds_code(self) -> bool:
        return not self.is_tag and _is_python(self.label)

    def is_closed_by(self, line: str) -> bool:
        """Say whether a line, without its prefix, is a closing fence of this one, indented or not."""
        if self.mark[0] not in line and not self.is_tag:
            return False
        text = line.strip(" \t")
        if self.is_tag:
            return text[:2] in ("</", "[/") and text[-1] in ">]" and text.lower() in self.mark
        return len(text) >= len(self.mark) and not text.strip(self.mark[0])

    def strip_prefix(self, line: str) -> str:
        """Take what indents the block off one of its lines."""
        if self.quote_depth:
            prefix = _QUOTED.match(line)
            if prefix is not None:
                for _ in range(self.quote_depth):
                    line = line.partition(">")[2].removeprefix(" ") if ">" in line else line
                return line
        width = min(self.indent, len(line) - len(line.lstrip(" \t")))
        return line[width:]


def split_document(text: str, parser: Parser, *, begins_inside: bool, is_program: Callable[[str], bool]) -> Document:
    """Find the fenced blocks of an answer.

    Args:
        text: the answer, with line feeds as its line breaks.
        parser: parses blocks that may have a fence inside a docstring.
        begins_inside: whether the prompt left a fence open.
        is_program: whether the text before a first fence without a label is a program; then that fence closes it.
    """
    if not begins_inside and _FENCE.search(text) is None:
        return Document((), text)
    return _Splitter(text.split("\n"), parser).split(begins_inside=begins_inside, is_program=is_program)


def leaves_fence_open(text: str, parser: Parser) -> bool:
    """Say whether a prompt ends inside a fenced block."""
    blocks = split_document(text, parser, begins_inside=False, is_program=lambda _: False).blocks
    return bool(blocks) and not blocks[-1].is_closed


class _Splitter:
    def __init__(self, lines: list[str], parser: Parser) -> None:
        self._lines = lines
        self._parser = parser
        self._lookahead = _LOOKAHEAD
        """Lines that may be read again because a fence in a string did close its block."""
        self._blocks: list[Block] = []
        self._outside: list[str] = []

    def split(self, *, begins_inside: bool, is_program: Callable[[str], bool]) -> Document:
        position = 0
        pending: list[_Fence] = []  # blocks of other languages around the current one
        first = next((i for i, line in enumerate(self._lines) if _opening(line) is not None), len(self._lines))
        if first < len(self._lines):
            fence = _opening(self._lines[first])
            is_bare = fence is not None and not fence.is_tag and not fence.label
            if begins_inside or (is_bare and is_program("\n".join(self._lines[:first]))):
                mark = fence.mark if fence is not None and is_bare else "```"
                position = self._take_block(_Fence(mark, 0, 0, ""), 0, pending)
                self._blocks[-1] = replace(self._blocks[-1], is_closed=False)
        elif begins_inside:
            position = self._take_block(_Fence("```", 0, 0, ""), 0, pending)
        while position < len(self._lines):
            line = self._lines[position]
            if pending and pending[-1].is_closed_by(pending[-1].strip_prefix(line)):
                pending.pop()
                position += 1
                continue
            fence = _opening(line)
            if fence is not None:
                position = self._take_block(fence, position + 1, pending)
                continue
            inline = _INLINE.match(line) if "```" in line else None
            if inline is not None:
                self._blocks.append(Block("inline", inline["code"].strip() + "\n"))
            self._outside.append(line)
            position += 1
        return Document(tuple(self._blocks[-MAX_BLOCKS:]), "\n".join(self._outside))

    def _take_block(self, fence: _Fence, start: int, pending: list[_Fence]) -> int:
        """Read the block behind an opening fence; return the position after it."""
        taken = self._read_code(fence, start) if fence.holds_code else self._read_other(fence, start)
        content, end, is_closed, is_nested = taken
        self._blocks.append(Block(fence.label, "".join(line + "\n" for line in content), is_closed))
        if is_nested and not fence.holds_code:
            pending.append(fence)
        return end

    def _read_other(self, fence: _Fence, start: int) -> tuple[list[str], int, bool, bool]:
        """Read a block that is no Python: content, position after it, whether it is closed, whether another begins."""
        content: list[str] = []
        for position in range(start, len(self._lines)):
            line = fence.strip_prefix(self._lines[position])
            if fence.is_closed_by(line):
                return content, position + 1, True, False
            inner = _opening(line)
            if inner is not None and (inner.label or fence.is_tag):
                return content, position, False, True
            content.append(line)
        return content, len(self._lines), False, False

    def _read_code(self, fence: _Fence, start: int) -> tuple[list[str], int, bool, bool]:
        """Do the same for a block that may be Python, whose strings may have fences."""
        content: list[str] = []
        doubtful: int | None = None  # the first closing fence inside a string
        quote = ""
        position = start
        while position < len(self._lines):
            line = fence.strip_prefix(self._lines[position])
            if fence.is_closed_by(line):
                if not quote:
                    if doubtful is None or self._parser.parse("\n".join(content)) is not None:
                        return content, position + 1, True, False
                    break
                if doubtful is None and self._lookahead > 0:
                    doubtful = position
                elif doubtful is None:
                    return content, position + 1, True, False
            elif not quote and (inner := _opening(line)) is not None and inner.label:
                if doubtful is None:
                    return content, position, False, True
                break
            if doubtful is not None:
                self._lookahead -= 1
                if self._lookahead < 0:
                    break
            quote, _ = scan_line(line, quote)
            code = _code_before_fence(line, fence.mark) if not quote else None
            if code is not None and doubtful is None:
                return [*content, code], position + 1, True, False
            content.append(line)
            position += 1
        if doubtful is not None:
            return content[: doubtful - start], doubtful + 1, True, False
        return content, len(self._lines), False, False


@functools.lru_cache(maxsize=256)
def _is_python(label: str) -> bool:
    return not label or _PYTHON.fullmatch(label) is not None


def _closing_tags(tag: str) -> str:
    names = re.findall(r"[\[<](\w+)", tag)
    return "[/python]" if tag[0] == "[" else "".join(f"</{name}>" for name in reversed(names))


def _opening(line: str) -> _Fence | None:
    if not any(mark in line for mark in ("```", "~~~", "[", "<")) or _FENCE.search(line) is None:
        return None
    found = _OPENING.match(line)
    if found is None:
        return None
    prefix = found["prefix"]
    if found["tag"]:
        return _Fence(_closing_tags(found["tag"].lower()), 0, prefix.count(">"), "")
    info = found["info"] or found["tilde_info"] or ""
    label = _LABEL.match(info)
    assert label is not None  # every part of it is optional
    return _Fence(found["fence"] or found["tilde"], len(prefix), prefix.count(">"), label[1].lower())


def _code_before_fence(line: str, mark: str) -> str | None:
    """Return the code of a line that ends with a closing fence; None where it does not, or ends in a comment."""
    text = line.rstrip(" \t")
    if not text.endswith(mark) or mark[0] not in "`~":
        return None
    code = text.rstrip(mark[0])
    return code if code.strip() and not ends_in_comment(code) else None
