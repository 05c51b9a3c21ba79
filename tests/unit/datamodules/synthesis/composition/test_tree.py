from datamodules.atoms.domains import Ints, Lists
from datamodules.synthesis.composition.tree import Call, Constant, Param, depth, shortcuts, skeleton, steps
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


def test_shortcuts_leave_out_one_step_where_an_argument_fits():
    two = Call(TOYS["largest"], (Call(TOYS["ordered"], (ROTATED,)),))
    assert [skeleton(shortcut) for shortcut in shortcuts(two)] == ["largest(ordered(P0))", "largest(rotate(P0, P1))"]
    assert shortcuts(ROTATED) == []
