"""The section on completions before and after RL: the first tasks that RL gained and lost, in the order of the data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cli.report.document import Block, Programs, Section, Text
from cli.report.sections.evidence import Arms
from cli.study.plan import StudyConfig
from executor.types import Status
from lightning_modules.evaluation.records import Evaluation, GradedCompletion, TaskResult

NUM_GAINED = 3
NUM_LOST = 1


class Change(NamedTuple):
    """The greedy completions of a task by two models."""

    task: TaskResult
    before: GradedCompletion
    after: GradedCompletion


def find_changes(before: Evaluation, after: Evaluation) -> tuple[list[Change], list[Change]]:
    """Return the tasks that were gained and those that were lost, in order; ungraded completions are left out."""
    earlier = {task.task_id: task.greedy for task in before.tasks}
    both = [
        Change(task, old, task.greedy)
        for task in after.tasks
        if task.greedy is not None
        and (old := earlier.get(task.task_id)) is not None
        and Status.INFRA not in (old.status, task.greedy.status)
    ]
    gained = [found for found in both if found.after.passed and not found.before.passed]
    return gained, [found for found in both if found.before.passed and not found.after.passed]


def programs_section(study: StudyConfig, arms: Arms) -> Section | None:
    """Show the changes by RL for the first contrast whose treatment is RL; None if its arms are missing."""
    for contrast in study.contrasts:
        stage = study.stage(contrast.treatment)
        if stage.kind != "rl" or stage.parent is None:
            continue
        for seed, after in arms[stage.name].items():
            before = arms[stage.parent].get(seed)
            if before is None or contrast.split not in before.evaluation or contrast.split not in after.evaluation:
                continue
            pair = before.evaluation[contrast.split], after.evaluation[contrast.split]
            gained, lost = find_changes(*pair)
            words = (
                f"{stage.parent} to {stage.name}, greedy completions on {contrast.split}, seed {seed}: of "
                f"{len(pair[1].tasks)} tasks {len(gained)} failed before RL and pass after it, {len(lost)} the other "
                "way round. The first of each are shown, in the order of the data."
            )
            blocks: list[Block] = [Text(words)]
            blocks += _compare("gained", gained[:NUM_GAINED], stage.parent, stage.name)
            blocks += _compare("lost", lost[:NUM_LOST], stage.parent, stage.name)
            return Section(
                title=f"RL gained {len(gained)} tasks and lost {len(lost)}", anchor="programs", blocks=blocks
            )
    return None


def _compare(kind: str, found: Sequence[Change], before: str, after: str) -> list[Programs]:
    return [
        Programs(
            title=f"{one.task.task_id}, {kind}",
            prompt=one.task.prompt,
            sides=[
                (f"{before}: {_describe(one.before)}", _program(one.before)),
                (f"{after}: {_describe(one.after)}", _program(one.after)),
            ],
        )
        for one in found
    ]


def _describe(completion: GradedCompletion) -> str:
    words = completion.status.replace("_", " ")
    return words if completion.passed else f"{words}, {completion.num_passed} of {completion.num_tests} tests pass"


def _program(completion: GradedCompletion) -> str:
    return completion.completion.strip("\n") or "(empty)"
