"""What models write, and the program in it.

`cases/extraction_cases.jsonl` holds cases made after public bug reports of other graders: with `want` "passed" the
program makes the calls right, with another it loads and does not, and with "fail" it does not load.
"""

import json
import warnings
from pathlib import Path

import pytest

from executor.grading.extract import NO_ANSWER, extract_program

ADD = "def solve(a, b):\n    return a + b\n"
WRONG = "def solve(a, b):\n    return a - b\n"
HUMANEVAL = (
    "from typing import List\n\n\ndef helper(x):\n    return x\n\n\n"
    'def solve(a, b):\n    """Add.\n\n    Two numbers.\n    """\n'
)
CASES = [
    json.loads(line)
    for line in (Path(__file__).parent / "cases" / "extraction_cases.jsonl").read_text(encoding="utf-8").splitlines()
]


def extract(completion, entry_point="solve", prompt=None):
    extraction = extract_program(completion, entry_point, prompt=prompt)
    assert extraction.problem is None
    return extraction.source


def load(source):
    """Run a program; what it warns of is its own matter."""
    namespace = {"__name__": "program"}
    with warnings.catch_warnings(action="ignore"):
        exec(compile(source, "<program>", "exec", dont_inherit=True), namespace)
    return namespace


def adds(source):
    return load(source)["solve"](2, 3) == 5


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["case"])
def test_cases_of_public_bug_reports(case):
    source = extract(case["completion"], case["entry_point"], case.get("prompt"))
    if case["want"] == "fail":
        with pytest.raises((SyntaxError, KeyError)):
            load(source)[case["entry_point"]]
        return
    function = load(source)[case["entry_point"]]
    is_right = all(function(*args) == expected for args, expected in case["calls"])
    assert is_right == (case["want"] == "passed")


FENCED = {
    "plain": "```python\n" + ADD + "```",
    "no label": "```\n" + ADD + "```\n",
    "never closed": "```py\n" + ADD,
    "never closed, prose behind": "```py\n" + ADD + "\nThat is all there is to it.\n",
    "tildes": "~~~python\n" + ADD + "~~~",
    "usage behind": "Sure! Here it is:\n\n```python\n" + ADD + "```\n\nSay:\n\n```python\nprint(solve(1, 2))\n```\n",
    "install before": "Install it:\n```bash\npip install solve\n```\nthen\n```Python\n" + ADD + "```",
    "in a list": "1. So:\n\n   ```python\n   def solve(a, b):\n       return a + b\n   ```\n",
    "behind a list marker": "- ```python\n  def solve(a, b):\n      return a + b\n  ```\n",
    "in a quotation": "> So:\n> ```\n> def solve(a, b):\n>     return a + b\n> ```\n> Done.",
    "carriage returns": ("```python\n" + ADD + "```\n").replace("\n", "\r\n"),
    "attributes": '```python title="solve.py" linenums="1"\n' + ADD + "```",
    "braces": "```{python}\n" + ADD + "```\n",
    "braces and numbers": "``` {.python .numberLines}\n" + ADD + "```\n",
    "label code": "```code\n" + ADD + "```\nUsage:\n```\n3\n```",
    "label file name": "```solve.py\n" + ADD + "```\nUsage:\n```\n3\n```",
    "label python3.12": "```python3.12\n" + ADD + "```",
    "label on a line of its own": "```\npython\n" + ADD + "```",
    "another label": "```text\n" + ADD + "```",
    "another language behind": "```python\n" + ADD + "```\n```js\nsolve = (a, b) => a - b\n```",
    "longer closing fence": "```python\n" + ADD + "`````\nDone.",
    "text on the closing line": "```python\n" + ADD + "``` This adds.\nDone.",
    "opening fence closes": "```text\n3\n```python\n" + ADD + "```",
    "two opening fences": "```\n```python\n" + ADD + "```\n```",
    "in a Markdown block": "```markdown\n# Title\n```python\n" + ADD + "```\nText\n```\n",
    "in a longer Markdown block": "````md\n# Title\n```python\n" + ADD + "```\n````\nText",
    "in tags": "<answer>\n```python\n" + ADD + "```\n</answer>",
    "tags alone": "<code>\n" + ADD + "</code>\nDone.",
    "HTML": '<pre><code class="language-python">\n' + ADD + "</code></pre>\nDone.",
    "on one line": "Use\n```solve = lambda a, b: a + b```\nfor that.",
    "closing fence on the last line": "```python\ndef solve(a, b):\n    return a + b  ```\nDone.",
    "closing fence behind a hash in a string": '```python\ndef solve(a, b):\n    return a + b + len("#") - 1```\nDone.',
    "closing fence behind a comment": "```python\ndef solve(a, b):\n    return a + b  # the sum```\nIt adds.",
    "one blank before the code": "```python\n def solve(a, b):\n     return a + b\n```",
    "a session": "```pycon\n>>> def solve(a, b):\n...     return a + b\n...\n>>> solve(1, 2)\n3\n```",
    "a session, label Python": "```python\n>>> def solve(a, b):\n...     return a + b\n>>> solve(1, 2)\n3\n```",
    "code outside, usage fenced": ADD + "\nUsage:\n\n```python\nprint(solve(1, 2))\n```\nDone.",
    "code outside, output fenced": ADD + "\nIt prints\n\n```\n3\n```\n",
    "begins inside": ADD + "```\n\nThat's it. Usage:\n\n```python\nprint(solve(1, 2))\n```\n",
    "a stub in the usage": "```python\n"
    + ADD
    + "```\nTests:\n```python\ndef solve(a, b):\n    ...\n\nsolve(1, 2)\n```",
    "an import in the tests": "```python\n" + ADD + "```\nTests:\n```python\nfrom main import solve\nsolve(1, 2)\n```",
    "a test of it": "```python\n" + ADD + "```\n```python\ndef test_solve():\n    assert solve(1, 2) == 4\n```",
    "another name that begins alike": "```python\ndef solve_all(a, b):\n    return 0\n```\n```python\n" + ADD + "```",
    "a draft before": "```python\n" + WRONG + "```\nNo:\n```python\n" + ADD + "```",
    "a draft that does not parse": "```python\ndef solve(a, b)\n    return\n```\nNo:\n```python\n" + ADD + "```",
    "a docstring with a fence": '```python\ndef solve(a, b):\n    """Add.\n```\nsolve(1, 2)\n```\n    """\n'
    "    return a + b\n```\nDone.",
    "a docstring, its fence labelled": '```python\ndef solve(a, b):\n    """Add.\n```python\nsolve(1)\n```\n    """\n'
    "    return a + b\n```\nDone.",
    "an unclosed docstring before": '```python\ndef draft():\n    """Not closed.\n```\nNo:\n```python\n' + ADD + "```",
    "a string with a fence": '```python\nFENCE = "```"\n' + ADD + "```\n",
}


