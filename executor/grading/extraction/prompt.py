"""Prompts that begin the program, as HumanEval's do, and completions that continue them."""

import functools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass

from executor.grading.extraction.answer import normalize
from executor.grading.extraction.fences import leaves_fence_open, split_document
from executor.grading.extraction.names import EntryPoint, bound_names, returns_outside_function
from executor.grading.extraction.parsing import MAX_SOURCE, Parser
from executor.grading.extraction.prose import cut_unfinished, strip_prose
from executor.grading.extraction.scanner import scan_line

MAX_REPAIRED = MAX_SOURCE // 4
"""Characters of a body behind which prose is looked for with each of its possible indentations."""
_FUNCTION = re.compile(r"^(?:async[ \t]+)?def[ \t]+([^\s(:]++)[ \t]*[(:]", re.MULTILINE)
_CLASS = re.compile(r"^class[ \t]+([^\s(:]++)[ \t]*[(:]", re.MULTILINE)
_FUTURE = re.compile(r"^from[ \t]++__future__[ \t]++import[ \t]++[\w, \t]++(?:#.*)?$\n?", re.MULTILINE)
_LAST_KEYWORD = re.compile(r"\b(?:and|assert|del|elif|else|for|if|in|is|lambda|not|or|raise|return|while|yield)$")


@dataclass(frozen=True, slots=True)
class PromptStart:
    """The beginning of a program.

    Args:
        before: the code before the entry point, imports and helpers.
        header: the line that the entry point begins with and all of the prompt after it.
        method: where in `header` the line of the method begins, for a method.
        indent: white space before the statements of the function.
    """

    before: str
    header: str
    method: int | None
    indent: str


@dataclass(frozen=True, slots=True)
class TaskContext:
    """What extraction needs to know of a task.

    Args:
        entry: None for a program that reads standard input.
        start: the beginning of the entry point in the prompt.
        begins_inside: whether the prompt leaves a fence open.
        known_names: names that the prompt binds before the entry point.
    """

    entry: EntryPoint | None
    start: PromptStart | None
    begins_inside: bool
    known_names: frozenset[str]


@functools.lru_cache(maxsize=1024)
def read_task(entry_point: str | None, prompt: str | None) -> TaskContext:
    """Read what extraction needs of a task; arguments as for `executor.grading.extract.extract_program`."""
    entry = None if entry_point is None else EntryPoint.from_text(entry_point)
    if prompt is None or len(prompt) > MAX_SOURCE:
        return TaskContext(entry, None, False, frozenset())
    prompt, parser = normalize(prompt), Parser()
    begins_inside = ("```" in prompt or "~~~" in prompt) and leaves_fence_open(prompt, parser)
    start = None if entry is None else find_start(prompt, entry, parser)
    tree = parser.parse(start.before) if start is not None and start.before else None
    return TaskContext(entry, start, begins_inside, frozenset() if tree is None else frozenset(bound_names(tree)))


def find_start(prompt: str, entry: EntryPoint, parser: Parser) -> PromptStart | None:
    """Find the beginning of the entry point in a prompt; None where it is not there."""
    starts = _find_definitions(prompt, entry)
    if not starts:
        return None
    code = prompt
    for block in split_document(prompt, parser, begins_inside=False, is_program=lambda _: False).blocks:
        if in_block := _find_definitions(block.content, entry):
            code, starts = block.content, in_block
    lines = code[: starts[-1]].splitlines(keepends=True)
    while lines and lines[-1].startswith("@"):  # decorators belong to the entry point
        lines.pop()
    before = "".join(lines)
    header = code[len(before) :]
    if parser.parse(before) is None:
        before = strip_prose(before, parser)
    method = None
    if entry.method is not None:
        method_line = re.search(
            rf"^[ \t]+(?:async[ \t]+)?def[ \t]+{re.escape(entry.method)}[ \t]*\(", header, re.MULTILINE
        )
        if method_line is None:
            return None
        method = method_line.start()
    return PromptStart(before, _without_tail(header), method, _indent_of_body(header, method))


def _find_definitions(code: str, entry: EntryPoint) -> list[int]:
    """Find where the lines begin that define the function or the class of an entry point."""
    pattern = _FUNCTION if entry.method is None else _CLASS
    return [found.start() for found in pattern.finditer(code) if found[1] == entry.name]


def replace_start(start: PromptStart, code: str) -> str:
    """Put the code before the entry point in front of a program that defines it itself."""
    if not start.before.strip():
        return code
    return join_sources([f"{start.before.rstrip()}\n\n\n", code])


