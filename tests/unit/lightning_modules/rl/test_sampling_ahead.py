from types import SimpleNamespace

import pytest

import lightning_modules.rl.sampling_ahead as sampling_ahead
from lightning_modules.rl.config import RolloutConfig
from lightning_modules.rl.sampling_ahead import check_staleness


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


def test_a_negative_staleness_is_an_error():
    with pytest.raises(ValueError, match="rollout.staleness is -1 iterations; it must be at least 0"):
        RolloutConfig(staleness=-1)
