"""Programs that want to be taken for right, or to do harm: none passes, and the right ones between them all do.

In both kinds of sandbox, each time in one of them from the first program to the last.
"""

import pytest

from tests.sandbox.hostile import HOSTILE, ODD_BUT_RIGHT, POISON_AND_PROBE
from tests.support.judging import (
    MAY_COST_A_SANDBOX,
    hostile_outcomes,
    odd_outcomes,
    policy_outcomes,
    probe_outcomes,
    wrong_verdicts,
)


def test_there_are_enough_of_them():
    assert len(HOSTILE) >= 150
    assert len({name.split("/")[0] for name in HOSTILE}) >= 15
    assert len(ODD_BUT_RIGHT) >= 70
    assert len(POISON_AND_PROBE) >= 40


@pytest.fixture(scope="module")
def verdicts(executor):
    before = executor.stats()
    hostile, controls = hostile_outcomes(executor)
    return hostile, controls, executor.stats().num_replaced - before.num_replaced


def test_no_hostile_program_passes_and_each_is_called_what_it_is(verdicts):
    assert wrong_verdicts(verdicts[0]) == {}


def test_every_control_passes(verdicts):
    assert {name: outcome for name, outcome in verdicts[1].items() if not outcome.passed} == {}


def test_one_sandbox_lives_through_all_of_them(verdicts, executor):
    assert verdicts[2] <= len(MAY_COST_A_SANDBOX[executor.pool.backend_name])


def test_results_before_the_end_count(verdicts):
    hostile = verdicts[0]
    assert hostile["endless/sleep_in_last_call"].num_passed == 3
    assert hostile["endless/loop_in_the_last_call"].num_passed == 3
    assert hostile["exits/a_prefix_of_right_answers"].num_passed == 3
    assert hostile["endless/loop"].num_passed == 0


def test_odd_programs_that_are_right_pass(executor):
    assert {name: outcome for name, outcome in odd_outcomes(executor).items() if not outcome.passed} == {}


def test_a_program_leaves_nothing_for_the_next(executor):
    found = probe_outcomes(executor)
    leaked = {name: triple for name, triple in found.items() if not all(outcome.passed for outcome in triple)}
    assert leaked == {}


def test_values_are_judged_by_our_policy(executor):
    found = policy_outcomes(executor)
    assert {name: outcome for name, (outcome, passes) in found.items() if outcome.passed is not passes} == {}
