"""The Python API of atomforge: `synthesize`, `train`, `evaluate` and `grade`, below the command line.

    from cli.api import EvalConfig, Suite, TrainConfig, evaluate, grade, synthesize, train

Studies, the demo and the commands call these functions. `docs/python_api.md` describes them; `examples/api.py` uses all
four. Progress goes to stderr.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.config.files import load_config, parse_config, read_yaml
from cli.evaluation.plan import Suite
from executor import Executor, Limits, Outcome, RewardConfig, Submission, open_executor, parse_task
from executor import grade as grade_submissions
from executor.commands.errors import UsageError
from executor.types import DEFAULT_LIMITS
from lightning_modules.evaluation.evaluate import EvalConfig
from lightning_modules.evaluation.records import Evaluation

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

    from datamodules.batches import TaskPrompt
    from datamodules.synthesis.manifest import Manifest
    from lightning_modules.training.run_result import RunResult

__all__ = [
    "EvalConfig",
    "Evaluation",
    "Outcome",
    "Suite",
    "TrainConfig",
    "check",
    "evaluate",
    "grade",
    "synthesize",
    "train",
]


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """A training: what `atomforge fit` takes.

    Args:
        configs: YAML files, by path or by name (`sft`, `ppo`, `rl/rloo`); later ones override earlier ones.
        overrides: single keys by dotted name, e.g. `{"run_dir": "runs/a", "model.init_args.optimizer.lr": 1e-4}`.
    """

    configs: Sequence[str]
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if isinstance(self.configs, str):
            raise UsageError(f"configs must be a list of names, such as [{self.configs!r}], not a string")

    @property
    def run_dir(self) -> Path:
        """Directory of the run.

        Raises:
            UsageError: neither the overrides nor a file has the key `run_dir`.
        """
        for settings in (self.overrides, *map(read_yaml, reversed(self.configs))):
            if "run_dir" in settings:
                return Path(settings["run_dir"])
        raise UsageError("run_dir is missing: set it in overrides or in a file")


def check(config: TrainConfig) -> None:
    """Check files, keys and values of a training; nothing is built.

    Raises:
        UsageError: names file and key.
    """
    from cli.config.cli import build_run

    build_run("fit", config.configs, config.overrides, stage="parsed")


def synthesize(
    config: str | Path | Mapping[str, Any], output: str | Path, *, backend: str = "auto", num_workers: int | None = None
) -> Manifest:
    """Build a data set, or return the manifest of the one that is already there.

    Args:
        config: a YAML file, or its content.
        output: directory of the data set.
        backend: where programs run.
        num_workers: programs that run at the same time; None = one per core.

    Returns:
        The manifest, with `counts` of tasks by split.

    Raises:
        ValueError: an invalid config, or an output that holds something else.
    """
    from datamodules.synthesis import build
    from datamodules.synthesis.config import SynthesisConfig
    from executor.commands.progress import CountProgress

    if isinstance(config, Mapping):
        parsed = parse_config(SynthesisConfig, config, source="config")
    else:
        parsed = load_config(SynthesisConfig, config)
    with CountProgress("tasks", parsed.num_tasks) as progress:
        return build.synthesize(parsed, output, backend=backend, num_workers=num_workers, on_progress=progress.advance)


def train(config: TrainConfig) -> RunResult:
    """Train a model; a run directory with checkpoints continues from the newest one.

    Returns:
        Metrics, checkpoint, tokens and operations of the run.

    Raises:
        UsageError: an invalid config, or one that differs from that of the run's checkpoint.
        Interrupted: Ctrl-C; the checkpoints of completed epochs remain.
        SystemExit: the process received SIGTERM.
    """
    from cli.commands.fit import run_trainer
    from cli.config.cli import build_run
    from lightning_modules.training.run_result import read_result

    overrides = {**config.overrides, "ckpt_path": "last"}
    code = run_trainer(lambda: build_run("fit", config.configs, overrides), resumes=True)
    result = read_result(config.run_dir)
    if code != 0 or result is None:
        raise SystemExit(code or 1)
    return result


def evaluate(
    model: str | Path | tuple[PreTrainedModel, PreTrainedTokenizerFast],
    tasks: Suite | Sequence[TaskPrompt],
    config: EvalConfig | None = None,
    *,
    executor: Executor | None = None,
    backend: str = "auto",
) -> Evaluation:
    """Sample completions of tasks from a model and grade them.

    Args:
        model: a checkpoint as `atomforge evaluate --checkpoint` takes it, or causal LM and tokenizer.
        tasks: a suite, e.g. `Suite(data="runs/data", split="synthetic_test", num_tasks=50)`, or prompts. A suite has
            one wording; its `max_new_tokens` and `stop` are those of `config`.
        config: sampling; None = the defaults of `EvalConfig`.
        executor: runs the programs; None = one that is opened for this call.
        backend: of that one.

    Raises:
        ValueError: no such checkpoint, data set, split or backend.
        TypeError: `tasks` is something else.
    """
    from cli.evaluation.inputs import load_model, load_tasks, make_prompts
    from cli.evaluation.run import evaluate_prompts
    from datamodules.batches import TaskPrompt
    from datamodules.encoding.prompt_format import get_format

    config = config or EvalConfig()
    loaded = model if isinstance(model, tuple) else load_model(model, dtype=config.dtype or "float32")
    title = "tasks"
    if isinstance(tasks, Suite):
        suite = dataclasses.replace(tasks, max_new_tokens=config.max_new_tokens, stop=config.stop)
        parts = make_prompts(suite, load_tasks(suite), loaded, trained=get_format(loaded[1]))
        if len(parts) > 1:
            raise UsageError("wording both has two evaluations: call evaluate once with each wording")
        [(title, (_, tasks))] = parts.items()
    elif isinstance(tasks, str) or not all(isinstance(task, TaskPrompt) for task in tasks):
        raise TypeError("tasks must be a Suite or TaskPrompts, e.g. Suite(benchmark='human-eval')")
    if executor is not None:
        return evaluate_prompts(loaded, tasks, config, executor=executor, title=title)
    with open_executor(backend) as opened:
        return evaluate_prompts(loaded, tasks, config, executor=opened, title=title)


def grade(
    tasks: Sequence[Mapping[str, Any]],
    completions: Sequence[str],
    *,
    backend: str = "auto",
    limits: Limits = DEFAULT_LIMITS,
    rewards: RewardConfig | None = None,
) -> list[Outcome]:
    """Grade one completion of each task.

    Args:
        tasks: task rows, with `task_id` and tests.
        completions: texts of a model, in the same order.
        backend: where programs run.
        limits: of each program.
        rewards: set to compute `Outcome.reward`.

    Raises:
        ValueError: an invalid task row, or numbers of tasks and completions that differ.
    """
    if len(tasks) != len(completions):
        raise UsageError(f"{len(tasks)} tasks and {len(completions)} completions: grade takes one of each")
    pairs = zip(tasks, completions, strict=True)
    submissions = [Submission(task=parse_task(dict(task)), completion=text) for task, text in pairs]
    with open_executor(backend) as executor:
        return grade_submissions(executor, submissions, limits, rewards=rewards)
