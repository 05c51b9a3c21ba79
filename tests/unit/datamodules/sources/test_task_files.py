"""Task files as data sets: splits, solutions, decontamination, and the rows that are refused."""

import json

import pytest

from datamodules.sources.decontamination import MIN_CONTAINED_CHARS, PromptIndex, normalise_prompt
from datamodules.sources.task_files import DataSource, SplitConfig, load_task_file

SPLIT = SplitConfig()
LONG = "def has_close_elements(numbers, threshold):\n    '''Check if two numbers are closer than the threshold.'''\n"


def task_row(number, **keys):
    tests = [{"args": [1], "expected": 1 + number}]
    base = {"task_id": f"t{number}", "prompt": f"Write f(x), which adds {number} to x.", "entry_point": "f"}
    return {**base, "tests": tests, "solution": f"def f(x):\n    return x + {number}\n", **keys}


def write(tmp_path, *rows, name="tasks.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def ids(dataset):
    return {name: set(table["task_id"]) for name, table in dataset.items()}


def test_the_key_split_divides_the_rows(tmp_path):
    names = ["train", None, "validation", "test", "train"]
    rows = [task_row(number, split=name) for number, name in enumerate(names)]
    dataset = load_task_file(write(tmp_path, *rows), split=SPLIT)
    assert ids(dataset) == {"train": {"t0", "t1", "t4"}, "validation": {"t2"}, "test": {"t3"}}
    assert dataset["train"]["solution"][1] == "def f(x):\n    return x + 1\n"
    row = json.loads(dataset["train"]["row"][0])
    assert row["tests"] == [{"args": [1], "expected": 1}]
    assert "solution" not in row


def test_without_validation_rows_a_share_of_training_is_taken_by_hash(tmp_path):
    rows = [task_row(number) for number in range(400)]
    first = ids(load_task_file(write(tmp_path, *rows), split=SplitConfig(validation=0.25)))
    assert 70 <= len(first["validation"]) <= 130  # 100 expected, standard deviation 8.7
    assert len(first["train"]) + len(first["validation"]) == 400
    # the same tasks whatever the order and the other rows
    again = ids(load_task_file(write(tmp_path, *rows[::-2]), split=SplitConfig(validation=0.25)))
    assert again["validation"] == first["validation"] & {row["task_id"] for row in rows[::-2]}
    other = ids(load_task_file(write(tmp_path, *rows), split=SplitConfig(validation=0.25, seed=1)))
    assert other["validation"] != first["validation"]
    more = ids(load_task_file(write(tmp_path, *rows), split=SplitConfig(validation=0.5)))
    assert first["validation"] < more["validation"]


def test_a_small_file_has_one_validation_task(tmp_path):
    dataset = load_task_file(write(tmp_path, task_row(0), task_row(1)), split=SplitConfig(validation=1e-9))
    assert [len(dataset[name]) for name in ("train", "validation")] == [1, 1]


def test_tasks_without_solutions_are_left_out_where_these_are_needed(tmp_path, caplog):
    rows = [task_row(number, split="train" if number else "validation") for number in range(4)]
    rows[2]["solution"] = None
    path = write(tmp_path, *rows)
    assert ids(load_task_file(path, split=SPLIT))["train"] == {"t1", "t2", "t3"}
    assert ids(load_task_file(path, split=SPLIT, needs_solutions=True))["train"] == {"t1", "t3"}
    assert "1 of 3 train tasks have no solution: left out" in caplog.text
    for row in rows[1:]:
        row["solution"] = ""
    with pytest.raises(ValueError, match="there are no tasks for train"):
        load_task_file(write(tmp_path, *rows), split=SPLIT, needs_solutions=True)


def test_training_tasks_of_evaluation_sets_are_left_out(tmp_path, caplog):
    evaluation = write(
        tmp_path,
        {"task_id": 0, "prompt": LONG, "entry_point": "f", "test": "def check(candidate):\n    assert candidate\n"},
        {"task_id": 1, "text": "Add two.", "test_list": ["assert f(1) == 3"]},
        name="evaluation.jsonl",
    )
    prompts = {
        "t0": f"Complete this:\n```python\n{LONG}```\nThink first.",  # holds the first
        "t1": "ADD  two.\n",  # equals the second
        "t2": "Add two. Then add three.",  # the second is too short to count as held
        "t3": "Held by none.",
        "t4": "print the sum",  # equals the task of validation
    }
    rows = [task_row(0, task_id=name, prompt=prompt) for name, prompt in prompts.items()]
    rows.append(task_row(0, task_id="val", prompt="Print the sum", split="validation"))
    dataset = load_task_file(write(tmp_path, *rows), split=SPLIT, decontaminate=[str(evaluation)])
    assert ids(dataset) == {"train": {"t2", "t3"}, "validation": {"val"}}
    assert f"2 of 4 training tasks left out: their prompts occur in {evaluation}" in caplog.text
    assert "1 of 5 training tasks left out: their prompts occur in the split validation" in caplog.text


@pytest.mark.parametrize(
    ("prompt", "normal"),
    [
        ("  A\n\tb ", "a b"),
        ("Do:\n```python\nX = 1\n```\nthen", "do: x = 1 then"),
        ("~~~\nx\n  ~~~", "x"),
        ("a ``` b", "a ``` b"),  # not a fence
    ],
)
def test_prompts_are_normalised(prompt, normal):
    assert normalise_prompt(prompt) == normal


def test_only_long_prompts_count_where_they_are_held():
    long, short = "x" * MIN_CONTAINED_CHARS, "y" * (MIN_CONTAINED_CHARS - 1)
    index = PromptIndex([long, short, ""])
    assert [index.holds(text) for text in (long, short, f"a {long} b", f"a {short} b", "", long[:-1])] == [
        *(True, True, True, False, False, False)
    ]
    assert not PromptIndex([]).holds(long)


def test_prompts_that_begin_alike_are_told_apart():
    prompts = [f"from typing import List\n\ndef f{number}(numbers: List[int]) -> int: ..." for number in range(3)]
    index = PromptIndex(prompts[:2])
    assert index.holds(f"Write it. {prompts[1]} Well.")
    assert not index.holds(f"Write it. {prompts[2]} Well.")


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([{**task_row(0), "prompt": None}], r"tasks.jsonl, line 1: task t0 has no prompt"),
        ([task_row(0), task_row(0)], r"line 2: task_id 't0' is already that of line 1"),
        ([{**task_row(0), "split": "dev"}], r"line 1: task t0: split must be train, validation, test, not 'dev'"),
        ([{**task_row(0), "test": []}], r"line 1: task t0: test must be|line 1: task t0: it has"),
        ([{**task_row(0), "entrypoint": "f"}], r"line 1: task t0: unknown key 'entrypoint'; did you mean"),
        ([task_row(0, split="validation")], r"tasks.jsonl: there are no tasks for train"),
        ([task_row(0)], r"tasks.jsonl: there are no tasks for train"),  # the only task is for validation
        ([], r"tasks.jsonl: there are no tasks in it"),
    ],
)
def test_files_that_cannot_be_trained_on(tmp_path, rows, words):
    with pytest.raises(ValueError, match=words):
        load_task_file(write(tmp_path, *rows), split=SPLIT)


def test_a_missing_file_and_a_share_that_is_none(tmp_path):
    with pytest.raises(ValueError, match="tasks: there is no file .*nowhere.jsonl; make one with `atomforge convert`"):
        load_task_file(tmp_path / "nowhere.jsonl", split=SPLIT)
    for share in (0.0, 1.0, -0.1):
        with pytest.raises(ValueError, match="split.validation is .*: it must be above 0 and below 1"):
            SplitConfig(validation=share)


def test_a_source_is_one_of_two(tmp_path):
    with pytest.raises(ValueError, match=r"set either data.tasks, .* or data.data_dir"):
        DataSource(data_dir=None, tasks=None, split=SPLIT, decontaminate=())
    with pytest.raises(ValueError, match=r"set either data.tasks, .* or data.data_dir"):
        DataSource(data_dir="d", tasks="t.jsonl", split=SPLIT, decontaminate=())
    with pytest.raises(ValueError, match="decontaminate is for tasks"):
        DataSource(data_dir="d", tasks=None, split=SPLIT, decontaminate=("human-eval",))
