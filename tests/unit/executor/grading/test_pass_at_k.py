from itertools import combinations

import pytest

from executor.grading.pass_at_k import pass_at_k


def by_counting(num_samples, num_correct, k):
    """Look at every way to draw k of the samples."""
    draws = list(combinations(range(num_samples), k))
    return sum(min(draw) < num_correct for draw in draws) / len(draws)


@pytest.mark.parametrize("num_samples", [1, 2, 5, 8])
def test_it_is_the_share_of_draws_with_a_correct_one(num_samples):
    for num_correct in range(num_samples + 1):
        for k in range(1, num_samples + 1):
            assert pass_at_k(num_samples, num_correct, k) == pytest.approx(by_counting(num_samples, num_correct, k))


def test_by_hand():
    assert pass_at_k(10, 3, 1) == pytest.approx(0.3)
    assert pass_at_k(4, 2, 2) == pytest.approx(5 / 6)  # 1 of 6 pairs holds no correct one
    assert pass_at_k(2000, 1, 1000) == pytest.approx(0.5)
    assert pass_at_k(3, 3, 3) == 1.0
    assert pass_at_k(3, 0, 3) == 0.0


@pytest.mark.parametrize(("num_samples", "num_correct", "k"), [(3, 1, 4), (3, 1, 0), (3, 4, 1), (3, -1, 1), (0, 0, 1)])
def test_what_cannot_be_is_refused(num_samples, num_correct, k):
    with pytest.raises(ValueError, match="samples"):
        pass_at_k(num_samples, num_correct, k)
