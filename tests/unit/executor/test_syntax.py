"""Syntax trees while a finalizer, or another thread, builds one too."""

import ast
import gc
import sys

import pytest

from executor.syntax import parse_expression, parse_module

SOURCE = "".join(f"x{n} = (a + {n}) * [b, {{'k': c}}]\n" for n in range(300))


class ParsesAtTheEnd:
    """A cycle whose finalizer builds a tree, as the code of another thread may do meanwhile."""

    num_finalized = 0

    def __init__(self) -> None:
        self.cycle = self

    def __del__(self) -> None:
        ParsesAtTheEnd.num_finalized += 1
        ast.parse("-(1 + 2)")


@pytest.fixture
def disturbed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(ParsesAtTheEnd, "num_finalized", 0)
    thresholds = gc.get_threshold()
    gc.collect()
    gc.disable()
    for _ in range(3):
        ParsesAtTheEnd()
    gc.set_threshold(700)
    gc.enable()
    yield
    gc.set_threshold(*thresholds)


def test_module_is_parsed_although_a_finalizer_parses(disturbed: None) -> None:
    assert ast.dump(parse_module(SOURCE)) == ast.dump(ast.parse(SOURCE))
    assert ParsesAtTheEnd.num_finalized == 3


@pytest.mark.skipif(sys.version_info >= (3, 11, 8), reason="the depth is kept per tree since Python 3.11.8")
def test_plain_parse_fails_there(disturbed: None) -> None:
    with pytest.raises(SystemError, match="recursion depth mismatch"):
        ast.parse(SOURCE)


def test_expression() -> None:
    assert ast.dump(parse_expression("f(a, 1)")) == ast.dump(ast.parse("f(a, 1)", mode="eval").body)


@pytest.mark.parametrize("source", ["def f(:", "x = = 1"])
def test_what_does_not_parse_raises_at_once(source: str) -> None:
    with pytest.raises(SyntaxError):
        parse_module(source)
