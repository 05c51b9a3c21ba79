"""Rewards of reinforcement learning: faults, sampled inputs, the probe, and a reward that rises."""

from collections import Counter
from dataclasses import replace

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from executor.grading.pass_at_k import pass_at_k
from executor.types import Status
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.training.logging.run_logger import RunLogger
from lightning_modules.training.logging.tags import documented
from tests.support.rl_runs import CRITIC, FAST, Records, data_of, module_of, same, train, use, verdict, weights

pytestmark = pytest.mark.usefixtures("executor")


def test_the_executor_is_recorded_and_closed(start, data_dir, tmp_path, executor):
    logger = RunLogger(tmp_path / "run")
    train(start, data_dir, tmp_path, max_epochs=2, limit_val_batches=1, logger=logger)
    assert executor.num_closed == 1
    record = yaml.safe_load((tmp_path / "run" / "machine.yaml").read_text())
    assert record["executor"] == {"description": "runs nothing", "time_factor": 1.5, "step": 0}
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    assert [(event.step, event.value) for event in events.Scalars("executor/time_factor")] == [(0, 1.5)]
    assert [tag for tag in events.Tags()["scalars"] if tag != "epoch" and documented(tag) is None] == []


class FirstBatches(Callback):
    """Keep the statistics of every iteration, and how many completions its minibatches train in one epoch."""

    def __init__(self) -> None:
        self.stats = []
        self.num_trained: list[int] = []

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if batch_idx == 0:
            self.stats.append(batch.stats)
            self.num_trained.append(0)
        if batch.trains_critic:
            return
        keys = (
            batch.segment_ids[:, :-1] * 100
            + batch.branch_ids[:, :-1]
            + torch.arange(len(batch.loss_mask))[:, None] * 10000
        )
        # position t predicts token t + 1, so the branch of the first position of a completion is its own
        self.num_trained[-1] += len(torch.unique(keys[batch.loss_mask]))


def test_an_infra_fault_is_never_a_reward(start, data_dir, tmp_path, executor):
    """Completions with an infra fault have no reward: they are in no loss and no mean."""
    batches = FirstBatches()
    module = module_of(start, reward_probe_fraction=0.0, critic=replace(CRITIC, warmup_iterations=0))
    data = data_of(data_dir, num_ppo_epochs=1)
    train(start, data_dir, tmp_path, module=module, data=data, max_epochs=2, callbacks=[batches])
    submissions = iter(executor.submissions)
    num_infra = 0
    for stats, num_trained in zip(batches.stats, batches.num_trained, strict=True):
        statuses = Counter(verdict(next(submissions)) for _ in range(8))
        num_infra += statuses[Status.INFRA]
        assert num_trained == stats.num_rewarded == 8 - statuses[Status.INFRA]
        # the default reward is 1 for a pass and 0 for all else
        assert stats.metrics["reward/mean"] == pytest.approx(statuses[Status.PASSED] / stats.num_rewarded)
        assert stats.metrics["reward/pass_rate"] == stats.metrics["reward/mean"]
        assert stats.metrics["rollout/num_infra"] == statuses[Status.INFRA]
    assert num_infra > 0


def test_a_run_ends_when_no_completion_can_be_graded(start, data_dir, tmp_path, monkeypatch):
    """Otherwise it would go on to its end without learning anything."""
    num_graded = 0

    def fail_in_the_second_iteration(submission):
        nonlocal num_graded
        num_graded += 1
        return Status.PASSED if num_graded <= 8 else Status.INFRA

    use(monkeypatch, fail_in_the_second_iteration)
    records = Records()
    module = module_of(start, reward_probe_fraction=0.0)
    with pytest.raises(ValueError, match=r"iteration 1: none of its completions could be graded: .*--ckpt_path last"):
        train(start, data_dir, tmp_path, module=module, max_epochs=3, limit_val_batches=0, callbacks=[records])
    assert module.iteration == 1
    assert same(records.starts[-1], weights(module))  # faults move nothing


def test_pass_at_k_of_an_iteration_leaves_faults_out(start, data_dir, tmp_path, executor):
    module = module_of(start, reward_probe_fraction=0.0)
    data = data_of(data_dir, prompts_per_iteration=6, samples_per_prompt=4, minibatch_size=8)
    _, trainer = train(start, data_dir, tmp_path, module=module, data=data, max_epochs=1)
    verdicts: dict[str, list[Status]] = {}
    for item in executor.submissions:
        verdicts.setdefault(item.task.task_id, []).append(verdict(item))
    counts = [(len(found) - found.count(Status.INFRA), found.count(Status.PASSED)) for found in verdicts.values()]
    assert len(counts) == 6
    assert any(n < 4 for n, _ in counts)
    for k in (1, 4):
        each = [pass_at_k(n, c, k) for n, c in counts if n >= k]
        assert trainer.callback_metrics[f"rollout/pass_at_{k}"].item() == pytest.approx(sum(each) / len(each))


def test_rewards_use_sampled_inputs_and_the_probe_the_stored_tests(start, data_dir, tmp_path, monkeypatch):
    """Programs that memorized the stored tests earn nothing on sampled inputs; otherwise the probe finds them."""

    def knows_the_stored_tests(submission):
        return Status.PASSED if submission.task.tests else Status.WRONG

    use(monkeypatch, knows_the_stored_tests)
    module = module_of(start, reward_probe_fraction=1.0)
    _, trainer = train(start, data_dir, tmp_path, module=module, max_epochs=1)
    assert trainer.callback_metrics["reward/mean"].item() == 0.0
    assert trainer.callback_metrics["reward/num_probed"].item() == 0
    assert "reward/probe_fail_rate" not in trainer.callback_metrics
    data = data_of(data_dir, num_sampled_reward_tests=0)
    _, trainer = train(
        start, data_dir, tmp_path, module=module_of(start, reward_probe_fraction=1.0), data=data, max_epochs=1
    )
    assert trainer.callback_metrics["reward/mean"].item() == 1.0
    assert trainer.callback_metrics["reward/num_probed"].item() == 8
    assert trainer.callback_metrics["reward/probe_fail_rate"].item() == 1.0


def test_the_probe_does_not_affect_training(start, data_dir, tmp_path):
    on, _ = train(start, data_dir, tmp_path)
    off, trainer = train(start, data_dir, tmp_path, module=module_of(start, reward_probe_fraction=0.0))
    assert same(weights(off), weights(on))
    assert "reward/num_probed" not in trainer.callback_metrics


def test_the_reward_rises(start, data_dir, tmp_path, monkeypatch):
    def likes_letters(submission):
        """Pass what holds more ASCII letters than other characters: rare at first, easy to learn."""
        text = submission.completion
        num_letters = sum(c.isascii() and c.isalpha() for c in text)
        return Status.PASSED if num_letters * 2 > len(text) else Status.WRONG

    use(monkeypatch, likes_letters)
    rates = []

    class PassRates(Callback):
        def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
            if batch_idx == 0:
                rates.append(batch.stats.metrics["reward/pass_rate"])

    module = module_of(
        start,
        algorithm=AlgorithmConfig(),
        critic=CriticConfig(warmup_iterations=2),
        kl=KLConfig(init_coef=0.0),
        optimizer=replace(FAST, lr=3e-3),
    )
    data = data_of(data_dir, prompts_per_iteration=6, samples_per_prompt=8, minibatch_size=24)
    train(start, data_dir, tmp_path, module=module, data=data, max_epochs=20, callbacks=[PassRates()])
    assert sum(rates[-5:]) / 5 > sum(rates[:5]) / 5 + 0.3
