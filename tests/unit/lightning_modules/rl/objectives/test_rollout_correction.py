import math

import pytest
import torch

from lightning_modules.rl.objectives.rollout_correction import (
    RolloutCorrectionConfig,
    correct_rollouts,
    correction_metrics,
    correction_sums,
)

MASK = torch.tensor([[True, True, True], [True, True, False]])
SAMPLED = torch.full((2, 3), -1.0)
# ratios 3, 1/2, 1 (product 1.5, geometric mean 1.1447) and 1/4, 1 (product 1/4, geometric mean 1/2)
TRAINED = SAMPLED + torch.log(torch.tensor([[3.0, 0.5, 1.0], [0.25, 1.0, 9.0]]))


def correct(**settings):
    return correct_rollouts(TRAINED, SAMPLED, MASK, RolloutCorrectionConfig(**settings))


def test_weights_of_tokens_are_truncated_above_only():
    found = correct(rollout_is="token", rollout_is_threshold=2.0)
    torch.testing.assert_close(found.weights, torch.tensor([[2.0, 0.5, 1.0], [0.25, 1.0, 0.0]]))
    assert found.kept[MASK].all()
    metrics = correction_metrics(correction_sums(found, MASK), float(found.ratios.max()))
    assert metrics == pytest.approx({
        "rollout/is_weight_mean": 4.75 / 5,
        "rollout/is_weight_max": 3.0,
        "rollout/is_truncated_frac": 1 / 5,
        "rollout/is_effective_frac": 4.75**2 / (5 * (4 + 0.25 + 1 + 0.0625 + 1)),
        "rollout/rs_rejected_frac": 0.0,
    })  # fmt: skip


def test_weights_of_completions_are_the_product():
    found = correct(rollout_is="sequence", rollout_is_threshold=1.2)
    torch.testing.assert_close(found.weights, torch.tensor([[1.2, 1.2, 1.2], [0.25, 0.25, 0.0]]))


def test_rejection_is_per_token_or_per_completion():
    kept = {level: correct(rollout_rs=level, rollout_rs_threshold=2.5).kept[MASK].tolist()
            for level in ("token", "sequence", "geometric")}  # fmt: skip
    assert kept == {
        "token": [False, True, True, False, True],
        "sequence": [True, True, True, False, False],
        "geometric": [True] * 5,
    }
    found = correct(rollout_rs="geometric", rollout_rs_threshold=1.1)
    assert not found.kept[MASK].any()
    assert (found.weights[MASK] == 1.0).all()  # rejection alone does not weigh
    assert correction_metrics(correction_sums(found, MASK), 1.0)["rollout/rs_rejected_frac"] == 1.0


def test_far_ratios_stay_finite():
    far = torch.full((1, 3), -400.0)
    found = correct_rollouts(
        torch.zeros(1, 3), far, torch.ones(1, 3, dtype=torch.bool), RolloutCorrectionConfig(rollout_is="sequence")
    )
    assert found.weights.tolist() == [[2.0] * 3]
    assert math.isfinite(float(found.ratios.max()))


@pytest.mark.parametrize("name", ["rollout_is_threshold", "rollout_rs_threshold"])
def test_thresholds_below_one_are_errors(name):
    with pytest.raises(ValueError, match=rf"rollout_correction.{name} is 0.5; it must be at least 1.0"):
        RolloutCorrectionConfig(**{name: 0.5})
