import pytest
import torch

from datamodules.batches import MinibatchConfig, PromptBatch, RolloutStats
from lightning_modules.rl.rollouts.minibatches import (
    TOKEN_ARRAYS,
    build_minibatches,
    collate,
    completion_weights,
    plan_minibatches,
)
from lightning_modules.rl.rollouts.records import Advantages
from tests.support.rollouts import make_logprobs, make_rollout


def collate_with(prompts, lengths, *, numbers=None, masks=None, tokens=None):
    """Collate completions whose arrays are `number`, `number` + 1, ... in the order of `TOKEN_ARRAYS`."""
    rollouts = [
        make_rollout(1.0, prompt_ids=prompt, length=length, token=token)
        for prompt, length, token in zip(prompts, lengths, tokens or [7] * len(prompts), strict=True)
    ]
    shape = (len(lengths), max(lengths))
    numbers = torch.tensor(numbers or [0.5] * len(lengths))[:, None].expand(shape)
    arrays = {name: numbers + i for i, name in enumerate(TOKEN_ARRAYS[1:])}
    mask = torch.ones(shape, dtype=torch.bool) if masks is None else torch.tensor(masks)
    return collate(rollouts, {"loss_mask": mask, **arrays}, pad_id=0)


def test_numbers_are_where_their_token_is_predicted():
    batch = collate_with(
        [[1, 2, 3], [1]], [2, 1], numbers=[0.5, 4.0], masks=[[True, False], [True, True]], tokens=[8, 7]
    )
    assert batch.input_ids.tolist() == [[1, 2, 3, 8, 8, 1, 7]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 1, 1, 2, 2]]
    # position 2 (token 3) predicts the first 8; position 5 (token 1) predicts token 7
    assert batch.old_logprobs.tolist() == [[0, 0, 0.5, 0.5, 0, 4.0]]
    assert batch.loss_mask.tolist() == [[False, False, True, False, False, True]]
    assert batch.returns.tolist() == [[0, 0, 4.5, 4.5, 0, 8.0]]


def test_completions_that_do_not_fit_a_row_begin_another():
    batch = collate_with([[1] * 100, [1] * 200], [50, 50])
    assert batch.input_ids.shape == (2, 250)
    assert (batch.segment_ids > 0).sum(1).tolist() == [250, 150]
    assert batch.loss_mask.sum(1).tolist() == [50, 50]
    assert batch.input_ids[1, 150:].tolist() == [0] * 100


def test_a_prompt_is_packed_once_for_its_completions():
    batch = collate_with([[1, 2, 3], [1, 4], [1, 2, 3]], [2, 1, 1], numbers=[0.5, 0.5, 4.0], tokens=[8, 5, 7])
    # 1 2, then the branches 3 8 8 and 3 7; then the other prompt with one completion
    assert batch.input_ids.tolist() == [[1, 2, 3, 8, 8, 3, 7, 1, 4, 5]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 2, 3, 0, 1, 2]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 1, 1, 1, 1, 2, 2, 2]]
    assert batch.branch_ids.tolist() == [[0, 0, 1, 1, 1, 2, 2, 0, 1, 1]]
    assert batch.old_logprobs.tolist() == [[0, 0, 0.5, 0.5, 0, 4.0, 0, 0, 0.5]]


def test_a_group_that_outgrows_a_row_repeats_its_prompt():
    # a row holds 256: 99 shared and 51 + 51 + 51 are 252, a fourth completion is one too many
    batch = collate_with([[1] * 100] * 4, [50] * 4)
    assert batch.branch_ids.max(1).values.tolist() == [3, 1]
    assert batch.loss_mask.sum(1).tolist() == [150, 50]


def test_micro_batches_share_the_tokens_of_their_step():
    lengths = [1, 2, 3, 4]
    rollouts = [make_rollout(1.0, length=length) for length in lengths]
    logprobs = make_logprobs(lengths)
    zeros = torch.zeros(logprobs.mask.shape)
    targets = Advantages(zeros, zeros, logprobs.mask, logprobs.mask, torch.zeros(4, dtype=torch.bool))
    stats = RolloutStats({"reward/mean": 1.0}, 0.5, 4)
    batch = PromptBatch(0, [rollout.prompt for rollout in rollouts], [0, 1, 2, 3], 4)
    config = MinibatchConfig(size=4, num_epochs=2, num_micro_batches=2, seed=0)
    batches = build_minibatches(rollouts, logprobs, targets, stats, batch, [config], pad_id=0)
    assert [batch.num_tokens.item() for batch in batches] == [5.0] * 4  # 10 tokens over 2 micro-batches, in 2 epochs
    assert [int(batch.loss_mask.sum()) for batch in batches] == [3, 7] * 2
    assert all(batch.stats is stats for batch in batches)


