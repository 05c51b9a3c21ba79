"""Parses untrusted Python on the trusted side, within bounds. It never runs or fully compiles anything.

Only the syntax tree is built: no symbol table, no constant folding, no code object. What bounds it:

- a source is parsed up to `MAX_SOURCE` characters, and all sources of one completion up to `MAX_TOTAL` together;
  CPython takes at most 5 microseconds and 2 KiB of memory per character (3.11, measured on hostile texts);
- sources with deep brackets, long runs of prefix operators, or many fields in f-strings (quadratic before Python 3.12)
  are not parsed; CPython's own limits (6000 parser levels, 3000 to 10000 levels of a tree, by version) bound all
  other nesting, and fit in a stack of 1 MiB;
- escapes and long numbers are replaced first, so that no warning is issued and no number is converted.

A source that is not parsed counts as one that does not parse: `executor.grading.extract` then falls back on looking at
lines. So does a program with syntax newer than the Python of this process, even where the sandbox has a newer one.
"""

import ast
import re

from executor.syntax import parse_module

MAX_SOURCE = 64 << 10
"""Characters of one source; in longer ones, lines decide."""
MAX_TOTAL = 3 * MAX_SOURCE
"""Characters of all sources parsed for one completion."""
MAX_NESTING = 100
MAX_FIELDS = 2000
"""Opening braces of a source that has f-strings."""
_MIN_COST = 64
_MAX_PREFIXES = 100
_BRACKET = re.compile(r"[()\[\]{}]")
_PREFIXES = ("not", "await", "lambda", "-", "+", "~")
_PREFIX_RUN = re.compile(rf"(?:(?:not\b|await\b|lambda\s*:|[-+~])\s*+){{{_MAX_PREFIXES}}}")
_BEGINS_INDENTED = re.compile(r"(?:[ \t]*+(?:#[^\n]*+)?\n)*+[ \t]++[^\s#\\]")
_MAY_QUOTE = re.compile(r"[\"'#]")
_F_STRING = re.compile(r"(?i)\b(?:f|fr|rf)['\"]")
_ESCAPE = re.compile(r"\\[^\n]")
_LONG_NUMBER = re.compile(r"[0-9_]{500,}+")
_NUMBER_BEFORE_WORD = re.compile(r"([0-9](?<![\w.][0-9])[0-9_.]*+)(?=(?:and|else|for|if|in|is|or)\b)")


class Parser:
    """Parses the sources of one completion; each of them once."""

    def __init__(self) -> None:
        self._budget = MAX_TOTAL
        self._known: dict[str, ast.Module | None] = {}

    def parse(self, source: str) -> ast.Module | None:
        """Return the syntax tree of a source; None where it does not parse or is not parsed.

        Line numbers in the tree are those of the source; columns and the values of strings and numbers are not.
        """
        if source not in self._known:
            self._known[source] = self._parse(source)
        return self._known[source]

    def _parse(self, source: str) -> ast.Module | None:
        if len(source) > min(MAX_SOURCE, self._budget) or _is_no_python(source) or _is_complex(source):
            return None
        self._budget -= _MIN_COST + len(source)
        try:
            return parse_module(_neutralize(source), "<completion>")
        except SyntaxError as error:
            num_lines = source.count("\n") + 1
            seen = min(error.lineno or num_lines, num_lines) / num_lines
            self._budget += int(len(source) * min(1 - seen, 0.9))  # the rest was only tokenized
        except (ValueError, OverflowError, RecursionError, MemoryError):
            pass
        return None


def _is_no_python(source: str) -> bool:
    """Whether a source certainly does not parse: its first statement is indented, or a backtick is in no string."""
    if source[:1] in " \t\n#" and _BEGINS_INDENTED.match(source):
        return True
    backtick = source.find("`")
    return backtick >= 0 and not _MAY_QUOTE.search(source, 0, backtick)


def _is_complex(source: str) -> bool:
    if sum(map(source.count, "([{")) > MAX_NESTING:
        depth = 0
        for bracket in _BRACKET.findall(source):
            depth = depth + 1 if bracket in "([{" else max(0, depth - 1)
            if depth > MAX_NESTING:
                return True
    if source.count("{") > MAX_FIELDS and _F_STRING.search(source):
        return True
    return sum(map(source.count, _PREFIXES)) >= _MAX_PREFIXES and _PREFIX_RUN.search(source) is not None


def _neutralize(source: str) -> str:
    """Replace what would cause a warning or a slow conversion; the structure and the lines stay the same.

    A backslash with its character becomes `$$`: two characters of a string, and an error outside of one.
    """
    if "\\" in source:
        source = _ESCAPE.sub("$$", source)
    source = _LONG_NUMBER.sub("0", source)
    return _NUMBER_BEFORE_WORD.sub(r"\1 ", source)
