import json
from collections import Counter
from types import SimpleNamespace

import pytest
import torch

from datamodules.batches import RolloutSample
from datamodules.eval_data import load_dataset
from datamodules.rl_data import RLDataModule
from datamodules.rollout_collate import collate_rollouts, plan_minibatches, split_minibatch
from datamodules.tokenizer import train_tokenizer, training_texts
from tests.support.small_data import write_small_data


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small", synthetic_rl=6)


@pytest.fixture(scope="module")
def tokenizer(data_dir):
    return train_tokenizer(training_texts(load_dataset(data_dir)), 300, data_dir / "tokenizer")


class Collector:
    """A module that records what it was asked, and answers with two tokens."""

    def __init__(self, tokenizer, iteration=0):
        self.tokenizer, self.iteration, self.asked = tokenizer, iteration, []

    def collect(self, prompts, iteration, *, copy_numbers, samples_per_prompt):
        assert samples_per_prompt == 2
        assert copy_numbers == [0, 1] * 4  # no task is drawn twice
        self.asked.append((iteration, [prompt.task_id for prompt in prompts]))
        return [sample(prompt.prompt_ids, [5, 6]) for prompt in prompts]


def data_of(data_dir, tokenizer, *, rank=0, world_size=1, epoch=0, iteration=0, accumulate=1, **settings):
    options = {"prompts_per_iteration": 4, "samples_per_prompt": 2, "minibatch_size": 4} | settings
    data = RLDataModule(str(data_dir), **options)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=Collector(tokenizer, iteration),
        current_epoch=epoch,
        global_rank=rank,
        world_size=world_size,
        accumulate_grad_batches=accumulate,
        reload_dataloaders_every_n_epochs=1,
    )
    data.setup("fit")
    return data


def sample(prompt, response, *, mask=None, number=0.5):
    numbers = torch.full((len(response),), number)
    mask = torch.ones(len(response), dtype=torch.bool) if mask is None else torch.tensor(mask)
    return RolloutSample(torch.tensor(prompt), torch.tensor(response), mask, *[numbers + i for i in range(5)])


def test_numbers_stand_where_their_token_is_predicted():
    batch = collate_rollouts(
        [sample([1, 2, 3], [8, 9], mask=[True, False]), sample([1], [7], number=4.0)], pad_id=0, num_tokens=2.0
    )
    assert batch.input_ids.tolist() == [[1, 2, 3, 8, 9, 1, 7]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 0, 1]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 1, 1, 2, 2]]
    # position 2 (token 3) predicts token 8; position 5 (token 1) predicts token 7
    assert batch.old_logprobs.tolist() == [[0, 0, 0.5, 0.5, 0, 4.0]]
    assert batch.loss_mask.tolist() == [[False, False, True, False, False, True]]
    assert batch.returns.tolist() == [[0, 0, 4.5, 4.5, 0, 8.0]]
    assert batch.num_tokens.item() == 2.0


def test_what_does_not_fit_a_row_takes_another():
    batch = collate_rollouts([sample([1] * 100, [7] * 50), sample([1] * 200, [8] * 50)], pad_id=0, num_tokens=1.0)
    assert batch.input_ids.shape == (2, 250)
    assert (batch.segment_ids > 0).sum(1).tolist() == [250, 150]
    assert batch.loss_mask.sum(1).tolist() == [50, 50]
    assert batch.input_ids[1, 150:].tolist() == [0] * 100


def test_a_prompt_is_read_once_for_its_answers():
    samples = [sample([1, 2, 3], [8, 9]), sample([1, 4], [5]), sample([1, 2, 3], [7], number=4.0)]
    batch = collate_rollouts(samples, pad_id=0, num_tokens=4.0)
    # 1 2, then 3 8 9 and 3 7, which both see them; then the other prompt, of one answer
    assert batch.input_ids.tolist() == [[1, 2, 3, 8, 9, 3, 7, 1, 4, 5]]
    assert batch.position_ids.tolist() == [[0, 1, 2, 3, 4, 2, 3, 0, 1, 2]]
    assert batch.segment_ids.tolist() == [[1, 1, 1, 1, 1, 1, 1, 2, 2, 2]]
    assert batch.branch_ids.tolist() == [[0, 0, 1, 1, 1, 2, 2, 0, 1, 1]]
    assert batch.old_logprobs.tolist() == [[0, 0, 0.5, 0.5, 0, 4.0, 0, 0, 0.5]]


def test_a_family_that_outgrows_a_row_is_continued_with_its_prompt():
    # a row holds 256: 99 shared and 51 + 51 + 51 are 252, a fourth answer is one too many
    batch = collate_rollouts([sample([1] * 100, [7] * 50) for _ in range(4)], pad_id=0, num_tokens=1.0)
    assert batch.branch_ids.max(1).values.tolist() == [3, 1]
    assert batch.loss_mask.sum(1).tolist() == [150, 50]


