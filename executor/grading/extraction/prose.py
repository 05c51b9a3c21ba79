"""Separates code from the sentences around it, in text without fences.

The text is cut into units, each of which begins at the margin: a line with the indented lines, open brackets, strings
and branches that continue it. A unit that parses is code, and so is one that begins like a function or a class and
does not parse: a program with a syntax error stays one. All others are prose.
"""

import ast
import re
import textwrap
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from executor.grading.extraction.names import bound_names, has_call, missing_names
from executor.grading.extraction.parsing import MAX_SOURCE, Parser
from executor.grading.extraction.scanner import scan_line

_LOOKAHEAD = 5000
"""Lines that may be read again because a bracket or a string was not closed."""
_NAME = r"[^\W\d]\w*+"
_BRANCH = re.compile(r"(?:else|finally)[ \t]*:|(?:elif|except)\b")
_DEFINITION = re.compile(rf"(?:async[ \t]++)?def[ \t]++{_NAME}[ \t]*+[(\[]|class[ \t]++{_NAME}[ \t]*+[(:\[]|@{_NAME}")
_MARGIN_DEFINITION = re.compile(r"^(?:(?:async[ \t]++)?def|class|@)", re.MULTILINE)
_ASSIGNMENT = re.compile(
    rf"{_NAME}(?:[ \t]*+,[ \t]*+{_NAME})*+[ \t]*+(?::[^=]*+)?(?:[-+*/%&|^@]|//|\*\*|<<|>>)?=(?![=>])"
)
_CALL_OR_IMPORT = re.compile(rf"(?:import\b|from\b|{_NAME}(?:\.{_NAME})*+\()")
_KEYWORDS = r"(?:and|as|async|await|else|for|from|if|import|in|is|lambda|not|or|return|yield)\b"
_TWO_WORDS = re.compile(rf"(?<![\w.])(?!{_KEYWORDS})\w++[ \t]++(?!{_KEYWORDS})\w")
_NOT_PYTHON = re.compile(r"[$?`]|!(?!=)|[^\x00-\x7f]|[.:][ \t]*$")
_STRING = re.compile(r"\"[^\"]*+\"|'[^']*+'")


@dataclass(frozen=True, slots=True)
class _Unit:
    text: str
    tree: ast.Module | None


def strip_prose(text: str, parser: Parser, *, known: Collection[str] = ()) -> str:
    """Return the code of a text; all of it where nothing in it is prose, or where it is longer than `MAX_SOURCE`.

    Args:
        text: code, prose, or both.
        parser: parses the units.
        known: names that the code may use without defining them.
    """
    tree = parser.parse(text)
    if tree is not None and not _words_among(tree, known):
        return text
    if len(text) > MAX_SOURCE:
        return text
    units = _split_units(text.split("\n"), parser)
    trees = {unit.text: unit.tree for unit in units if unit.tree is not None}
    defined = {*known, *(name for tree in trees.values() for name in bound_names(tree))}
    phrases = {text for text, tree in trees.items() if _words_among(tree, defined)}
    kept = [unit.text for unit in units if unit.text not in phrases]
    code = "\n".join(kept)
    return code if code == text or code.endswith("\n") or not code else code + "\n"


def cut_unfinished(code: str, parser: Parser) -> str:
    """Cut off a last definition that the completion did not finish: it reached its length limit there.

    Only one that ends within a bracket or a string, or before its body, counts; other syntax errors stay.
    """
    if parser.parse(code) is not None or not _ends_early(code):
        return code
    starts = [match.start() for match in _MARGIN_DEFINITION.finditer(code)]
    for start in starts[:0:-1][:2]:  # a decorator and its function are two
        head = code[:start].rstrip() + "\n"
        if parser.parse(head) is not None:
            return head
    return code


def _ends_early(code: str) -> bool:
    quote, depth = "", 0
    for line in code.split("\n"):
        quote, depth = scan_line(line, quote, depth)
    return bool(quote) or depth > 0 or code.rstrip().endswith((":", "\\"))


