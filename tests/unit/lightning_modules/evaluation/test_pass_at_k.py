from itertools import combinations

import pytest
import torch

from executor.grading.pass_at_k import pass_at_k as scalar_pass_at_k
from lightning_modules.evaluation.pass_at_k import PassAtK, pass_at_k


def test_by_hand():
    # n=4, c=1: k=1 1/4; k=2 1 - C(3,2)/C(4,2) = 1 - 3/6; k=4 1
    n, c = torch.tensor([4]), torch.tensor([1])
    assert [pass_at_k(n, c, k).item() for k in (1, 2, 4)] == pytest.approx([0.25, 0.5, 1.0])


@pytest.mark.parametrize("n", [1, 5, 9])
def test_equals_the_share_of_subsets_with_a_pass_and_the_executors_estimate(n):
    for c in range(n + 1):
        for k in range(1, n + 1):
            subsets = list(combinations(range(n), k))
            share = sum(min(subset) < c for subset in subsets) / len(subsets)
            value = pass_at_k(torch.tensor([n]), torch.tensor([c]), k).item()
            assert value == pytest.approx(share, abs=1e-12)
            assert value == pytest.approx(scalar_pass_at_k(n, c, k), abs=1e-12)


def test_large_n_does_not_overflow():
    value = pass_at_k(torch.tensor([10_000]), torch.tensor([3]), 1000).item()
    assert value == pytest.approx(scalar_pass_at_k(10_000, 3, 1000), rel=1e-9)


def test_metric_is_the_mean_over_tasks_and_survives_any_split_over_ranks():
    n, c = torch.tensor([8, 8, 10, 8, 9]), torch.tensor([0, 8, 3, 1, 4])
    whole = PassAtK((1, 8))
    whole.update(n, c)
    expected = [sum(scalar_pass_at_k(int(a), int(b), k) for a, b in zip(n, c, strict=True)) / 5 for k in (1, 8)]
    assert whole.compute().tolist() == pytest.approx(expected)
    ranks = [PassAtK((1, 8)), PassAtK((1, 8)), PassAtK((1, 8))]
    ranks[0].update(n[:1], c[:1])
    ranks[1].update(n[1:3], c[1:3])  # rank sizes differ; the last has two updates
    ranks[2].update(n[3:4], c[3:4])
    ranks[2].update(n[4:], c[4:])
    # what torchmetrics does in a sync: reduce each state over ranks by the reduction it was declared with
    merged = PassAtK((1, 8))
    for name, reduction in merged._reductions.items():
        setattr(merged, name, reduction(torch.stack([getattr(rank, name) for rank in ranks])))
    merged.update(n[:0], c[:0])
    assert merged.compute().tolist() == pytest.approx(expected)


def test_a_task_with_too_few_samples_counts_for_smaller_k_alone():
    metric = PassAtK((1, 4))
    metric.update(torch.tensor([4, 2, 0]), torch.tensor([2, 2, 0]))  # the third task was never judged
    # k=1: (1/2 + 1) / 2; k=4: 1 of the one task with four samples
    assert metric.compute().tolist() == [0.75, 1.0]
    assert metric.by_tag("at_{k}") == {"at_1": 0.75, "at_4": 1.0}


def test_empty_is_nan_and_reset_forgets():
    metric = PassAtK((1,))
    metric.update(torch.tensor([2]), torch.tensor([2]))
    metric.reset()
    metric.update(torch.tensor([4]), torch.tensor([1]))
    assert metric.compute().item() == 0.25
    metric.reset()
    metric.update(torch.tensor([], dtype=torch.long), torch.tensor([], dtype=torch.long))
    assert metric.compute().isnan().all()


@pytest.mark.parametrize(("n", "c", "k"), [(3, 1, 4), (3, 4, 1), (3, 1, 0), (3, -1, 1)])
def test_impossible_counts_are_refused(n, c, k):
    with pytest.raises(ValueError, match="pass@"):
        pass_at_k(torch.tensor([n]), torch.tensor([c]), k)
    with pytest.raises(ValueError, match="ks is"):
        PassAtK(())
