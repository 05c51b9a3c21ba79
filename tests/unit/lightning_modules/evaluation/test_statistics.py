"""Scores and their intervals over tasks, against numbers worked by hand."""

import numpy as np
import pytest

from lightning_modules.evaluation.records import Evaluation, GradedCompletion, TaskResult
from lightning_modules.evaluation.statistics import (
    mean_interval,
    metric_intervals,
    paired_difference,
    score_depths,
    score_groups,
)


def completion(status: str) -> GradedCompletion:
    return GradedCompletion(completion="", num_tokens=1, finished=True, status=status, num_passed=0, num_tests=1)


def result_of(name: str, passed: bool, **facts) -> TaskResult:
    greedy = completion("passed" if passed else "wrong")
    defaults = {"task_id": name, "prompt": "", "language": "en", "depth": 2, "greedy": greedy, "samples": ()}
    return TaskResult(**(defaults | facts))


def test_metric_intervals_by_hand() -> None:
    # task a: 1 of 4 passes, so pass@1 = 1/4 and pass@2 = 1 - C(3,2)/C(4,2) = 1/2; task b: 0
    a = result_of("a", True, samples=tuple(completion(status) for status in ("passed", "wrong", "wrong", "wrong")))
    b = result_of("b", False, samples=(completion("timeout"),) * 4)
    intervals = metric_intervals(Evaluation(tasks=(a, b), settings={}), [1, 2, 5])
    assert {name: interval.mean for name, interval in intervals.items()} == pytest.approx(
        {"pass@1 greedy": 0.5, "pass@1 sampled": 0.125, "pass@2 sampled": 0.25}
    )


def test_mean_interval_has_the_width_theory_gives():
    random = np.random.default_rng(1)
    scores = {str(i): float(v) for i, v in enumerate(random.random(400) < 0.3)}
    interval = mean_interval(scores)
    mean = sum(scores.values()) / 400
    standard_error = (mean * (1 - mean) / 400) ** 0.5
    assert interval.mean == pytest.approx(mean)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * standard_error, rel=0.08)
    assert mean_interval(scores) == interval
    assert mean_interval(scores, confidence=0.5).low > interval.low
    with pytest.raises(ValueError, match="no task was scored"):
        mean_interval({})


def test_paired_difference_uses_the_pairing():
    random = np.random.default_rng(2)
    before = {str(i): float(v) for i, v in enumerate(random.random(200))}
    after = {name: value + 0.1 for name, value in before.items()}
    assert paired_difference(after, before) == pytest.approx((0.1, 0.1, 0.1))  # unpaired, it would be 0.06 each way
    assert paired_difference(before, after).high == pytest.approx(-0.1)
    with pytest.raises(ValueError, match="1 are on one side only, for example 7"):
        paired_difference({k: v for k, v in after.items() if k != "7"}, before)


def test_equal_differences_have_the_interval_of_unseen_tasks():
    """Four tasks: up to 1 - 0.025**(1/4) of all tasks could differ, by up to 1 either way."""
    scores = dict.fromkeys("abcd", 1.0)
    assert paired_difference(scores, scores) == pytest.approx((0.0, -0.60236, 0.60236), abs=1e-5)


def test_interval_where_all_tasks_agree():
    # Clopper-Pearson at n = 20, 95 %: none right ends at 1 - 0.025 ** (1/20) = 0.16843, all right begins at 0.83157
    none, everything = ({str(i): score for i in range(20)} for score in (0.0, 1.0))
    assert mean_interval(none) == pytest.approx((0.0, 0.0, 0.16843), abs=1e-5)
    assert mean_interval(everything) == pytest.approx((1.0, 0.83157, 1.0), abs=1e-5)
    half = {str(i): 0.5 for i in range(20)}  # up to 0.16843 of all tasks could score 0 or 1 instead
    assert mean_interval(half) == pytest.approx((0.5, 0.41578, 0.58422), abs=1e-5)


def test_depths_by_hand():
    cut = GradedCompletion(completion="", num_tokens=9, finished=False, status="wrong", num_passed=0, num_tests=1)
    tasks = (
        result_of("a", True, samples=(completion("passed"), completion("wrong"), cut)),
        result_of("b", False, samples=(completion("wrong"), completion("wrong"), completion("wrong"))),
        result_of("c", False, depth=3),
        result_of("d", True, depth=0),
    )
    found = score_depths(Evaluation(tasks=tasks, settings={}))
    assert list(found) == [2, 3]
    # a: one of three passes, so pass@1 is 1/3, pass@2 1 - C(2,2)/C(3,2) = 2/3, pass@3 1
    assert found[2].pass_at_k == pytest.approx({1: 1 / 6, 2: 1 / 3, 3: 1 / 2})
    assert (found[2].num_tasks, found[2].greedy, found[2].truncated_frac) == (2, 0.5, 1 / 8)
    assert found[3].pass_at_k == {}


def test_groups_by_hand():
    tasks = (
        result_of("a", True, depth=2, atoms=("add", "sort"), topics=("numbers", "lists"), num_steps=2, shape="chain"),
        result_of("b", False, depth=2, atoms=("add",), topics=("numbers",), language="zh"),
        result_of(
            "c", True, depth=3, atoms=("sort",), topics=("lists",), wording="held_out", num_steps=4, shape="left"
        ),
        result_of("d", True, depth=0, atoms=(), topics=()),  # of another benchmark
    )
    evaluation = Evaluation(tasks=tasks, settings={})

    def means(by):
        return {group: (s.num_tasks, s.greedy.mean) for group, s in score_groups(evaluation, by).items()}

    assert means("depth") == {"2": (2, 0.5), "3": (1, 1.0)}
    assert means("atom") == {"add": (2, 0.5), "sort": (2, 1.0)}
    assert means("topic") == {"lists": (2, 1.0), "numbers": (2, 0.5)}
    assert means("steps") == {"2": (1, 1.0), "4": (1, 1.0)}
    assert means("shape") == {"depth 2, chain": (1, 1.0), "depth 3, left": (1, 1.0)}
    assert means("language") == {"en": (2, 1.0), "zh": (1, 0.0)}
    assert means("wording") == {"in_distribution": (2, 0.5), "held_out": (1, 1.0)}
