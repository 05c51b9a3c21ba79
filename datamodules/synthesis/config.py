"""The configuration of a data set, read from a plain mapping, and the atoms it names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from datamodules.atoms import ATOMS, Atom
from datamodules.atoms.registry import LANGUAGES, collect_atoms
from executor.backends.plugin import load_module

MAX_INPUTS = 200
MAX_DEPTH = 6
SOLUTION_FORMS = ("whole", "solve")


@dataclass(frozen=True)
class SplitSizes:
    """Number of composed tasks wanted in each split; splits are smaller if there are not enough skeletons."""

    train: int
    rl: int
    val: int
    test: int
    test_deeper: int
    test_held_out_atoms: int


@dataclass(frozen=True)
class Counts(SplitSizes):
    """Sizes of the splits `synthetic_*`."""

    train: int = 6000
    rl: int = 2000
    val: int = 400
    test: int = 600
    test_deeper: int = 400
    test_held_out_atoms: int = 400
    pretraining: int = 0
    """Composed files for a base model, in addition to one for each phrasing of an atom; 0 = no such split."""


@dataclass(frozen=True)
class TensorCounts(SplitSizes):
    """Sizes of the splits `tensor_*`, composed of tensor atoms (`datamodules.atoms.TENSOR_ATOMS`)."""

    train: int = 300
    rl: int = 200
    val: int = 50
    test: int = 100
    test_deeper: int = 50
    test_held_out_atoms: int = 50


@dataclass(frozen=True)
class Depths:
    """Depths of the compositions of each synthetic split, whose tasks are divided evenly among them."""

    train: tuple[int, ...] = (2, 3)
    rl: tuple[int, ...] = (2, 3)
    val: tuple[int, ...] = (2, 3)
    test: tuple[int, ...] = (2, 3)
    test_deeper: tuple[int, ...] = (4, 5)
    test_held_out_atoms: tuple[int, ...] = (2, 3)


@dataclass(frozen=True)
class SynthesisConfig:
    """Everything a data set depends on besides the sources of the atoms."""

    seed: int = 0
    """Every draw is a function of it; neighbouring seeds share nothing but the atoms."""
    counts: Counts = field(default_factory=Counts)
    plugin_atoms: tuple[str, ...] = ()
    """Modules with additional atoms, by dotted path (`docs/plugins.md`)."""
    solution_form: str = "whole"
    """`whole`: a solution defines the atoms it calls. `solve`: it holds the entry point alone, the atoms are a library
    of the task, and the variables for results are permuted in each task."""
    depths: Depths | None = None
    """None: the defaults of `Depths`, drawn at random from one stream."""
    extra_train: Mapping[int, int] = field(default_factory=dict)
    """Training tasks by depth, in addition to `counts.train`: a few of a depth that `depths.train` lacks."""
    tensor_counts: TensorCounts | None = None
    """Sizes of the tensor splits; None = no such splits. The other splits do not depend on it."""
    num_held_out_atoms: int = 8
    """Atoms that occur in compositions of `test_held_out_atoms` only, from as many topics as possible."""
    num_held_out_frames: int = 3
    """Frames per language that only reworded prompts use, in addition to one phrasing per atom."""
    num_tests: int = 64
    """Evaluation inputs per task."""
    num_reward_tests: int = 32
    """Reward inputs per task, distinct from the evaluation inputs."""
    languages: tuple[str, ...] = LANGUAGES
    """Languages of the prompts, in turn."""

    @property
    def num_tasks(self) -> int:
        """Number of composed tasks wanted, over all splits."""
        groups = [self.counts] if self.tensor_counts is None else [self.counts, self.tensor_counts]
        return sum(sum(asdict(sizes).values()) for sizes in groups) + sum(self.extra_train.values())

    def to_mapping(self) -> dict[str, Any]:
        """Return the configuration as JSON values; keys that change nothing are left out."""
        counts = {split: count for split, count in asdict(self.counts).items() if count or split != "pretraining"}
        lists = {"languages": list(self.languages), "plugin_atoms": list(self.plugin_atoms)}
        mapping = {**asdict(self), "counts": counts, **lists}
        mapping["extra_train"] = {str(depth): count for depth, count in self.extra_train.items()}
        if self.depths is not None:
            mapping["depths"] = {split: list(depths) for split, depths in asdict(self.depths).items()}
        if self.solution_form == "whole":
            del mapping["solution_form"]
        optional = ("tensor_counts", "plugin_atoms", "depths", "extra_train")
        return {key: value for key, value in mapping.items() if value or key not in optional}


def parse_config(mapping: Mapping[str, Any], *, source: str) -> SynthesisConfig:
    """Read a configuration from the mapping of a YAML file; missing keys have their defaults.

    Args:
        mapping: content of the file.
        source: name of the file, for error messages.

    Raises:
        ValueError: unknown key, wrong type or value out of range; the message names file, key and allowed values.
    """
    _check_keys(mapping, SynthesisConfig, source=source, prefix="")
    counts = _read_counts(mapping.get("counts", {}), Counts, source=source, key="counts")
    tensor_counts = mapping.get("tensor_counts")
    if tensor_counts is not None:
        tensor_counts = TensorCounts(**_read_counts(tensor_counts, TensorCounts, source=source, key="tensor_counts"))
    numbers = {name: mapping[name] for name in _NUMBER_RANGES if name in mapping}
    for name, value in numbers.items():
        _check_number(value, source=source, key=name, low=_NUMBER_RANGES[name][0], high=_NUMBER_RANGES[name][1])
    languages = mapping.get("languages", list(LANGUAGES))
    if not isinstance(languages, list) or not languages or any(language not in LANGUAGES for language in languages):
        raise ValueError(f"{source}: languages must be a list of {', '.join(LANGUAGES)}, not {languages!r}")
    modules = mapping.get("plugin_atoms", [])
    if not isinstance(modules, list) or any(not isinstance(path, str) for path in modules):
        raise ValueError(f"{source}: plugin_atoms must be a list of modules such as my_atoms, not {modules!r}")
    form = mapping.get("solution_form", "whole")
    if form not in SOLUTION_FORMS:
        raise ValueError(f"{source}: solution_form must be one of {', '.join(SOLUTION_FORMS)}, not {form!r}")
    return SynthesisConfig(
        counts=Counts(**counts),
        solution_form=form,
        depths=_read_depths(mapping.get("depths"), source=source),
        extra_train=_read_extra_train(mapping.get("extra_train", {}), source=source),
        tensor_counts=tensor_counts,
        languages=tuple(dict.fromkeys(languages)),
        plugin_atoms=tuple(dict.fromkeys(modules)),
        **numbers,
    )


def load_atoms(modules: Sequence[str]) -> Mapping[str, Atom]:
    """Return the built-in atoms, followed by those of plug-in modules, by name.

    A module defines functions with the decorator `datamodules.atoms.registry.atom`.

    Raises:
        ValueError: a module is missing, does not import or defines no atom, or two atoms have the same name.
    """
    if not modules:
        return ATOMS
    atoms = dict(ATOMS)
    for path in modules:
        found = collect_atoms([load_module(path, what="plugin_atoms")])
        if not found:
            raise ValueError(
                f"plugin_atoms: {path} holds no atom; decorate functions with datamodules.atoms.registry.atom"
            )
        if duplicates := [name for name in found if name in atoms]:
            raise ValueError(f"plugin_atoms: {path}: there is an atom called {duplicates[0]} already; rename it")
        atoms.update(found)
    return atoms


_NUMBER_RANGES = {
    "seed": (0, 2**63 - 1),
    "num_held_out_atoms": (1, 50),
    "num_held_out_frames": (0, 10),
    "num_tests": (1, MAX_INPUTS),
    "num_reward_tests": (1, MAX_INPUTS),
}


def _read_counts(counts: Any, record: type, *, source: str, key: str) -> Mapping[str, int]:
    if not isinstance(counts, Mapping):
        raise ValueError(f"{source}: {key} must be a mapping of split to number, not {counts!r}")
    _check_keys(counts, record, source=source, prefix=f"{key}.")
    for name, value in counts.items():
        low = 0 if name == "pretraining" else 1
        _check_number(value, source=source, key=f"{key}.{name}", low=low, high=1_000_000)
    return counts


def _read_depths(depths: Any, *, source: str) -> Depths | None:
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


def _read_extra_train(extra: Any, *, source: str) -> dict[int, int]:
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
