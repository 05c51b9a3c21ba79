import zlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from lightning.pytorch import Callback
from lightning.pytorch.callbacks import Checkpoint
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import lightning_modules.training.run_executor as run_executor
from datamodules.rl.sft_examples import SFTExamplesConfig
from datamodules.rl_data import RLDataModule
from executor.grading.pass_at_k import pass_at_k
from executor.types import Status, Submission
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.loading import load_policy
from lightning_modules.models.lora import LoRAConfig, adapters_off
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl.objectives.kl import KLController
from lightning_modules.rl_module import RLModule
from lightning_modules.training.checkpointing import RunCheckpoint
from lightning_modules.training.logging.run_logger import RunLogger
from lightning_modules.training.logging.tags import documented
from lightning_modules.training.optimizers import RLOptimizerConfig
from tests.support.fake_executor import FakeExecutor
from tests.support.small_data import write_small_data
from tests.support.tiny_runs import fit, write_policy

PPO = AlgorithmConfig(target_kl=None, entropy_coef=0.01)
CRITIC = CriticConfig(trunk="shared", num_epochs=1, warmup_iterations=1)
KL = KLConfig(init_coef=0.1, target=0.5, horizon=50)
FAST = RLOptimizerConfig(lr=1e-3, value_lr=1e-2, warmup_iterations=3)


def verdict(submission: Submission) -> Status:
    """Pass about half of all texts, and lose one in eight, as a function of the text alone."""
    number = zlib.crc32(submission.completion.encode()) % 8
    return Status.INFRA if number == 7 else Status.PASSED if number < 4 else Status.WRONG


def use(monkeypatch: pytest.MonkeyPatch, judge=verdict) -> FakeExecutor:
    fake = FakeExecutor(judge)
    monkeypatch.setattr(run_executor, "open_executor", lambda backend, time_factor=None: fake)
    return fake


@pytest.fixture(autouse=True)
def executor(monkeypatch):
    return use(monkeypatch)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small", synthetic_rl=6)


@pytest.fixture(scope="module")
def start(tmp_path_factory, data_dir):
    """Save an untrained policy as a Hugging Face folder."""
    return save_policy(tmp_path_factory.mktemp("policy"), data_dir, seed=1)


def save_policy(folder: Path, data_dir: Path, *, seed: int) -> str:
    return write_policy(folder, data_dir, seed=seed, scale=8.0)  # so that log-probabilities differ between tokens


def module_of(start: str, **settings) -> RLModule:
    options = {
        "algorithm": PPO,
        "critic": CRITIC,
        "kl": KL,
        "sampling": SamplingParams(max_new_tokens=8),
        "optimizer": FAST,
        "rollout_batch_size": 5,
    }
    return RLModule(init_from=start, **(options | settings))


def data_of(data_dir: Path, **settings) -> RLDataModule:
    options = {"prompts_per_iteration": 4, "samples_per_prompt": 2, "minibatch_size": 4, "num_ppo_epochs": 2}
    return RLDataModule(str(data_dir), **(options | settings))


def train(start, data_dir, tmp_path, *, module=None, data=None, max_epochs=2, ckpt_path=None, callbacks=(), **settings):
    module = module or module_of(start)
    trainer = fit(
        module,
        data or data_of(data_dir),
        tmp_path,
        max_epochs=max_epochs,
        ckpt_path=ckpt_path,
        callbacks=list(callbacks),
        enable_checkpointing=any(isinstance(callback, Checkpoint) for callback in callbacks),
        **({"limit_val_batches": 0, "gradient_clip_val": 1.0} | settings),
    )
    return module, trainer


def weights(module: RLModule) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in module.policy.state_dict().items()}


def same(first: dict, second: dict) -> bool:
    return all(torch.equal(first[name], second[name]) for name in first)


