"""Verdicts of a study: worked by hand where small, coverage by simulation, Holm's steps, every verdict and boundary."""

import numpy as np
import pytest

from cli.study.verdicts import (
    NUM_DRAWS,
    Verdict,
    crossed_mean,
    decide,
    holm_confidences,
    paired_mean_difference,
)
from lightning_modules.evaluation.statistics import Interval


def test_one_seed_two_tasks_by_hand() -> None:
    # The difference is 1 on a and 0 on b. Two tasks drawn anew give 0, 1/2, 1 with chances 1/4, 1/2, 1/4.
    found = paired_mean_difference([{"a": 1.0, "b": 1.0}], [{"a": 0.0, "b": 1.0}])
    assert (found.mean, found.num_seeds, found.num_tasks) == (0.5, 1, 2)
    assert found.p_value() == pytest.approx(0.25, abs=0.02)
    assert found.interval(0.95) == Interval(0.5, 0.0, 1.0)
    assert sorted(set(found.draws)) == [0.0, 0.5, 1.0]


def test_seeds_are_stretched_to_a_student_variable_by_hand() -> None:
    # Two seeds of 0.2 and 0.4, the same on both tasks: the mean is 0.3, drawing seeds anew moves it by -0.1, 0 or 0.1
    # with chances 1/4, 1/2, 1/4. It reaches 0 where the stretch sqrt(2 / chi2(1)) is at least 3, that is where a normal
    # variable is within sqrt(2 / 9) = 0.4714: chance 0.3627. So p = 0.3627 / 4.
    scores = [{"a": 0.2, "b": 0.2}, {"a": 0.4, "b": 0.4}]
    found = crossed_mean(scores)
    assert found.mean == pytest.approx(0.3)
    assert found.by_seed == pytest.approx([0.2, 0.4])
    assert len(found.draws) == NUM_DRAWS
    assert found.p_value() == pytest.approx(0.0907, abs=0.01)


def test_pairs_by_seed_and_by_task() -> None:
    better = [{"a": 1.0, "b": 0.0}, {"a": 0.5, "b": 0.5}]
    worse = [{"b": 0.0, "a": 0.5}, {"b": 0.25, "a": 0.25}]
    found = paired_mean_difference(better, worse)
    assert found.values.tolist() == [[0.5, 0.0], [0.25, 0.25]]
    with pytest.raises(ValueError, match="same seeds on both sides: 2 and 1"):
        paired_mean_difference(better, worse[:1])


def test_what_a_fault_left_ungraded_is_left_out_and_is_no_failure() -> None:
    found = paired_mean_difference([{"a": 1.0, "b": 1.0}, {"a": 1.0}], [{"a": 0.0, "b": 0.5}, {"a": 0.0, "b": 0.5}])
    assert found.values.tolist() == [[1.0], [1.0]]
    with pytest.raises(ValueError, match="no task was graded for every seed"):
        crossed_mean([{"a": 1.0}, {"b": 1.0}])
    with pytest.raises(ValueError, match="there are no seeds"):
        crossed_mean([])


def test_nothing_but_equal_values_is_not_certainty() -> None:
    # No difference on 4 tasks: one on up to 1 - 0.025**(1/4) = 0.602 of all tasks would still go unseen one time in 40.
    none = paired_mean_difference([dict.fromkeys("abcd", 0.0)], [dict.fromkeys("abcd", 0.0)])
    assert none.interval(0.95) == pytest.approx((0.0, -0.6024, 0.6024), abs=1e-4)
    assert none.p_value() == 1.0
    assert decide(none.interval(0.95), num_seeds=2) is Verdict.UNDECIDED
    # All 4 tasks gained: the unseen 0.602 could have been lost, 1 - 2 * 0.602; and p = 2**-4.
    all_gained = paired_mean_difference([dict.fromkeys("abcd", 1.0)], [dict.fromkeys("abcd", 0.0)])
    assert all_gained.interval(0.95) == pytest.approx((1.0, -0.2047, 1.0), abs=1e-4)
    assert all_gained.p_value() == 0.0625
    # A score of 0 everywhere ends where that of Clopper and Pearson does.
    assert crossed_mean([dict.fromkeys("abcd", 0.0)]).interval(0.95) == pytest.approx((0.0, 0.0, 0.6024), abs=1e-4)


