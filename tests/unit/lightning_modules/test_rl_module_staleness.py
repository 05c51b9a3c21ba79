"""Sampling ahead of training: resume, what is sampled by which policy, the time that it saves, and what it refuses."""

import time
import zlib
from dataclasses import replace

import pytest
import torch
from lightning.pytorch import Callback

from datamodules.rl.curriculum import CurriculumConfig
from datamodules.rl_data import RLDataModule
from executor.types import Status
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.lora import LoRAConfig
from lightning_modules.rl.config import AlgorithmConfig, KLConfig, RolloutConfig
from lightning_modules.rl.objectives.rollout_correction import RolloutCorrectionConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.training.checkpointing import RunCheckpoint
from lightning_modules.training.logging.tags import documented
from lightning_modules.training.optimizers import RLOptimizerConfig
from lightning_modules.training.throughput import ThroughputMonitor
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.tiny_runs import fit

GRPO = AlgorithmConfig(estimator="grpo", whiten=False, target_kl=None)


@pytest.fixture(autouse=True)
def executor(monkeypatch):
    fake = FakeExecutor(lambda s: Status.PASSED if zlib.crc32(s.completion.encode()) % 2 else Status.WRONG)
    use_executor(monkeypatch, fake)
    return fake


def module_of(start: str, staleness: int, **settings) -> RLModule:
    options = {
        "algorithm": GRPO,
        "critic": None,
        "kl": KLConfig(apply_to="loss", estimator="k3", init_coef=0.01),
        "sampling": SamplingParams(max_new_tokens=6),
        "optimizer": RLOptimizerConfig(lr=1e-2, warmup_iterations=1),
        "rollout": RolloutConfig(staleness=staleness),
    }
    return RLModule(init_from=start, **(options | settings))


def train(start, data_dir, folder, staleness, *, module=None, data=None, **settings):
    module = module or module_of(start, staleness)
    data = data or RLDataModule(str(data_dir), prompts_per_iteration=4, samples_per_prompt=2, minibatch_size=4)
    options = {"max_epochs": 2, "limit_val_batches": 0, "gradient_clip_val": 1.0}
    return module, fit(module, data, folder, **(options | settings))


