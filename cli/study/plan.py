"""The settings of a study: stages of training, seeds, what is measured, and the hypotheses.

A stage is one training (SFT, RL or rejection fine-tuning) given by YAML files of `atomforge fit`; an arm is a stage
with a seed. `cli.study.load` reads the file of a study.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cli.evaluation.rejection import RejectionConfig
from datamodules.synthesis.dataset.split import PRETRAINING, SPLITS
from executor.api import BACKENDS, is_backend
from executor.commands.errors import UsageError, did_you_mean

KNOWN_SPLITS = (*SPLITS, PRETRAINING)
METRICS = ("pass@1 greedy", "pass@1 sampled")
KINDS = ("sft", "rl", "rft")
"""Supervised, reinforcement learning, rejection fine-tuning: SFT on passing completions of the parent."""


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One training of a study."""

    name: str
    kind: str
    """One of `KINDS`."""
    configs: tuple[str, ...] = ()
    """YAML files of `atomforge fit`, after the study's `common` ones; later files override earlier ones."""
    overrides: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Single keys by dotted name, which override the files."""
    parent: str | None = None
    """Stage whose model this one starts from."""
    sampling: RejectionConfig | None = None
    """Of rejection fine-tuning: what the parent samples before the training."""
    max_tasks: int | None = None
    """Evaluate at most this many tasks of each split; null = as `measurement` says."""
    estimated_minutes: float = 5.0
    """Used until an arm of this stage is measured."""
    note: str = ""
    """Purpose of the stage, for the report."""

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"stage {self.name}: kind is {self.kind!r}, it must be one of {', '.join(KINDS)}")
        if self.kind != "sft" and self.parent is None:
            raise ValueError(f"stage {self.name}: kind {self.kind} starts from a model, set parent")
        if (self.kind == "rft") != (self.sampling is not None):
            raise ValueError(f"stage {self.name}: kind rft needs sampling, and no other kind has it")
        if self.max_tasks is not None:
            _check_min(f"stage {self.name}: max_tasks", self.max_tasks, 1)


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """An exploratory difference of two stages, which the report shows without a verdict."""

    treatment: str
    control: str
    split: str
    depth: int | None = None
    """Only the tasks of the split with this depth; null = all."""

    @property
    def tasks(self) -> str:
        """The tasks it is measured on, for texts."""
        return self.split if self.depth is None else f"{self.split}, depth {self.depth}"


@dataclass(frozen=True, kw_only=True)
class Contrast(Comparison):
    """A hypothesis: the treatment scores higher than the control."""

    hypothesis: str
    """Its name, e.g. F1."""
    metric: str = METRICS[0]
    statement: str = ""


@dataclass(frozen=True, kw_only=True)
class Gate:
    """What a stage must reach for F3 to be decidable: pass@k of at least `min_score` on a split.

    If `measurement` does not contain the split, this stage alone is evaluated on it, with k samples per task.
    """

    stage: str
    split: str
    k: int
    min_score: float
    num_tasks: int | None = None
    """Of the split, evenly spaced; null = all."""

    def __post_init__(self) -> None:
        _check_min("gate: k", self.k, 1)
        if not 0.0 <= self.min_score <= 1.0:
            raise ValueError(f"gate: min_score is {self.min_score}, it must be from 0 to 1")


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """The evaluation of every arm."""

    splits: Mapping[str, Any]
    """Number of tasks by split, evenly spaced; null = all."""
    num_samples: int = 8
    """Per task, in addition to the greedy completion; 0 = greedy completions only."""
    temperature: float = 1.0
    max_new_tokens: int = 160
    batch_size: int = 256
    dtype: str = "bfloat16"
    """Of the weights during generation: bfloat16, float32, or auto, with which numbers depend on the machine."""

    def __post_init__(self) -> None:
        if not self.splits:
            raise ValueError("measurement: splits is empty: name at least one, such as synthetic_test")
        _check_min("measurement: num_samples", self.num_samples, 0)
        _check_min("measurement: max_new_tokens", self.max_new_tokens, 1)
        _check_min("measurement: batch_size", self.batch_size, 1)
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"measurement: temperature is {self.temperature}, it must be above 0")
        if self.dtype not in ("bfloat16", "float32", "auto"):
            raise ValueError(f"measurement: dtype is {self.dtype!r}, it must be bfloat16, float32 or auto")


@dataclass(frozen=True, kw_only=True)
class Common:
    """YAML files before those of every stage of a kind; those of `sft` also before those of kind rft."""

    sft: tuple[str, ...] = ()
    rl: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class StudyConfig:
    """A study."""

    name: str
    output: str
    seeds: tuple[int, ...]
    synthesis: str
    """YAML file of the data set, which is built into OUTPUT/data."""
    stages: tuple[Stage, ...]
    measurement: Measurement
    contrasts: tuple[Contrast, ...] = ()
    exploratory: tuple[Comparison, ...] = ()
    common: Common = Common()
    gate: Gate | None = None
    data: str | None = None
    """Directory of an existing data set; null = built from `synthesis`."""
    num_threads: int | None = None
    """CPU threads of an arm; null = as the files say."""
    backend: str = "auto"

    def __post_init__(self) -> None:
        names = [stage.name for stage in self.stages]
        if not names or not self.seeds:
            raise ValueError("a study needs at least one stage and one seed")
        if twice := [name for name in names if names.count(name) > 1]:
            raise ValueError(f"two stages are called {twice[0]}")
        if len(set(self.seeds)) < len(self.seeds):
            raise ValueError(f"seeds contains a seed twice: {list(self.seeds)}")
        for seed in self.seeds:
            _check_min("seeds: a seed", seed, 0)
        if self.num_threads is not None:
            _check_min("num_threads", self.num_threads, 1)
        if not is_backend(self.backend):
            raise ValueError(f"backend is {self.backend!r}, it must be one of {', '.join(BACKENDS)}")
        for stage in self.stages:
            if stage.parent is not None:
                _check_known(stage.parent, names, f"stage {stage.name}: parent")
        for split, num_tasks in self.measurement.splits.items():
            _check_split(split, num_tasks, "measurement: splits")
        self._check_comparisons(names)
        if self.gate is not None:
            _check_known(self.gate.stage, names, "gate: stage")
            _check_split(self.gate.split, self.gate.num_tasks, "gate: split")
            if self.gate.split in self.measurement.splits and self.gate.k > self.measurement.num_samples:
                raise ValueError(
                    f"gate: k is {self.gate.k}, above measurement.num_samples {self.measurement.num_samples}"
                )
        self.in_order()

    def _check_comparisons(self, names: list[str]) -> None:
        for what, pair in (
            *((f"contrast {contrast.hypothesis}", contrast) for contrast in self.contrasts),
            *((f"exploratory {number}", comparison) for number, comparison in enumerate(self.exploratory, 1)),
        ):
            _check_known(pair.treatment, names, f"{what}: treatment")
            _check_known(pair.control, names, f"{what}: control")
            _check_known(pair.split, list(self.measurement.splits), f"{what}: split")
        for contrast in self.contrasts:
            _check_known(contrast.metric, list(METRICS), f"contrast {contrast.hypothesis}: metric")
        hypotheses = [contrast.hypothesis for contrast in self.contrasts]
        if twice := [name for name in hypotheses if hypotheses.count(name) > 1]:
            raise ValueError(f"contrasts: {twice[0]} has two contrasts; put one of them under exploratory")

    @property
    def data_dir(self) -> str:
        """Directory of the data set."""
        return self.data if self.data is not None else f"{self.output}/data"

    def stage(self, name: str) -> Stage:
        """Return the stage of that name."""
        return next(stage for stage in self.stages if stage.name == name)

    def list_configs(self, stage: Stage) -> tuple[str, ...]:
        """Return all YAML files of a stage, the common ones first."""
        return (*(self.common.rl if stage.kind == "rl" else self.common.sft), *stage.configs)

    def measurement_for(self, stage: Stage) -> dict[str, Any]:
        """Return the evaluation of a stage's arms; `splits` is {split: [number of tasks or None, samples per task]}."""
        measured = dataclasses.asdict(self.measurement)
        num_samples = measured.pop("num_samples")
        splits = {split: [_limit(count, stage), num_samples] for split, count in self.measurement.splits.items()}
        if self.gate is not None and self.gate.stage == stage.name:
            splits.setdefault(self.gate.split, [self.gate.num_tasks, self.gate.k])
        return {**measured, "splits": splits}

    def in_order(self) -> list[Stage]:
        """Return the stages with parents before children, otherwise in the order of the file.

        Raises:
            ValueError: the parents form a cycle.
        """
        ordered: list[Stage] = []
        waiting = list(self.stages)
        while waiting:
            placed = {stage.name for stage in ordered}
            following = next((one for one in waiting if one.parent is None or one.parent in placed), None)
            if following is None:
                raise ValueError(f"the parents of these stages form a cycle: {', '.join(s.name for s in waiting)}")
            ordered.append(following)
            waiting.remove(following)
        return ordered


def _check_split(split: str, num_tasks: Any, what: str) -> None:
    _check_known(split, list(KNOWN_SPLITS), what)
    if num_tasks is not None and (type(num_tasks) is not int or num_tasks < 1):
        raise ValueError(f"{what} {split} must be a number of tasks or null for all, not {num_tasks!r}")


def _check_min(what: str, value: int, minimum: int) -> None:
    if value < minimum:
        raise ValueError(f"{what} is {value}, it must be at least {minimum}")


def _check_known(name: str, names: list[str], what: str) -> None:
    if name not in names:
        raise UsageError(f"{what} {name} is unknown{did_you_mean(name, names)}")


def _limit(num_tasks: int | None, stage: Stage) -> int | None:
    counts = [count for count in (num_tasks, stage.max_tasks) if count is not None]
    return min(counts) if counts else None