def num_samples(batch):
    """Count the pairs of segment and branch."""
    numbers = batch.segment_ids * 100 + batch.branch_ids
    return sum(len(torch.unique(row[branches > 0])) for row, branches in zip(numbers, batch.branch_ids, strict=True))


def test_micro_batches_share_the_tokens_of_their_step():
    samples = [sample([1], [7] * length) for length in (1, 2, 3, 4)]
    parts = split_minibatch(samples, 2, pad_id=0)
    assert [num_samples(part) for part in parts] == [2, 2]
    assert [part.num_tokens.item() for part in parts] == [5.0, 5.0]  # 10 tokens over 2 parts


def test_every_epoch_trains_on_every_sample_in_an_order_of_its_own():
    def plan_of(seed, iteration):
        return plan_minibatches(8, 4, samples_per_prompt=2, num_epochs=2, seed=seed, iteration=iteration)

    plan = plan_of(0, 3)
    assert [len(numbers) for numbers in plan] == [4, 4, 4, 4]
    first, second = plan[0] + plan[1], plan[2] + plan[3]
    assert sorted(first) == sorted(second) == list(range(8))
    assert first != second
    assert all(part[1::2] == [number + 1 for number in part[::2]] for part in plan)
    assert plan == plan_of(0, 3)
    assert plan != plan_of(0, 4)
    assert plan != plan_of(1, 3)


def test_prompts_follow_seed_and_iteration_and_every_one_comes_round(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer)
    ids = [[prompt.task_id for prompt in data.prompts_of(iteration)] for iteration in range(3)]
    assert all(row[0::2] == row[1::2] for row in ids)  # two copies side by side
    assert set(Counter(task for row in ids for task in row).values()) == {4}  # 12 draws of 6 tasks, twice each
    assert ids[0] == [prompt.task_id for prompt in data_of(data_dir, tokenizer).prompts_of(0)]
    assert ids[0] != [prompt.task_id for prompt in data_of(data_dir, tokenizer, seed=1).prompts_of(0)]


def test_ranks_divide_the_prompts_of_one(data_dir, tokenizer):
    whole = [prompt.task_id for prompt in data_of(data_dir, tokenizer).prompts_of(1)]
    parts = [
        [prompt.task_id for prompt in data_of(data_dir, tokenizer, rank=rank, world_size=2).prompts_of(1)]
        for rank in (0, 1)
    ]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert set(parts[0]).isdisjoint(parts[1])


def named_copies(data, iteration):
    tasks = [prompt.task_id for prompt in data.prompts_of(iteration)]
    return list(zip(tasks, data.copy_numbers_of(iteration), strict=True))


def test_copies_of_a_task_are_numbered_over_all_ranks(data_dir, tokenizer):
    eight = {"prompts_per_iteration": 8, "minibatch_size": 16}  # of six tasks: some are drawn twice
    ranks = [data_of(data_dir, tokenizer, rank=rank, world_size=2, **eight) for rank in (0, 1)]
    num_on_both_ranks = 0
    for iteration in range(6):
        seen = Counter()
        expected = []
        for task, _ in (whole := named_copies(data_of(data_dir, tokenizer, **eight), iteration)):
            expected.append((task, seen[task]))
            seen[task] += 1
        assert whole == expected  # one rank counts as they come
        parts = [named_copies(rank, iteration) for rank in ranks]
        assert sorted(parts[0] + parts[1]) == sorted(whole)  # and no name is given twice
        num_on_both_ranks += not {task for task, _ in parts[0]}.isdisjoint(task for task, _ in parts[1])
    assert num_on_both_ranks > 0


def test_rewards_and_validation_use_their_own_tests(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, num_val_tasks=3, num_sampled_reward_tests=0)
    rows = {row["task_id"]: row for split in load_dataset(data_dir).values() for row in split}
    for prompt in data.prompts_of(0):
        assert json.loads(prompt.row["tests"]) == json.loads(rows[prompt.task_id]["reward_tests"])
        assert prompt.task_id.startswith("synthetic_rl")
    [(split, prompts)] = list(data.val_dataloader())
    assert split == "synthetic_val"
    assert len(prompts) == 3
    assert all(json.loads(prompt.row["tests"]) == json.loads(rows[prompt.task_id]["tests"]) for prompt in prompts)


def inputs_by_task(data, iteration):
    return {prompt.task_id: prompt.task.inputs for prompt in data.prompts_of(iteration)}


