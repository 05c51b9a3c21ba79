"""A data set of a few hand-made tasks in the layout of `atomforge synthesize`, for tests that need no real one."""

import json
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from datamodules.batches import TaskPrompt

SPLITS = (
    "atomic",
    "synthetic_train",
    "synthetic_rl",
    "synthetic_val",
    "synthetic_test",
    "synthetic_test_deeper",
    "synthetic_test_held_out_atoms",
)
NUM_ROWS = {"atomic": 7, "synthetic_train": 12}
OTHERS = 4


def row(split: str, index: int) -> dict:
    """Task `index` of a split: add a number to x, where the number names split and task."""
    number = SPLITS.index(split) * 100 + index
    chinese = index % 2 == 1
    prompt = f"写一个函数 solve(x)，返回 x 加 {number}。" if chinese else f"Write solve(x) that adds {number} to x."
    reworded = f"令 solve(x) 把 x 增大 {number}。" if chinese else f"Let solve(x) raise x by {number}."
    tests = [{"args": [x], "expected": x + number} for x in (0, 5, -3)]
    return {
        "task_id": f"{split}/{index}",
        "prompt": prompt,
        "reworded_prompt": reworded,
        "language": "zh" if chinese else "en",
        "solution": f"def solve(x):\n    return x + {number}\n",
        "entry_point": "solve",
        "tests": json.dumps(tests),
        "reward_tests": json.dumps(tests[:1]),
        "domains": json.dumps([{"kind": "Ints", "low": -20, "high": 50}]),
        "atoms": ["add"],
        "depth": 1 if split == "atomic" else 2,
        "skeleton": f"add({index})",
    }


def task_prompt(task_id: str = "t", prompt: str = "p", **fields: Any) -> TaskPrompt:
    """Build a prompt whose task is to add 1 to 1; `fields` override those of `TaskPrompt`."""
    task_row = {"task_id": task_id, "entry_point": "solve", "tests": [{"args": [1], "expected": 2}]}
    base = {"prompt_ids": [1], "row": task_row, "language": "en", "depth": 2, "atoms": ["add"]}
    return TaskPrompt(task_id=task_id, prompt=prompt, **{**base, **fields})


def write_small_data(directory: Path, **num_rows: int) -> Path:
    """Save the data set as `directory`; `num_rows` overrides rows by split."""
    sizes = {split: NUM_ROWS.get(split, OTHERS) for split in SPLITS} | num_rows
    tables = {split: Dataset.from_list([row(split, i) for i in range(size)]) for split, size in sizes.items()}
    DatasetDict(tables).save_to_disk(str(directory))
    return directory
