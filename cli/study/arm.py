"""One arm of a study, a stage with a seed, in a process of its own: `python -m cli.study.arm SPEC.json`.

The process trains, evaluates, and writes `result.json`; rejection fine-tuning first samples from the parent. If it is
killed and started again, sampling continues, training continues from the newest checkpoint, and evaluation starts over.
"""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cli.config.ranks import set_parent_death_signal
from cli.study.results import FILE_NAME, ArmResult
from executor.commands.io import write_json

if TYPE_CHECKING:
    from cli.api import TrainConfig
    from cli.evaluation.rejection import RejectionResult
    from lightning_modules.evaluation.records import Evaluation

TIMES = "seconds.json"
SAMPLED = "sampled"
"""Folder of the completions of rejection fine-tuning, in that of the arm."""
SAVE_EVERY_S = 30.0
PARENT_PROCESS = "ATOMFORGE_STUDY"
"""Environment variable with the process id of the study; the arm exits with it, so that two never run the same arm."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Arm:
    """A stage with a seed, and everything that its process needs."""

    stage: str
    seed: int
    kind: str
    folder: Path
    parent: Path | None
    """Folder of the arm it starts from."""
    parent_stage: str | None
    fingerprint: str
    versions: Mapping[str, str]
    configs: tuple[str, ...]
    """Of the training, like `overrides`."""
    overrides: Mapping[str, Any]
    sampling: Mapping[str, Any] | None = None
    """Keys of `RejectionConfig`; None except for kind rft."""
    measurement: Mapping[str, Any]
    """From `StudyConfig.measurement_for`."""
    data_dir: str
    backend: str
    estimated_minutes: float

    @property
    def run_dir(self) -> Path:
        """Directory of the training."""
        return self.folder / "run"

    @property
    def is_done(self) -> bool:
        """Whether the arm has a result."""
        return (self.folder / FILE_NAME).exists()

    @property
    def train_config(self) -> TrainConfig:
        """The training, resolved to files and overrides."""
        from cli.api import TrainConfig

        return TrainConfig(configs=self.configs, overrides=self.overrides)

    def write_spec(self) -> Path:
        """Write the arm to `spec.json` in its folder, from which `main` reads it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "spec.json"
        content = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        parent = None if self.parent is None else str(self.parent)
        write_json(path, {**content, "folder": str(self.folder), "parent": parent})
        return path

    @classmethod
    def read_spec(cls, path: Path) -> Arm:
        """Read the output of `write_spec`."""
        content = json.loads(path.read_text(encoding="utf-8"))
        parent = None if content["parent"] is None else Path(content["parent"])
        return cls(**{**content, "folder": Path(content["folder"]), "parent": parent})

    def __str__(self) -> str:
        return f"{self.stage} (seed {self.seed})"


def main() -> int:
    """Run the arm of the specification given on the command line."""
    if PARENT_PROCESS in os.environ:
        set_parent_death_signal(int(os.environ[PARENT_PROCESS]))
    run_arm(Arm.read_spec(Path(sys.argv[1])))
    return 0


def run_arm(arm: Arm) -> None:
    """Train, evaluate, and write the result.

    Raises:
        UsageError: the settings are invalid.
        SystemExit: the training was terminated.
    """
    from cli.api import train
    from lightning_modules.training.budget import add_sampling
    from lightning_modules.training.run_result import read_result

    with record_time(arm.folder):
        sampled = None if arm.sampling is None else sample_for_arm(arm)
        result = read_result(arm.run_dir) or train(arm.train_config)
        evaluation = evaluate_arm(arm)
    budget = result.budget
    assert budget is not None
    if sampled is not None:
        budget = add_sampling(budget, num_completions=sampled.num_completions, flops=sampled.flops)
    ArmResult(
        stage=arm.stage,
        seed=arm.seed,
        fingerprint=arm.fingerprint,
        kind=arm.kind,
        parent=arm.parent_stage,
        versions=arm.versions,
        config=result.config,
        minutes=round(_read_seconds(arm.folder) / 60, 2),
        curves=result.curves,
        budget=budget,
        evaluation=evaluation,
    ).write(arm.folder / FILE_NAME)
    _remove_checkpoints(arm.run_dir / "checkpoints")


