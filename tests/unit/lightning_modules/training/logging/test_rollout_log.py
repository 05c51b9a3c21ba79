import json
from types import SimpleNamespace

import pytest
import torch
from lightning.pytorch import LightningModule

from datamodules.batches import PromptBatch
from datamodules.rl_data import RLDataModule
from executor.types import Status
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, KLConfig
from lightning_modules.rl.rollouts.records import Advantages, SampledRollouts
from lightning_modules.rl_module import RLModule
from lightning_modules.training.logging.rollout_log import (
    LogRollouts,
    describe_rollouts,
    list_logged_iterations,
    read_rollouts,
)
from tests.support.fake_executor import FakeExecutor, use_executor
from tests.support.rollouts import make_rollout
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import fit, write_policy


def sampled(iteration: int = 0) -> tuple[SampledRollouts, Advantages]:
    """Three rollouts, of which dynamic sampling dropped the first; the fault of the last leaves it out of the loss."""
    dropped, passed, lost = make_rollout(0.0), make_rollout(1.0, group=1), make_rollout(None, group=1, length=3)
    batch = PromptBatch(iteration, [], [], 2)
    records = SampledRollouts([passed, lost], [], [dropped, passed, lost], 2, batch)
    advantages = torch.tensor([[0.5, 1.5, 9.0], [0.0, 0.0, 0.0]])  # [N, L]; the 9 is outside the completion
    mask = torch.tensor([[True, True, False], [False, False, False]])
    return records, Advantages(advantages, torch.zeros(2, 3), mask, mask, torch.tensor([False, False]))


def test_rows_of_trained_replaced_and_lost_rollouts():
    dropped, passed, lost = describe_rollouts(*sampled())
    assert [row["task_id"] for row in (dropped, passed, lost)] == ["t0", "t1", "t1"]
    assert [row["status"] for row in (dropped, passed, lost)] == ["wrong", "passed", "infra"]
    assert [row["trained"] for row in (dropped, passed, lost)] == [False, True, False]
    assert [row["reward"] for row in (dropped, passed, lost)] == [0.0, 1.0, None]
    assert [row["advantage"] for row in (dropped, passed, lost)] == [None, 1.0, 0.0]  # the mean of 0.5 and 1.5
    assert (passed["num_tokens"], passed["token_ids"], lost["num_tokens"]) == (2, [5, 5], 3)
    assert passed["reward_parts"]["passed"] == 1.0
    json.dumps([dropped, passed, lost], allow_nan=False)


class Collects(LightningModule):
    rollouts_callback = None


def test_every_nth_iteration_of_each_rank_is_written_once_however_often_it_runs(tmp_path):
    for rank in (0, 1):
        module, log = Collects(), LogRollouts(str(tmp_path), every_n_iterations=2)
        log.setup(SimpleNamespace(global_rank=rank), module, "fit")
        for iteration in (0, 1, 2, 2):
            module.rollouts_callback(*sampled(iteration))
    assert list_logged_iterations(tmp_path) == [0, 2]
    assert [row["rank"] for row in read_rollouts(tmp_path, 2)] == [0, 0, 0, 1, 1, 1]
    assert {row["iteration"] for row in read_rollouts(tmp_path, 2)} == {2}
    assert read_rollouts(tmp_path, 1) == []


def test_off_needs_no_rollouts_and_on_names_the_key(tmp_path):
    LogRollouts(str(tmp_path)).setup(SimpleNamespace(global_rank=0), LightningModule(), "fit")
    with pytest.raises(ValueError, match=r"log_rollouts\.every_n_iterations.*LightningModule.*set it to 0"):
        LogRollouts(str(tmp_path), 5).setup(SimpleNamespace(global_rank=0), LightningModule(), "fit")
    with pytest.raises(ValueError, match=r"log_rollouts\.every_n_iterations is -1"):
        LogRollouts(str(tmp_path), -1)


def test_a_run_stores_what_it_trains_on_and_trains_the_same(tmp_path, monkeypatch):
    fake = FakeExecutor(lambda submission: Status.PASSED if len(submission.completion) % 2 else Status.WRONG)
    use_executor(monkeypatch, fake)
    data_dir = write_small_data(tmp_path / "data", synthetic_rl=6)
    start = write_policy(tmp_path / "policy", data_dir, scale=8.0)
    weights = []
    for callbacks in ([], [LogRollouts(str(tmp_path / "run"), 1)]):
        module = RLModule(
            init_from=start, critic=None, algorithm=AlgorithmConfig(estimator="grpo", whiten=False),
            kl=KLConfig(init_coef=0.0), sampling=SamplingParams(max_new_tokens=6),
        )  # fmt: skip
        data = RLDataModule(str(data_dir), prompts_per_iteration=3, samples_per_prompt=2, minibatch_size=6)
        fit(module, data, tmp_path, max_epochs=2, limit_val_batches=0, callbacks=callbacks)
        weights.append(torch.cat([parameter.flatten() for parameter in module.policy.parameters()]))
    assert torch.equal(*weights)
    assert list_logged_iterations(tmp_path / "run") == [0, 1]
    rows = read_rollouts(tmp_path / "run", 1)
    assert [row["group"] for row in rows] == [0, 0, 1, 1, 2, 2]
    for first, second in zip(rows[::2], rows[1::2], strict=True):  # GRPO: +-0.5 over a standard deviation of 0.7071
        expected = 0.0 if first["reward"] == second["reward"] else 0.7071 if first["reward"] else -0.7071
        assert first["advantage"] == pytest.approx(expected, abs=2e-3)
        assert first["prompt"] == second["prompt"]
    assert [row["policy_version"] for row in rows] == [1] * 6
    assert len({row["reward"] for row in read_rollouts(tmp_path / "run", 0) + rows}) == 2
