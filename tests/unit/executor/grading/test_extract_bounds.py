"""Extraction from hostile text: it never raises, warns of nothing, and its time is linear."""

import random
import sys
import threading
import time
import warnings

import pytest

from executor.grading.extract import Extraction, extract_program
from executor.grading.extraction.parsing import MAX_SOURCE, Parser

TASKS = [
    ("solve", None),
    ("solve", 'def solve(x):\n    """x"""\n'),
    (None, None),
    ("Solution.solve", "class Solution:\n"),
]
REPEATED = {
    "fences": "```\n",
    "labelled fences": "```python\n",
    "blocks": "```python\nx\n```\n",
    "fences in strings": '```python\n"""\n```\n',
    "fences in other strings": "```py\n'''\n```\n\"\"\"\n",
    "nested fences": "```md\n```python\n",
    "indented fences": "   ```\n    x\n",
    "quoted fences": "> ```\n",
    "tags": "<code>\n```python\n</code>\n",
    "fences on one line": "``` ``` ",
    "backticks": "`",
    "glued fences": "```python\nx```\n",
    "blocks that define the function": "```python\ndef solve(x):\n return y\n```\n",
    "one long line": "a",
    "words": "word word\n",
    "unclosed brackets": "(\n",
    "unclosed calls": "f(\n",
    "unclosed brackets in prose": "see (below\n",
    "unclosed functions": "def solve(",
    "brackets": "[]",
    "triple quotes": '"""',
    "quotes": "'",
    "backslashes": "\\",
    "escapes": '"\\',
    "decorators": "@a\n",
    "branches": "else:\n",
    "phrases": "Aa: b\n",
    "assignments": "solve = = 1\n",
    "prefix operators": "-",
    "lambdas": "lambda:",
    "attributes": "a.b.",
    "digits": "9",
    "NUL": "\0",
    "lone surrogates": "\ud800\n",
    "carriage returns": "\r",
    "blank lines": "\t\n",
    "blanks": " ",
    "quotations": "> ",
    "reasoning": "</think>\n<think>",
    "end tokens": "</s>\n",
    "sessions": ">>> f(1)\n",
}
BUILT = {
    "fields of an f-string": lambda n: "solve = f'" + "{x}" * (n // 3) + "'",
    "a long number": lambda n: "solve = " + "9" * n,
    "deep blocks": lambda n: "".join(" " * i + "if x:\n" for i in range(int((2 * n) ** 0.5) - 8)),
    "a future import and blanks": lambda n: "from __future__ import a" + " " * n + "!",
    "a decorator and blanks": lambda n: "@" + " " * n + "!",
    "a label and line breaks": lambda n: "```\n" + "\n" * n,
    "an open string with fences": lambda n: '```python\n"""\n' + "```\n" * (n // 4),
    "a chain of helpers": lambda n: (
        "".join(f"```python\ndef f{i}():\n    return f{i - 1}()\n```\n" for i in range(n // 45))
        + f"```python\ndef solve():\n    return f{n // 45 - 1}()\n```\n"
    ),
}
TEXTS = {name: lambda n, unit=unit: unit * (n // len(unit)) for name, unit in REPEATED.items()} | BUILT
FRAGMENTS = [
    *(
        "```",
        "```python\n",
        "\n```\n",
        "~~~",
        "<code>\n",
        "</code>\n",
        "[PYTHON]\n",
        "> ",
        "- ",
        "    ",
        "\t",
        "\n",
        " ",
    ),
    *(
        "def solve(a, b):\n",
        "    return a + b\n",
        "class Solution:\n",
        "    def solve(self):\n",
        "import math\n",
        "@x\n",
    ),
    *(
        '"""',
        "'''",
        '"',
        "'",
        "(",
        ")",
        "[",
        "{",
        "#",
        "\\",
        ":",
        "=",
        ",",
        "lambda x: ",
        "f'{x}'",
        "solve = 1\n",
        "if x:\n",
    ),
    *("<think>\n", "</think>\n", "</s>", "<|im_end|>", "Here it is:\n", "It's (that.\n", "from __future__ import a\n"),
    *("\0", "\ud800", "\ufeff", "\u200b", "\xa0", "é", "\r\n", "\r", "\f", ">>> f(1)\n", "... ", "else:\n", "python\n"),
]


def process_time(text):
    started = time.process_time()
    for entry_point, prompt in TASKS[:2]:
        extract_program(text, entry_point, prompt=prompt)
    return time.process_time() - started


@pytest.mark.parametrize("build", TEXTS.values(), ids=TEXTS.keys())
def test_time_is_linear(build):
    """Four times the text takes about four times as long; a quadratic part would make it sixteen times."""
    small, large = build(16_000), build(64_000)
    ratios = []
    for _ in range(3):  # other work on the machine may disturb one of them
        ratios.append(process_time(large) / max(process_time(small), 0.02))
        if ratios[-1] < 9:
            break
    assert min(ratios) < 9
    started = time.process_time()
    extract_program(build(1_000_000), "solve")
    assert time.process_time() - started < 2.0


def test_random_texts_do_not_raise():
    draw = random.Random(0)
    for _ in range(500):
        text = "".join(draw.choices(FRAGMENTS, k=draw.randrange(1, 60)))
        for entry_point, prompt in [*TASKS, ("solve", text), ("Solution().solve", text)]:
            assert isinstance(extract_program(text, entry_point, prompt=prompt), Extraction)


def test_no_warning_is_issued():
    program = "def solve(x):\n    return '\\d' + '\\8' if 1if x else 0x1for 2 is 2\n"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert extract_program(program + "\nDone.\n", "solve").source == program


@pytest.mark.parametrize(
    "source",
    [
        "x = " + "(" * 150 + ")" * 150,
        "x = " + "not " * 5000 + "y",
        "x = " + "- ~" * 5000 + "y",
        "x = " + "lambda: " * 5000 + "y",
        "x = a" + ".b" * 30_000,
        pytest.param(
            "x = " + "a if b else " * 5000 + "c",
            marks=pytest.mark.skipif(sys.version_info >= (3, 13), reason="Python 3.13 parses trees of 10000 levels"),
        ),
        "x = f'" + "{y}" * 3000 + "'",
        "x = 1\0",
        "x = '\ud800'",
        "x = 1\n" * (MAX_SOURCE // 6 + 1),
        "def f(:\n",
    ],
    ids=range(11),
)
def test_what_is_beyond_the_bounds_does_not_parse(source):
    assert Parser().parse(source) is None


@pytest.mark.parametrize("source", ["a if b else " * 5000 + "c", "a" + ".b" * 9000, "a" + "()" * 9000])
def test_deep_trees_fit_in_a_small_stack_whether_they_parse_or_not(source):
    text = f"x = {source}\ndef solve(x):\n    return x\n"
    found: list[Extraction] = []
    size = threading.stack_size(1 << 20)
    try:
        thread = threading.Thread(target=lambda: found.append(extract_program(text, "solve")))
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert "def solve(x):" in found[0].source


def test_long_numbers_and_escapes_parse():
    parser = Parser()
    assert parser.parse("x = " + "9" * 60_000) is not None
    tree = parser.parse("x = 1\ny = '\\'' + r'\\\\'\nz = '''\\\n'''\nt = 2\n")
    assert tree is not None
    assert [statement.lineno for statement in tree.body] == [1, 2, 3, 5]


def test_the_sources_of_one_completion_have_a_budget():
    parser = Parser()
    sources = [f"x = {number}\n" + "y = 1\n" * (MAX_SOURCE // 6 - 3) for number in range(5)]
    assert [parser.parse(source) is not None for source in sources] == [True, True, False, False, False]
    assert parser.parse(sources[0]) is not None  # it is known


def test_a_program_that_is_too_long_to_parse_is_found_by_its_lines():
    long = "def solve(x):\n    return x\n" + "y = 1\n" * (MAX_SOURCE // 6)
    assert extract_program(f"So:\n```python\n{long}```\n", "solve").source == long
    assert extract_program(long, "solve").source == long