def sample_for_arm(arm: Arm) -> RejectionResult:
    """Sample from the parent with the threads of its training, and print what was kept."""
    from cli.evaluation.rejection import RejectionConfig, sample_passing

    assert arm.parent is not None
    assert arm.sampling is not None
    parent = arm.parent / "run"
    _set_num_threads(parent)
    found = sample_passing(
        parent,
        arm.data_dir,
        RejectionConfig(**arm.sampling),
        arm.folder / SAMPLED,
        seed=arm.seed,
        backend=arm.backend,
        accelerator=_get_accelerator(parent),
    )
    print(found, flush=True)
    return found


def evaluate_arm(arm: Arm) -> dict[str, Evaluation]:
    """Evaluate the trained model on all splits of the measurement."""
    from cli.api import evaluate
    from cli.evaluation.inputs import load_model, resolve_dtype
    from cli.evaluation.plan import Suite
    from executor.api import open_executor
    from lightning_modules.evaluation.evaluate import EvalConfig

    _set_num_threads(arm.run_dir)
    settings = dict(arm.measurement)
    splits, dtype = settings.pop("splits"), resolve_dtype(settings.pop("dtype"))
    model = load_model(arm.run_dir, accelerator=_get_accelerator(arm.run_dir))
    found: dict[str, Evaluation] = {}
    with open_executor(arm.backend) as executor:
        for split, (num_tasks, num_samples) in splits.items():
            suite = Suite(data=arm.data_dir, split=split, num_tasks=num_tasks)
            config = EvalConfig(**settings, num_samples=num_samples, seed=arm.seed, dtype=dtype)
            found[split] = evaluate(model, suite, config, executor=executor)
    return found


def _get_accelerator(run_dir: Path) -> str:
    """Return the accelerator of a training, which its evaluation uses, too: `cpu` is the same on every machine."""
    from lightning_modules.training.run_result import read_result

    result = read_result(run_dir)
    return "auto" if result is None else str(result.config["trainer"]["accelerator"])


def _set_num_threads(run_dir: Path) -> None:
    import torch

    from lightning_modules.training.logging.run_record import read_record

    record = read_record(run_dir)
    if record is not None and record.num_threads is not None:
        torch.set_num_threads(record.num_threads)


@contextmanager
def record_time(folder: Path) -> Iterator[None]:
    """Add the seconds inside to those of earlier starts, also every half minute, since an arm may be killed."""
    before, started, finished = _read_seconds(folder), time.monotonic(), threading.Event()

    def save() -> None:
        write_json(folder / TIMES, before + time.monotonic() - started)

    def save_regularly() -> None:
        while not finished.wait(SAVE_EVERY_S):
            save()

    thread = threading.Thread(target=save_regularly, daemon=True)
    thread.start()
    try:
        yield
    finally:
        finished.set()
        thread.join()
        save()


def _remove_checkpoints(checkpoints: Path) -> None:
    """Keep only the final model, from which other arms start; a sharded checkpoint is a folder."""
    final = checkpoints / "final.ckpt"
    for checkpoint in checkpoints.glob("epoch_*.ckpt"):
        if final.samefile(checkpoint):
            continue
        if checkpoint.is_dir():
            shutil.rmtree(checkpoint)
        else:
            checkpoint.unlink()


def _read_seconds(folder: Path) -> float:
    path = folder / TIMES
    return float(path.read_text(encoding="utf-8")) if path.exists() else 0.0


if __name__ == "__main__":
    from executor.commands.errors import explain

    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if (line := explain(error)) is None:
            raise
        print(f"atomforge: error: {line}", file=sys.stderr)
        sys.exit(2)
