import random

from datamodules.atoms import ATOMS
from datamodules.atoms.domains import Bools, Ints, Lists
from datamodules.synthesis.composition.tree import Param
from datamodules.synthesis.verification.inputs import draw_inputs
from datamodules.synthesis.verification.probes import ProbeCache, spell_value

BOOK = ProbeCache(ATOMS)


def test_inputs_are_distinct_disjoint_and_hold_edges_on_both_sides():
    params = [Param(0, "list[int]", Lists(Ints(-5, 9))), Param(1, "int", Ints(1, 5))]
    inputs = draw_inputs(random.Random(0), params, BOOK, num_tests=64, num_reward_tests=32)
    tests, rewards = {spell_value(row) for row in inputs.tests}, {spell_value(row) for row in inputs.reward_tests}
    assert len(tests) == 64
    assert len(rewards) == 32
    assert not tests & rewards
    assert any(row[0] == [] for row in inputs.tests)
    edge_lists = [spell_value(value) for value in Lists(Ints(-5, 9)).edges()]
    assert any(spell_value(row[0]) in edge_lists for row in inputs.reward_tests)


def test_a_narrow_domain_is_widened_and_a_hopeless_one_refused():
    narrow = draw_inputs(random.Random(0), [Param(0, "int", Ints(0, 3))], BOOK, num_tests=64, num_reward_tests=32)
    assert {0, 1, 2, 3} <= {row[0] for row in (*narrow.tests, *narrow.reward_tests)}
    assert draw_inputs(random.Random(0), [Param(0, "bool", Bools())], BOOK, num_tests=2, num_reward_tests=1) is None
