from datamodules.atoms.domains import Ints, Lists
from datamodules.synthesis.composition.render import render, render_trace
from datamodules.synthesis.composition.tree import Call, Constant, Param
from tests.support.toy_atoms import TOYS

VALUES = Param(0, "list[int]", Lists(Ints()))


NUMBER = Param(1, "int", Ints())


ROTATED = Call(TOYS["rotate"], (VALUES, NUMBER))


TREE = Call(TOYS["minus"], (Call(TOYS["largest"], (ROTATED,)), Constant(7)))


def test_program_text_word_for_word():
    assert render(TREE) == (
        "def rotate(values: list[int], k: int) -> list[int]:\n"
        "    k %= max(1, len(values))\n"
        "    return values[k:] + values[:k]\n"
        "\n\n"
        "def largest(values: list[int]) -> int:\n"
        "    return max(values, default=0)\n"
        "\n\n"
        "def minus(left: int, right: int) -> int:\n"
        "    return left - right\n"
        "\n\n"
        "def solve(a: list[int], b: int) -> int:\n"
        "    x = rotate(a, b)\n"
        "    y = largest(x)\n"
        "    return minus(y, 7)\n"
    )


def test_an_atom_used_twice_is_defined_once():
    twice = Call(TOYS["rotate"], (ROTATED, Constant(2)))
    text = render(twice)
    assert text.count("def rotate(") == 1
    assert text.endswith("    x = rotate(a, b)\n    return rotate(x, 2)\n")


def test_trace_returns_every_step_or_the_last_alone():
    namespace: dict = {}
    exec(render_trace(TREE), namespace)
    assert namespace["trace"](True, [5, 9, 1], 1) == [[[2]], [9, 1, 5], 9, 2]
    assert namespace["trace"](False, [5, 9, 1], 1) == [2]


def test_equal_subtrees_are_steps_of_their_own():
    left, right = Call(TOYS["largest"], (VALUES,)), Call(TOYS["largest"], (VALUES,))
    assert render(Call(TOYS["minus"], (left, right))).endswith(
        "    x = largest(a)\n    y = largest(a)\n    return minus(x, y)\n"
    )