def test_the_critic_is_trained_on_all_known_completions_before_the_policy():
    rollouts = [make_rollout(1.0, length=2) for _ in range(4)]
    logprobs = make_logprobs([2] * 4)
    zeros, rows = torch.zeros(logprobs.mask.shape), torch.arange(4)[:, None]
    # completion 0 has no reward, 1 is filtered out of the policy's steps only
    targets = Advantages(zeros, zeros, logprobs.mask & (rows > 1), logprobs.mask & (rows > 0), zeros[:, 0] > 0)
    batch = PromptBatch(0, [rollout.prompt for rollout in rollouts], [0, 1, 2, 3], 4)
    policy = MinibatchConfig(size=4, num_epochs=1, num_micro_batches=1, seed=0)
    critic = policy._replace(size=2, num_epochs=2, trains_critic=True)
    batches = build_minibatches(rollouts, logprobs, targets, RolloutStats(), batch, [critic, policy], pad_id=0)
    assert [one.trains_critic for one in batches] == [True] * 4 + [False]
    assert [int(one.num_tokens) for one in batches] == [2, 4, 2, 4, 4]
    assert [int(one.loss_mask.sum()) for one in batches] == [2, 4, 2, 4, 4]


def test_every_epoch_trains_on_every_completion_in_another_order():
    def plan_with(seed, iteration):
        return plan_minibatches(8, 2, iteration, MinibatchConfig(size=4, num_epochs=2, num_micro_batches=1, seed=seed))

    plan = plan_with(0, 3)
    assert [len(numbers) for numbers in plan] == [4, 4, 4, 4]
    first, second = plan[0] + plan[1], plan[2] + plan[3]
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert all(part[1::2] == [number + 1 for number in part[::2]] for part in plan)
    assert plan == plan_with(0, 3)
    assert plan != plan_with(0, 4)
    assert plan != plan_with(1, 3)


def test_aggregations_over_completions_by_hand():
    # 3 trained tokens in 2 completions: the mean over tokens times these weights is the mean over completions
    mask = torch.tensor([[True, True], [True, False], [False, False]])
    counts = torch.tensor([3.0, 2.0])
    for aggregation, expected in (
        ("seq-mean-token-sum", [3 / 2, 3 / 2]),
        ("seq-mean-token-mean", [3 / (2 * 2), 3 / 2]),
        ("seq-mean-token-sum-norm", [3 / (2 * 4), 3 / (2 * 4)]),
    ):
        assert completion_weights(mask, counts, aggregation, 4)[:2].tolist() == pytest.approx(expected), aggregation
    nothing = completion_weights(torch.zeros(2, 2, dtype=torch.bool), torch.zeros(2), "seq-mean-token-mean", 4)
    assert nothing.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("num_micro_batches", [1, 2])
@pytest.mark.parametrize("num_ranks", [1, 2])
def test_aggregations_do_not_depend_on_micro_batches_or_ranks(num_micro_batches, num_ranks):
    lengths, numbers = [1, 3, 2, 4], [1.0, 2.0, 3.0, 4.0]  # the same advantage for all tokens of a completion
    expected = {
        "token-mean": (1 * 1 + 2 * 3 + 3 * 2 + 4 * 4) / 10,
        "seq-mean-token-sum": (1 * 1 + 2 * 3 + 3 * 2 + 4 * 4) / 4,
        "seq-mean-token-mean": (1 + 2 + 3 + 4) / 4,
        "seq-mean-token-sum-norm": (1 * 1 + 2 * 3 + 3 * 2 + 4 * 4) / (4 * 5),
    }
    for aggregation, mean in expected.items():
        total = 0.0
        for rank in range(num_ranks):
            part = slice(rank * 4 // num_ranks, (rank + 1) * 4 // num_ranks)
            size = len(lengths[part])
            rollouts = [make_rollout(1.0, length=length) for length in lengths[part]]
            logprobs = make_logprobs(lengths[part])
            advantages = torch.tensor(numbers[part])[:, None].expand(logprobs.mask.shape)
            zeros = torch.zeros(logprobs.mask.shape)
            targets = Advantages(advantages, zeros, logprobs.mask, logprobs.mask, zeros[:, 0] > 0)
            batch = PromptBatch(0, [rollout.prompt for rollout in rollouts], list(range(size)), 1)
            config = MinibatchConfig(size=size, num_epochs=1, num_micro_batches=num_micro_batches, seed=0)
            batches = build_minibatches(
                rollouts, logprobs, targets, RolloutStats(), batch, [config], 0, aggregation, 5,
                sum_over_ranks=lambda ours: torch.tensor([[10.0, 4.0]]),
            )  # fmt: skip
            for one in batches:  # sums over tokens, divided by each part's share of the 10 tokens
                total += float((one.advantages * one.loss_mask).sum()) / 10
        assert total == pytest.approx(mean), aggregation