def _words_among(tree: ast.Module, known: Collection[str]) -> bool:
    """Say whether some statement is a phrase that happens to parse, as `Done` or `Input: x = 3`.

    Such a statement calls nothing and reads a name that nothing defines: with it the program would not load.
    """
    phrases = [phrase for statement in tree.body if (phrase := _phrase(statement)) is not None]
    missing = missing_names(phrases).difference(known) if phrases else set()
    if not missing or "*" in known:
        return False
    defined = bound_names(tree)
    return "*" not in defined and not missing <= defined


def _phrase(statement: ast.stmt) -> ast.expr | None:
    if isinstance(statement, ast.Expr) and not has_call(statement):
        return statement.value
    if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
        return statement.annotation if statement.target.id.istitle() else None
    return None


def _split_units(lines: Sequence[str], parser: Parser) -> list[_Unit]:
    """Cut a text into the units that are code; prose is left out."""
    units: list[_Unit] = []
    lookahead = _LOOKAHEAD
    position = 0
    while position < len(lines):
        short = _end_of_unit(lines, position)
        long, is_complete = _end_of_statement(lines, position, min(len(lines), max(short, position + lookahead)))
        lookahead -= max(0, long - short)
        end = short
        for candidate in {long if is_complete else short: None, short: None}:
            unit = _parse_unit("\n".join(lines[position:candidate]), parser)
            if unit is not None:
                units.append(unit)
                end = candidate
                break
        else:
            units += _unparsed(lines[position:short], parser)
        position = end
    return units


def _parse_unit(text: str, parser: Parser) -> _Unit | None:
    """Parse a unit; the first one of a text may be indented, or its first line alone."""
    variants = [text] if text[:1] not in (" ", "\t") else [textwrap.dedent(text), text.lstrip(" \t")]
    return next((_Unit(variant, tree) for variant in variants if (tree := parser.parse(variant)) is not None), None)


def _unparsed(lines: Sequence[str], parser: Parser) -> list[_Unit]:
    """Return what is code in a unit that does not parse: all of it, an indented block behind a sentence, or nothing."""
    if _begins_code(lines[0]):
        return [_Unit("\n".join(lines), None)]
    block = textwrap.dedent("\n".join(lines[1:]))
    tree = parser.parse(block) if block.strip() else None
    return [_Unit(block, tree)] if tree is not None and bound_names(tree) else []


def _begins_code(line: str) -> bool:
    """Say whether a line is code, by its looks."""
    if _DEFINITION.match(line):
        return True
    plain = _STRING.sub("0", line.partition("#")[0])
    if _TWO_WORDS.search(plain) or _NOT_PYTHON.search(plain):
        return False
    return bool(_ASSIGNMENT.match(plain)) or (scan_line(plain)[1] > 0 and bool(_CALL_OR_IMPORT.match(plain)))


def _end_of_unit(lines: Sequence[str], start: int) -> int:
    """Find the next line at the margin."""
    position = start + 1
    while position < len(lines) and (not lines[position].strip() or lines[position][0] in " \t"):
        position += 1
    return position


def _end_of_statement(lines: Sequence[str], start: int, limit: int) -> tuple[int, bool]:
    """Find where the statement ends that begins in a line, with what brackets, strings and branches add to it.

    Returns:
        The position after it, at most `limit`, and whether all brackets and strings are closed there.
    """
    quote, depth, position = "", 0, start
    is_decorated = False
    while position < limit:
        line = lines[position]
        if line.strip() and line[0] not in " \t" and not quote:
            if depth and _DEFINITION.match(line):
                return position, False
            if not depth and line[0] != "#":
                is_decorated = line[0] == "@"
        quote, depth = scan_line(line, quote, depth)
        position += 1
        if quote or depth or is_decorated or line.endswith("\\") or position == len(lines):
            continue
        following = lines[position]
        if following.strip() and following[0] not in " \t#" and not _BRANCH.match(following):
            return position, True
    return position, position == len(lines) and not quote and not depth
