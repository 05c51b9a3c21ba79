import json
from collections import Counter
from types import SimpleNamespace

import pytest

from datamodules.batches import RolloutStats
from datamodules.encoding.tokenizer import train_tokenizer, training_texts
from datamodules.eval_data import load_dataset
from datamodules.rl.curriculum import CurriculumConfig
from datamodules.rl_data import RLDataModule
from tests.support.small_data import write_small_data


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return write_small_data(tmp_path_factory.mktemp("data") / "small", synthetic_rl=6)


@pytest.fixture(scope="module")
def tokenizer(data_dir):
    return train_tokenizer(training_texts(load_dataset(data_dir)), 300, data_dir / "tokenizer")


class Collector:
    """A module that records the prompts it gets and returns one batch per minibatch."""

    def __init__(self, tokenizer):
        self.tokenizer, self.calls = tokenizer, []

    def plan_passes(self, minibatches):
        return [minibatches]

    def collect_rollouts(self, draw_prompts, iteration, minibatches):
        prompts = draw_prompts(iteration)
        self.calls.append((prompts, minibatches))
        num = len(prompts.prompts) // minibatches.size * minibatches.num_epochs * minibatches.num_micro_batches
        return [f"batch {number}" for number in range(num)]


def data_of(data_dir, tokenizer, *, rank=0, world_size=1, epoch=0, accumulate=1, **settings):
    options = {"prompts_per_iteration": 4, "samples_per_prompt": 2, "minibatch_size": 4} | settings
    data = RLDataModule(str(data_dir), **options)
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=Collector(tokenizer),
        current_epoch=epoch,
        global_rank=rank,
        world_size=world_size,
        accumulate_grad_batches=accumulate,
        reload_dataloaders_every_n_epochs=1,
    )
    data.setup("fit")
    return data


def test_prompts_follow_seed_and_iteration_and_every_one_comes_round(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer)
    ids = [[prompt.task_id for prompt in data.prompts_for(iteration).prompts] for iteration in range(3)]
    assert all(row[0::2] == row[1::2] for row in ids)  # two copies side by side
    assert set(Counter(task for row in ids for task in row).values()) == {4}  # 12 draws of 6 tasks, twice each
    assert ids[0] == [prompt.task_id for prompt in data_of(data_dir, tokenizer).prompts_for(0).prompts]
    assert ids[0] != [prompt.task_id for prompt in data_of(data_dir, tokenizer, seed=1).prompts_for(0).prompts]


def test_ranks_divide_the_prompts_of_one(data_dir, tokenizer):
    whole = [prompt.task_id for prompt in data_of(data_dir, tokenizer).prompts_for(1).prompts]
    parts = [
        [prompt.task_id for prompt in data_of(data_dir, tokenizer, rank=rank, world_size=2).prompts_for(1).prompts]
        for rank in (0, 1)
    ]
    assert sorted(parts[0] + parts[1]) == sorted(whole)
    assert set(parts[0]).isdisjoint(parts[1])


def named_copies(data, iteration):
    batch = data.prompts_for(iteration)
    return [(prompt.task_id, number) for prompt, number in zip(batch.prompts, batch.copy_numbers, strict=True)]


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
    for prompt in data.prompts_for(0).prompts:
        assert json.loads(prompt.row["tests"]) == json.loads(rows[prompt.task_id]["reward_tests"])
        assert prompt.task_id.startswith("synthetic_rl")
    [(split, prompts)] = list(data.val_dataloader())
    assert split == "synthetic_val"
    assert len(prompts) == 3
    assert all(json.loads(prompt.row["tests"]) == json.loads(rows[prompt.task_id]["tests"]) for prompt in prompts)


def inputs_by_task(data, iteration):
    return {prompt.task_id: prompt.task.inputs for prompt in data.prompts_for(iteration).prompts}