class Records(Callback):
    """Keep the weights at the start of every iteration and after every step."""

    def __init__(self) -> None:
        self.starts: list[dict] = []
        self.steps: list[dict] = []

    def on_train_epoch_start(self, trainer, pl_module):
        self.starts.append(weights(pl_module))

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.steps.append(weights(pl_module))


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
    module = module_of(
        start,
        algorithm=AlgorithmConfig(estimator="grpo", whiten=False, sft_coef=1.0, target_kl=None),
        critic=None,
        kl=KLConfig(init_coef=0.0, target=None),
        optimizer=replace(FAST, warmup_iterations=0),
    )
    _, trainer = train(
        start, data_dir, tmp_path / "one", module=module, data=data_of(data_dir, sft_examples=EXAMPLES), max_epochs=1
    )
    first = float(trainer.callback_metrics["loss/sft"])
    module = module_of(
        start,
        algorithm=AlgorithmConfig(estimator="grpo", whiten=False, sft_coef=1.0, target_kl=None),
        critic=None,
        kl=KLConfig(init_coef=0.0, target=None),
        optimizer=replace(FAST, warmup_iterations=0),
    )
    _, trainer = train(
        start, data_dir, tmp_path / "six", module=module, data=data_of(data_dir, sft_examples=EXAMPLES), max_epochs=6
    )
    assert float(trainer.callback_metrics["loss/sft"]) < first - 0.3


@pytest.mark.parametrize(("coef", "examples"), [(0.5, None), (0.0, EXAMPLES)])
def test_coefficient_and_examples_need_each_other(start, data_dir, tmp_path, coef, examples):
    module, data = module_of(start, algorithm=replace(PPO, sft_coef=coef)), data_of(data_dir, sft_examples=examples)
    with pytest.raises(ValueError, match=rf"sft_coef is {coef}, and data.sft_examples is"):
        train(start, data_dir, tmp_path, module=module, data=data)


def test_the_first_ratio_is_one_and_all_tags_are_documented(start, data_dir, tmp_path):
    module, trainer = train(start, data_dir, tmp_path, max_epochs=3, limit_val_batches=1)
    metrics = trainer.callback_metrics
    assert metrics["policy/ratio_first_minibatch"].item() == pytest.approx(1.0, abs=1e-5)
    assert metrics["rollout/logprob_diff"].item() == pytest.approx(0.0, abs=1e-4)
    assert metrics["kl/k1"].item() != 0.0
    assert "pass_at_k/synthetic_val/greedy" in metrics
    assert [tag for tag in metrics if documented(tag) is None] == []
    assert set(module.last_evaluations) == {"synthetic_val"}


def test_another_temperature_still_has_a_first_ratio_of_one(start, data_dir, tmp_path):
    module = module_of(start, sampling=SamplingParams(max_new_tokens=8, temperature=0.6))
    _, trainer = train(start, data_dir, tmp_path, module=module)
    assert trainer.callback_metrics["policy/ratio_first_minibatch"].item() == pytest.approx(1.0, abs=1e-5)
    assert trainer.callback_metrics["rollout/logprob_diff"].item() == pytest.approx(0.0, abs=1e-4)


def test_the_critic_warms_up_alone(start, data_dir, tmp_path):
    records = Records()
    train(start, data_dir, tmp_path, callbacks=[records], max_epochs=3)
    lm = [{k: v for k, v in w.items() if k.startswith("causal_lm")} for w in records.starts]
    heads = [w["value_head.weight"] for w in records.starts]
    assert same(lm[0], lm[1])
    assert not torch.equal(heads[0], heads[1])
    assert not same(lm[1], lm[2])


def test_an_early_stop_leaves_everything_where_it_is(start, data_dir, tmp_path):
    # the first minibatch of an iteration is at distance 0, so it is taken; the others are past so small a limit
    module = module_of(start, algorithm=replace(PPO, target_kl=1e-9), critic=replace(CRITIC, warmup_iterations=0))
    records = Records()
    _, trainer = train(start, data_dir, tmp_path, module=module, max_epochs=1, callbacks=[records])
    steps = records.steps
    assert len(steps) == 2 + 4  # of critic and policy
    assert same(steps[2], steps[-1])
    assert not same(steps[1], steps[2])
    assert not same(steps[0], weights(module_of(start)))
    assert trainer.callback_metrics["policy/early_stopped_frac"].item() >= 0.5


