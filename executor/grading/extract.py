"""Takes the program out of a completion: out of fences, out of chat, or as it is.

The rules, in this order:

1. What a model reasons before `</think>` is no answer, and end-of-text tokens behind it are no part of it.
2. An answer that parses and defines the entry point is the program.
3. Else the last fenced block that defines it, for a program that reads standard input the last block of Python; blocks
   before (or behind) it are joined to it where they define names that it lacks, in function bodies too.
4. Else the text outside of fences, without its prose.
5. Where the prompt begins the entry point (as HumanEval's do), an answer that defines it gets what stands before it in
   the prompt, and one that does not continues the prompt.

Nothing is run here, and a program with a syntax error stays one. Sources are parsed within the bounds of
`executor.grading.extraction.parsing`; beyond them, and for syntax newer than the Python of this process, lines decide.
No text makes the extraction raise, and its time is linear in the length of the text.
"""

import ast
import functools
import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from executor.grading.extraction.answer import cut_end_tokens, drop_reasoning, normalize
from executor.grading.extraction.fences import Block, Document, split_document
from executor.grading.extraction.names import (
    Definition,
    bound_names,
    called_names,
    find_definition,
    has_statements,
    missing_names,
    returns_outside_function,
)
from executor.grading.extraction.parsing import MAX_SOURCE, Parser
from executor.grading.extraction.prompt import (
    TaskContext,
    append_body,
    continue_start,
    join_sources,
    read_task,
    replace_start,
)
from executor.grading.extraction.prose import cut_unfinished, strip_prose

MAX_ANSWER = 2 * MAX_SOURCE
"""Characters. Of a longer answer with fences only so much of its end is read; one without is taken as it is."""
NO_ANSWER = "no answer after the reasoning"
_SESSION_LINE = re.compile(r"[ \t]*(?:>>>|\.\.\.)(?: |$)")
_LABEL_LINE = re.compile(r"\s*(?:python3?|py)[ \t]*\n")
_READS = {"input", "stdin", "open", "fileinput", "readline", "readlines"}
_WRITES = {"print", "stdout", "write", "writelines"}


@dataclass(frozen=True, slots=True)
class Extraction:
    """The program of a completion.

    Args:
        source: source text; it need not be valid.
        problem: why there is no program, one line; None where `source` is what the model answered.
    """

    source: str
    problem: str | None = None


def extract_program(completion: str, entry_point: str | None, *, prompt: str | None = None) -> Extraction:
    """Take the program out of a completion.

    Args:
        completion: what the model wrote.
        entry_point: the function that the program must define; `Solution.f` and `Solution().f` are a method of a
            class. None: a program that reads standard input.
        prompt: what the model was given, or None.
    """
    answer = drop_reasoning(normalize(completion), None if prompt is None else normalize(prompt))
    if answer is None:
        return Extraction("", NO_ANSWER)
    return Extraction(_Extractor(read_task(entry_point, prompt)).extract(answer))


