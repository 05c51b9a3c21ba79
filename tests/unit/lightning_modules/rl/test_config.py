"""Learning rates of RL by iteration, worked by hand."""

import pytest

from lightning_modules.rl.config import RLOptimizerConfig


@pytest.mark.parametrize(
    ("schedule", "num_iterations", "expected"),
    [
        ("constant", 8, [0.5, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]),
        ("linear", 8, [0.5, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8]),
        ("linear", None, [0.5, 1.0, 1.0, 1.0]),  # a run without end does not decay
    ],
)
def test_learning_rate_of_each_iteration(schedule: str, num_iterations: int | None, expected: list[float]) -> None:
    config = RLOptimizerConfig(lr=2.0, warmup_iterations=2, schedule=schedule)  # type: ignore[arg-type]
    assert [config.lr_at(i, num_iterations) / 2.0 for i in range(len(expected))] == pytest.approx(expected)
