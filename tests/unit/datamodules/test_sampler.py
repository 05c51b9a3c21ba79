"""The plan of an SFT mixture: shares of the splits, passes, counts and repeated depths."""

import pytest
from datasets import Dataset

from datamodules.sampler import (
    MixturePart,
    MixtureSampler,
    choose_tasks,
    compute_sampling_weights,
    count_draws_by_source,
    repeat_depths,
)

BOTH = {"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart(weight=3.0)}


def test_num_drawn_by_hand():
    # 8 draws at 1:3 are 2 and 6; at 1:1:2 they are 2, 2, 4; of 3 draws at 1:3, 0.75 rounds to 1
    assert count_draws_by_source(8, [1, 3]) == [2, 6]
    assert count_draws_by_source(8, [1, 1, 2]) == [2, 2, 4]
    assert count_draws_by_source(3, [1, 3]) == [1, 2]


def test_num_drawn_never_goes_back_and_stays_near_the_share():
    weights = [0.013, 0.2, 0.5, 0.287]
    before = [0] * 4
    for total in range(1, 500):
        counts = count_draws_by_source(total, weights)
        assert sum(counts) == total
        assert all(now >= then for now, then in zip(counts, before, strict=True))
        assert all(abs(count - total * weight) < 1.6 for count, weight in zip(counts, weights, strict=True))
        before = counts


def test_every_pass_shows_every_task_once_and_in_a_new_order():
    plan = MixtureSampler({"a": 6, "b": 9}, {"a": 1.0, "b": 1.0}, batch_size=4, seed=0)
    drawn = [task for step in range(9) for split, task in plan.batch(step) if split == "a"]  # 18 = 3 passes of 6
    passes = [drawn[0:6], drawn[6:12], drawn[12:18]]
    assert all(sorted(one) == list(range(6)) for one in passes)
    assert len({tuple(one) for one in passes}) == 3


def test_the_plan_has_no_memory():
    def fresh():
        return MixtureSampler({"a": 6, "b": 9}, {"a": 1.0, "b": 2.0}, batch_size=5, seed=3)

    straight = fresh()
    in_order = [straight.batch(step) for step in range(12)]
    assert [fresh().batch(step) for step in range(12)] == in_order
    backwards = fresh()
    assert [backwards.batch(step) for step in reversed(range(12))] == in_order[::-1]
    assert MixtureSampler({"a": 6, "b": 9}, {"a": 1.0, "b": 2.0}, batch_size=5, seed=4).batch(0) != in_order[0]


def test_counts_are_nested_and_depend_on_the_seed():
    few = choose_tasks(MixturePart(count=4), 50, seed=1, split="atomic")
    more = choose_tasks(MixturePart(count=9), 50, seed=1, split="atomic")
    assert len(few) == 4
    assert set(few) < set(more)
    assert few != choose_tasks(MixturePart(count=4), 50, seed=2, split="atomic")
    with pytest.raises(ValueError, match="atomic has 50 tasks, count asks for 51"):
        choose_tasks(MixturePart(count=51), 50, seed=1, split="atomic")


def test_tasks_of_a_depth_are_repeated():
    table = Dataset.from_dict({"depth": [1, 2, 3, 3, 2]})
    assert repeat_depths([0, 2, 4], table, {3: 3, 2: 2}, "part") == [0, 2, 2, 2, 4, 4]
    assert repeat_depths([0, 2, 4], table, None, "part") == [0, 2, 4]
    with pytest.raises(ValueError, match="part has repeat of depth 3, of which there is no task"):
        repeat_depths([0, 4], table, {3: 2}, "part")


def test_shares():
    assert compute_sampling_weights(BOTH, {"atomic": 7, "synthetic_train": 12}) == {
        "atomic": 0.25,
        "synthetic_train": 0.75,
    }
    parts = {"atomic": MixturePart(), "synthetic_train": MixturePart()}
    assert compute_sampling_weights(parts, {"atomic": 5, "synthetic_train": 15}) == {
        "atomic": 0.25,
        "synthetic_train": 0.75,
    }
    with pytest.raises(ValueError, match="synthetic_train has no weight"):
        compute_sampling_weights({"atomic": MixturePart(weight=1.0), "synthetic_train": MixturePart()}, {})
