"""Training steps of reinforcement learning: ratios, critic, estimators, accumulation, adapters."""

from dataclasses import replace

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from executor.types import Status
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.models.loading import load_policy
from lightning_modules.models.lora import LoRAConfig, adapters_off
from lightning_modules.rl.config import AlgorithmConfig, CriticConfig, KLConfig
from lightning_modules.rl_module import RLModule
from lightning_modules.training.checkpointing import RunCheckpoint
from lightning_modules.training.logging.run_logger import RunLogger
from lightning_modules.training.logging.tags import documented
from tests.support.rl_runs import CRITIC, FAST, KL, PPO, Records, data_of, module_of, same, train, use, weights

pytestmark = pytest.mark.usefixtures("executor")


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


def test_bad_settings_are_refused_in_one_line(start, tmp_path):
    with pytest.raises(ValueError, match="init_from is missing"):
        RLModule()
    with pytest.raises(ValueError, match="there is nothing at"):
        RLModule(init_from=str(tmp_path / "absent.ckpt"))
    with pytest.raises(ValueError, match="rollout_batch_size is 0"):
        module_of(start, rollout_batch_size=0)
    with pytest.raises(ValueError, match="algorithm.gamma"):
        AlgorithmConfig(gamma=1.5)


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
