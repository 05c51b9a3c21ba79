import pytest
from datasets import Dataset

from datamodules.encoding.tokenizer import train_tokenizer
from datamodules.eval_data import build_task_prompts, find_topics, load_dataset, load_task_prompts
from tests.support.small_data import row, write_small_data


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory):
    return train_tokenizer(["Write solve(x) that adds 400 to x."], 300, tmp_path_factory.mktemp("t") / "tokenizer")


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    return load_dataset(write_small_data(tmp_path_factory.mktemp("data") / "small"))["synthetic_test"]


def test_unseen_words_are_the_same_tasks_told_otherwise(table, tokenizer):
    seen, unseen = build_task_prompts(table, tokenizer, 2), build_task_prompts(table, tokenizer, 2, wording="held_out")
    assert [task.task_id for task in seen] == [task.task_id for task in unseen]
    assert [task.prompt for task in seen] == [
        "Write solve(x) that adds 400 to x.",
        "Write solve(x) that adds 402 to x.",
    ]
    assert [task.prompt for task in unseen] == ["Let solve(x) raise x by 400.", "Let solve(x) raise x by 402."]
    assert tokenizer.decode(unseen[0].prompt_ids) == "<s>Let solve(x) raise x by 400.\n"
    assert [task.wording for task in seen + unseen] == ["in_distribution", "in_distribution", "held_out", "held_out"]
    assert [prompt.row for prompt in seen] == [prompt.row for prompt in unseen]


def test_an_older_data_set_is_read_and_has_no_unseen_words(tmp_path, tokenizer, table):
    older = table.remove_columns("reworded_prompt")
    assert [task.wording for task in build_task_prompts(older, tokenizer)] == ["in_distribution"] * 4
    with pytest.raises(ValueError, match=r"has no column reworded_prompt: .* rebuild the data set") as error:
        build_task_prompts(older, tokenizer, wording="held_out")
    assert "\n" not in str(error.value)


def test_topics_are_those_of_the_atoms_each_once_in_order(tokenizer):
    assert find_topics(["quicksort", "digit_sum", "bubble_pass", "no such atom"]) == ("sorting", "arithmetic")
    assert find_topics(["add"]) == ()
    rows = Dataset.from_list([{**row("synthetic_test", 0), "atoms": ["transpose", "bounce"]}])
    assert [task.topics for task in build_task_prompts(rows, tokenizer)] == [("grids", "arithmetic")]


def test_too_few_tasks_are_refused(tmp_path, tokenizer):
    data_dir = write_small_data(tmp_path / "small")
    assert len(load_task_prompts(data_dir, "synthetic_val", tokenizer, 9)) == 4
    with pytest.raises(ValueError, match="num_tasks is 0: at least 1 is needed, or null for all"):
        load_task_prompts(data_dir, "synthetic_val", tokenizer, 0)
