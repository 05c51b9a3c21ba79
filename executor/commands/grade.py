"""`grade`: run completions against tasks in a sandbox, write the outcomes, print pass@k.

    atomforge-executor grade --tasks tasks.jsonl --samples samples.jsonl --output results.jsonl [--k 1,8]
    atomforge-executor grade --tasks human-eval --samples samples.jsonl --output results.jsonl
    atomforge-executor grade --tasks test.jsonl --tasks-format apps --samples samples.jsonl --output results.jsonl

A task row has the keys of `executor.grading.tasks.TASK_KEYS`, or is a row of HumanEval or HumanEval+ (`prompt` and
`test`) or of MBPP or MBPP+ (`text` and `test_list`); an unknown key is an error. A sample row is
`{"task_id", "completion"}`. Files whose names end in `.gz` are compressed; `human-eval` is the file of the installed
package of that name. A result row is the sample row with `status, passed, num_passed, num_tests, duration_s, detail`,
in the order of the samples. A sample with status `infra` could not be graded: it does not count in pass@k, and the exit
code is 1.
"""

import argparse
import contextlib
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from executor.api import BACKENDS, grade, open_executor
from executor.commands.io import check_output, open_atomic
from executor.commands.progress import CountProgress
from executor.convert.benchmark_rows import benchmark_task, reject_unknown_mbpp_columns
from executor.convert.readers import read_rows
from executor.convert.registry import CONVERTERS, HUMAN_EVAL, find_human_eval, read_converted
from executor.grading.pass_at_k import pass_at_k
from executor.grading.tasks import parse_task
from executor.types import Outcome, Status, Submission, Task


def add_parser(subparsers: Any) -> None:
    """Add the `grade` subcommand to an argparse subparsers object."""
    parser = subparsers.add_parser(
        "grade",
        help="grade completions against tasks",
        description="Run completions against the tests of their tasks in a sandbox, write the outcomes, print pass@k.",
    )
    parser.add_argument(
        "--tasks",
        required=True,
        metavar="JSONL",
        help="rows: task_id, entry_point and tests, or as in HumanEval or MBPP; or human-eval, its package's file",
    )
    add_format(parser)
    parser.add_argument("--samples", type=Path, required=True, metavar="JSONL", help="rows: task_id, completion")
    parser.add_argument("--output", type=Path, required=True, metavar="JSONL", help="file of the result rows")
    parser.add_argument(
        "--backend",
        default="auto",
        metavar="NAME",
        help=f"{' | '.join(BACKENDS)} (default auto: the best sandbox that works; process does not isolate)",
    )
    parser.add_argument("--k", default="1", metavar="K,K", help="print pass@k for these k (default 1)")
    parser.add_argument("--num-workers", default=None, metavar="N", help="number of sandboxes (default: cores)")


def run(args: argparse.Namespace) -> int:
    """Grade; returns 0, or 1 if some samples could not be graded.

    Raises:
        ValueError: an option or a row is wrong; the message names it.
        OSError: a file cannot be read or written.
    """
    ks = _parse_ks(args.k)
    num_workers = None if args.num_workers is None else _positive_int(args.num_workers, "--num-workers")
    tasks = read_tasks(args.tasks, args.tasks_format)
    samples = read_samples(args.samples, tasks, args.tasks)
    _check_counts(samples, ks, args.samples)
    check_output(args.output)
    submissions = [Submission(task=tasks[_key(row["task_id"])], completion=row["completion"]) for row in samples]
    with open_executor(args.backend, num_workers=num_workers) as executor:
        print(f"atomforge: {executor.description}", file=sys.stderr)
        with CountProgress("completions", len(submissions)) as progress:
            outcomes = grade(executor, submissions, on_result=lambda _index, _outcome: progress.advance(1))
    _write_results(args.output, samples, outcomes)
    _print_summary(samples, outcomes, ks=ks, num_tasks=len(tasks))
    return 1 if any(outcome.status is Status.INFRA for outcome in outcomes) else 0


def add_format(parser: argparse.ArgumentParser) -> None:
    """Add the option that names the format of the task file."""
    known = ", ".join(CONVERTERS)
    parser.add_argument(
        "--tasks-format",
        default=None,
        metavar="NAME",
        help=f"the tasks are rows of a public dataset, converted as by `convert --from NAME`: {known}",
    )


def read_tasks(name: str, tasks_format: str | None = None) -> dict[tuple[str, str], Task]:
    """Read a task file; the keys distinguish the task_id 1 from "1".

    Args:
        name: a file, or human-eval for the file of the package of that name.
        tasks_format: format of its rows, one of `CONVERTERS`; None for task rows and rows of HumanEval and MBPP.

    Raises:
        ValueError: a row is not a task or repeats a task_id; the message names the file and the line.
    """
    if tasks_format is not None:
        tasks = {_key(row["task_id"]): parse_task(row) for row in read_converted(name, tasks_format)}
    else:
        tasks = _read_task_rows(find_human_eval() if name == HUMAN_EVAL and not Path(name).exists() else Path(name))
    if not tasks:
        raise ValueError(f"{name}: there are no tasks in it")
    return tasks