@pytest.mark.parametrize("seed_spread", [0.0, 0.03, 0.15])
def test_intervals_cover_what_they_promise(seed_spread: float) -> None:
    # 200 studies of 5 seeds and 60 tasks, no true difference, nominal 95 %. 200 coins of 0.95 fall to 183 (91.5 %) or
    # fewer one time in 50; more than 95 % is expected where samples, not seeds, make the spread.
    random = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        tasks = random.normal(0.4, 0.2, 60)
        sides = []
        for _ in range(2):
            chance = np.clip(tasks + random.normal(0, seed_spread, (5, 1)), 0.0, 1.0)
            passed = (random.random((5, 60)) < chance).astype(float)
            sides.append([{str(task): row[task] for task in range(60)} for row in passed])
        interval = paired_mean_difference(*sides).interval(0.95)
        covered += interval.low <= 0 <= interval.high
    assert covered / 200 >= 0.92


def test_a_real_difference_is_found() -> None:
    random = np.random.default_rng(3)
    sides = [[{str(t): float(random.random() < p) for t in range(200)} for _ in range(5)] for p in (0.5, 0.3)]
    found = paired_mean_difference(*sides)
    assert found.p_value() < 0.001
    assert 0.1 < found.interval(0.95).low < found.mean < found.interval(0.95).high < 0.3


def test_holm_by_hand() -> None:
    # Two-sided 0.008, 0.02, 0.04 against 0.05/3, 0.05/2, 0.05/1: all hold.
    assert holm_confidences([0.02, 0.004, 0.01]) == pytest.approx([0.95, 1 - 0.05 / 3, 0.975])
    # 0.008, 0.04, 0.044: the second is above 0.025 and stops, so the third, below 0.05, does not get its 0.95.
    assert holm_confidences([0.004, 0.02, 0.022]) == pytest.approx([1 - 0.05 / 3, 0.975, 0.975])
    # The first fails: all are graded at Bonferroni's level. What was not measured counts as 1.
    assert holm_confidences([0.02, 1.0, 1.0]) == pytest.approx([1 - 0.05 / 3] * 3)
    assert holm_confidences([0.01]) == pytest.approx([0.95])
    assert holm_confidences([]) == []


def test_an_interval_is_above_zero_exactly_where_holm_holds() -> None:
    random = np.random.default_rng(11)
    effects = (0.02, 0.05, 0.09)
    scores = [[{str(t): random.normal(effect, 0.5) for t in range(150)} for _ in range(3)] for effect in effects]
    findings = [crossed_mean(side) for side in scores]
    confidences = holm_confidences([found.p_value() for found in findings])
    for found, confidence in zip(findings, confidences, strict=True):
        above = np.quantile(found.draws, (1 - confidence) / 2) > 0
        assert above == (2 * found.p_value() <= 1 - confidence)


@pytest.mark.parametrize(
    ("low", "high", "has_signal", "said"),
    [
        (0.001, 0.3, True, Verdict.REPRODUCED),
        (0.001, 0.01, True, Verdict.REPRODUCED),  # small, but there
        (0.0, 0.3, True, Verdict.UNDECIDED),  # above 0, not at it
        (0.0, 0.0199, True, Verdict.NOT_REPRODUCED),
        (-0.2, 0.02, True, Verdict.UNDECIDED),  # under 2 points, not at them
        (-0.2, -0.1, True, Verdict.NOT_REPRODUCED),
        (0.1, 0.3, False, Verdict.NO_SIGNAL),
        (-0.2, -0.1, False, Verdict.NO_SIGNAL),
    ],
)
def test_verdicts_and_their_boundaries(low: float, high: float, has_signal: bool, said: str) -> None:
    assert decide(Interval((low + high) / 2, low, high), num_seeds=2, has_signal=has_signal) == said


@pytest.mark.parametrize(("low", "high"), [(0.1, 0.3), (-0.3, -0.1), (-0.1, 0.1)])
def test_one_seed_decides_nothing(low: float, high: float) -> None:
    interval = Interval((low + high) / 2, low, high)
    assert decide(interval, num_seeds=1) is Verdict.ONE_SEED
    assert decide(interval, num_seeds=1, has_signal=False) is Verdict.NO_SIGNAL