@pytest.mark.parametrize("completion", FENCED.values(), ids=FENCED.keys())
def test_program_in_a_fence(completion):
    assert adds(extract(completion))


UNFENCED = {
    "alone": ADD,
    "prose around": "Here is the function:\n\n" + ADD + "\nThis works because addition adds.\nIf you want more, ask.",
    "prose that begins like code": "Of course\n"
    + ADD
    + "\nfrom there you can go on\nimport this as you like, for example",
    "an apostrophe and a bracket in prose": "Here's the code (it's short:\n\n" + ADD + "\nThat's :-( all.",
    "a main guard": "import math\n\n" + ADD + "\nif __name__ == '__main__':\n    print(solve(1, 2))\n\nHope it helps!",
    "a comment before": "# Solution\n" + ADD,
    "a lambda": "solve = lambda a, b: a + b\n\nA lambda does it.",
    "parameters over lines": "def solve(a,\n          b,\n):\n    return a + b\n",
    "brackets behind": "async_ = 1\n" + ADD + "x = [\n    1,\n]\nThat is all.",
    "a docstring at the margin": 'def solve(a, b):\n    """\nAt the margin.\n    """\n    return a + b\n\nDone.',
    "a module docstring": '"""Module text.\n\nMore of it.\n"""\n' + ADD,
    "a byte order mark": "\ufeff" + ADD,
    "usage behind": ADD + "\nassert solve(1, 2) == 3\nprint(solve(1, 1))\nBye!",
    "a decorator": "import os as o\nfrom math import (\n    pi,\n)\n@lambda f: f\ndef solve(a, b):\n    return a + b",
    "branches": "if True:\n    ONE = 1\n# else\nelse:\n    ONE = 2\n\n"
    + ADD.replace("b\n", "b + ONE - 1\n")
    + "\nDone now.",
    "an indented block of Markdown": "Here is the code:\n\n    def solve(a, b):\n        return a + b\n\nIt adds.",
    "indented throughout": "    import math\n\n    def solve(a, b):\n        return a + b\n",
    "one blank before": " def solve(a, b):\n    return a + b\n",
    "phrases that parse": "Solution\n" + ADD + "\nExplanation\nTime: O(1)\nInput: a = 2\nNote: n >= 1\n",
    "an equation behind": ADD + "\nsolve(2, 3) = 5\nsolve(2, 3) -> 5\n",
    "a session behind": ADD + "\n>>> solve(1, 2)\n3\n",
    "a rule and a list": "---\n**Answer**\n\n" + ADD + "\n---\n* It adds.\n> Quoted\n",
    "repeated": WRONG + "\n" + ADD,
    "escapes that warn": ADD.replace("a + b", "a + b + len('\\d') - 2 if 1else 0"),
    "an end-of-text token": ADD.rstrip() + "</s>",
    "two end-of-text tokens": ADD + "<|im_end|>\n<|endoftext|>",
    "another document": ADD + "<|endoftext|>def solve(a, b):\n    return 0\n",
    "another turn": ADD + "<|im_end|>\n<|im_start|>user\nWhy?",
    "a token in a string": "END = '<|im_end|>'\n" + ADD.replace("b\n", "b + len(END) - 10\n") + "That is it.",
}


