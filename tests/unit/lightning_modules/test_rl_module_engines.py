"""Reinforcement learning with other rollout engines: the weights that they get, and a server that dies."""

import threading
import time

import pytest
import torch

from datamodules.rl_data import RLDataModule
from executor.types import Status
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.generation.vllm import server
from lightning_modules.rl.config import AlgorithmConfig, KLConfig, RolloutConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.training.checkpointing import RunCheckpoint
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.fake_vllm_server import FakeVllmServer
from tests.support.tiny_runs import fit, write_policy


@pytest.fixture(scope="module")
def start(tmp_path_factory, data_dir):
    return write_policy(tmp_path_factory.mktemp("policy"), data_dir)


@pytest.fixture(autouse=True)
def executor(monkeypatch):
    fake = FakeExecutor(lambda submission: Status.PASSED if len(submission.completion) % 2 else Status.WRONG)
    use_executor(monkeypatch, fake)
    monkeypatch.setattr(server, "RETRY_S", (0.01, 0.05))
    return fake


def train(start, data_dir, folder, engine, *, max_epochs=3, **settings):
    module = RLModule(
        init_from=start,
        algorithm=AlgorithmConfig(estimator="grpo", whiten=False, target_kl=None),
        critic=None,
        kl=KLConfig(apply_to="loss", estimator="k3"),
        sampling=SamplingParams(max_new_tokens=6),
        rollout=RolloutConfig(engine=engine),
        reward_probe_fraction=0.0,
    )
    data = RLDataModule(str(data_dir), prompts_per_iteration=2, samples_per_prompt=2, minibatch_size=4)
    options = {
        "max_epochs": max_epochs,
        "limit_val_batches": 0,
        "enable_checkpointing": bool(settings.get("callbacks")),
    }
    trainer = fit(module, data, folder, **(options | settings))
    return module, trainer


def versions_of(fake: FakeVllmServer) -> list[int]:
    """Return the version of each complete update of weights."""
    names = [body["new_version"] for path, body in fake.calls if path == "/update_weight_version"]
    return [int(name.partition("-")[0]) for name in names if name != "incomplete"]


def test_transformers_trains_what_native_trains(start, data_dir, tmp_path):
    native, _ = train(start, data_dir, tmp_path, "native", max_epochs=1)
    other, _ = train(start, data_dir, tmp_path, "transformers", max_epochs=1)
    torch.testing.assert_close(list(native.policy.parameters()), list(other.policy.parameters()), atol=1e-5, rtol=0)


def test_a_server_gets_the_weights_of_each_iteration_also_after_it_died_and_after_a_resume(
    start, data_dir, tmp_path, executor
):
    fake = FakeVllmServer()
    fake.dies_after = 6  # in the second iteration of four completions

    def restart():
        fake.is_down.wait(200)
        time.sleep(0.1)
        fake.start()

    thread = threading.Thread(target=restart)
    thread.start()
    checkpoint = RunCheckpoint(str(tmp_path / "run"))
    module, trainer = train(start, data_dir, tmp_path, fake.url, callbacks=[checkpoint])
    thread.join()
    assert module.iteration == 3
    assert trainer.callback_metrics["rollout/num_infra"] == 0
    assert len(executor.submissions) == 12
    assert versions_of(fake) == [0, 1, 1, 2]  # one again after the restart
    assert not (tmp_path / "rollout_weights").exists()
    fake.calls.clear()
    saved = tmp_path / "run" / "checkpoints" / "epoch_00002.ckpt"
    train(start, data_dir, tmp_path, fake.url, ckpt_path=str(saved))
    assert versions_of(fake) == [2]
    fake.die()
