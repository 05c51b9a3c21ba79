"""Which groups an iteration trains on, and when it samples further prompts."""

from types import SimpleNamespace

import pytest
import torch

from datamodules.batches import PromptBatch
from executor.grading.rewards import RewardConfig
from executor.types import Status
from lightning_modules.generation.sampler import SamplingParams
from lightning_modules.rl.config import AlgorithmConfig, KLConfig, RLConfig
from lightning_modules.rl.objectives.numerics import no_reduce
from lightning_modules.rl.rollouts.sampling import RolloutContext, StageTimer, choose_groups, sample_rollouts
from tests.support.fake_engine import FakeEngine
from tests.support.fake_executor import FakeExecutor
from tests.support.rollouts import make_rollout
from tests.support.small_data import task_prompt


def rollouts_of(*rewards):
    return [make_rollout(reward, group=i // 2) for i, reward in enumerate(rewards)]


def test_groups_with_different_rewards_come_first():
    rollouts = rollouts_of(0, 0, 0, 1, 1, 1, 1, 0)
    assert choose_groups(rollouts, 4, 2) == [(2, True), (6, True)]
    assert choose_groups(rollouts, 6, 2) == [(2, True), (6, True), (0, False)]


def test_without_further_prompts_the_order_is_that_of_sampling():
    assert choose_groups(rollouts_of(0, 0, 0, 1), 4, 2) == [(0, False), (2, True)]


def test_an_unknown_reward_does_not_make_a_group_different():
    assert choose_groups(rollouts_of(None, 1, 0, 1), 2, 2) == [(2, True)]


def test_a_group_without_known_rewards_is_not_different():
    assert choose_groups(rollouts_of(None, None, 0, 1), 2, 2) == [(2, True)]


def test_withheld_partial_credit_does_not_make_a_group_different():
    """Rewards 0.1 and 0.3 without a pass, and 0.3 and 1.0 with one."""
    rollouts = rollouts_of(0.1, 0.3, 0.3, 1.0)
    for rollout, passed in zip(rollouts, (False, False, False, True), strict=True):
        parts = {"passed": float(passed), "fraction": rollout.reward.total - passed}
        rollout.reward.parts.clear()
        rollout.reward.parts.update(parts)
        object.__setattr__(rollout.outcome, "status", Status.PASSED if passed else Status.WRONG)
    assert choose_groups(rollouts, 4, 2) == [(0, True), (2, True)]
    assert choose_groups(rollouts, 4, 2, needs_pass=True) == [(0, False), (2, True)]


def config_of(max_gen_batches):
    algorithm = AlgorithmConfig(
        estimator="grpo", filter_zero_variance_groups=True, max_gen_batches=max_gen_batches, whiten=False
    )
    return RLConfig(
        algorithm=algorithm,
        critic=None,
        kl=KLConfig(init_coef=0.0),
        sampling=SamplingParams(max_new_tokens=8),
        reward=RewardConfig(fraction_coef=0.0, loads_coef=0.0),
    )


def draw(attempt):
    prompts = [task_prompt(f"{attempt}/{i}") for i in range(2) for _ in range(2)]
    return PromptBatch(0, prompts, [0, 1] * 2, 2)


@pytest.fixture
def sample():
    """Sample with an engine whose completions are numbered; `passes` says which of them pass."""

    def run(passes, *, max_gen_batches, sum_over_ranks=no_reduce):
        engine = FakeEngine()
        executor = FakeExecutor(lambda s: Status.PASSED if passes[int(s.completion)] else Status.WRONG)
        context = RolloutContext(
            policy=SimpleNamespace(sampling_model=lambda dtype: None),
            reference=None,
            tokenizer=None,
            executor=executor,
            engine=engine,
            policy_version=3,
            config=config_of(max_gen_batches),
            kl_coef=0.0,
            decoding_dtype=None,
            autocast=None,
            sum_over_ranks=sum_over_ranks,
            start_progress=lambda label, total: lambda: None,
        )
        found = sample_rollouts(context, draw, StageTimer())
        assert engine.events[0] == ("update", 3)
        assert engine.events[1:] == [("generate", 4)] * found.num_batches + [("sleep",)]
        assert {rollout.completion.policy_version for rollout in found.generated} == {3}
        return found, [int(rollout.completion.text) for rollout in found.trained]

    return run


def test_further_prompts_are_sampled_until_enough_groups_differ(sample):
    found, trained = sample([0, 0, 0, 1, 1, 1, 0, 1], max_gen_batches=5)
    assert trained == [2, 3, 6, 7]
    assert found.num_batches == 2
    assert len(found.generated) == 8
    assert [rollout.prompt.task_id for rollout in found.trained] == ["0/1", "0/1", "1/1", "1/1"]
    assert len({rollout.group for rollout in found.generated}) == 4
    assert len(set(found.streams)) == 4


def test_the_iteration_trains_on_what_it_has_after_the_last_batch(sample):
    found, trained = sample([0, 0, 0, 1, 1, 1, 0, 0], max_gen_batches=2)
    assert trained == [2, 3, 0, 1]
    assert found.num_batches == 2


def test_one_batch_keeps_everything(sample):
    found, trained = sample([0, 0, 0, 1], max_gen_batches=1)
    assert trained == [0, 1, 2, 3]
    assert found.num_batches == 1


def test_a_rank_goes_on_sampling_while_another_has_too_few_groups(sample):
    # this rank has both groups after the first batch; the sum over ranks says that 2 rollouts are missing elsewhere
    asked = []

    def sum_over_ranks(missing):
        asked.append(float(missing))
        return missing + (2.0 if len(asked) == 1 else 0.0)

    found, trained = sample([0, 1, 0, 1, 1, 1, 1, 1], max_gen_batches=5, sum_over_ranks=sum_over_ranks)
    assert found.num_batches == 2
    assert trained == [0, 1, 2, 3]
    assert asked == [0.0, 0.0]


@pytest.mark.parametrize("num_steps", [1, 2])
def test_log_probabilities_are_needed_for_several_steps_or_a_kl_penalty(num_steps):
    config = config_of(1)
    assert config.needs_logprobs(num_steps) == (num_steps > 1)
    with_kl = RLConfig(**{**vars(config), "kl": KLConfig(init_coef=0.1)})
    assert with_kl.needs_logprobs(num_steps)


def test_sampler_log_probabilities_are_gathered_in_place():
    from lightning_modules.rl.rollout import gather_sampler_logprobs

    rollouts = [make_rollout(1.0, length=2), make_rollout(0.0, length=1)]
    logprobs = gather_sampler_logprobs(rollouts)
    assert logprobs.from_sampler
    assert logprobs.mask.tolist() == [[True, True], [True, False]]
    expected = [value for rollout in rollouts for value in rollout.completion.logprobs]
    torch.testing.assert_close(logprobs.logprobs[logprobs.mask], torch.tensor(expected))