@pytest.mark.parametrize("completion", UNFENCED.values(), ids=UNFENCED.keys())
def test_program_without_a_fence(completion):
    assert adds(extract(completion))


@pytest.mark.parametrize(
    "completion",
    [
        ADD,
        ADD.replace("solve", "f") + "solve = f\n",
        'def solve(a, b):\n    """\n```\nsolve(1, 2)\n```\n"""\n    return a + b\n',
        "def f(a, b):\n    return a + b\nglobals()['solve'] = f\n",
        "import os\nname: str = os.name\nname\nsolve = lambda a, b: a + b",
        "from operator import *\nsolve = add\nNote: str = add\n",
        "async def f():\n    pass\n\n\nclass A:\n    pass\n\n\n" + ADD,
    ],
)
def test_code_that_compiles_is_left_as_it_is(completion):
    assert extract(completion) == completion
    assert extract(completion, prompt="Write solve(a, b), please.") == completion
    assert adds(completion)


@pytest.mark.parametrize(
    ("completion", "is_answered"),
    [
        ("<think>\n" + WRONG + "</think>\n" + ADD, True),
        (WRONG + "</think>\n" + ADD, True),  # the prompt has the opening tag
        ("<think>a</think>b<think>\n```python\n" + WRONG + "```\n</think>\n```python\n" + ADD + "```", True),
        ("<thinking>\nHm.\n</thinking>" + ADD, True),
        ("<think>\n\n</think>\n\n" + ADD + '\nTAG = "</think>"\n', True),
        ("import re\nTAGS = re.compile(r'<think>.*?</think>')\n" + ADD, True),
        ("<think>\n```python\n" + ADD + "```\n", False),
        ("Well.\n<think>\n" + ADD, False),
        ("<think>\n" + ADD + "</think>\n \n", False),
        ("<think>\na\n</think>\n<think>\n" + ADD, False),
    ],
)
def test_reasoning_is_no_answer(completion, is_answered):
    extraction = extract_program(completion, "solve")
    assert extraction.problem == (None if is_answered else NO_ANSWER)
    if is_answered:
        assert adds(extraction.source)
    else:
        assert extraction.source == ""


def test_reasoning_that_the_prompt_begins_needs_an_end():
    prompt = "Add two numbers.<|im_end|>\n<|im_start|>assistant\n<think>\n"
    assert extract_program(ADD, "solve", prompt=prompt).problem == "no answer after the reasoning"
    assert adds(extract(WRONG + "\n</think>\n" + ADD, prompt=prompt))


USES = "```python\ndef solve(a, b):\n    return twice(a) - a + b\n```\n"
TWICE = "```python\ndef twice(x):\n    return 2 * x\n```\n"


@pytest.mark.parametrize(
    "completion",
    [
        TWICE + USES,
        USES + TWICE,
        "```python\nTWO = 2\n```\n```python\ndef twice(x):\n    return TWO * x\n```\n" + USES,
        "```python\nfrom operator import *\n```\n```python\nsolve = lambda a, b: add(a, b)\n```\n",
        "```python\nfrom typing import List\n```\n```python\ndef solve(a: List, b):\n    return a + b\n```\n",
        "```python\ndef twice(x):\n    return 2 * x\n\nassert twice(2) == 5\nprint(nothing)\n```\n" + USES,
        "```python\nfrom __future__ import annotations\n```\n" + TWICE + USES.replace("(a, b)", "(a: int, b: int)"),
        TWICE + USES.replace("def solve", "from __future__ import annotations\n\ndef solve"),
    ],
)
def test_blocks_that_define_what_is_missing_are_joined(completion):
    assert adds(extract(completion))


def test_blocks_that_are_not_needed_are_not_joined():
    text = TWICE + "```python\n" + ADD + "```\n```python\nraise SystemExit\n```"
    assert extract(text) == ADD


