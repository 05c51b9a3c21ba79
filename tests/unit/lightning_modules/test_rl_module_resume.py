"""Checkpoints of reinforcement learning: resumed runs, and what a checkpoint holds."""

from dataclasses import replace

import pytest

from lightning_modules.models.loading import load_policy
from lightning_modules.training.checkpointing import RunCheckpoint
from tests.support.rl_runs import CRITIC, PPO, module_of, same, save_sharp_policy, train, weights

pytestmark = pytest.mark.usefixtures("executor")


def test_a_resumed_run_is_bitwise_the_run_that_was_never_stopped(start, data_dir, tmp_path):
    straight, _ = train(start, data_dir, tmp_path, max_epochs=6)
    checkpoint = RunCheckpoint(str(tmp_path / "run"))
    half, _ = train(start, data_dir, tmp_path, max_epochs=3, callbacks=[checkpoint])
    saved = tmp_path / "run" / "checkpoints" / "epoch_00003.ckpt"
    resumed, _ = train(start, data_dir, tmp_path, max_epochs=6, ckpt_path=str(saved))
    assert same(weights(straight), weights(resumed))
    assert not same(weights(half), weights(resumed))
    assert straight.kl_controller == resumed.kl_controller != half.kl_controller
    assert straight.iteration == resumed.iteration == 6
    reloaded, _ = load_policy(saved)
    trained = half.policy.causal_lm.state_dict()
    assert same(trained, reloaded.state_dict())


def test_an_adaptive_entropy_bonus_is_resumed_bitwise(start, data_dir, tmp_path):
    def run(name: str, *, target: float | None = 9.0, **settings):
        algorithm = replace(PPO, entropy_target=target, overlong_buffer=4, loss_aggregation="seq-mean-token-mean")
        module = module_of(start, algorithm=algorithm, critic=replace(CRITIC, warmup_iterations=0))
        return train(start, data_dir, tmp_path / name, module=module, **settings)

    straight, trainer = run("straight", max_epochs=3)
    assert straight.entropy_controller.coef == pytest.approx(0.01 + 3 * 0.005)  # the entropy is below 9 nats
    assert trainer.callback_metrics["policy/entropy_coef"] == pytest.approx(0.01 + 2 * 0.005)
    run("half", max_epochs=2, callbacks=[RunCheckpoint(str(tmp_path / "run"))])
    resumed, _ = run("resumed", max_epochs=3, ckpt_path=str(tmp_path / "run" / "checkpoints" / "epoch_00002.ckpt"))
    assert resumed.entropy_controller == straight.entropy_controller
    assert same(weights(straight), weights(resumed))


def test_resume_refuses_another_reference(start, data_dir, tmp_path):
    train(start, data_dir, tmp_path, max_epochs=1, callbacks=[RunCheckpoint(str(tmp_path / "run"))])
    other = save_sharp_policy(tmp_path / "other", data_dir, seed=2)
    with pytest.raises(ValueError, match="differ from those the run started from"):
        train(
            other,
            data_dir,
            tmp_path,
            max_epochs=2,
            ckpt_path=str(tmp_path / "run" / "checkpoints" / "epoch_00001.ckpt"),
        )


def test_checkpoints_hold_no_reference(start, data_dir, tmp_path):
    module, trainer = train(start, data_dir, tmp_path, max_epochs=1)
    assert all(name.startswith("policy.") for name in module.state_dict())