def weights(module: RLModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.policy.causal_lm.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class Metrics(Callback):
    """The metrics of every iteration."""

    def __init__(self) -> None:
        self.iterations: list[dict[str, float]] = []

    def on_train_epoch_end(self, trainer, pl_module):
        self.iterations.append({tag: float(value) for tag, value in trainer.callback_metrics.items()})


@pytest.mark.parametrize("staleness", [1, 2])
def test_a_resumed_run_is_bitwise_the_run_that_was_never_stopped(start, data_dir, tmp_path, staleness):
    whole, trainer = train(start, data_dir, tmp_path, staleness, max_epochs=5)
    checkpoint = RunCheckpoint(str(tmp_path / "run"))
    train(start, data_dir, tmp_path, staleness, max_epochs=3, callbacks=[checkpoint], enable_checkpointing=True)
    saved = tmp_path / "run" / "checkpoints" / "epoch_00003.ckpt"
    versions = torch.load(saved, weights_only=True)["rl_state"]["sampling_ahead"]["versions"]
    assert versions == {number: number - staleness for number in range(3, 3 + staleness)}
    resumed, _ = train(start, data_dir, tmp_path, staleness, max_epochs=5, ckpt_path=str(saved))
    assert same(weights(whole), weights(resumed))
    assert [tag for tag in trainer.callback_metrics if documented(tag) is None] == []


def test_rollouts_are_those_of_the_policy_some_iterations_before(start, data_dir, tmp_path):
    metrics, on_policy = Metrics(), Metrics()
    train(start, data_dir, tmp_path, 1, max_epochs=3, callbacks=[metrics])
    train(start, data_dir, tmp_path, 0, max_epochs=3, callbacks=[on_policy])
    first, second, third = metrics.iterations
    assert [one["rollout/staleness"] for one in metrics.iterations] == [0, 1, 1]
    assert first["policy/ratio_first_minibatch"] == pytest.approx(1.0, abs=1e-5)
    assert third["policy/ratio_first_minibatch"] == pytest.approx(1.0, abs=1e-5)  # to the policy that trains
    assert first["rollout/is_weight_max"] == pytest.approx(1.0, abs=1e-3)
    assert second["rollout/is_weight_max"] > 1.01
    assert second["rollout/logprob_diff"] > 0.01  # the policy has moved since it sampled
    assert on_policy.iterations[1]["rollout/logprob_diff"] == pytest.approx(0.0, abs=1e-4)
    assert "rollout/is_weight_max" not in on_policy.iterations[1]
    assert first["reward/mean"] == on_policy.iterations[0]["reward/mean"]  # the same completions


def test_adapters_are_merged_in_the_policies_of_a_checkpoint(start, data_dir, tmp_path):
    def run(folder, **settings):
        module = module_of(start, 1, lora=LoRAConfig(r=2, alpha=4))
        return train(start, data_dir, tmp_path / folder, 1, module=module, **settings)[0]

    whole = run("whole", max_epochs=3)
    run("half", max_epochs=2, callbacks=[RunCheckpoint(str(tmp_path / "run"))], enable_checkpointing=True)
    resumed = run("resumed", max_epochs=3, ckpt_path=str(tmp_path / "run" / "checkpoints" / "epoch_00002.ckpt"))
    assert same(weights(whole), weights(resumed))


class SlowTraining(Callback):
    def on_train_batch_end(self, *_):
        time.sleep(0.5)  # two steps in an iteration


def test_an_iteration_is_shorter_when_grading_is_slow(start, data_dir, tmp_path, executor):
    executor.delay_s = 1.0
    seconds = {}
    for staleness in (0, 1):
        started_at = time.perf_counter()
        metrics = Metrics()
        callbacks = [SlowTraining(), ThroughputMonitor(), metrics]
        train(start, data_dir, tmp_path, staleness, max_epochs=4, callbacks=callbacks)
        seconds[staleness] = time.perf_counter() - started_at
        waited = metrics.iterations[-1]
        assert ("time/idle_s" in waited) == (staleness > 0)
    # 4 x (1 s of grading + 1 s of training) against 1 s + 4 x 1 s
    assert seconds[1] < seconds[0] - 1.5
    assert waited["time/idle_s"] < waited["time/execute_s"]


def test_prompts_that_depend_on_earlier_iterations_are_not_sampled_ahead(start, data_dir, tmp_path):
    sizes = {"prompts_per_iteration": 4, "samples_per_prompt": 2, "minibatch_size": 4, "splits": ["atomic"]}
    data = RLDataModule(str(data_dir), **sizes, curriculum=CurriculumConfig())
    with pytest.raises(ValueError, match=r"staleness is 1, but the prompts of data.curriculum"):
        train(start, data_dir, tmp_path, 1, data=data)


def test_an_error_in_training_ends_the_sampling(start, data_dir, tmp_path, executor):
    class Fails(Callback):
        def on_train_batch_end(self, *_):
            raise RuntimeError("stop here")

    module = module_of(start, 1)
    with pytest.raises(RuntimeError, match="stop here"):
        train(start, data_dir, tmp_path, 1, module=module, callbacks=[Fails()])
    assert module.sampling_ahead is not None
    assert module.sampling_ahead.state_dict() is None


def test_sequence_weights_and_rejection_can_be_trained_with(start, data_dir, tmp_path):
    correction = RolloutCorrectionConfig(rollout_is="sequence", rollout_rs="geometric", rollout_rs_threshold=1.0001)
    module = module_of(start, 1, algorithm=replace(GRPO, policy_loss="gspo", rollout_correction=correction))
    metrics = Metrics()
    train(start, data_dir, tmp_path, 1, module=module, max_epochs=2, callbacks=[metrics])
    assert metrics.iterations[1]["rollout/rs_rejected_frac"] > 0.0