def test_all_blocks_are_joined_where_none_defines_the_entry_point():
    text = "```python\nx = 1\n```\nand\n```python\ny = 2\n```"
    assert extract(text) == "x = 1\n\ny = 2\n"


READS = "n = int(input())\nprint(n * 2)\n"
SOLVES = "def solve():\n    print(int(input()) * 2)\n\nsolve()\n"


@pytest.mark.parametrize(
    ("completion", "program"),
    [
        (READS, READS),
        ("```python\n" + READS + "```", READS),
        ("So:\n\n" + READS + "\nIt doubles.\n", "n = int(input())\nprint(n * 2)\n\n"),
        (
            "```python\nprint(1)\n```\nNo:\n```python\n" + READS + "```\nInput:\n```\n5\n```\nOutput:\n```\n10\n```",
            READS,
        ),
        ("```python\n" + READS + "```\nRun it:\n```bash\necho 5 | python main.py\n```", READS),
        ("```\n" + READS + "```\nInput:\n```\n5\n```", READS),
        ("```python\n" + SOLVES + "```\nFor example:\n```python\nsolve()\n```", SOLVES),
        ("```python\n" + SOLVES + "```\nor\n```python\n" + READS + "```", READS),
        (
            "```python\nn = int(input())\n```\nThen\n```python\nprint(n * 2)\n```",
            "n = int(input())\n\n\nprint(n * 2)\n",
        ),
        ("```python\nprint('Hello')\n```", "print('Hello')\n"),
        (
            "import sys\nx: int = int(sys.stdin.read())\nprint(x)",
            "import sys\nx: int = int(sys.stdin.read())\nprint(x)",
        ),
    ],
)
def test_program_that_reads_standard_input(completion, program):
    assert extract(completion, None).strip() == program.strip()
    assert extract(completion, None, "Read a number and print its double.").strip() == program.strip()


SOLUTION = "class Solution:\n    def solve(self, a, b):\n        return a + b\n"


@pytest.mark.parametrize("entry_point", ["Solution.solve", "Solution().solve"])
@pytest.mark.parametrize(
    ("completion", "prompt"),
    [
        (SOLUTION, None),
        ("```python\n" + SOLUTION + "```\n```python\nSolution().solve(1, 2)\n```", None),
        ("```python\n" + SOLUTION + "```\n```python\nclass Solution:\n    pass\n```", None),
        ("Here:\n\n" + SOLUTION + "\nDone.", "class Solution:\n    def solve(self, a, b):\n"),
        ("        return a + b", "class Solution:\n    def solve(self, a, b):\n"),
        ("return a + b\n\nIt adds.", "class Solution:\n    def solve(self, a, b):\n        "),
        ("    def solve(self, a, b):\n        return a + b", "class Solution:\n    def solve(self, a, b):\n"),
        ("```python\ndef solve(self, a, b):\n    return a + b\n```", "class Solution:\n    def solve(self, a, b):\n"),
    ],
)
def test_method(completion, prompt, entry_point):
    assert load(extract(completion, entry_point, prompt))["Solution"]().solve(2, 3) == 5


BODY = "    return a + b\n"
CONTINUATIONS = {
    "as it is": BODY,
    "usage behind": "    return a + b\n\n\nprint(solve(1, 2))\n",
    "prose behind": "    return a + b\n\nThat is it: the sum.\n",
    "fenced": "```python\n    return a + b\n```",
    "fenced, usage behind": "```python\n    return a + b\n```\nUsage:\n```python\nprint(solve(1, 2))\n```",
    "another function behind": "    total = a\n    return total + b\n\ndef other():\n    pass\n",
    "a blank lost": "   total = a\n    return total + b\n",
    "a blank gained": "     total = a\n    return total + b\n",
    "stripped": "total = a\n    return total + b",
    "stripped, prose behind": "if b:\n        a += b\n    return a\n\nThat's it.",
    "one blank fewer": "   if b:\n       a += b\n   return a\n",
    "dedented": "if b:\n    a += b\nreturn a\n",
    "dedented, prose behind": "if b:\n    a += b\nreturn a\n\nThat is it.",
    "tabs": "\tif b:\n\t\ta += b\n\treturn a\n",
    "begins in a fence": "    return a + b\n```\n\nThat is it.",
    "an end-of-text token": "    return a + b<|endoftext|>",
    "a line break first": "\n    return a + b\n",
    "carriage returns": "    if b:\r\n        a += b\r\n    return a\r\n",
    "the name of the function is a variable": "    solve = a + b\n    return solve\n",
    "the function again behind": "    return a + b\n\n\ndef solve(a, b):\n    return a + b\n",
    "whole": ADD,
    "whole, fenced": "```python\n" + ADD + "```",
    "whole, with the prompt's imports": "def solve(a: List, b):\n    return helper(a) + b\n",
    "whole, with a future import": "from __future__ import annotations\ndef solve(a, b):\n    return helper(a) + b\n",
    "whole, with the prompt": HUMANEVAL + BODY,
}


