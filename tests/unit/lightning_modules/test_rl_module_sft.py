"""The supervised term of reinforcement learning."""

from dataclasses import replace

import pytest

from datamodules.rl.sft_examples import SFTExamplesConfig
from executor.types import Status
from lightning_modules.rl.config import AlgorithmConfig, KLConfig
from lightning_modules.training.checkpointing import RunCheckpoint
from tests.support.rl_runs import FAST, PPO, data_of, module_of, same, train, use, weights

pytestmark = pytest.mark.usefixtures("executor")


EXAMPLES = SFTExamplesConfig(split="synthetic_train", batch_size=4)


def test_a_supervised_term_is_trained_and_resumed_bitwise(start, data_dir, tmp_path):
    def run(name: str, *, coef: float = 0.5, max_epochs: int = 4, **settings):
        module = module_of(start, algorithm=replace(PPO, sft_coef=coef))
        data = data_of(data_dir, sft_examples=EXAMPLES if coef else None)
        return train(start, data_dir, tmp_path / name, module=module, data=data, max_epochs=max_epochs, **settings)

    straight, trainer = run("straight")
    assert 0 < float(trainer.callback_metrics["loss/sft"]) < 7
    checkpoint = RunCheckpoint(str(tmp_path / "run"))
    run("half", max_epochs=2, callbacks=[checkpoint])
    resumed, _ = run("resumed", ckpt_path=str(tmp_path / "run" / "checkpoints" / "epoch_00002.ckpt"))
    assert same(weights(straight), weights(resumed))
    without, _ = run("without", coef=0.0)
    assert not same(weights(straight), weights(without))


def test_the_gradient_of_the_supervised_term_is_added(start, data_dir, tmp_path, monkeypatch):
    # without any reward, value loss or KL, the update is that of the supervised term alone: its loss falls
    use(monkeypatch, lambda submission: Status.WRONG)

    def run(name: str, max_epochs: int) -> float:
        module = module_of(
            start,
            algorithm=AlgorithmConfig(estimator="grpo", whiten=False, sft_coef=1.0, target_kl=None),
            critic=None,
            kl=KLConfig(init_coef=0.0, target=None),
            optimizer=replace(FAST, warmup_iterations=0),
        )
        data = data_of(data_dir, sft_examples=EXAMPLES)
        _, trainer = train(start, data_dir, tmp_path / name, module=module, data=data, max_epochs=max_epochs)
        return float(trainer.callback_metrics["loss/sft"])

    assert run("six", 6) < run("one", 1) - 0.3


@pytest.mark.parametrize(("coef", "examples"), [(0.5, None), (0.0, EXAMPLES)])
def test_coefficient_and_examples_need_each_other(start, data_dir, tmp_path, coef, examples):
    module, data = module_of(start, algorithm=replace(PPO, sft_coef=coef)), data_of(data_dir, sft_examples=examples)
    with pytest.raises(ValueError, match=rf"sft_coef is {coef}, and data.sft_examples is"):
        train(start, data_dir, tmp_path, module=module, data=data)