def test_fresh_inputs_belong_to_seed_iteration_and_task(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, prompts_per_iteration=6, minibatch_size=4)
    rows = {row["task_id"]: row for row in load_dataset(data_dir)["synthetic_rl"]}
    prompts = data.prompts_of(0)
    for prompt in prompts:
        row = rows[prompt.task_id]
        stored = [test["args"] for test in json.loads(row["tests"]) + json.loads(row["reward_tests"])]
        assert prompt.task.reference == row["solution"]
        assert prompt.task.tests == ()
        assert len({args[0] for args in prompt.task.inputs}) == 16
        assert all(args not in stored and -20 <= args[0] <= 50 for args in prompt.task.inputs)
        assert json.loads(prompt.retest.row["tests"]) == json.loads(row["reward_tests"])
        assert prompt.retest.task.reference is None
    assert prompts[0] is prompts[1]  # the responses to a prompt are judged alike
    drawn = inputs_by_task(data, 0)
    assert len(drawn) == len(set(map(str, drawn.values()))) == 6
    again = data_of(data_dir, tokenizer, prompts_per_iteration=6, minibatch_size=4)
    assert inputs_by_task(again, 0) == drawn
    assert all(inputs_by_task(data, 1)[task] != drawn[task] for task in drawn)
    other = data_of(data_dir, tokenizer, prompts_per_iteration=6, minibatch_size=4, seed=1)
    assert all(inputs_by_task(other, 0)[task] != drawn[task] for task in drawn)
    for rank in (0, 1):
        part = data_of(data_dir, tokenizer, prompts_per_iteration=6, minibatch_size=4, rank=rank, world_size=2)
        assert inputs_by_task(part, 0).items() <= drawn.items()


def test_stored_rewards_are_retested_on_draws(data_dir, tokenizer):
    [prompt, *_] = data_of(data_dir, tokenizer, num_sampled_reward_tests=0).prompts_of(0)
    assert len(prompt.task.tests) == 1
    assert len(prompt.retest.task.inputs) == 1
    assert prompt.retest.task.reference.startswith("def solve")


def altered(data_dir, directory, change):
    """Copy the data set with another column `domains` in the split for RL."""
    dataset = load_dataset(data_dir)
    dataset["synthetic_rl"] = change(dataset["synthetic_rl"])
    dataset.save_to_disk(str(directory))
    return directory


@pytest.mark.parametrize(
    "change",
    [
        lambda table: table.remove_columns("domains"),
        lambda table: table.map(lambda row: {"domains": '[{"kind": "Ints", "low": 0, "high": 15}]'}),
    ],
    ids=["no column", "too narrow"],
)
def test_without_domains_the_stored_tests_serve_and_one_line_says_so(data_dir, tokenizer, tmp_path, caplog, change):
    data = data_of(altered(data_dir, tmp_path / "data", change), tokenizer)
    for iteration in range(2):
        for prompt in data.prompts_of(iteration):
            assert len(prompt.task.tests) == 1
            assert (prompt.task.reference, prompt.task.inputs, prompt.retest) == (None, (), None)
    [record] = caplog.records
    assert record.getMessage().startswith(
        "num_sampled_reward_tests: 4 of the 4 tasks of iteration 0 keep their stored reward tests (synthetic_rl/"
    )


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        ("[]", "domains must be a list with one domain for each parameter"),
        ('[{"kind": "Ints", "low": 0}]', "domain 0: Ints has exactly the fields low, high, not"),
        ('[{"kind": "Bools"}, {"kind": "Bools"}]', "there are 2 domains, but another number of arguments"),
    ],
)
def test_unreadable_domains_are_named(data_dir, tokenizer, tmp_path, domains, message):
    directory = altered(data_dir, tmp_path / "data", lambda table: table.map(lambda row: {"domains": domains}))
    with pytest.raises(ValueError, match=f"split synthetic_rl: task synthetic_rl/0: {message}"):
        data_of(directory, tokenizer)


def test_the_loader_serves_what_was_collected(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, epoch=2, iteration=2, num_ppo_epochs=3)
    batches = list(data.train_dataloader())
    module = data.trainer.lightning_module
    assert [iteration for iteration, _ in module.asked] == [2]
    assert [num_samples(batch) for batch in batches] == [4] * 6  # 8 responses in 2 minibatches, 3 times


def test_a_stale_epoch_collects_nothing(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, epoch=2, iteration=3)
    assert len(data.train_dataloader()) == 1
    assert data.trainer.lightning_module.asked == []


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minibatch_size": 3}, "minibatch_size 3 does not divide the 8 responses"),
        ({"splits": []}, "splits is empty"),
        ({"splits": ["nothing"]}, "has no split nothing"),
        ({"val_split": "nothing"}, "has no split nothing"),
        ({"num_sampled_reward_tests": -1}, "num_sampled_reward_tests is -1: it must be from 0 to 200"),
        ({"samples_per_prompt": 0}, "samples_per_prompt is 0"),
        ({"prompts_per_iteration": 3, "minibatch_size": 6, "world_size": 2}, "prompts_per_iteration 3 does not divide"),
        ({"accumulate": 3}, "minibatch_size 4 does not divide into 1 ranks x accumulate_grad_batches 3"),
    ],
)
def test_wrong_settings_are_one_line(data_dir, tokenizer, settings, message):
    with pytest.raises(ValueError, match=message):
        data_of(data_dir, tokenizer, **settings)
