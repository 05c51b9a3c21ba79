"""Programs that try to be taken for right, or to do harm: none passes, and the right ones between them all do.

All run under bubblewrap. Under Docker, with a socket and with the attach stream, a subset of every category runs in the
short form of the ring, and all in the long one.
"""

from types import SimpleNamespace

import pytest

from tests.sandbox.hostile import HOSTILE, HOSTILE_SUBSET, ODD_BUT_RIGHT, POISON_AND_PROBE
from tests.support.judging import (
    MAY_COST_A_SANDBOX,
    hostile_outcomes,
    odd_outcomes,
    policy_outcomes,
    probe_outcomes,
    wrong_verdicts,
)


def test_number_of_programs_is_large_and_the_subset_has_every_category():
    categories = {name.split("/")[0] for name in HOSTILE}
    assert len(HOSTILE) >= 600
    assert len(categories) >= 15
    assert {name.split("/")[0] for name in HOSTILE_SUBSET} == categories
    assert 130 <= len(HOSTILE_SUBSET) <= 200
    assert len(ODD_BUT_RIGHT) >= 70
    assert len(POISON_AND_PROBE) >= 40


@pytest.fixture(
    scope="module",
    params=[
        "bubblewrap-all",
        "docker-subset",
        "docker_attach-subset",
        pytest.param("docker-all", marks=pytest.mark.slow),
        pytest.param("docker_attach-all", marks=pytest.mark.slow),
    ],
)
def graded(request):
    """Outcomes of hostile programs, of the controls after each of them, and the number of sandboxes replaced."""
    backend, _, which = request.param.partition("-")
    executor = request.getfixturevalue(f"{backend}_executor")
    before = executor.stats()
    hostile, controls = hostile_outcomes(executor, [*HOSTILE] if which == "all" else HOSTILE_SUBSET)
    num_replaced = executor.stats().num_replaced - before.num_replaced
    return SimpleNamespace(backend=backend, hostile=hostile, controls=controls, num_replaced=num_replaced)


def test_hostile_programs_never_pass_and_have_their_expected_statuses(graded):
    assert wrong_verdicts(graded.hostile) == {}


def test_controls_between_hostile_programs_pass(graded):
    assert {name: outcome for name, outcome in graded.controls.items() if not outcome.passed} == {}


def test_sandbox_survives_hostile_programs(graded):
    assert graded.num_replaced <= len(MAY_COST_A_SANDBOX[graded.backend.removesuffix("_attach")])


def test_results_before_the_end_of_a_program_count(graded):
    hostile = graded.hostile
    assert hostile["endless/sleep_in_last_call"].num_passed == 3
    assert hostile["endless/loop_in_the_last_call"].num_passed == 3
    assert hostile["exits/a_prefix_of_right_answers"].num_passed == 3
    assert hostile["endless/loop"].num_passed == 0


def test_odd_programs_that_are_right_pass(executor):
    assert {name: outcome for name, outcome in odd_outcomes(executor).items() if not outcome.passed} == {}


def test_programs_leave_nothing_for_the_next_program(executor):
    found = probe_outcomes(executor)
    leaked = {name: triple for name, triple in found.items() if not all(outcome.passed for outcome in triple)}
    assert leaked == {}


def test_values_are_graded_by_the_policy(executor):
    found = policy_outcomes(executor)
    assert {name: outcome for name, (outcome, passes) in found.items() if outcome.passed is not passes} == {}
