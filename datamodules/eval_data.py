"""Reads the tasks of a split as prompts to complete and grade.

The tests attached are the evaluation tests (`tests`), never the ones rewards are computed from (`reward_tests`).
"""

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from datasets import DatasetDict, load_from_disk
from transformers import PreTrainedTokenizerBase

from datamodules.atoms import ATOMS, TENSOR_ATOMS
from datamodules.batches import LazyTask, TaskPrompt
from datamodules.encoding.prompt_format import encode_prompts
from datamodules.synthesis.composition.shape import parse_shape
from datamodules.synthesis.dataset.library import read_library
from executor.grading.tasks.values import parse_row_json

COLUMNS = ("task_id", "prompt", "language", "solution", "entry_point", "tests", "atoms", "depth")
REWORDED = "reworded_prompt"
"""The column of data sets of format 3: the task in phrasings and a frame that no training text has."""
_log = logging.getLogger(__name__)


def load_dataset(data_dir: str | Path) -> DatasetDict:
    """Read a data set made by `atomforge synthesize`.

    Raises:
        ValueError: there is none at `data_dir`, it is damaged, or it lacks columns; one line.
    """
    try:
        dataset = load_from_disk(str(data_dir))
    except (OSError, ValueError) as error:
        if Path(data_dir).is_dir() and any(Path(data_dir).iterdir()):
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise ValueError(
                f"{data_dir} does not load as a data set ({reason}): build it again in another directory"
            ) from error
        raise ValueError(
            f"no data set at {data_dir}: make one with `atomforge synthesize --config synthesis_small --output "
            f"{data_dir}`"
        ) from error
    if not isinstance(dataset, DatasetDict):
        raise ValueError(f"{data_dir} is a single table, not a data set with splits")
    for split, table in dataset.items():
        if missing := [column for column in COLUMNS if column not in table.column_names]:
            raise ValueError(f"{data_dir}, split {split}: column {', '.join(missing)} is missing")
    return dataset


def get_split(dataset: DatasetDict, split: str, *, data_dir: str | Path) -> Any:
    """Pick the table of one split.

    Raises:
        ValueError: there is no such split; the message names those there are.
    """
    if split not in dataset:
        raise ValueError(f"{data_dir} has no split {split}: it has {', '.join(map(str, dataset))}")
    return dataset[split]


def evenly_spaced_indices(num_rows: int, num_chosen: int | None) -> list[int]:
    """Choose `num_chosen` row numbers at even distances; all of them where `None` or more than there are."""
    if num_chosen is None or num_chosen >= num_rows:
        return list(range(num_rows))
    return [i * num_rows // num_chosen for i in range(num_chosen)]


def load_task_prompts(
    data_dir: str | Path, split: str, tokenizer: PreTrainedTokenizerBase, num_tasks: int | None = None
) -> list[TaskPrompt]:
    """Tasks of a split, evenly spread over it and always the same ones.

    Raises:
        ValueError: no data set, no such split, or `num_tasks` below 1.
    """
    table = get_split(load_dataset(data_dir), split, data_dir=data_dir)
    return build_task_prompts(table, tokenizer, num_tasks)


def build_task_prompts(
    table: Any,
    tokenizer: PreTrainedTokenizerBase,
    num_tasks: int | None = None,
    *,
    wording: Literal["in_distribution", "held_out"] = "in_distribution",
) -> list[TaskPrompt]:
    """`load_task_prompts` of a table that is already read, in the wording of training or a held-out one.

    Raises:
        ValueError: `num_tasks` below 1, or a held-out wording that the data set does not have.
    """
    if num_tasks is not None and num_tasks < 1:
        raise ValueError(f"num_tasks is {num_tasks}: at least 1 is needed, or null for all")
    if wording == "held_out" and REWORDED not in table.column_names:
        raise ValueError(
            f"wording is held_out, but the data set has no column {REWORDED}: use wording in_distribution, or rebuild "
            "the data set with `atomforge synthesize`"
        )
    rows = table.select(evenly_spaced_indices(len(table), num_tasks)).to_list()
    return build_prompts_from_rows(rows, tokenizer, wording=wording, library=read_library(table))


def build_prompts_from_rows(
    rows: Sequence[Mapping[str, Any]],
    tokenizer: PreTrainedTokenizerBase,
    *,
    wording: Literal["in_distribution", "held_out"] = "in_distribution",
    library: Mapping[str, str],
) -> list[TaskPrompt]:
    """Build the prompts of rows of a data set or a task file; `library` is that of the data set."""
    prompts = [row[REWORDED if wording == "held_out" else "prompt"] for row in rows]
    return [
        _task_prompt(row, prompt, ids, wording=wording, library=library)
        for row, prompt, ids in zip(rows, prompts, encode_prompts(tokenizer, prompts), strict=True)
    ]


def drop_long_prompts(prompts: Sequence[TaskPrompt], max_length: int | None, *, split: str) -> list[TaskPrompt]:
    """Leave out prompts of over `max_length` tokens, with one warning; None keeps all.

    Raises:
        ValueError: all of them are longer.
    """
    kept = [prompt for prompt in prompts if max_length is None or len(prompt.prompt_ids) <= max_length]
    if len(kept) < len(prompts):
        _log.warning(
            "%s: %d of %d prompts have over max_prompt_length %d tokens: left out",
            *(split, len(prompts) - len(kept), len(prompts), max_length),
        )
    if prompts and not kept:
        raise ValueError(f"{split}: no prompt fits max_prompt_length {max_length}; raise it")
    return kept


def find_topics(atoms: Sequence[str]) -> tuple[str, ...]:
    """Return the distinct topics of atoms in order; unknown names give none."""
    known = {**ATOMS, **TENSOR_ATOMS}
    return tuple(dict.fromkeys(known[name].topic for name in atoms if name in known))


def _grading_row(row: Mapping[str, Any], library: Mapping[str, str]) -> dict[str, Any]:
    """Take what completions are graded against from a row of a data set, or of a task file (`row`)."""
    if "row" in row:
        return parse_row_json(row["row"])
    given = {key: row[key] for key in ("task_id", "entry_point", "tests", "profile") if key in row}
    return {**given, "library": library} if library else given


def _task_prompt(
    row: Mapping[str, Any], prompt: str, prompt_ids: list[int], *, wording: str, library: Mapping[str, str]
) -> TaskPrompt:
    num_steps, shape = parse_shape(row["skeleton"]) if row.get("skeleton") else (0, "")
    return TaskPrompt(
        task_id=row["task_id"],
        prompt=prompt,
        prompt_ids=prompt_ids,
        lazy_task=LazyTask(_grading_row(row, library)),
        language=row["language"],
        depth=row["depth"],
        atoms=tuple(row["atoms"]),
        num_steps=num_steps,
        shape=shape,
        topics=find_topics(row["atoms"]),
        wording=wording,
    )
