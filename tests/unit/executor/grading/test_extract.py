import time

import pytest

from executor.grading.extract import extract_program

ADD = "def solve(a, b):\n    return a + b\n"
HUMANEVAL = (
    "from typing import List\n\n\ndef helper(x):\n    return x\n\n\n"
    'def solve(a, b):\n    """Add.\n\n    Two numbers.\n    """\n'
)


def loaded(source):
    namespace = {}
    exec(source, namespace)
    return namespace


@pytest.mark.parametrize(
    "completion",
    [
        ADD,
        "```python\n" + ADD + "```",
        "```\n" + ADD + "```\n",
        "```py\n" + ADD,  # never closed
        "~~~python\n" + ADD + "~~~",
        "Sure! Here it is:\n\n```python\n" + ADD + "```\n\nIt adds. Say:\n\n```python\nprint(solve(1, 2))\n```\n",
        "First install it:\n```bash\npip install solve\n```\nthen\n```Python\n" + ADD + "```",
        "1. So:\n\n   ```python\n   def solve(a, b):\n       return a + b\n   ```\n",
        "Here is the function:\n\n" + ADD + "\nThis works because addition adds.\nIf you want more, ask.",
        "Of course\n" + ADD + "\nfrom there you can go on\nimport this as you like, for example",
        "import math\n\n" + ADD + "\nif __name__ == '__main__':\n    print(solve(1, 2))\n\nHope it helps!",
        "# Solution\n" + ADD,
        "solve = lambda a, b: a + b\n\nA lambda does it.",
        "def solve(a,\n          b,\n):\n    return a + b\n",
        "async_ = 1\n" + ADD + "x = [\n    1,\n]\nThat is all.",
        'def solve(a, b):\n    """\nAt the margin.\n    """\n    return a + b\n\nDone.',
        '"""Module text.\n\nMore of it.\n"""\n' + ADD,
        ADD.replace("\n", "\r\n"),
        "def solve(a: int, b: int) -> int:\n    return a + b\n\nassert solve(1, 2) == 3\nprint(solve(1, 1))\nBye!",
        "import sys, os as o\nfrom math import (\n    sqrt,\n)\n@lambda f: f\ndef solve(a, b):\n    return a + b\n",
        "```python\nimport math\n```\nand\n```python\nsolve = \\\n    lambda a, b: a + b\n```",
    ],
)
def test_the_program_is_found(completion):
    assert loaded(extract_program(completion, "solve"))["solve"](2, 3) == 5


def test_bare_code_is_left_as_it_is():
    assert extract_program(ADD, "solve") == ADD


def test_helpers_in_another_block_are_not_lost_when_no_block_defines_the_entry_point():
    text = "```python\nx = 1\n```\nand\n```python\ny = 2\n```"
    assert extract_program(text, "solve") == "x = 1\n\ny = 2\n"


@pytest.mark.parametrize(
    "completion",
    [
        "    return a + b\n",
        "    return a + b\n\n\nprint(solve(1, 2))\n",
        "    return a + b\n\nThat is it: the sum.\n",
        "```python\n    return a + b\n```",
        "    total = a\n    return total + b\n\ndef other():\n    pass\n",
        ADD,
        "```python\n" + ADD + "```",
        "def solve(a, b):\n    numbers: List[int] = [a, b]\n    return helper(sum(numbers))\n",
        "from __future__ import annotations\n" + ADD,
    ],
)
def test_a_completion_continues_or_replaces_the_prompts_function(completion):
    assert loaded(extract_program(completion, "solve", prompt=HUMANEVAL))["solve"](2, 3) == 5


def test_the_prompt_matters_only_where_it_is_code():
    assert extract_program(ADD, "solve", prompt="Write solve(a, b), please.") == ADD
    assert extract_program(ADD, "solve", prompt="Please complete:\ndef solve(a, b):\n") == ADD
    mixed = extract_program("    return a + b", "solve", prompt="Please complete this.\n\ndef solve(a, b):\n")
    assert loaded(mixed)["solve"](2, 3) == 5


def test_another_name_that_begins_alike_is_not_the_entry_point():
    text = "```python\ndef solve_all(a, b):\n    return 0\n```\n```python\n" + ADD + "```"
    assert loaded(extract_program(text, "solve"))["solve"](2, 3) == 5


@pytest.mark.parametrize(
    "text",
    ["", "\n", "```", "```python", "just words", "a" * 200_000, "=" * 200_000, "x," * 100_000, "``` ``` ```" * 20_000]
    + ["def solve(" * 20_000, "a.b" * 60_000, "[" * 200_000, "import a," + " " * 100_000 + "!", '"""' * 60_000]
    + ["def solve():\n" + "x: " * 60_000, "from " + "." * 100_000 + " x", "\n" * 200_000, "\x00\ud800"],
)
def test_hostile_text_takes_no_time(text):
    started = time.perf_counter()
    extract_program(text, "solve")
    extract_program(text, "solve", prompt=text)
    assert time.perf_counter() - started < 2.0


@pytest.mark.parametrize(
    "line",
    [
        "Note:" + " " * 20_000,
        "Note :" + "\t " * 10_000 + "==",
        "import x" + " " * 20_000 + "y",
        "import x" + " , y" * 5_000 + "!",
        "except" + " " * 60_000,
        "if x" + ": " * 10_000 + "!",
        "a" + ".b[c]" * 4_000 + "!",
    ],
    ids=lambda line: line[:8],
)
def test_a_long_line_takes_no_time_on_the_processor(line):
    """Where two neighbours in an expression share characters, some of these take minutes."""
    started = time.process_time()
    extract_program(f"def solve(x):\n    return x\n{line}\n", "solve")
    extract_program(f"{line}\ndef solve(x):\n    return x\n", "solve")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("solve =", "solve ="),
        ("solve =\n", "solve =\n"),
        ("Sure.\nsolve: int =\n5", "solve: int =\n"),
        ("solve\t=\nNo more.\n", "solve\t=\n"),
    ],
)
def test_an_assignment_of_nothing_is_no_fault_of_ours(text, program):
    assert extract_program(text, "solve") == program


def test_a_byte_order_mark_is_no_part_of_a_program():
    assert extract_program("\ufeffdef solve(x):\n    return x\n", "solve") == "def solve(x):\n    return x\n"