def test_accumulation_gives_the_gradient_of_the_whole_minibatch(start, data_dir, tmp_path):
    whole, _ = train(start, data_dir, tmp_path)
    parts, _ = train(start, data_dir, tmp_path, accumulate_grad_batches=2)
    for name, value in weights(whole).items():
        torch.testing.assert_close(value, weights(parts)[name], atol=2e-4, rtol=1e-3)


def metrics_of(start, data_dir, tmp_path, *, max_epochs=2, **settings) -> dict[str, float]:
    """Train with these settings and return the metrics of the last iteration."""
    options = {"algorithm": PPO, "critic": replace(CRITIC, warmup_iterations=0), "kl": replace(KL, target=None)}
    module = module_of(start, reward_probe_fraction=0.0, **(options | settings))
    _, trainer = train(start, data_dir, tmp_path, module=module, max_epochs=max_epochs)
    return {tag: float(value) for tag, value in trainer.callback_metrics.items()}


@pytest.fixture(scope="module")
def base_metrics(start, data_dir, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        use(patch)
        return metrics_of(start, data_dir, tmp_path_factory.mktemp("run"))


@pytest.mark.parametrize(
    ("settings", "tag", "sign"),
    [
        ({"algorithm": replace(PPO, clip_ratio_low=0.0, clip_ratio_high=0.0)}, "policy/clip_frac", 1),
        ({"critic": replace(CRITIC, clip=1e-4, warmup_iterations=0)}, "value/clip_frac", 1),
        ({"algorithm": replace(PPO, entropy_coef=1.0)}, "policy/entropy", 1),
        ({"algorithm": replace(PPO, target_kl=1e-9)}, "policy/early_stopped_frac", 1),
        ({"kl": KLConfig(init_coef=20.0), "optimizer": replace(FAST, lr=1e-2)}, "kl/coef", 1),
        ({"optimizer": replace(FAST, lr=1e-2)}, "kl/k3", 1),
        ({"optimizer": replace(FAST, warmup_iterations=1)}, "optim/lr", 1),
        ({"optimizer": replace(FAST, value_lr=0.0)}, "value/mean", -1),
        ({"sampling": SamplingParams(max_new_tokens=8, temperature=0.5)}, "policy/entropy", -1),
        ({"sampling": SamplingParams(max_new_tokens=4)}, "completions/mean_length", -1),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else str(value),
)
def test_a_setting_moves_its_metric(start, data_dir, tmp_path, base_metrics, settings, tag, sign):
    found = metrics_of(start, data_dir, tmp_path, **settings)
    assert sign * (found[tag] - base_metrics[tag]) > 0


def test_weight_decay_shrinks_the_policy(start, data_dir, tmp_path):
    norms = []
    for weight_decay in (0.0, 5.0):
        module = module_of(start, optimizer=replace(FAST, weight_decay=weight_decay), reward_probe_fraction=0.0)
        trained, _ = train(start, data_dir, tmp_path, module=module, max_epochs=2)
        norms.append(sum(float(w.square().sum()) for w in trained.policy.causal_lm.parameters()))
    assert norms[1] < 0.99 * norms[0]


def test_seeds_give_other_completions(start, data_dir, tmp_path, executor):
    for seed in (0, 0, 1):
        train(start, data_dir, tmp_path, module=module_of(start, seed=seed, reward_probe_fraction=0.0), max_epochs=1)
    texts = [submission.completion for submission in executor.submissions]
    first, again, other = texts[:8], texts[8:16], texts[16:]
    assert first == again != other


def test_a_separate_critic_leaves_the_policy_alone_while_it_warms_up(start, data_dir, tmp_path):
    records = Records()
    module = module_of(start, critic=replace(CRITIC, trunk="separate"), reward_probe_fraction=0.0)
    train(start, data_dir, tmp_path, module=module, callbacks=[records], max_epochs=2)
    before, after = records.starts
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert any(name.startswith("critic_trunk") for name in changed)
    assert not any(name.startswith("causal_lm") for name in changed)


def test_the_steps_of_a_separate_critic_and_of_the_policy_train_one_of_them(start, data_dir, tmp_path):
    records = Records()
    critic = CriticConfig(num_epochs=2, minibatch_size=8, warmup_iterations=0)
    module = module_of(start, critic=critic, reward_probe_fraction=0.0)
    train(start, data_dir, tmp_path, module=module, callbacks=[records], max_epochs=2)
    one = records.steps[len(records.steps) // 2 :]
    assert len(one) == 2 + 4  # 8 completions: two passes of one step, and two of two steps
    before = records.starts[1]
    for number, after in enumerate(one):
        changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
        assert changed - {"return_moments"} == ({"critic_trunk", "value_head"} if number < 2 else {"causal_lm"})
        before = after


@pytest.mark.parametrize("estimator", ["grpo", "rloo", "reinforce_pp"])
def test_estimators_without_a_critic_differ_and_learn_what_is_rewarded(
    start, data_dir, tmp_path, estimator, monkeypatch
):
    use(monkeypatch, lambda submission: Status.PASSED if len(submission.completion) < 12 else Status.WRONG)
    module = module_of(
        start,
        algorithm=replace(PPO, estimator=estimator, entropy_coef=0.0),
        critic=None,
        kl=KLConfig(init_coef=0.0),
        optimizer=replace(FAST, lr=5e-3),
    )
    data = data_of(data_dir, samples_per_prompt=8, minibatch_size=8)
    logger = RunLogger(tmp_path / "run")
    train(start, data_dir, tmp_path, module=module, data=data, max_epochs=12, logger=logger, log_every_n_steps=1)
    events = EventAccumulator(str(tmp_path / "run")).Reload()
    rewards = [event.value for event in events.Scalars("reward/mean")]
    assert sum(rewards[-4:]) > sum(rewards[:4]) + 0.2


def test_resume_refuses_another_reference(start, data_dir, tmp_path):
    train(start, data_dir, tmp_path, max_epochs=1, callbacks=[RunCheckpoint(str(tmp_path / "run"))])
    other = save_policy(tmp_path / "other", data_dir, seed=2)
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


def test_an_iteration_of_nothing_but_faults_moves_nothing(start, data_dir, tmp_path, monkeypatch):
    use(monkeypatch, lambda submission: Status.INFRA)
    records = Records()
    module = module_of(start, algorithm=replace(PPO, entropy_coef=0.0), critic=replace(CRITIC, warmup_iterations=0))
    _, trainer = train(start, data_dir, tmp_path, module=module, callbacks=[records])
    assert same(records.starts[0], weights(module))
    assert module.kl_controller == KLController.from_config(KLConfig(init_coef=0.1, target=0.5, horizon=50))
    assert trainer.callback_metrics["rollout/num_infra"].item() == 8
    assert trainer.callback_metrics["rollout/pass_at_1"].isnan()


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


def test_bad_settings_are_refused_in_one_line(start, tmp_path):
    with pytest.raises(ValueError, match="init_from is missing"):
        RLModule()
    with pytest.raises(ValueError, match="there is nothing at"):
        RLModule(init_from=str(tmp_path / "absent.ckpt"))
    with pytest.raises(ValueError, match="rollout_batch_size is 0"):
        module_of(start, rollout_batch_size=0)
    with pytest.raises(ValueError, match="algorithm.gamma"):
        AlgorithmConfig(gamma=1.5)


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


def test_adapters_alone_are_trained_against_the_model_without_them(start, data_dir, tmp_path):
    module = module_of(start, lora=LoRAConfig(r=2), critic=replace(CRITIC, warmup_iterations=0))
    first, _ = load_policy(start)
    ids = torch.tensor([[1, 70, 71, 72]])
    records = Records()
    module, trainer = train(start, data_dir, tmp_path, module=module, callbacks=[records, RunCheckpoint(str(tmp_path))])
    changed = {name for name, value in records.steps[-1].items() if not torch.equal(value, records.starts[0][name])}
    assert changed
    assert all("lora_" in name or name.startswith(("value_head", "return_moments")) for name in changed)
    with adapters_off(module.policy.causal_lm):
        torch.testing.assert_close(module.policy.causal_lm(ids).logits, first(ids).logits)
    assert trainer.callback_metrics["kl/k3"] > 0  # in the second iteration the policy has left the reference
    loaded, _ = load_policy(tmp_path)
    torch.testing.assert_close(loaded(ids).logits, module.policy.causal_lm(ids).logits, atol=1e-4, rtol=1e-4)