@pytest.mark.parametrize("completion", CONTINUATIONS.values(), ids=CONTINUATIONS.keys())
@pytest.mark.parametrize(
    "prompt",
    [
        HUMANEVAL,
        HUMANEVAL.rstrip(),
        "Please complete this (it's short).\n\n" + HUMANEVAL,
        "Please complete this:\n\n```python\n" + HUMANEVAL + "```\n",
        "Please complete this:\n\n```python\n" + HUMANEVAL,
        HUMANEVAL + "\nComplete the function above.\n",
    ],
    ids=["plain", "stripped", "prose before", "fenced", "open fence", "prose behind"],
)
def test_a_completion_continues_or_replaces_the_function_of_the_prompt(completion, prompt):
    assert adds(extract(completion, prompt=prompt))


def test_a_prompt_may_end_within_a_line():
    assert adds(extract("a + b\n", prompt="def solve(a, b):\n    return"))
    assert adds(extract(" a + b\n", prompt="def solve(a, b):\n    return"))
    assert adds(extract("ot - 1", prompt="def solve(a, b):\n    tot = a + b + 1\n    return t"))


@pytest.mark.parametrize(
    "prompt", ["Write solve(a, b), please.", "Complete:\n\ndef solve_all(a, b):\n", "import math\n"]
)
def test_a_prompt_that_does_not_begin_the_function_is_no_part_of_the_program(prompt):
    assert extract(ADD, prompt=prompt) == ADD
    assert extract("```python\n" + ADD + "```", prompt=prompt) == ADD
    assert "math" not in extract("Sorry, no.", prompt=prompt)


def test_decorators_of_the_prompt_belong_to_its_function():
    prompt = "import functools\n\n@functools.cache\ndef solve(a, b):\n"
    assert extract(ADD, prompt=prompt) == "import functools\n\n\n" + ADD
    assert extract(BODY, prompt=prompt) == prompt + BODY


@pytest.mark.parametrize(
    "completion",
    [
        "```python\n" + ADD + "```\nNo:\n```python\ndef solve(a, b)\n    return a + b\n```",  # the last one counts
        "def solve(a, b):\n    return a +\n",
        ADD + "\nx = = 3\n",
        ADD + "\nprint(solve(1, 2)\n",
        ADD + "\ndef broken(x) return x\n",
        "```python\n" + ADD + "\ndef cut_off(x):\n    '''Do\n",
        "```python\n\xa0" + ADD + "```",
        "\u200b" + ADD,
        "```js\nfunction solve(a, b) { return a + b }\n```",
    ],
)
def test_a_program_with_a_syntax_error_stays_one(completion):
    with pytest.raises(SyntaxError):
        load(extract(completion))


def test_a_name_error_of_a_program_stays_one():
    for completion in ("```python\n" + ADD + "nothing\n```", ADD + "\nprnt(solve(1, 2))\n", ADD + "\nx: Lst = []\n"):
        with pytest.raises(NameError):
            load(extract(completion))


def test_text_without_a_program_is_left_as_it_is():
    for completion in ("", "\n", "just words", "I can't.\n\nSorry.", '{"code": "def solve(a, b):\\n    return a + b"}'):
        assert extract(completion) == completion


@pytest.mark.parametrize(
    ("completion", "prompt"),
    [
        ("    return a + b\n\n\ndef other():\n    return [\n", 'def solve(a, b):\n    """Add."""\n'),
        ("    return a + b\n\nprint(1)\n\nSome prose here.\n\ndef other():\n    return [\n", "def solve(a, b):\n"),
        (ADD + "\n\ndef other():\n    return [\n", None),
        (ADD + "\n\n@cache\ndef other(x):\n    return (x +\n", None),
    ],
)
def test_definition_cut_off_at_the_end_is_left_out(completion, prompt):
    source = extract_program(completion, "solve", prompt=prompt).source
    namespace = {}
    exec(source, namespace)
    assert namespace["solve"](1, 2) == 3
    assert "other" not in namespace


def test_entry_point_cut_off_at_the_end_stays_a_syntax_error():
    source = extract_program("def helper(x):\n    return x\n\n\ndef solve(a, b):\n    return (a +\n", "solve").source
    assert "def solve" in source