class _Extractor:
    """Extracts one program."""

    def __init__(self, task: TaskContext) -> None:
        self._parser = Parser()
        self._repaired: dict[Block, str] = {}
        self._entry, self._start, self._known_names = task.entry, task.start, task.known_names
        self._begins_inside = task.begins_inside

    def extract(self, answer: str) -> str:
        if len(answer) > MAX_ANSWER:
            end = answer[-MAX_ANSWER:].partition("\n")[2]
            if "```" not in end and "~~~" not in end:
                return answer
            answer = end
        if self._is_program(answer):
            program = strip_prose(answer, self._parser, known=self._known_names)
            if program == answer or self._is_program(program):
                return self._finish(program)
        answer = cut_end_tokens(answer)
        document = split_document(
            answer, self._parser, begins_inside=self._begins_inside, is_program=self._may_be_begun
        )
        if self._entry is None:
            return self._extract_script(document, answer)
        program = self._find_function(document, answer)
        if program is not None:
            return program
        if self._start is not None:
            body = self._choose_body(document, answer)
            return continue_start(self._start, body, self._parser) or append_body(self._start, body, self._parser)
        blocks = [block.content for block in document.blocks if block.may_be_python]
        return "\n".join(blocks) or answer

    def _extract_script(self, document: Document, answer: str) -> str:
        """Choose the last block of Python; one that reads and writes goes before those that are mere usage."""
        blocks = [block for block in document.blocks if block.label and block.may_be_python] or [
            block for block in document.blocks if block.may_be_python
        ]
        sources = [self._repair(block) for block in blocks]
        whole = [source for source in sources if self._does(source, _READS) and self._does(source, _WRITES)]
        working = [source for source in sources if self._is_program(source)]
        if whole and working and not self._does(working[-1], _READS):
            joined = self._join(working[-1], document)
            is_whole = self._does(joined, _READS) and whole[-1] not in joined
            return joined if is_whole else self._join(whole[-1], document)
        if working:
            return self._join(working[-1], document)
        outside = strip_prose(document.outside, self._parser)
        if self._is_program(outside):
            return outside
        return sources[-1] if sources else answer

    def _find_function(self, document: Document, answer: str) -> str | None:
        """Find the source that defines the entry point, and finish it."""
        blocks = [block for block in document.blocks if block.may_be_python and block.label != "inline"]
        for least in (Definition.FULL, Definition.IMPORT):
            for block in reversed(blocks):
                source = self._repair(block)
                if self._definition(source) >= least:
                    return self._finish(self._join(source, document))
        for block in reversed(document.blocks):
            source = self._repair(block)
            if self._parser.parse(source) is not None and self._definition(source):
                return self._finish(source)
        outside = document.outside if document.blocks else answer
        if self._start is not None and outside.lstrip("\n")[:1] in (" ", "\t"):
            program = continue_start(self._start, outside, self._parser)
            if program is not None:
                return program  # the answer continues the prompt, whatever it defines after that
        for variant in _dedented(outside):
            source = strip_prose(variant, self._parser, known=self._known_names)
            if self._definition(source):
                finished = cut_unfinished(source, self._parser)
                return self._finish(finished if self._definition(finished) else source)
        return None

    def _choose_body(self, document: Document, answer: str) -> str:
        """Choose the continuation of the prompt: a block that returns or is indented, else the first one, else all."""
        blocks = [block.content for block in document.blocks if block.may_be_python]
        if not blocks:
            return answer
        outside = document.outside
        if outside.lstrip("\n")[:1] in (" ", "\t"):
            return outside
        for content in reversed(blocks):
            tree = self._parser.parse(textwrap.dedent(content))
            if tree is not None and returns_outside_function(tree):
                return content
        return next((content for content in reversed(blocks) if content[:1] in (" ", "\t")), blocks[0])

    def _repair(self, block: Block) -> str:
        if block not in self._repaired:
            self._repaired[block] = self._repair_block(block)
        return self._repaired[block]

    def _repair_block(self, block: Block) -> str:
        """Return the source of a block; where it does not parse, with what is often wrong with it put right."""
        content = _LABEL_LINE.sub("", block.content, count=1) if _LABEL_LINE.match(block.content) else block.content
        if block.is_session:
            return _read_session(content)
        if self._parser.parse(content) is not None:
            return content
        variants = list(_dedented(content))
        if _SESSION_LINE.match(content.lstrip("\n")):
            variants.append(_read_session(content))
        if not block.is_closed:
            variants.append(strip_prose(cut_end_tokens(content), self._parser))
        return next((source for source in variants if self._parser.parse(source) is not None), content)

    def _join(self, source: str, document: Document) -> str:
        """Put the blocks that define names which a source lacks around it, in the order of the answer."""
        if len(document.blocks) == 1:
            return source
        tree = self._parser.parse(source)
        missing = set() if tree is None else missing_names([tree]) - self._known_names - bound_names(tree)
        if not missing:
            return source
        others = [self._repair(block) for block in document.blocks if block.may_be_python]
        place = max((i for i, other in enumerate(others) if other == source), default=len(others))
        joined: dict[int, str] = {}
        for i in (*range(place - 1, -1, -1), *range(place + 1, len(others))):
            other = self._parser.parse(others[i])
            names = set() if other is None else bound_names(other)
            if other is not None and (missing & names or ("*" in names and missing)):
                joined[i] = _without_usage(others[i], other)
                missing = (missing - names) | (missing_names([other]) - names)
        pieces = [joined[i] for i in sorted(joined) if i < place]
        behind = [joined[i] for i in sorted(joined) if i > place]
        return join_sources([piece.rstrip("\n") + "\n\n\n" for piece in pieces] + ["\n\n\n".join([source, *behind])])

    def _finish(self, program: str) -> str:
        return program if self._start is None else replace_start(self._start, program)

    def _is_program(self, source: str) -> bool:
        """Say whether a source parses and is what the task asks for."""
        if self._entry is not None and self._entry.name not in source and source.isascii():
            return False
        tree = self._parser.parse(source)
        if tree is None or returns_outside_function(tree):
            return False
        return has_statements(tree) if self._entry is None else bool(find_definition(tree, self._entry))

    def _definition(self, source: str) -> Definition:
        tree = self._parser.parse(source)
        assert self._entry is not None
        if tree is not None:
            is_body = self._start is not None and returns_outside_function(tree)
            return Definition.NONE if is_body else find_definition(tree, self._entry)
        pattern = _definition_pattern(self._entry.name, with_assignment=self._start is None)
        return Definition.FULL if pattern.search(source) else Definition.NONE

    def _may_be_begun(self, text: str) -> bool:
        """Say whether a text before a closing fence is a program, or the rest of a function that the prompt begins."""
        if self._start is not None:
            source = strip_prose(textwrap.dedent(text), self._parser, known=self._known_names)
            tree = self._parser.parse(source)
            return tree is not None and has_statements(tree) and len(source.strip()) * 2 > len(text.strip())
        source = strip_prose(text, self._parser)
        return self._is_program(source) and len(source.strip()) * 2 > len(text.strip())

    def _does(self, source: str, what: set[str]) -> bool:
        tree = self._parser.parse(source)
        return tree is not None and not what.isdisjoint(called_names(tree))


