"""Programs before and after RL, side by side: the first few tasks that were gained and lost, in the data's order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from cli.report.document import Block, Programs, Section, Text
from cli.report.evidence import Arms
from cli.study.plan import StudyConfig
from executor.types import Status
from lightning_modules.evaluation.records import Evaluation, JudgedSample, TaskResult

NUM_GAINED = 3
NUM_LOST = 1


class Exchange(NamedTuple):
    """The greedy answers of two models to a task."""

    task: TaskResult
    before: JudgedSample
    after: JudgedSample


def exchanges(before: Evaluation, after: Evaluation) -> tuple[list[Exchange], list[Exchange]]:
    """Find the tasks gained and those lost from one model to the next, in order; unjudged answers are left out."""
    earlier = {task.task_id: task.greedy for task in before.tasks}
    both = [
        Exchange(task, old, task.greedy)
        for task in after.tasks
        if task.greedy is not None
        and (old := earlier.get(task.task_id)) is not None
        and Status.INFRA not in (old.status, task.greedy.status)
    ]
    gained = [found for found in both if found.after.passed and not found.before.passed]
    return gained, [found for found in both if found.before.passed and not found.after.passed]


def programs_section(study: StudyConfig, arms: Arms) -> Section | None:
    """Show what RL changed, in the first contrast whose better side is RL; None where its arms are not there."""
    for contrast in study.contrasts:
        stage = study.stage(contrast.better)
        if stage.kind != "rl" or stage.parent is None:
            continue
        for seed, after in arms[stage.name].items():
            before = arms[stage.parent].get(seed)
            if before is None or contrast.split not in before.evaluation or contrast.split not in after.evaluation:
                continue
            pair = before.evaluation[contrast.split], after.evaluation[contrast.split]
            gained, lost = exchanges(*pair)
            words = (
                f"{stage.parent} to {stage.name}, greedy answers on {contrast.split}, seed {seed}: of "
                f"{len(pair[1].tasks)} tasks {len(gained)} failed before RL and pass after it, {len(lost)} the other "
                "way round. Below are the first of each, in the order of the data, not picked by hand."
            )
            blocks: list[Block] = [Text(words)]
            blocks += _shown("gained", gained[:NUM_GAINED], stage.parent, stage.name)
            blocks += _shown("lost", lost[:NUM_LOST], stage.parent, stage.name)
            return Section(
                title=f"RL gained {len(gained)} tasks and lost {len(lost)}", anchor="programs", blocks=blocks
            )
    return None


def _shown(kind: str, found: Sequence[Exchange], before: str, after: str) -> list[Programs]:
    return [
        Programs(
            title=f"{one.task.task_id}, {kind}",
            prompt=one.task.prompt,
            left=(f"{before}: {_ending(one.before)}", _program(one.before)),
            right=(f"{after}: {_ending(one.after)}", _program(one.after)),
        )
        for one in found
    ]


def _ending(sample: JudgedSample) -> str:
    words = sample.status.replace("_", " ")
    return words if sample.passed else f"{words}, {sample.num_passed} of {sample.num_tests} tests pass"


def _program(sample: JudgedSample) -> str:
    return sample.completion.strip("\n") or "(nothing)"