def test_fresh_inputs_belong_to_seed_iteration_and_task(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, prompts_per_iteration=6, minibatch_size=4)
    rows = {row["task_id"]: row for row in load_dataset(data_dir)["synthetic_rl"]}
    prompts = data.prompts_for(0).prompts
    for prompt in prompts:
        row = rows[prompt.task_id]
        stored = [test["args"] for test in json.loads(row["tests"]) + json.loads(row["reward_tests"])]
        assert prompt.task.reference == row["solution"]
        assert prompt.task.tests == ()
        assert len({args[0] for args in prompt.task.inputs}) == 16
        assert all(args not in stored and -20 <= args[0] <= 50 for args in prompt.task.inputs)
        assert json.loads(prompt.probe.row["tests"]) == json.loads(row["reward_tests"])
        assert prompt.probe.task.reference is None
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
    [prompt, *_] = data_of(data_dir, tokenizer, num_sampled_reward_tests=0).prompts_for(0).prompts
    assert len(prompt.task.tests) == 1
    assert len(prompt.probe.task.inputs) == 1
    assert prompt.probe.task.reference.startswith("def solve")


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
        for prompt in data.prompts_for(iteration).prompts:
            assert len(prompt.task.tests) == 1
            assert (prompt.task.reference, prompt.task.inputs, prompt.probe) == (None, (), None)
    [record] = caplog.records
    assert record.getMessage().startswith(
        "num_sampled_reward_tests: 8 of 8 completions of iteration 0 use the stored reward tests (synthetic_rl/"
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


def test_the_loader_collects_rollouts_for_the_current_iteration(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, epoch=2, num_ppo_epochs=3, accumulate=2)
    loader, module = data.train_dataloader(), data.trainer.lightning_module
    assert len(loader) == 12  # 8 completions are 2 minibatches of 2 micro-batches, 3 times
    assert module.calls == []  # Lightning asks for the length, and for a loader more than once
    assert len(list(loader)) == 12
    [(prompts, minibatches)] = module.calls
    expected = [prompt.task_id for prompt in data.prompts_for(2).prompts]
    assert [prompt.task_id for prompt in prompts.prompts] == expected
    assert (prompts.iteration, prompts.samples_per_prompt, prompts.copy_numbers) == (2, 2, [0, 1] * 4)
    assert minibatches == (4, 3, 2, 0, False)


def test_the_minibatches_of_ranks_have_the_size_of_one(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer, rank=1, world_size=2)
    assert data.minibatch_config().size == 2
    assert len(data.train_dataloader()) == len(list(data.train_dataloader())) == 2


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"minibatch_size": 3}, "minibatch_size 3 does not divide the 8 completions"),
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


class DepthCollector(Collector):
    """Says that every completion of depth 1 passed."""

    def collect_rollouts(self, draw_prompts, iteration, minibatches):
        self.calls.append(draw_prompts(iteration))
        return [SimpleNamespace(stats=RolloutStats(counts_by_depth={1: (4, 4)}))]


def test_a_curriculum_draws_evenly_from_its_depths_and_is_restored(data_dir, tokenizer):
    settings = {"splits": ["atomic", "synthetic_rl"], "curriculum": CurriculumConfig(num_iterations=1)}
    data = data_of(data_dir, tokenizer, **settings)
    data.trainer.lightning_module = collector = DepthCollector(tokenizer)
    list(data.train_dataloader())
    assert {prompt.depth for prompt in collector.calls[0].prompts} == {1}
    resumed = data_of(data_dir, tokenizer, **settings)
    resumed.load_state_dict(data.state_dict())
    for one in (data, resumed):
        assert Counter(prompt.depth for prompt in one.prompts_for(1).prompts) == {1: 4, 2: 4}
    ids = [[(p.task_id, n) for p, n in zip(b.prompts, b.copy_numbers, strict=True)]
           for b in (data.prompts_for(1), resumed.prompts_for(1))]  # fmt: skip
    assert ids[0] == ids[1]
    unsaved = data_of(data_dir, tokenizer, **settings)
    unsaved.load_state_dict({})
    assert {prompt.depth for prompt in unsaved.prompts_for(1).prompts} == {1}


def test_further_prompts_of_an_iteration_have_other_copy_numbers(data_dir, tokenizer):
    data = data_of(data_dir, tokenizer)
    first, second = data.prompts_for(0), data.prompts_for(0, attempt=1)
    assert not set(first.copy_numbers) & set(second.copy_numbers)
    assert [p.task_id for p in first.prompts] != [p.task_id for p in second.prompts]
