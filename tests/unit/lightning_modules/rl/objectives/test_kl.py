import math

import pytest
import torch

from lightning_modules.rl.config import KLConfig
from lightning_modules.rl.objectives.kl import KLController, kl_k1, kl_k3


def test_kl_estimators_by_hand():
    # p = .5, other = .25: k1 = ln 2; r = .5: k3 = .5 - 1 + ln 2
    p, other = torch.log(torch.tensor([0.5])), torch.log(torch.tensor([0.25]))
    assert kl_k1(p, other).item() == pytest.approx(math.log(2))
    assert kl_k3(p, other).item() == pytest.approx(math.log(2) - 0.5)
    assert kl_k3(other, p).item() == pytest.approx(1.0 - math.log(2))


def test_both_kl_estimators_have_the_true_mean():
    # KL(p || q) of p = (.5, .5), q = (.25, .75) is .5 ln 2 + .5 ln(2/3) = .14384
    p, q = torch.log(torch.tensor([0.5, 0.5])), torch.log(torch.tensor([0.25, 0.75]))
    for estimator in (kl_k1, kl_k3):
        assert estimator(p, q).mean().item() == pytest.approx(0.14384, abs=1e-5)


def test_the_kl_coefficient_follows_the_target():
    controller = KLController.from_config(KLConfig(init_coef=0.1, target=2.0, horizon=100))
    # 3 nats for 2 wanted: error .5, held at .2; 50 of 100 samples: times 1.1
    assert controller.update(3.0, 50).coef == pytest.approx(0.11)
    assert controller.update(0.0, 50).coef == pytest.approx(0.09)
    # error .1: times 1 + .1 * .5
    assert controller.update(2.2, 50).coef == pytest.approx(0.105)
    assert controller.update(3.0, 1000).coef == pytest.approx(0.12)
    assert controller.coef == 0.1


def test_without_a_target_the_coefficient_is_fixed():
    controller = KLController.from_config(KLConfig(init_coef=0.1))
    assert controller.update(100.0, 1000) == controller


@pytest.mark.parametrize("wrong", [{"init_coef": -1.0}, {"target": 0.0}, {"horizon": 0}])
def test_kl_config_rejects_values_out_of_range(wrong):
    with pytest.raises(ValueError, match=f"kl.{next(iter(wrong))}"):
        KLConfig(**wrong)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"apply_to": "loss"}, "kl.estimator k1 has no gradient in the loss: use k3, or kl.apply_to: reward"),
        ({"init_coef": 0.0, "target": 2.0}, "kl.init_coef is 0.0, which kl.target 2.0 cannot change"),
    ],
)
def test_kl_config_rejects_settings_without_effect(wrong, message):
    with pytest.raises(ValueError, match=message):
        KLConfig(**wrong)
