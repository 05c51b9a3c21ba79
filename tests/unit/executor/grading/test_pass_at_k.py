"""Pass@k of a task against all draws counted one by one, and of a batch by hand."""

from itertools import combinations

import pytest

from executor.grading.pass_at_k import pass_at_k, summarize_batch
from executor.grading.tasks import parse_task
from executor.types import Outcome, Status


def by_counting(num_samples, num_correct, k):
    """Look at every way to draw k of the samples."""
    draws = list(combinations(range(num_samples), k))
    return sum(min(draw) < num_correct for draw in draws) / len(draws)


@pytest.mark.parametrize("num_samples", [1, 2, 5, 8])
def test_pass_at_k_is_the_share_of_draws_with_a_correct_sample(num_samples):
    for num_correct in range(num_samples + 1):
        for k in range(1, num_samples + 1):
            assert pass_at_k(num_samples, num_correct, k) == pytest.approx(by_counting(num_samples, num_correct, k))


def test_pass_at_k_matches_values_worked_by_hand():
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)  # 1 of 6 pairs holds no correct one
    assert pass_at_k(2000, 1, 1000) == pytest.approx(0.5)
    assert pass_at_k(3, 3, 3) == 1.0
    assert pass_at_k(3, 0, 3) == 0.0


@pytest.mark.parametrize(("num_samples", "num_correct", "k"), [(3, 1, 4), (3, 1, 0), (3, 4, 1), (3, -1, 1), (0, 0, 1)])
def test_pass_at_k_of_impossible_counts_raises_value_error(num_samples, num_correct, k):
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(num_samples, num_correct, k)


def task(task_id: str, group: str | None = None):
    row = {"task_id": task_id, "entry_point": "f", "tests": [{"args": [], "expected": 1}], "group": group}
    return parse_task(row)


def outcome(status: str) -> Outcome:
    return Outcome(status=Status(status), num_passed=int(status == "passed"), num_tests=1, duration_s=0.1)


def test_summary_has_counts_and_rates_by_task_and_group():
    first, second, third = task("a", "g"), task("b", "g"), task("c")
    tasks = [first, second, first, third, first, second]
    statuses = ["passed", "wrong", "wrong", "passed", "timeout", "passed"]
    report = summarize_batch(tasks, [outcome(status) for status in statuses], [1, 2, 3])
    assert [(t.task_id, t.group, t.num_samples, t.num_correct) for t in report.tasks] == [
        ("a", "g", 3, 1),
        ("b", "g", 2, 1),
        ("c", None, 1, 1),
    ]
    # a: 1/3; 1 - C(2,2)/C(3,2) = 2/3; all three hold the right one. b: 1/2; 1. c: 1.
    assert report.tasks[0].pass_at_k == pytest.approx({1: 1 / 3, 2: 2 / 3, 3: 1.0})
    assert report.tasks[1].pass_at_k == pytest.approx({1: 0.5, 2: 1.0})
    assert report.tasks[2].pass_at_k == {1: 1.0}
    assert list(report.groups) == ["g"]
    assert report.groups["g"].num_tasks == 2
    # the mean over the tasks that have it: (1/3 + 1/2) / 2, (2/3 + 1) / 2, and a alone
    assert report.groups["g"].pass_at_k == pytest.approx({1: 5 / 12, 2: 5 / 6, 3: 1.0})


def test_summary_leaves_infra_out():
    report = summarize_batch([task("a", "g")] * 3, [outcome("infra"), outcome("passed"), outcome("infra")], [1, 2])
    [count] = report.tasks
    assert (count.num_samples, count.num_correct, count.pass_at_k) == (1, 1, {1: 1.0})


def test_summary_without_samples_has_no_rate():
    report = summarize_batch([task("a", "g")], [outcome("infra")], [1])
    assert (report.tasks[0].num_samples, report.tasks[0].pass_at_k) == (0, {})
    assert (report.groups["g"].num_tasks, report.groups["g"].pass_at_k) == (1, {})


def test_summary_of_lists_of_different_lengths_raises_value_error():
    with pytest.raises(ValueError, match="zip"):
        summarize_batch([task("a")], [], [1])
