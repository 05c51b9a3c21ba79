"""The configuration of a data set, and the atoms it names. It reads no files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from datamodules.atoms import ATOMS, Atom
from datamodules.atoms.registry import LANGUAGES, collect_atoms
from executor.backends.plugin import load_module

MAX_INPUTS = 200
MAX_DEPTH = 6
MAX_SPLIT_SIZE = 1_000_000
SOLUTION_FORMS = ("whole", "solve")
_RANGES = {
    "seed": (0, 2**63 - 1),
    "num_held_out_atoms": (1, 50),
    "num_held_out_frames": (0, 10),
    "num_tests": (1, MAX_INPUTS),
    "num_reward_tests": (1, MAX_INPUTS),
}


@dataclass(frozen=True)
class SplitSizes:
    """Number of composed tasks wanted in each split; splits are smaller if there are not enough skeletons."""

    train: int
    rl: int
    val: int
    test: int
    test_deeper: int
    test_held_out_atoms: int

    def __post_init__(self) -> None:
        for name, size in asdict(self).items():
            _check_range(name, size, 0 if name == "pretraining" else 1, MAX_SPLIT_SIZE)


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

    def __post_init__(self) -> None:
        for name, depths in asdict(self).items():
            if not depths:
                raise ValueError(f"{name} must be a list of depths such as [2, 3], not []")
            for depth in depths:
                _check_range(name, depth, 1, MAX_DEPTH)
            object.__setattr__(self, name, tuple(sorted(set(depths))))


@dataclass(frozen=True)
class SynthesisConfig:
    """Everything a data set depends on except the sources of the atoms."""

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

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            _check_range(name, getattr(self, name), low, high)
        if not self.languages or not set(self.languages) <= set(LANGUAGES):
            raise ValueError(f"languages must be a list of {', '.join(LANGUAGES)}, not {list(self.languages)}")
        if self.solution_form not in SOLUTION_FORMS:
            raise ValueError(f"solution_form must be one of {', '.join(SOLUTION_FORMS)}, not {self.solution_form!r}")
        for depth, count in self.extra_train.items():
            _check_range("extra_train: a depth", depth, 1, MAX_DEPTH)
            _check_range(f"extra_train.{depth}", count, 0, MAX_SPLIT_SIZE)
        extra_train = {depth: count for depth, count in sorted(self.extra_train.items()) if count}
        object.__setattr__(self, "extra_train", extra_train)
        object.__setattr__(self, "languages", tuple(dict.fromkeys(self.languages)))
        object.__setattr__(self, "plugin_atoms", tuple(dict.fromkeys(self.plugin_atoms)))

    @property
    def num_tasks(self) -> int:
        """Number of composed tasks wanted, over all splits."""
        groups = [self.counts] if self.tensor_counts is None else [self.counts, self.tensor_counts]
        return sum(sum(asdict(sizes).values()) for sizes in groups) + sum(self.extra_train.values())

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> SynthesisConfig:
        """Read the output of `to_mapping`."""
        values = {**mapping, "counts": Counts(**mapping["counts"])}
        if "tensor_counts" in mapping:
            values["tensor_counts"] = TensorCounts(**mapping["tensor_counts"])
        if "depths" in mapping:
            values["depths"] = Depths(**{split: tuple(depths) for split, depths in mapping["depths"].items()})
        values["extra_train"] = {int(depth): count for depth, count in mapping.get("extra_train", {}).items()}
        for name in ("languages", "plugin_atoms"):
            values[name] = tuple(mapping.get(name, ()))
        return cls(**values)

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


def _check_range(name: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, not {value}")
