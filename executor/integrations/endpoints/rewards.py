"""Remote rewards of OpenRLHF (`POST /openrlhf`) and slime (`POST /slime`): 1.0 for a program that passes, else 0.0.

A label is a task row (an object or its JSON text), or the `task_id` of a row in the file `compat_tasks`.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from fastapi import FastAPI, Request
from fastapi.responses import Response
from pydantic import model_validator

from executor.integrations.endpoints.programs import CompatRequest, ProgramRunner, respond
from executor.integrations.rows import cut_prompt, read_task
from executor.service.app import ApiError
from executor.types import Outcome, Submission, Task


class OpenRLHFRequest(CompatRequest):
    """Body of /openrlhf: prompts with responses, the prompts alone, and labels."""

    query: list[str]
    prompts: list[str]
    labels: list[Any]

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.query) == len(self.prompts) == len(self.labels):
            raise ValueError(
                f"query, prompts and labels must be of one length, not {len(self.query)}, {len(self.prompts)} and "
                f"{len(self.labels)}"
            )
        return self


class SlimeRequest(CompatRequest):
    """Body of /slime; the prompt is not used."""

    response: str
    label: Any


def add_openrlhf(app: FastAPI, programs: ProgramRunner, tasks: Mapping[str, Task]) -> None:
    """Add the route of OpenRLHF."""

    @app.post("/openrlhf", summary="Rewards of responses (OpenRLHF)", response_class=Response)
    async def openrlhf(request: Request) -> Response:
        parsed = await programs.service.read(OpenRLHFRequest, request)
        submissions = []
        for index, (query, prompt, label) in enumerate(zip(parsed.query, parsed.prompts, parsed.labels, strict=True)):
            try:
                submissions.append(Submission(task=find_task(label, tasks), completion=cut_prompt(query, prompt)))
            except ValueError as error:
                raise ApiError(422, f"sample {index}: {error}") from None
        outcomes = await programs.grade(request, submissions, programs.service.config.limits)
        return respond(build_response(outcomes))


def add_slime(app: FastAPI, programs: ProgramRunner, tasks: Mapping[str, Task]) -> None:
    """Add the route of slime."""

    @app.post("/slime", summary="Reward of a response (slime)", response_class=Response)
    async def slime(request: Request) -> Response:
        parsed = await programs.service.read(SlimeRequest, request)
        try:
            submission = Submission(task=find_task(parsed.label, tasks), completion=parsed.response)
        except ValueError as error:
            raise ApiError(422, str(error)) from None
        [outcome] = await programs.grade(request, [submission], programs.service.config.limits)
        return respond(float(outcome.passed))


def build_response(outcomes: list[Outcome]) -> dict[str, Any]:
    """Build the body of a response of OpenRLHF; it filters prompts by `scores` and logs `extra_logs`."""
    passed = [float(outcome.passed) for outcome in outcomes]
    fractions = [outcome.num_passed / outcome.num_tests for outcome in outcomes]
    return {"rewards": passed, "scores": passed, "extra_logs": {"fraction_passed": fractions}}


def find_task(label: Any, tasks: Mapping[str, Task]) -> Task:
    """Find the task of a label.

    Raises:
        ValueError: the label is neither a task row nor a known `task_id`; one line.
    """
    if isinstance(label, Mapping):
        return read_task(label)
    if isinstance(label, str) and label in tasks:
        return tasks[label]
    if isinstance(label, str) and label.lstrip().startswith("{"):
        return read_task(label)
    raise ValueError(f"a label must be a task row or a task_id of compat_tasks, not {json.dumps(label):.60}")


def read_task_file(path: str) -> dict[str, Task]:
    """Read a JSONL file of task rows; returns tasks by `task_id`.

    Raises:
        ValueError: the file cannot be read, or a row is no task; one line that names file and row.
    """
    tasks: dict[str, Task] = {}
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"compat_tasks: {path} cannot be read: {getattr(error, 'strerror', error)}") from None
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            task = read_task(line)
        except ValueError as error:
            raise ValueError(f"compat_tasks: {path} line {number}: {error}") from None
        if task.task_id in tasks:
            raise ValueError(f"compat_tasks: {path} line {number}: a second task with task_id {task.task_id}")
        tasks[task.task_id] = task
    return tasks
