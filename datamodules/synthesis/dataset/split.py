"""Splits, and the streams of compositions that fill them.

A hash of (seed, skeleton) assigns each skeleton to one split of its stream, in proportion to the split sizes, so all
splits of a stream have the same distribution. Behaviour needs no assignment: no two items of a data set behave alike
(`UsedKeys`), so no behaviour occurs in two splits.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain, zip_longest

from datamodules.atoms import Atom
from datamodules.seeding import keyed_fraction, keyed_random
from datamodules.synthesis.composition.sample import AtomSampler
from datamodules.synthesis.config import Depths, SplitSizes, SynthesisConfig

ATOMIC = "atomic"
PRETRAINING = "pretraining"
"""Docstrings and programs for a base model; optional, and not among `SPLITS`."""
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
"""The same splits over tensor atoms; optional."""
MAX_ITEMS_PER_SKELETON = 4
MAX_FAILURES_PER_SKELETON = 2


@dataclass(frozen=True)
class Stream:
    """A sequence of draws, and the splits it fills."""

    name: str
    sampler: AtomSampler
    depths: tuple[int, ...]
    sizes: Mapping[str, int]
    """Number of tasks wanted by split."""
    required_atoms: frozenset[str] = frozenset()
    """If not empty, every composition holds one of these."""
    has_frames: bool = True
    """Whether prompts ask for a function; otherwise they describe one as its docstring does."""

    def assign_split(self, seed: int, skeleton: str) -> str:
        """Return the split of a skeleton, independent of earlier draws."""
        position = keyed_fraction(seed, f"owner in {self.name}", skeleton) * sum(self.sizes.values())
        for split, size in self.sizes.items():
            position -= size
            if position < 0:
                return split
        return next(iter(self.sizes))


@dataclass
class UsedKeys:
    """What the splits generated so far contain, and the candidates that failed."""

    behaviours: dict[str, str] = field(default_factory=dict)
    """Behaviour fingerprint to split."""
    behaviour_by_task: dict[str, str] = field(default_factory=dict)
    """Task id to behaviour fingerprint."""
    prompts: set[str] = field(default_factory=set)
    """Including reworded ones."""
    programs: set[str] = field(default_factory=set)
    """Solutions drawn so far, kept or not."""
    skeletons: Counter[str] = field(default_factory=Counter)
    """Number of items by skeleton."""
    stream_by_skeleton: dict[str, str] = field(default_factory=dict)
    """Skeleton to the stream that has items of it."""
    failures: Counter[str] = field(default_factory=Counter)
    """Rejected items by skeleton."""
    splits: Counter[str] = field(default_factory=Counter)
    """Number of items by split."""
    items_by_stream: Counter[tuple[str, str]] = field(default_factory=Counter)
    """Number of items by stream and split."""
    rejections: Counter[str] = field(default_factory=Counter)
    """Rejected items by reason."""

    def count_missing(self, stream: Stream, split: str) -> int:
        """Count the items that a stream has yet to add to a split."""
        return stream.sizes[split] - self.items_by_stream[stream.name, split]

    def is_closed(self, skeleton: str) -> bool:
        """Whether a skeleton has the maximum number of items, or has failed too often without having any."""
        num_items = self.skeletons[skeleton]
        if num_items == 0:
            return self.failures[skeleton] >= MAX_FAILURES_PER_SKELETON
        return num_items >= MAX_ITEMS_PER_SKELETON

    def reject(self, reason: str, skeleton: str) -> None:
        """Count a rejected item."""
        self.rejections[reason] += 1
        self.failures[skeleton] += 1


def choose_held_out_atoms(atoms: Mapping[str, Atom], *, seed: int, num_held_out_atoms: int) -> frozenset[str]:
    """Choose the held-out atoms: topics in a random order, one atom of each in turn."""
    rng = keyed_random(seed, "held-out atoms")
    topics: dict[str, list[str]] = {}
    for atom in atoms.values():
        topics.setdefault(atom.topic, []).append(atom.name)
    shuffled = [rng.sample(names, len(names)) for names in rng.sample(list(topics.values()), len(topics))]
    rounds = chain.from_iterable(zip_longest(*shuffled))
    return frozenset([name for name in rounds if name is not None][:num_held_out_atoms])


def plan_streams(atoms: Mapping[str, Atom], config: SynthesisConfig, held_out: frozenset[str]) -> tuple[Stream, ...]:
    """Return the streams of the synthetic splits, and of the pretraining files if there are any.

    Files come last, so that no other split depends on whether they exist.
    """
    streams = _plan_streams(atoms, config.counts, held_out, family="synthetic", prefix="")
    depths = (2, 3)
    if config.depths is not None or config.extra_train:
        chosen = config.depths or Depths()
        depths = chosen.train
        with_held_out = replace(streams[-1], depths=chosen.test_held_out_atoms)
        streams = (*_plan_streams_by_depth(streams[0].sampler, config, chosen), with_held_out)
    if not config.counts.pretraining:
        return streams
    sizes = {PRETRAINING: config.counts.pretraining}
    return (*streams, Stream(PRETRAINING, streams[0].sampler, depths, sizes, has_frames=False))


def plan_tensor_streams(atoms: Mapping[str, Atom], counts: SplitSizes, held_out: frozenset[str]) -> tuple[Stream, ...]:
    """Return the streams of the tensor splits."""
    return _plan_streams(atoms, counts, held_out, family="tensor", prefix="tensor ")


def _plan_streams_by_depth(sampler: AtomSampler, config: SynthesisConfig, depths: Depths) -> Iterator[Stream]:
    """Yield one stream per depth, so that the tasks of each split are divided evenly among its depths."""
    sizes: dict[int, dict[str, int]] = {}
    for split in ("train", "rl", "val", "test", "test_deeper"):
        chosen, count = getattr(depths, split), getattr(config.counts, split)
        for position, depth in enumerate(chosen):
            share = count // len(chosen) + (position < count % len(chosen))
            sizes.setdefault(depth, {})[f"synthetic_{split}"] = share
    for depth, count in config.extra_train.items():
        of_depth = sizes.setdefault(depth, {})
        of_depth["synthetic_train"] = of_depth.get("synthetic_train", 0) + count
    for depth in sorted(sizes):
        yield Stream(f"compositions of depth {depth}", sampler, (depth,), sizes[depth])


def _plan_streams(
    atoms: Mapping[str, Atom], counts: SplitSizes, held_out: frozenset[str], *, family: str, prefix: str
) -> tuple[Stream, ...]:
    """Return three streams: compositions of the training depths, deeper ones, and those with held-out atoms."""
    common = AtomSampler(tuple(atom for atom in atoms.values() if atom.name not in held_out))
    everything = AtomSampler(tuple(atoms.values()), favoured=held_out)
    main = {f"{family}_{split}": getattr(counts, split) for split in ("train", "rl", "val", "test")}
    deeper = {f"{family}_test_deeper": counts.test_deeper}
    with_held_out = {f"{family}_test_held_out_atoms": counts.test_held_out_atoms}
    return (
        Stream(f"{prefix}compositions", common, (2, 3), main),
        Stream(f"{prefix}deeper", common, (4, 5), deeper),
        Stream(f"{prefix}held-out", everything, (2, 3), with_held_out, held_out),
    )