@functools.lru_cache(maxsize=1024)
def _definition_pattern(name: str, *, with_assignment: bool) -> re.Pattern[str]:
    """Return what a definition looks like in text that does not parse; a function's body may assign to its name."""
    name = re.escape(name)
    definition = rf"^(?:(?:async[ \t]++)?def|class)[ \t]++{name}\b"
    assignment = rf"|^{name}[ \t]*+(?::[^=\n]*+)?=(?!=)" if with_assignment else ""
    return re.compile(definition + assignment, re.MULTILINE)


def _dedented(text: str) -> Sequence[str]:
    """Return a text and its possible forms before its indentation changed; the first that parses counts."""
    dedented = textwrap.dedent(text)
    stripped = text.lstrip(" \t\n")
    return [text, *(variant for variant in (dedented, stripped) if variant != text)]


def _read_session(text: str) -> str:
    """Return the source typed in a session of the interpreter; its output is left out."""
    lines = [line.lstrip(" \t") for line in text.split("\n") if _SESSION_LINE.match(line)]
    return "".join(line[4:] + "\n" for line in lines)


def _without_usage(source: str, tree: ast.Module) -> str:
    """Leave out the statements of a joined block that only show its use: prints, asserts and main guards."""
    lines = source.split("\n")
    usage: set[int] = set()
    others: set[int] = set()
    for statement in tree.body:
        where = range(statement.lineno - 1, statement.end_lineno or statement.lineno)
        (usage if _is_usage(statement) else others).update(where)
    return "\n".join(line for i, line in enumerate(lines) if i not in usage or i in others)


def _is_usage(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Call):
        return isinstance(statement.value.func, ast.Name) and statement.value.func.id == "print"
    if isinstance(statement, ast.If):
        return any(isinstance(node, ast.Name) and node.id == "__name__" for node in ast.walk(statement.test))
    return isinstance(statement, ast.Assert)