def continue_start(start: PromptStart, body: str, parser: Parser) -> str | None:
    """Continue a prompt.

    The body is taken as it is, else with its indentation changed to that of the function: of its first line, which
    tokenizers change at the border, or of all lines. Prose behind it is cut off.

    Returns:
        A program that parses; None where there is none, or where it is longer than `MAX_SOURCE`.
    """
    if len(start.before) + len(start.header) + len(body) > MAX_SOURCE:
        return None
    programs: list[str] = []
    for code in _continuations(start, body):
        programs.append(start.before + code)
        if _is_whole(programs[-1], parser):
            return programs[-1]
    if len(body) > MAX_REPAIRED:
        return None
    dedented = textwrap.dedent(body)
    code = strip_prose(dedented, parser)
    if code != dedented:
        programs.append(start.before + start.header.rstrip("\n") + "\n" + textwrap.indent(code, start.indent))
    stripped = [cut_unfinished(strip_prose(program, parser), parser) for program in programs]
    kept = [code for code in stripped if _is_whole(code, parser)]
    longest = max(kept, key=_count_characters, default="")
    return longest if _count_characters(longest) > _count_characters(start.before + start.header) else None


def append_body(start: PromptStart, body: str, parser: Parser) -> str:
    """Put a prompt and a body together that do not make a program that parses."""
    return strip_prose(start.before + next(_continuations(start, body)), parser)


def join_sources(sources: list[str]) -> str:
    """Put sources one behind the other, with imports from `__future__` in front of them all."""
    futures = [line for source in sources[1:] for line in _FUTURE.findall(source)]
    if not futures:
        return "".join(sources)
    rest = [sources[0], *(_FUTURE.sub("", source) for source in sources[1:])]
    return "".join(line.rstrip("\n") + "\n" for line in dict.fromkeys(futures)) + "".join(rest)


def _is_whole(program: str, parser: Parser) -> bool:
    tree = parser.parse(program)
    return tree is not None and not returns_outside_function(tree)


def _count_characters(text: str) -> int:
    return len("".join(text.split()))


def _continuations(start: PromptStart, body: str) -> Iterator[str]:
    header = start.header
    if start.method is not None and re.match(r"\s*+(?:@[^\n]*+\s++)?+(?:async[ \t]++)?def\b", body):
        width = len(header[start.method :]) - len(header[start.method :].lstrip(" \t"))
        margin = header[start.method : start.method + width]
        yield header[: start.method] + textwrap.indent(textwrap.dedent(body), margin)
    if not header.endswith("\n") and not body.startswith("\n"):
        if _LAST_KEYWORD.search(header) and body[:1].isalnum():
            yield f"{header} {body}"
        elif body[:1] not in " \t" and not header.endswith(('"""', "'''", ":")):
            yield header + body
        else:
            yield f"{header}\n{body}"
            yield header + body
    if not header.endswith("\n"):
        header += "\n"
    yield header + body
    lines = body.lstrip("\n").split("\n")
    first, rest = lines[0].lstrip(" \t"), lines[1:]
    yield header + "\n".join([start.indent + first, *rest])
    inner = next((i for i, line in enumerate(rest) if line.strip() and line[0] not in " \t"), len(rest))
    tail = rest[inner:]
    for block in (lines[: inner + 1], None):
        if block is None:
            text = "\n".join([first, textwrap.dedent("\n".join(rest[:inner]))])
        else:
            text = textwrap.dedent("\n".join(block))
        yield header + "\n".join([textwrap.indent(text.expandtabs(4), start.indent), *tail])
    yield header + textwrap.indent(textwrap.dedent("\n".join(lines)), start.indent)


def _indent_of_body(header: str, method: int | None) -> str:
    """Find how the statements of the function that is begun are indented."""
    lines = header[method or 0 :].split("\n")
    position = next(i for i, line in enumerate(lines) if not line.lstrip().startswith("@"))
    margin = lines[position][: len(lines[position]) - len(lines[position].lstrip(" \t"))]
    quote, depth = scan_line(lines[position])
    while depth and position + 1 < len(lines):
        position += 1
        quote, depth = scan_line(lines[position], quote, depth)
    for line in lines[position + 1 :]:
        indent = line[: len(line) - len(line.lstrip(" \t"))]
        if line.strip() and len(indent) > len(margin):
            return indent
    return margin + "    "


def _without_tail(header: str) -> str:
    """Cut off the prose at the margin behind the beginning of a function."""
    quote, depth, at = "", 0, 0
    for number, line in enumerate(header.split("\n")):
        at_margin = bool(line.strip()) and line[0] not in " \t)@#" and not quote and not depth
        is_header = re.match(r"(?:async[ \t]+)?def\b|class\b", line) is not None
        if number and at_margin and not is_header and not re.match(r"[\w.]+[ \t]*(?:=|\()|import\b|from\b", line):
            return header[:at]
        quote, depth = scan_line(line, quote, depth)
        at += len(line) + 1
    return header
