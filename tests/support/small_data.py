"""A data set of a few hand-made tasks in the layout of `atomforge synthesize`, for tests that need no real one."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from datamodules.batches import LazyTask, TaskPrompt

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


def task_prompt(
    task_id: str = "t", prompt: str = "p", *, prompt_ids: Sequence[int] = (1,), **task_row: Any
) -> TaskPrompt:
    """Build a prompt whose task is to return 2 for 1, unless `task_row` says otherwise."""
    task_row = task_row or {"tests": [{"args": [1], "expected": 2}]}
    lazy_task = LazyTask({"task_id": task_id, "entry_point": "solve", **task_row})
    return TaskPrompt(task_id, prompt, list(prompt_ids), lazy_task, depth=2, atoms=("add",))


def write_small_data(directory: Path, **num_rows: int) -> Path:
    """Save the data set as `directory`; `num_rows` overrides rows by split."""
    sizes = {split: NUM_ROWS.get(split, OTHERS) for split in SPLITS} | num_rows
    tables = {split: Dataset.from_list([row(split, i) for i in range(size)]) for split, size in sizes.items()}
    DatasetDict(tables).save_to_disk(str(directory))
    return directory
