"""Which split a composition belongs to.

A skeleton belongs to one split for good: a hash of (seed, skeleton) picks it, in proportion to the counts wanted, so
every split sees the same distribution. Behaviour classes need no partition of their own: no two items of a data set
share one (`Taken`), so none can lie in two splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, zip_longest

from datamodules.atoms import Atom
from datamodules.synthesis.composition.sample import Palette
from datamodules.synthesis.config import Depths, SynthesisConfig, TensorCounts
from datamodules.synthesis.dataset.seeding import fraction, generator

ATOMIC = "atomic"
PRETRAINING = "pretraining"
"""Descriptions and programs for a base model; only in data sets that ask for it, and not among `SPLITS`."""
SPLITS = (
    ATOMIC,
    "synthetic_train",
    "synthetic_rl",
    "synthetic_val",
    "synthetic_test",
    "synthetic_test_deeper",
    "synthetic_test_held_out_atoms",
)
TENSOR_ATOMIC = "tensor_atomic"
TENSOR_SPLITS = (TENSOR_ATOMIC, *(split.replace("synthetic", "tensor") for split in SPLITS[1:]))
"""The same family over tensor atoms; only in data sets that ask for it."""
MAX_ITEMS_PER_SKELETON = 4
MAX_FAILURES_PER_SKELETON = 2


@dataclass(frozen=True)
class Stream:
    """One sequence of draws, and the splits it fills: `quotas` by split."""

    name: str
    palette: Palette
    depths: tuple[int, ...]
    quotas: Mapping[str, int]
    required_atoms: frozenset[str] = frozenset()
    """Every composition holds one of these, where any are named."""
    has_frames: bool = True
    """Whether prompts ask for a function; if not, they describe one as its docstring would."""

    def owner(self, seed: int, skeleton: str) -> str:
        """Return the split that the skeleton belongs to, whatever was drawn before."""
        place = fraction(seed, f"owner in {self.name}", skeleton) * sum(self.quotas.values())
        for split, quota in self.quotas.items():
            place -= quota
            if place < 0:
                return split
        return next(iter(self.quotas))


@dataclass
class Taken:
    """What a data set already holds, over all its splits."""

    behaviours: dict[str, str] = field(default_factory=dict)
    """Fingerprint to split."""
    behaviour_of_task: dict[str, str] = field(default_factory=dict)
    """Task id to fingerprint."""
    prompts: set[str] = field(default_factory=set)
    """Reworded ones too."""
    programs: set[str] = field(default_factory=set)
    """Solutions drawn so far, kept or not."""
    skeletons: Counter[str] = field(default_factory=Counter)
    stream_of: dict[str, str] = field(default_factory=dict)
    """Skeleton to the stream that has items of it."""
    failures: Counter[str] = field(default_factory=Counter)
    """Rejected items by skeleton."""
    splits: Counter[str] = field(default_factory=Counter)
    """Items by split."""
    quotas_used: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Items by stream and split."""
    rejections: Counter[str] = field(default_factory=Counter)

    def num_missing(self, stream: Stream, split: str) -> int:
        """Count the items that a stream has yet to give to a split."""
        return stream.quotas[split] - self.quotas_used[stream.name, split]

    def is_closed(self, skeleton: str) -> bool:
        """Whether a skeleton has all the items it may have, or has failed too often to be worth running."""
        num_items = self.skeletons[skeleton]
        if num_items == 0:
            return self.failures[skeleton] >= MAX_FAILURES_PER_SKELETON
        return num_items >= MAX_ITEMS_PER_SKELETON


def choose_held_out(atoms: Mapping[str, Atom], *, seed: int, num_held_out_atoms: int) -> frozenset[str]:
    """Choose the held-out atoms: topics in a random order, one atom of each in turn."""
    rng = generator(seed, "held-out atoms")
    topics: dict[str, list[str]] = {}
    for atom in atoms.values():
        topics.setdefault(atom.topic, []).append(atom.name)
    shuffled = [rng.sample(names, len(names)) for names in rng.sample(list(topics.values()), len(topics))]
    rounds = chain.from_iterable(zip_longest(*shuffled))
    return frozenset([name for name in rounds if name is not None][:num_held_out_atoms])


