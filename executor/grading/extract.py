"""From a model's text to a program: out of fences, out of chat, or as it is. It looks at lines and never parses.

Parsing belongs in the sandbox: hostile text can take a parser down.
"""

import re
import textwrap

_FENCE = re.compile(r"^[ \t]*(`{3,}|~{3,})[ \t]*([\w+.-]*)[^\n]*$", re.MULTILINE)
_PYTHON_LABELS = ("", "python", "py", "python3", "py3", "python2", "ipython")
_NAME = r"[^\W\d]\w*"
# Hostile text is matched with these two, and no other thread runs meanwhile. So no two parts that can match the same
# characters stand beside each other: the time is linear in the line.
_BEGINS_CODE = re.compile(
    rf"(?:import\s+[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*\s*(?:;\s*)?(?:#.*)?$"
    rf"|from\s+[\w.]+\s+import\b|(?:async\s+)?def\s+{_NAME}\s*[(\[]|class\s+{_NAME}\s*[(:\[]|@{_NAME}"
    rf"|{_NAME}(?:\s*,\s*{_NAME})*(?:\s*:[^=]+|\s*)=[^=]|#)"
)
_GOES_ON = re.compile(
    rf"(?:(?:if|elif|for|while|with|async|match)\b.*:\s*(?:#.*)?$|(?:(?:else|try|finally)\s*|except\b[^:]*):"
    rf"|(?:return|raise|assert|global|del)\b.*|pass\s*$|[)\]}}]|{_NAME}(?:\.{_NAME}|\[[^\]]*\])*\s*(?:\(|[-+*/%&|^@]{{1,2}}=)"
    r"|[rRbBuUfF]{0,2}(?:\"\"\"|'''))"
)


def extract_program(completion: str, entry_point: str, *, prompt: str | None = None) -> str:
    """Find the program in a completion.

    The first fenced block that defines the entry point is it; else the text before the first fence where that does;
    else all fenced blocks of Python together; else the text without the prose before and after the code. What does not
    define the entry point continues the prompt. Where the prompt itself begins the function (as in HumanEval), the
    code before it (imports, helpers) is kept.

    Args:
        completion: what the model wrote.
        entry_point: the function the program must define.
        prompt: what the model was given, or None.

    Returns:
        Source text; it need not be valid.
    """
    name = re.escape(entry_point)
    defines = re.compile(
        rf"^(?:(?:async[ \t]+)?def|class)[ \t]+{name}\b|^{name}[ \t]*(?::[^=\n]*)?=(?!=)", re.MULTILINE
    )
    completion = completion.removeprefix("\ufeff").replace("\r\n", "\n")
    code = _code_of(completion, defines)
    in_prompt = None if prompt is None else defines.search(prompt)
    if defines.search(code) is None:
        return code if prompt is None else _trimmed(_joined(prompt, code), defines)
    if prompt is None or in_prompt is None:
        return code
    before = _without_prose(prompt[: in_prompt.start()])
    if not before.strip() or "from __future__" in code:
        return code
    return f"{before.rstrip()}\n\n\n{code}"


def _code_of(completion: str, defines: re.Pattern[str]) -> str:
    blocks = _fenced_blocks(completion)
    if not blocks:
        return _trimmed(completion, defines)
    for block in blocks:
        if defines.search(block):
            return block
    before = completion[: _first_fence(completion)]
    if defines.search(before):  # an answer that began within a block: its first fence is the closing one
        return _trimmed(before, defines)
    return "\n".join(blocks)


def _first_fence(text: str) -> int:
    """Find where the first fence begins; there is one."""
    fence = _FENCE.search(text)
    assert fence is not None
    return fence.start()


def _fenced_blocks(text: str) -> list[str]:
    """Cut out the contents of the fenced blocks that may be Python; one left open reaches to the end."""
    blocks: list[str] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1][0] == opened[1][0] and len(fence[1]) >= len(opened[1]) and not fence[2]:
            blocks += _block(opened, text[opened.end() + 1 : fence.start()])
            opened = None
    if opened is not None:
        blocks += _block(opened, text[opened.end() + 1 :])
    return blocks


def _block(fence: re.Match[str], content: str) -> list[str]:
    if fence[2].lower() not in _PYTHON_LABELS:
        return []
    indented_fence = fence[0][:1] in " \t"  # a block within a list; any other block keeps its indentation
    return [textwrap.dedent(content) if indented_fence else content]


def _joined(prompt: str, code: str) -> str:
    return prompt + code if prompt.endswith("\n") or code[:1].isspace() else f"{prompt}\n{code}"


def _trimmed(text: str, defines: re.Pattern[str]) -> str:
    """Cut the prose off: before the first line that begins code, and from the first line after that does not."""
    if defines.search(text) is None:
        return _without_tail(text.split("\n"), 0)
    lines = text.split("\n")
    first = next(i for i, line in enumerate(lines) if _BEGINS_CODE.match(line) or defines.match(line))
    head = "\n".join(lines[:first])
    opens_string = re.search(r"^[rRuU]?(\"\"\"|''')", head, re.MULTILINE)
    return _without_tail(lines, 0 if opens_string else first)


def _without_tail(lines: list[str], first: int) -> str:
    """Keep the lines from `first` to the first line at the margin that is no code, long strings aside."""
    quote = ""
    for position in range(first, len(lines)):
        line = lines[position]
        at_margin = bool(line.strip()) and not line[0].isspace() and not quote
        if position > first and at_margin and not (_BEGINS_CODE.match(line) or _GOES_ON.match(line)):
            return "\n".join(lines[first:position]).rstrip() + "\n"
        quote = _open_quote(line, quote)
    return "\n".join(lines[first:])


def _open_quote(line: str, quote: str) -> str:
    """Find the long quote that is open at the end of a line, given the one open at its beginning."""
    position = 0
    while position < len(line):
        if quote:
            end = line.find(quote, position)
            if end < 0:
                return quote
            position, quote = end + 3, ""
            continue
        found = re.compile(r"\"\"\"|'''|#").search(line, position)
        if found is None or found[0] == "#":
            return ""
        position, quote = found.end(), found[0]
    return quote


def _without_prose(text: str) -> str:
    """Keep the text from its first line of code on, or nothing when prose follows it."""
    lines = text.split("\n")
    first = next((i for i, line in enumerate(lines) if _BEGINS_CODE.match(line)), None)
    if first is None:
        return ""
    kept = _without_tail(lines, first)
    return kept if kept.rstrip() == "\n".join(lines[first:]).rstrip() else ""
