import random

import pytest

from datamodules.atoms import ATOMS
from datamodules.atoms.domains import Ints, Lists
from datamodules.synthesis.composition.render import render, render_trace
from datamodules.synthesis.composition.sample import MAX_PARAMETERS, MAX_STEPS, Palette, sample_tree
from datamodules.synthesis.composition.skeleton import proper_subtrees, skeleton_of_program
from datamodules.synthesis.composition.tree import Call, Constant, Param, depth, parameters, shortcuts, skeleton, steps
from datamodules.synthesis.dataset.seeding import fraction, generator
from tests.support.toy_atoms import TOYS

VALUES = Param(0, "list[int]", Lists(Ints()))
NUMBER = Param(1, "int", Ints())
ROTATED = Call(TOYS["rotate"], (VALUES, NUMBER))
TREE = Call(TOYS["minus"], (Call(TOYS["largest"], (ROTATED,)), Constant(7)))


def test_depth_counts_levels_of_calls():
    assert depth(TREE) == 3
    assert depth(VALUES) == 0


def test_steps_run_innermost_first():
    assert [call.atom.name for call in steps(TREE)] == ["rotate", "largest", "minus"]


def test_skeleton_erases_constants_and_numbers_parameters_by_appearance():
    assert skeleton(TREE) == "minus(largest(rotate(P0, P1)), C)"
    swapped = Call(TOYS["minus"], (NUMBER, Call(TOYS["largest"], (VALUES,))))
    assert skeleton(swapped) == "minus(P0, largest(P1))"


def test_skeleton_of_other_constant_is_the_same_and_of_a_shared_parameter_another():
    other = Call(TOYS["minus"], (TREE.args[0], Constant(-1)))
    shared = Call(TOYS["minus"], (NUMBER, NUMBER))
    assert skeleton(other) == skeleton(TREE)
    assert skeleton(shared) == "minus(P0, P0)"


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


def test_shortcuts_leave_out_one_step_where_an_argument_fits():
    two = Call(TOYS["largest"], (Call(TOYS["ordered"], (ROTATED,)),))
    assert [skeleton(shortcut) for shortcut in shortcuts(two)] == ["largest(ordered(P0))", "largest(rotate(P0, P1))"]
    assert shortcuts(ROTATED) == []


def test_equal_subtrees_are_steps_of_their_own():
    left, right = Call(TOYS["largest"], (VALUES,)), Call(TOYS["largest"], (VALUES,))
    assert render(Call(TOYS["minus"], (left, right))).endswith(
        "    x = largest(a)\n    y = largest(a)\n    return minus(x, y)\n"
    )


def test_skeleton_read_back_from_a_program_ignores_names_and_layout():
    program = "def solve(p: list[int], q: int) -> int:\n    big = largest(rotate(p, q))\n    return minus(big, -3)\n"
    assert skeleton_of_program(program) == "minus(largest(rotate(P0, P1)), C)"


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("def solve(a):\n    for x in a:\n        return f(x)\n", "not a composition"),
        ("def solve(a):\n    return a + 1\n", "neither a call"),
        ("def other(a):\n    return f(a)\n", "no function solve"),
        ("def solve(a:\n", "not Python"),
    ],
)
def test_other_programs_have_no_skeleton(program, words):
    with pytest.raises(ValueError, match=words):
        skeleton_of_program(program)


def test_proper_subtrees_are_renumbered():
    assert proper_subtrees("minus(P0, largest(rotate(P1, C)))") == {"largest(rotate(P0, C))", "rotate(P0, C)"}


@pytest.mark.parametrize("levels", [2, 3, 4, 5])
def test_drawn_trees_are_typed_and_keep_their_bounds(levels):
    palette = Palette(tuple(ATOMS.values()))
    trees = [sample_tree(random.Random(i), palette, depth=levels) for i in range(300)]
    trees = [tree for tree in trees if tree is not None]
    assert len(trees) > 100
    for tree in trees:
        assert depth(tree) == levels
        assert 1 <= len(parameters(tree)) <= MAX_PARAMETERS
        assert len(steps(tree)) <= MAX_STEPS
        assert skeleton_of_program(render(tree)) == skeleton(tree)
        for call in steps(tree):
            for slot, arg in zip(call.atom.parameters, call.args, strict=True):
                if isinstance(arg, Call):
                    assert arg.atom.return_type == slot.type_name
                elif isinstance(arg, Param):
                    assert arg.type_name == slot.type_name
                else:
                    assert type(arg.value).__name__ == slot.type_name


def test_parameters_appear_in_the_order_in_which_they_are_used():
    palette = Palette(tuple(ATOMS.values()))
    for i in range(200):
        tree = sample_tree(random.Random(i), palette, depth=3)
        if tree is not None:
            used = [arg.index for call in steps(tree) for arg in call.args if isinstance(arg, Param)]
            assert list(dict.fromkeys(used)) == sorted(set(used))


def test_draws_depend_on_every_part_of_their_name_and_on_nothing_else():
    draws = {(s, p, i): generator(s, p, i).random() for s in (0, 1) for p in ("a", "b") for i in range(50)}
    assert len(set(draws.values())) == len(draws)
    assert generator(0, "a", 7).random() == draws[0, "a", 7]


def test_fractions_fill_the_unit_interval():
    values = [fraction(3, "x", i) for i in range(2000)]
    assert all(0 <= value < 1 for value in values)
    assert 0.45 < sum(values) / len(values) < 0.55