def plan_streams(atoms: Mapping[str, Atom], config: SynthesisConfig, held_out: frozenset[str]) -> tuple[Stream, ...]:
    """Lay out the streams of a data set: the training depths, deeper ones, those with held-out atoms, and files.

    Files come last, so that the rest of a data set does not depend on whether there are any.
    """
    common = Palette(tuple(atom for atom in atoms.values() if atom.name not in held_out))
    everything = Palette(tuple(atoms.values()), favoured=held_out)
    counts = config.counts
    if config.depths is not None or config.extra_train:
        depths = config.depths or Depths()
        quotas = {"synthetic_test_held_out_atoms": counts.test_held_out_atoms}
        return (
            *_plan_streams_by_depth(common, config, depths),
            Stream("held-out", everything, depths.test_held_out_atoms, quotas, held_out),
            *_plan_pretraining(common, config, depths.train),
        )
    main = {
        "synthetic_train": counts.train,
        "synthetic_rl": counts.rl,
        "synthetic_val": counts.val,
        "synthetic_test": counts.test,
    }
    streams = (
        Stream("compositions", common, (2, 3), main),
        Stream("deeper", common, (4, 5), {"synthetic_test_deeper": counts.test_deeper}),
        Stream("held-out", everything, (2, 3), {"synthetic_test_held_out_atoms": counts.test_held_out_atoms}, held_out),
    )
    return (*streams, *_plan_pretraining(common, config, (2, 3)))


def _plan_streams_by_depth(palette: Palette, config: SynthesisConfig, depths: Depths) -> Iterator[Stream]:
    """Lay out one stream for each depth that a split has, so that each depth has its own share of the split."""
    quotas: dict[int, dict[str, int]] = {}
    for split in ("train", "rl", "val", "test", "test_deeper"):
        chosen, count = getattr(depths, split), getattr(config.counts, split)
        for place, depth in enumerate(chosen):
            share = count // len(chosen) + (place < count % len(chosen))
            quotas.setdefault(depth, {})[f"synthetic_{split}"] = share
    for depth, count in config.extra_train.items():
        of_depth = quotas.setdefault(depth, {})
        of_depth["synthetic_train"] = of_depth.get("synthetic_train", 0) + count
    for depth in sorted(quotas):
        yield Stream(f"compositions of depth {depth}", palette, (depth,), quotas[depth])


def _plan_pretraining(palette: Palette, config: SynthesisConfig, depths: tuple[int, ...]) -> Iterator[Stream]:
    if config.counts.pretraining:
        yield Stream(PRETRAINING, palette, depths, {PRETRAINING: config.counts.pretraining}, has_frames=False)


def plan_tensor_streams(
    atoms: Mapping[str, Atom], counts: TensorCounts, held_out: frozenset[str]
) -> tuple[Stream, ...]:
    """Lay out the streams of the tensor splits, as `plan_streams` does those of the others."""
    common = Palette(tuple(atom for atom in atoms.values() if atom.name not in held_out))
    everything = Palette(tuple(atoms.values()), favoured=held_out)
    main = {
        "tensor_train": counts.train,
        "tensor_rl": counts.rl,
        "tensor_val": counts.val,
        "tensor_test": counts.test,
    }
    return (
        Stream("tensor compositions", common, (2, 3), main),
        Stream("tensor deeper", common, (4, 5), {"tensor_test_deeper": counts.test_deeper}),
        Stream(
            "tensor held-out",
            everything,
            (2, 3),
            {"tensor_test_held_out_atoms": counts.test_held_out_atoms},
            held_out,
        ),
    )
