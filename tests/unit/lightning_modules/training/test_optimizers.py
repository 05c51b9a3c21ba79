"""Learning rates of RL by iteration, worked by hand."""

import pytest

from lightning_modules.training.optimizers import RLOptimizerConfig


@pytest.mark.parametrize(
    ("cooldown_frac", "num_iterations", "expected"),
    [
        (0.0, 8, [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        (0.5, 8, [0.5, 1.0, 1.0, 1.0, 1.0, 3 / 4, 2 / 4, 1 / 4]),
        (1.0, 8, [0.5, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        (0.5, None, [0.5, 1.0, 1.0, 1.0]),  # a run without end does not cool down
    ],
)
def test_learning_rate_of_each_iteration(
    cooldown_frac: float, num_iterations: int | None, expected: list[float]
) -> None:
    config = RLOptimizerConfig(lr=2.0, warmup_iterations=2, cooldown_frac=cooldown_frac)
    assert [config.lr_at(i, num_iterations) / 2.0 for i in range(len(expected))] == pytest.approx(expected)


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_cooldown_is_a_fraction(value: float) -> None:
    with pytest.raises(ValueError, match="cooldown_frac"):
        RLOptimizerConfig(cooldown_frac=value)