def _read_task_rows(path: Path) -> dict[tuple[str, str], Task]:
    tasks: dict[tuple[str, str], Task] = {}
    places: dict[tuple[str, str], str] = {}
    for place, row in read_rows(path):
        try:
            task = _parse_row(row)
        except ValueError as error:
            raise ValueError(f"{path}, {place}: {error}") from None
        key = _key(row["task_id"])
        if key in tasks:
            raise ValueError(f"{path}, {place}: task_id {row['task_id']!r} is already that of {places[key]}")
        tasks[key], places[key] = task, place
    return tasks


def read_samples(path: Path, tasks: Mapping[tuple[str, str], Task], tasks_name: str) -> list[dict[str, Any]]:
    """Read a sample file.

    Raises:
        ValueError: a row is not a sample or belongs to no task; the message names the file and the line.
    """
    samples = []
    for place, row in read_rows(path):
        where = f"{path}, {place}"
        missing = [key for key in ("task_id", "completion") if key not in row]
        if missing:
            raise ValueError(f"{where}: a sample needs task_id and completion; missing: {', '.join(missing)}")
        if not isinstance(row["completion"], str):
            raise ValueError(f"{where}: completion must be a string, not {type(row['completion']).__name__}")
        if _key(row["task_id"]) not in tasks:
            raise ValueError(f"{where}: task_id {row['task_id']!r:.80} is not in {tasks_name}")
        samples.append(row)
    if not samples:
        raise ValueError(f"{path}: there are no samples in it")
    return samples


def _key(task_id: object) -> tuple[str, str]:
    return (type(task_id).__name__, str(task_id))


def _parse_row(row: Mapping[str, Any]) -> Task:
    if row.get("test_list") is None:
        return parse_task(row)
    try:
        reject_unknown_mbpp_columns(row)
        return parse_task(benchmark_task(row).row)
    except ValueError as error:
        raise ValueError(f"task {row.get('task_id')}: {error}") from None


def _parse_ks(text: str) -> list[int]:
    return sorted({_positive_int(part, "--k") for part in text.split(",")})


def _positive_int(text: str, flag: str) -> int:
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) < 1:
        raise ValueError(f"{flag} takes whole numbers of at least 1, not {text!r}")
    return int(text)


def _check_counts(samples: Sequence[Mapping[str, Any]], ks: Sequence[int], path: Path) -> None:
    key, fewest = min(Counter(_key(row["task_id"]) for row in samples).items(), key=lambda item: item[1])
    if max(ks) > fewest:
        raise ValueError(f"{path}: pass@{max(ks)} needs {max(ks)} samples of every task; {key[1]} has {fewest}")


def _write_results(path: Path, samples: Sequence[Mapping[str, Any]], outcomes: Sequence[Outcome]) -> None:
    with open_atomic(path) as file, _any_number_of_digits():
        for row, outcome in zip(samples, outcomes, strict=True):
            file.write(json.dumps({**row, **_format_outcome(outcome)}) + "\n")


@contextlib.contextmanager
def _any_number_of_digits() -> Iterator[None]:
    """Lift Python's limit on the digits of integers while rows are written: samples may have more keys."""
    limit = sys.get_int_max_str_digits()
    sys.set_int_max_str_digits(0)
    try:
        yield
    finally:
        sys.set_int_max_str_digits(limit)


def _format_outcome(outcome: Outcome) -> dict[str, Any]:
    return {
        "status": str(outcome.status),
        "passed": outcome.passed,
        "num_passed": outcome.num_passed,
        "num_tests": outcome.num_tests,
        "duration_s": round(outcome.duration_s, 6),
        "detail": outcome.detail,
    }


def _print_summary(
    samples: Sequence[Mapping[str, Any]], outcomes: Sequence[Outcome], *, ks: Sequence[int], num_tasks: int
) -> None:
    graded: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for row, outcome in zip(samples, outcomes, strict=True):
        if outcome.status is not Status.INFRA:
            graded[_key(row["task_id"])].append(outcome.passed)
    statuses = Counter(outcome.status for outcome in outcomes)
    print(
        f"{len(samples)} samples: " + ", ".join(f"{statuses[status]} {status}" for status in Status if statuses[status])
    )
    sampled = len({_key(row["task_id"]) for row in samples})
    if sampled < num_tasks:
        print(f"{sampled} of {num_tasks} tasks have samples; the others do not count")
    details = [outcome.detail for outcome in outcomes if outcome.status is Status.INFRA]
    if num_faulty := sum(" is at fault: " in detail for detail in details):
        print(f"{num_faulty} samples could not be graded and do not count: their task is at fault, see `detail`")
    if num_lost := len(details) - num_faulty:
        print(f"{num_lost} samples could not be graded and do not count: the sandbox failed; grade them again")
    for k in ks:
        rates = [pass_at_k(len(passed), sum(passed), k) for passed in graded.values() if len(passed) >= k]
        if rates:
            print(f"pass@{k}: {mean(rates):.4f} over {len(rates)} tasks")
