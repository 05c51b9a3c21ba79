"""What a data set is made of: the configuration of a build, read from a plain mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from datamodules.atoms.registry import LANGUAGES

MAX_INPUTS = 200
MAX_DEPTH = 6
SOLUTION_FORMS = ("whole", "solve")


@dataclass(frozen=True)
class Counts:
    """Number of composed tasks wanted in each synthetic split (fewer where the space of skeletons ends first)."""

    train: int = 6000
    rl: int = 2000
    val: int = 400
    test: int = 600
    test_deeper: int = 400
    test_held_out_atoms: int = 400
    pretraining: int = 0
    """Files for a base model, beside one for each phrasing of an atom; 0 = no such split."""


@dataclass(frozen=True)
class TensorCounts:
    """The same for the splits `tensor_*`, composed of tensor atoms (`datamodules.atoms.tensors`)."""

    train: int = 300
    rl: int = 200
    val: int = 50
    test: int = 100
    test_deeper: int = 50
    test_held_out_atoms: int = 50


@dataclass(frozen=True)
class Depths:
    """Depths of the compositions in each synthetic split; the tasks of a split are divided evenly among its depths."""

    train: tuple[int, ...] = (2, 3)
    rl: tuple[int, ...] = (2, 3)
    val: tuple[int, ...] = (2, 3)
    test: tuple[int, ...] = (2, 3)
    test_deeper: tuple[int, ...] = (4, 5)
    test_held_out_atoms: tuple[int, ...] = (2, 3)


@dataclass(frozen=True)
class SynthesisConfig:
    """Everything a data set depends on besides the atoms."""

    seed: int = 0
    """Every draw is a function of it; neighbouring seeds share nothing but the atoms."""
    counts: Counts = field(default_factory=Counts)
    plugin_atoms: tuple[str, ...] = ()
    """Modules with further atoms, by dotted path (`docs/plugins.md`)."""
    solution_form: str = "whole"
    """`whole`: a solution defines the atoms it calls. `solve`: it holds the entry point alone, the atoms are a library
    of the task, and the names of results are permuted in each task."""
    depths: Depths | None = None
    """None: depths as in `Depths`, drawn at random in one stream."""
    extra_train: Mapping[int, int] = field(default_factory=dict)
    """Further training tasks by depth, beside those of `counts.train`: a few of a depth that `depths.train` lacks."""
    tensor_counts: TensorCounts | None = None
    """Tensor tasks beside the others; None = no such splits, and everything else is the same."""
    num_held_out_atoms: int = 8
    """Atoms that only compositions of `test_held_out_atoms` hold, each from another topic while there are any."""
    num_held_out_frames: int = 3
    """Frames a language that only reworded prompts have, beside one phrasing an atom."""
    num_tests: int = 64
    """Inputs a task is evaluated on."""
    num_reward_tests: int = 32
    """Inputs a task is rewarded on, all different from those."""
    languages: tuple[str, ...] = LANGUAGES
    """Languages of the prompts, in turn."""

    def to_mapping(self) -> dict[str, Any]:
        """Return the configuration as JSON has it."""
        counts = {split: count for split, count in asdict(self.counts).items() if count or split != "pretraining"}
        lists = {"languages": list(self.languages), "plugin_atoms": list(self.plugin_atoms)}
        mapping = {**asdict(self), "counts": counts, **lists}
        mapping["extra_train"] = {str(depth): count for depth, count in self.extra_train.items()}
        if self.depths is not None:
            mapping["depths"] = {split: list(depths) for split, depths in asdict(self.depths).items()}
        if self.solution_form == "whole":
            del mapping["solution_form"]
        for name in ("tensor_counts", "plugin_atoms", "depths", "extra_train"):
            if not mapping[name]:
                del mapping[name]  # the manifest of a data set without them is what it was before they existed
        return mapping


def parse_config(mapping: Mapping[str, Any], *, source: str) -> SynthesisConfig:
    """Read a configuration from the mapping of a YAML file; keys left out keep their defaults.

    Args:
        mapping: the file's content.
        source: its name, for messages.

    Raises:
        ValueError: unknown key, wrong type or impossible value; the line names file, key and what would be right.
    """
    _check_keys(mapping, SynthesisConfig, source=source, prefix="")
    counts = _counts(mapping.get("counts", {}), Counts, source=source, key="counts")
    tensor_counts = mapping.get("tensor_counts")
    if tensor_counts is not None:
        tensor_counts = TensorCounts(**_counts(tensor_counts, TensorCounts, source=source, key="tensor_counts"))
    numbers = {name: mapping[name] for name in _NUMBER_RANGES if name in mapping}
    for name, value in numbers.items():
        _check_number(value, source=source, key=name, low=_NUMBER_RANGES[name][0], high=_NUMBER_RANGES[name][1])
    languages = mapping.get("languages", list(LANGUAGES))
    if not isinstance(languages, list) or not languages or any(language not in LANGUAGES for language in languages):
        raise ValueError(f"{source}: languages must be a list of {', '.join(LANGUAGES)}, not {languages!r}")
    outside = mapping.get("plugin_atoms", [])
    if not isinstance(outside, list) or any(not isinstance(path, str) for path in outside):
        raise ValueError(f"{source}: plugin_atoms must be a list of modules such as my_atoms, not {outside!r}")
    form = mapping.get("solution_form", "whole")
    if form not in SOLUTION_FORMS:
        raise ValueError(f"{source}: solution_form must be one of {', '.join(SOLUTION_FORMS)}, not {form!r}")
    return SynthesisConfig(
        counts=Counts(**counts),
        solution_form=form,
        depths=_depths(mapping.get("depths"), source=source),
        extra_train=_extra_train(mapping.get("extra_train", {}), source=source),
        tensor_counts=tensor_counts,
        languages=tuple(dict.fromkeys(languages)),
        plugin_atoms=tuple(dict.fromkeys(outside)),
        **numbers,
    )


_NUMBER_RANGES = {
    "seed": (0, 2**63 - 1),
    "num_held_out_atoms": (1, 50),
    "num_held_out_frames": (0, 10),
    "num_tests": (1, MAX_INPUTS),
    "num_reward_tests": (1, MAX_INPUTS),
}


def _counts(counts: Any, record: type, *, source: str, key: str) -> Mapping[str, int]:
    if not isinstance(counts, Mapping):
        raise ValueError(f"{source}: {key} must be a mapping of split to number, not {counts!r}")
    _check_keys(counts, record, source=source, prefix=f"{key}.")
    for name, value in counts.items():
        low = 0 if name == "pretraining" else 1
        _check_number(value, source=source, key=f"{key}.{name}", low=low, high=1_000_000)
    return counts


def _depths(depths: Any, *, source: str) -> Depths | None:
    if depths is None:
        return None
    if not isinstance(depths, Mapping):
        raise ValueError(f"{source}: depths must be a mapping of split to a list of depths, not {depths!r}")
    _check_keys(depths, Depths, source=source, prefix="depths.")
    for split, values in depths.items():
        if not isinstance(values, list) or not values:
            raise ValueError(f"{source}: depths.{split} must be a list of depths such as [2, 3], not {values!r}")
        for value in values:
            _check_number(value, source=source, key=f"depths.{split}", low=1, high=MAX_DEPTH)
    return Depths(**{split: tuple(sorted(set(values))) for split, values in depths.items()})


def _extra_train(extra: Any, *, source: str) -> dict[int, int]:
    if not isinstance(extra, Mapping):
        raise ValueError(f"{source}: extra_train must be a mapping of depth to number, not {extra!r}")
    for depth, count in extra.items():
        _check_number(depth, source=source, key="extra_train, a depth", low=1, high=MAX_DEPTH)
        _check_number(count, source=source, key=f"extra_train.{depth}", low=0, high=1_000_000)
    return {depth: count for depth, count in sorted(extra.items()) if count}


def _check_keys(mapping: Mapping[str, Any], record: type, *, source: str, prefix: str) -> None:
    known = [entry.name for entry in fields(record)]
    for key in mapping:
        if key not in known:
            raise ValueError(f"{source}: unknown key {prefix}{key}; known here: {', '.join(known)}")


def _check_number(value: Any, *, source: str, key: str, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{source}: {key} must be a whole number of {low} to {high}, not {value!r}")
