"""Sources that are rejected without parsing, against `ast.parse` of the same text."""

import ast

import pytest

from executor.grading.extraction.parsing import MAX_NESTING, Parser

PARSING = [
    "",
    "\n",
    "# `code`\n",
    "   # indented comment\nx = 1\n",
    " \n\t\nx = 1\n",
    "x = '`'\n",
    '"""\n```\n"""\n',
    "def f():\n    # ```\n    return 1\n",
    "x = " + "[" * MAX_NESTING + "]" * MAX_NESTING,
    "(1, 2)\n" * (MAX_NESTING + 1),
    "x = 1if y else 2\n",
    "x = " + "not " * 99 + "y",
]
FAILING = [
    "    return 1\n",
    "\n\n\treturn 1\n",
    "# comment\n  x = 1\n",
    "Sure:\n```python\nx = 1\n```\n",
    "x = 1\n`\n",
    "'`\n",
    "# it's `here`\n`\n",
]


@pytest.mark.filterwarnings("ignore:invalid decimal literal")
@pytest.mark.parametrize("source", PARSING)
def test_parse_gives_the_tree_of_a_source(source):
    tree = Parser().parse(source)
    assert tree is not None
    assert [type(node) for node in tree.body] == [type(node) for node in ast.parse(source).body]


@pytest.mark.parametrize("source", FAILING)
def test_parse_gives_none_for_what_is_no_python(source):
    with pytest.raises(SyntaxError):
        ast.parse(source)
    assert Parser().parse(source) is None


@pytest.mark.parametrize(
    "source", ["x = " + "[" * (MAX_NESTING + 1) + "]" * (MAX_NESTING + 1), "x = " + "not " * 100 + "y"]
)
def test_parse_gives_none_for_what_is_too_complex(source):
    ast.parse(source)
    assert Parser().parse(source) is None
