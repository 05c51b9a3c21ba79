"""Steps that must not move: those without a trained token, and those after a step that went too far."""

import zlib
from collections import defaultdict

import pytest
import torch
from lightning.pytorch import Callback

import lightning_modules.rl_module as rl_module
from datamodules.rl_data import RLDataModule
from executor.types import Status, Submission
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, KLConfig
from lightning_modules.rl.objectives.early_stopping import KLEarlyStopping
from lightning_modules.training.optimizers import RLOptimizerConfig
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import fit, write_policy


def step(stopping: KLEarlyStopping, share: float, *parts: tuple[float, float]) -> dict[str, float]:
    for part in parts:
        stopping.start_micro_batch(torch.tensor(share))
        stopping.end_micro_batch(torch.tensor(part))
    return {tag: float(value) for tag, value in stopping.end_step().items()}


def test_a_step_is_judged_by_all_of_its_parts() -> None:
    stopping = KLEarlyStopping(0.05)
    # (.09 + .0) / 2 is below the limit, (.09 + .03) / 2 above it; a part alone decides nothing
    assert step(stopping, 2.0, (0.09, 1.5), (0.0, 0.5)) == {
        "policy/early_stopped_frac": 0.0,
        "policy/ratio_first_minibatch": 1.0,
    }
    assert not stopping.skip_step
    assert step(stopping, 2.0, (0.09, 1.5), (0.03, 0.5)) == {"policy/early_stopped_frac": 1.0}
    assert step(stopping, 2.0, (0.0, 1.0), (0.0, 1.0)) == {
        "policy/early_stopped_frac": 1.0
    }  # for the rest of the iteration
    assert stopping.skip_step
    stopping.start_iteration()
    assert not stopping.skip_step
    assert "policy/ratio_first_minibatch" in step(stopping, 2.0, (0.0, 1.0))


def test_an_empty_step_skip_step_and_has_no_ratio() -> None:
    stopping = KLEarlyStopping(None)
    assert stopping.start_micro_batch(torch.tensor(0.0)) == 1.0
    assert stopping.skip_step
    assert step(stopping, 0.0, (0.0, 0.0)) == {"policy/early_stopped_frac": 0.0}
    assert stopping.start_micro_batch(torch.tensor(0.5)) == 0.5  # one token for two parts
    assert not stopping.skip_step
    assert step(stopping, 4.0, (9.0, 1.0)) == {"policy/early_stopped_frac": 0.0, "policy/ratio_first_minibatch": 1.0}


class Moves(Callback):
    """Keeps, of each minibatch, how many tokens it trains and whether weights moved; and the metrics of iterations."""

    def __init__(self) -> None:
        self.minibatches: list[list[tuple[int, bool]]] = []
        self.metrics: list[dict[str, float]] = []

    def on_train_epoch_start(self, trainer, pl_module) -> None:
        self.keep_metrics(trainer)
        self.minibatches.append([])

    def on_train_end(self, trainer, pl_module) -> None:
        self.keep_metrics(trainer)

    def keep_metrics(self, trainer) -> None:
        self.metrics.append({tag: float(value) for tag, value in trainer.callback_metrics.items()})

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx) -> None:
        self.before = [parameter.clone() for parameter in pl_module.policy.parameters()]

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        pairs = zip(self.before, pl_module.policy.parameters(), strict=True)
        moved = any(not torch.equal(before, after) for before, after in pairs)
        self.minibatches[-1].append((int(batch.loss_mask.sum()), moved))


def half_pass(submission: Submission) -> Status:
    return Status.PASSED if zlib.crc32(submission.completion.encode()) % 2 else Status.WRONG


def test_minibatches_of_uniform_groups_move_nothing_and_are_in_no_mean(tmp_path, monkeypatch) -> None:
    use_executor(monkeypatch, FakeExecutor(half_pass))
    entropies: dict[int, list[float]] = defaultdict(list)
    compute = rl_module.rl_loss

    def kept(policy, batch, *arguments, **options):
        result = compute(policy, batch, *arguments, **options)
        if batch.loss_mask.any():
            entropies[module.iteration].append(float(result.metrics["policy/entropy"]))
        return result

    monkeypatch.setattr(rl_module, "rl_loss", kept)
    data_dir = write_small_data(tmp_path / "small")
    start = write_policy(tmp_path / "start", data_dir)
    module = rl_module.RLModule(
        init_from=start,
        algorithm=AlgorithmConfig(estimator="grpo", whiten=False, filter_zero_variance_groups=True),
        critic=None,
        kl=KLConfig(apply_to="loss", estimator="k3"),
        sampling=SamplingParams(max_new_tokens=8),
        optimizer=RLOptimizerConfig(lr=1e-3),
        reward_probe_fraction=0.0,
    )
    # a minibatch holds the two answers to one prompt: it trains nothing where both pass or both fail
    data = RLDataModule(str(data_dir), prompts_per_iteration=4, samples_per_prompt=2, minibatch_size=2)
    moves = Moves()
    fit(module, data, tmp_path, max_epochs=5, limit_val_batches=0, callbacks=[moves])
    minibatches = [minibatch for iteration in moves.minibatches for minibatch in iteration]
    first_moved = minibatches.index(next(one for one in minibatches if one[1]))
    assert any(num_tokens == 0 for num_tokens, _ in minibatches[first_moved:])  # there is momentum that could move it
    assert all(moved == (num_tokens > 0) for num_tokens, moved in minibatches)
    assert any(iteration[0][0] == 0 and any(dict(iteration)) for iteration in moves.minibatches)
    for number, metrics in enumerate(moves.metrics[1:]):
        assert metrics["policy/ratio_first_minibatch"] == pytest.approx(1.0, abs=1e-5)
        assert metrics["policy/entropy"] == pytest.approx(sum(entropies[number]) / len(entropies[number]))
