"""A taskset for verifiers 0.4 (and prime-rl), whose reward is whether the program of the last reply passes its task.

verifiers finds a taskset by the name of a module that exports it:

    # coding.py
    from executor.integrations.verifiers import CodeTaskset
    __all__ = ["CodeTaskset"]

`infra` raises `SandboxError`: the rollout has an error instead of a reward and can be retried (`--env.retries`).
"""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import verifiers.v1 as vf  # pyright: ignore[reportMissingImports]

from executor.integrations.grading import grade_submissions
from executor.integrations.rows import read_task
from executor.types import Status, Submission

__all__ = ["CodeTaskset"]


class CodeTaskConfig(vf.TaskConfig):
    """Options of each task, under `env.taskset.task`."""

    executor: str | None = None
    """Backend or address of a service; default: the environment's ATOMFORGE_EXECUTOR, else `auto`."""


class CodeTasksetConfig(vf.TasksetConfig):
    """Options of the taskset, under `env.taskset`."""

    tasks: Path = Path("tasks.jsonl")
    """JSONL file of task rows that have a `prompt`."""
    task: CodeTaskConfig = CodeTaskConfig()


class CodeData(vf.TaskData):
    """A task as it is written to traces."""

    row: str
    """The task row in JSON."""


class CodeTask(vf.Task[CodeData, vf.State, CodeTaskConfig]):
    """One task."""

    @vf.reward
    async def passed(self, trace: vf.Trace) -> float:
        submission = Submission(task=read_task(self.data.row), completion=trace.last_reply)
        [outcome] = await asyncio.to_thread(grade_submissions, [submission], backend=self.config.executor)
        if outcome.status is Status.INFRA:
            raise vf.SandboxError(f"the reply could not be graded: {outcome.detail}")
        return float(outcome.passed)


class CodeTaskset(vf.Taskset[CodeTask, CodeTasksetConfig]):
    """The tasks of a file."""

    def load(self) -> Iterator[CodeTask]:
        for line in self.config.tasks.read_text(encoding="utf-8").split("\n"):
            if line.strip():
                task = read_task(line)
                data = CodeData(id=task.task_id, prompt=task.prompt, row=line)
                yield CodeTask(data, self.config.task)
