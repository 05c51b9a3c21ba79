import copy
from types import SimpleNamespace

import pytest
import torch
from torch import nn

import lightning_modules.rl.rollouts.sampling_ahead as sampling_ahead
from lightning_modules.rl.config import RolloutConfig
from lightning_modules.rl.rollouts.sampling_ahead import check_staleness, take_snapshot


def check(*, staleness=1, world_size=1, max_gen_batches=1, engine="native", **data):
    trainer = SimpleNamespace(datamodule=SimpleNamespace(**data), strategy=None, world_size=world_size)
    algorithm = SimpleNamespace(max_gen_batches=max_gen_batches)
    rollout = SimpleNamespace(staleness=staleness, engine=engine)
    check_staleness(trainer, SimpleNamespace(rollout=rollout, algorithm=algorithm))  # type: ignore[arg-type]


def test_what_cannot_be_sampled_ahead_is_one_line(monkeypatch):
    for settings, message in (
        ({"fresh_prompts_config": object()}, "the prompts of data.fresh_prompts depend on earlier iterations"),
        ({"curriculum_config": object()}, "the prompts of data.curriculum depend on earlier iterations"),
        ({"world_size": 2, "max_gen_batches": 2}, "with algorithm.max_gen_batches the ranks sample together"),
        ({"world_size": 2, "engine": "http://a:1"}, "all ranks update rollout.engine http://a:1 together"),
    ):
        with pytest.raises(ValueError, match=f"rollout.staleness is 1, but {message}"):
            check(**settings)
        check(**settings, staleness=0)
    check(world_size=2)
    check(max_gen_batches=2)
    monkeypatch.setattr(sampling_ahead, "get_mesh", lambda strategy: object())
    with pytest.raises(ValueError, match="with trainer.strategy fsdp2 all ranks gather weights"):
        check()


def test_a_snapshot_keeps_its_weights_when_the_policy_is_trained():
    policy = SimpleNamespace(causal_lm=nn.Linear(2, 2))
    for sampled in (policy.causal_lm, copy.deepcopy(policy.causal_lm)):
        if sampled is not policy.causal_lm:  # another module with the same weights, as with flex attention
            sampled.weight = policy.causal_lm.weight
        policy.sampling_model = lambda dtype, model=sampled: model
        snapshot = take_snapshot(policy, None, version=3)  # type: ignore[arg-type]
        before = snapshot.causal_lm.weight.clone()
        with torch.no_grad():
            policy.causal_lm.weight.add_(1.0)
        assert snapshot.version == 3
        assert torch.equal(snapshot.causal_lm.weight, before)
    gathered = nn.Linear(2, 2)
    policy.sampling_model = lambda dtype: gathered
    assert take_snapshot(policy, None, version=4).causal_lm is gathered  # type: ignore[arg-type]


def test_a_negative_staleness_is_an_error():
    with pytest.raises(ValueError, match="rollout.staleness is -1 iterations; it must be at least 0"):
        RolloutConfig(staleness=-1)
