"""What a study is: stages of training, the seeds they are repeated with, what is measured, what is claimed.

A stage is one training (SFT or RL) described by YAML layers as `atomforge fit` takes them; an arm is a stage with a
seed. Nothing is trained or read here but the study's own file.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.config.files import read_yaml
from datamodules.synthesis.dataset.split import PRETRAINING, SPLITS
from executor.api import BACKENDS, is_backend
from executor.commands.config import parse_dataclass
from executor.commands.errors import UsageError, did_you_mean

KNOWN_SPLITS = (*SPLITS, PRETRAINING)
METRICS = ("pass@1 greedy", "pass@1 sampled")


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training of a study."""

    name: str
    kind: str
    """sft or rl."""
    layers: tuple[str, ...] = ()
    """YAML files of `atomforge fit` over the study's `common` ones; later ones lie over earlier ones."""
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Single keys over the layers, by dotted name."""
    parent: str | None = None
    """Stage whose model this one starts from."""
    minutes: float = 5.0
    """Guess of the time, until an arm of this stage was measured."""
    note: str = ""
    """What the arm is for, for the report."""


@dataclass(frozen=True, kw_only=True)
class Contrast:
    """A claim: one stage does better than another."""

    finding: str
    """F1, F2 or F3."""
    better: str
    worse: str
    split: str
    metric: str = METRICS[0]
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """A difference of two stages that the report shows and nobody claimed before the run: exploratory."""

    better: str
    worse: str
    split: str


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a stage must reach for F3 to be decidable: pass@k of at least `least` on a split.

    A split that not every arm is asked is asked of this stage alone, with k samples a task.
    """

    stage: str
    split: str
    k: int
    least: float
    num_tasks: int | None = None
    """Of the split, evenly spread; null = all."""

    def __post_init__(self) -> None:
        _at_least("gate: k", self.k, 1)
        if not 0.0 <= self.least <= 1.0:
            raise ValueError(f"gate: least is {self.least}, it must be a share, 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What every arm is asked."""

    splits: Mapping[str, Any]
    """Number of tasks by split, evenly spread; null = all."""
    num_samples: int = 8
    """A task, beside the greedy answer; 0 = greedy alone."""
    temperature: float = 1.0
    max_new_tokens: int = 160
    batch_size: int = 256
    dtype: str = "bfloat16"
    """Of the weights while answers are written, bfloat16 or float32: fixed, for an arm's numbers depend on it."""

    def __post_init__(self) -> None:
        if not self.splits:
            raise ValueError("measurement: splits is empty: name at least one, such as synthetic_test")
        _at_least("measurement: num_samples", self.num_samples, 0)
        _at_least("measurement: max_new_tokens", self.max_new_tokens, 1)
        _at_least("measurement: batch_size", self.batch_size, 1)
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(
                f"measurement: temperature is {self.temperature}, it must be above 0 (the greedy answer is extra)"
            )
        if self.dtype not in ("bfloat16", "float32"):
            raise ValueError(f"measurement: dtype is {self.dtype!r}, it must be bfloat16 or float32")


@dataclass(frozen=True, kw_only=True)
class Common:
    """Layers below those of every stage of a kind."""

    sft: tuple[str, ...] = ()
    rl: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A study."""

    name: str
    output: str
    seeds: tuple[int, ...]
    synthesis: str
    """YAML file of the data set, built into OUTPUT/data."""
    stages: tuple[Stage, ...]
    contrasts: tuple[Contrast, ...]
    measurement: Measurement
    explored: tuple[Comparison, ...] = ()
    common: Common = Common()
    gate: Gate | None = None
    num_threads: int | None = None
    """CPU threads of an arm; null = as the layers say."""
    backend: str = "auto"

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or not self.seeds:
            raise ValueError("a study needs at least one stage and one seed")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two stages are called {twice[0]}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds holds a seed twice: {list(self.seeds)}")
        for seed in self.seeds:
            _at_least("seeds: a seed", seed, 0)
        if self.num_threads is not None:
            _at_least("num_threads", self.num_threads, 1)
        if not is_backend(self.backend):
            raise ValueError(f"backend is {self.backend!r}, it must be one of {', '.join(BACKENDS)}")
        for stage in self.stages:
            if stage.kind not in ("sft", "rl"):
                raise ValueError(f"stage {stage.name}: kind is {stage.kind!r}, it must be sft or rl")
            if stage.parent is not None:
                _known(stage.parent, names, f"stage {stage.name}: parent")
            elif stage.kind == "rl":
                raise ValueError(f"stage {stage.name}: RL starts from a model, name its parent")
        for split, num_tasks in self.measurement.splits.items():
            _check_split(split, num_tasks, "measurement: splits")
        for what, pair in (
            *((f"contrast {contrast.finding}", contrast) for contrast in self.contrasts),
            *((f"explored {number}", comparison) for number, comparison in enumerate(self.explored, 1)),
        ):
            _known(pair.better, names, f"{what}: stage")
            _known(pair.worse, names, f"{what}: stage")
            _known(pair.split, list(self.measurement.splits), f"{what}: split")
        for contrast in self.contrasts:
            _known(contrast.metric, list(METRICS), f"contrast {contrast.finding}: metric")
        findings = [contrast.finding for contrast in self.contrasts]
        if twice := [name for name in findings if findings.count(name) > 1]:
            raise ValueError(f"contrasts: {twice[0]} has two contrasts; a finding has one, all else is exploratory")
        if self.gate is not None:
            _known(self.gate.stage, names, "gate: stage")
            _check_split(self.gate.split, self.gate.num_tasks, "gate: split")
            if self.gate.split in self.measurement.splits and self.gate.k > self.measurement.num_samples:
                raise ValueError(
                    f"gate: k is {self.gate.k}, but measurement.num_samples {self.measurement.num_samples}"
                )
        self.in_order()

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def layers_of(self, stage: Stage) -> tuple[str, ...]:
        """List all layers of a stage, the common ones first."""
        return (*(self.common.sft if stage.kind == "sft" else self.common.rl), *stage.layers)

    def asked_of(self, stage: str) -> dict[str, Any]:
        """Say what the arms of a stage are asked: `splits` as {split: [number of tasks or None, samples a task]}."""
        measured = dataclasses.asdict(self.measurement)
        num_samples = measured.pop("num_samples")
        splits = {split: [num_tasks, num_samples] for split, num_tasks in self.measurement.splits.items()}
        if self.gate is not None and self.gate.stage == stage:
            splits.setdefault(self.gate.split, [self.gate.num_tasks, self.gate.k])
        return {**measured, "splits": splits}

    def in_order(self) -> list[Stage]:
        """Order the stages so that each comes behind the one it starts from, as in the file where that may be.

        Raises:
            ValueError: they start from one another in a circle.
        """
        ordered: list[Stage] = []
        waiting = list(self.stages)
        while waiting:
            placed = {stage.name for stage in ordered}
            following = next((one for one in waiting if one.parent is None or one.parent in placed), None)
            if following is None:
                raise ValueError(f"stages start from one another in a circle: {', '.join(s.name for s in waiting)}")
            ordered.append(following)
            waiting.remove(following)
        return ordered


def load_study(path: str) -> StudyConfig:
    """Read and check the YAML file of a study.

    Raises:
        UsageError: an unknown key, an impossible value, or a name that stands for nothing; one line with the file.
    """
    return parse_dataclass(StudyConfig, read_study(path), source=path)


def read_study(path: str) -> dict[str, Any]:
    """Read the YAML file of a study over the one it `extends`, if it does: its keys replace those of that one.

    Raises:
        UsageError: a file cannot be read, or files extend one another in a circle.
    """
    merged, seen, wanted = {}, [], path
    while wanted is not None:
        if wanted in seen:
            raise UsageError(f"{path}: studies extend one another in a circle: {', '.join(seen)}")
        seen.append(wanted)
        content = read_yaml(wanted)
        wanted = content.pop("extends", None)
        if wanted is not None and not isinstance(wanted, str):
            raise UsageError(f"{seen[-1]}: extends must name the YAML file of a study, not {wanted!r}")
        merged = {**content, **merged}
    return merged


def _check_split(split: str, num_tasks: Any, what: str) -> None:
    _known(split, list(KNOWN_SPLITS), what)
    if num_tasks is not None and (type(num_tasks) is not int or num_tasks < 1):
        raise ValueError(f"{what} {split} must be a number of tasks or null for all, not {num_tasks!r}")


def _at_least(what: str, value: int, least: int) -> None:
    if value < least:
        raise ValueError(f"{what} is {value}, it must be at least {least}")


def _known(name: str, names: list[str], what: str) -> None:
    if name not in names:
        raise UsageError(f"{what} {name} is unknown{did_you_mean(name, names)}")
