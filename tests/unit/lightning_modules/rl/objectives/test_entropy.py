import pytest

from lightning_modules.rl.objectives.entropy import EntropyController


def test_without_a_target_the_weight_is_fixed() -> None:
    controller = EntropyController(0.02)
    assert controller.update(0.0) == controller
    assert controller.coef == 0.02


def test_the_weight_rises_below_the_target_and_counts_only_there() -> None:
    controller = EntropyController(0.001, 0.2)
    assert controller.coef == 0.001  # nothing is known of the entropy
    below = controller.update(0.1)
    assert below.coef == below.weight == pytest.approx(0.006)
    above = below.update(0.3)
    assert (above.coef, above.weight) == (0.0, pytest.approx(0.001))
    assert above.update(0.25).weight == 0.0  # never negative
    assert above.update(0.1).coef == pytest.approx(0.006)
