"""`data.tasks` in the DataModules of SFT and RL: prompt template, splits, decontamination, tests of the tasks."""

import json
from types import SimpleNamespace

import pytest

from datamodules.encoding.prompt_format import PromptFormat
from datamodules.encoding.tokenizer import train_tokenizer
from datamodules.rl_data import RLDataModule
from datamodules.sft_data import SFTDataModule
from datamodules.sources.task_files import SplitConfig
from tests.unit.datamodules.sources.test_task_files import LONG, task_row, write

FORMAT = PromptFormat(user="Solve: {prompt}", completion_format="fenced")


@pytest.fixture(scope="module")
def tokenizer_dir(tmp_path_factory):
    path = tmp_path_factory.mktemp("tokenizer") / "tokenizer"
    train_tokenizer(["Write f(x).\ndef f(x):\n    return x\n"] * 3, 300, path)
    return path


def setup_sft(path, tokenizer_dir, stage="fit", **settings) -> SFTDataModule:
    options = {"batch_size": 2, "max_length": 512, "steps_per_epoch": 1, "tokenizer": str(tokenizer_dir)} | settings
    data = SFTDataModule(tasks=str(path), **options)
    data.prepare_data()
    data.setup(stage)
    return data


def setup_rl(path, tokenizer_dir, **settings) -> RLDataModule:
    options = {"prompts_per_iteration": 2, "samples_per_prompt": 1, "minibatch_size": 2} | settings
    data = RLDataModule(tasks=str(path), **options)
    tokenizer = setup_sft(path, tokenizer_dir).tokenizer
    data.trainer = SimpleNamespace(  # type: ignore[assignment]
        lightning_module=SimpleNamespace(tokenizer=tokenizer),
        current_epoch=0,
        global_rank=0,
        world_size=1,
        accumulate_grad_batches=1,
        reload_dataloaders_every_n_epochs=1,
    )
    data.prepare_data()
    data.setup("fit")
    return data


def list_validation_tasks(data) -> tuple[str, set[str]]:
    loaders = data.val_dataloader()
    [(split, prompts)] = list(loaders[1] if isinstance(loaders, list) else loaders)
    return split, {prompt.task_id for prompt in prompts}


def test_sft_packs_the_prompt_template_and_the_fenced_solution(tmp_path, tokenizer_dir):
    path = write(tmp_path, task_row(0), task_row(1, split="validation"))
    data = setup_sft(path, tokenizer_dir, batch_size=1, prompt=FORMAT)
    batch = data.train_batch(0)
    text = "Solve: Write f(x), which adds 0 to x.\n```python\ndef f(x):\n    return x + 0\n```"
    assert data.tokenizer.decode(batch.input_ids[0]) == f"<s>{text}</s>"
    labels = batch.labels[0]
    assert data.tokenizer.decode(labels[labels != -100]) == "```python\ndef f(x):\n    return x + 0\n```</s>"


def test_the_key_split_chooses_validation_and_test_tasks(tmp_path, tokenizer_dir):
    names = ["train", "train", "validation", "test"]
    path = write(tmp_path, *(task_row(number, split=name) for number, name in enumerate(names)))
    assert list_validation_tasks(setup_sft(path, tokenizer_dir)) == ("validation", {"t2"})
    assert list_validation_tasks(setup_rl(path, tokenizer_dir)) == ("validation", {"t2"})
    [(split, prompts)] = list(setup_sft(path, tokenizer_dir, "test").test_dataloader())
    assert (split, [prompt.task_id for prompt in prompts]) == ("test", ["t3"])


def test_a_seeded_split_is_the_same_in_both_modules_and_disjoint_from_training(tmp_path, tokenizer_dir):
    path = write(tmp_path, *(task_row(number) for number in range(40)))
    settings = {"split": SplitConfig(validation=0.25, seed=3), "num_val_tasks": None}
    _, chosen = list_validation_tasks(setup_sft(path, tokenizer_dir, **settings))
    data = setup_rl(path, tokenizer_dir, **settings)
    assert list_validation_tasks(data) == ("validation", chosen)
    trained = {prompt.task_id for iteration in range(20) for prompt in data.prompts_for(iteration).prompts}
    assert chosen
    assert trained == {f"t{number}" for number in range(40)} - chosen
    other = setup_sft(path, tokenizer_dir, split=SplitConfig(validation=0.25, seed=4), num_val_tasks=None)
    assert list_validation_tasks(other)[1] != chosen


def test_rl_grades_by_the_tests_of_the_task_with_the_stored_template(tmp_path, tokenizer_dir):
    path = write(tmp_path, task_row(0), task_row(1), task_row(2, split="validation"))
    data = setup_rl(path, tokenizer_dir, prompt=FORMAT)
    prompts = sorted(data.prompts_for(0).prompts)
    assert [data.tokenizer.decode(prompt.prompt_ids) for prompt in prompts] == [
        f"<s>Solve: Write f(x), which adds {number} to x.\n" for number in (0, 1)
    ]
    assert [json.loads(json.dumps(prompt.row["tests"])) for prompt in prompts] == [
        [{"args": [1], "expected": 1}],
        [{"args": [1], "expected": 2}],
    ]
    assert all(prompt.probe is None for prompt in prompts)


def test_training_tasks_that_repeat_an_evaluation_prompt_are_dropped(tmp_path, tokenizer_dir):
    copied = [task_row(0, prompt=LONG.upper()), task_row(1, prompt=f"Complete this.\n```python\n{LONG}```")]
    clean = [task_row(2), task_row(3), task_row(4, split="validation")]
    path = write(tmp_path, *copied, *clean)
    evaluated = write(tmp_path, task_row(9, prompt=LONG), name="evaluated.jsonl")
    settings = {"decontaminate": [str(evaluated)]}
    data = setup_rl(path, tokenizer_dir, **settings)
    assert {prompt.task_id for prompt in data.prompts_for(0).prompts} == {"t2", "t3"}
    sft = setup_sft(path, tokenizer_dir, **settings)
    assert sft.plan.sizes == {"train": 2}
