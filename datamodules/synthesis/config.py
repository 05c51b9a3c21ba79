"""What a data set is made of: the configuration of a build, read from a plain mapping."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from datamodules.atoms.registry import LANGUAGES

MAX_INPUTS = 200


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
class SynthesisConfig:
    """Everything a data set depends on besides the atoms."""

    seed: int = 0
    """Every draw is a function of it; neighbouring seeds share nothing but the atoms."""
    counts: Counts = field(default_factory=Counts)
    plugin_atoms: tuple[str, ...] = ()
    """Modules with further atoms, by dotted path (`docs/plugins.md`)."""
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
        for name in ("tensor_counts", "plugin_atoms"):
            if not mapping[name]:
                del mapping[name]  # data sets without are what they were before there was the key
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
    return SynthesisConfig(
        counts=Counts(**counts),
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


def _check_keys(mapping: Mapping[str, Any], record: type, *, source: str, prefix: str) -> None:
    known = [entry.name for entry in fields(record)]
    for key in mapping:
        if key not in known:
            raise ValueError(f"{source}: unknown key {prefix}{key}; known here: {', '.join(known)}")


def _check_number(value: Any, *, source: str, key: str, low: int, high: int) -> None:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"{source}: {key} must be a whole number of {low} to {high}, not {value!r}")
