"""Tracks open strings and brackets through Python text, one line at a time.

It does not tokenize: it finds only what decides whether the next line continues this one. Every pattern is possessive,
so the time is linear in the length of a line.
"""

import re

_TOKEN = re.compile(
    r"""\"\"\"|'''|"(?:[^"\\]++|\\.)*+"|'(?:[^'\\]++|\\.)*+'|["'#(\[{)\]}]""",
)
_END_OF_STRING = {
    '"""': re.compile(r'(?:[^"\\]++|\\.|"(?!""))*+"""'),
    "'''": re.compile(r"(?:[^'\\]++|\\.|'(?!''))*+'''"),
}


def scan_line(line: str, quote: str = "", depth: int = 0) -> tuple[str, int]:
    """Advance the state of the scan by one line.

    Args:
        line: without its line break.
        quote: the triple quote that is open before the line, or "".
        depth: number of brackets that are open before the line.

    Returns:
        The same two after the line. The rest of a line behind an unpaired single quote is skipped.
    """
    quote, depth, _ = _scan(line, quote, depth)
    return quote, depth


def ends_in_comment(line: str) -> bool:
    """Say whether a line, outside of strings at its beginning, has a comment or an unpaired quote."""
    return _scan(line, "", 0)[2]


def _scan(line: str, quote: str, depth: int) -> tuple[str, int, bool]:
    position = 0
    while True:
        if quote:
            end = _END_OF_STRING[quote].match(line, position)
            if end is None:
                return quote, depth, False
            position, quote = end.end(), ""
        token = _TOKEN.search(line, position)
        if token is None or token[0] in ("#", '"', "'"):
            return "", depth, token is not None
        position = token.end()
        if token[0] in ('"""', "'''"):
            quote = token[0]
        elif token[0] in "([{":
            depth += 1
        elif token[0] in ")]}":
            depth = max(0, depth - 1)
