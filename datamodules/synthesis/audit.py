"""The audit: overlaps of a data set, and held-out wording that is seen, recomputed from its directory alone.

Nothing the rows say of themselves is believed: skeletons and signatures are read from the solutions' syntax trees, and
behaviour is what the solutions return when they are run again on the probes of their signature.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import DatasetDict, disable_progress_bars, load_from_disk

from datamodules.atoms.tensors import TENSOR_ATOMS
from datamodules.synthesis.composition.skeleton import entry_function
from datamodules.synthesis.composition.tree import ENTRY_POINT
from datamodules.synthesis.dataset.library import read_library
from datamodules.synthesis.dataset.rows import COLUMNS, Row
from datamodules.synthesis.dataset.split import ATOMIC, SPLITS
from datamodules.synthesis.manifest import containment, read_manifest, rows_hash, seen_rewordings_of_rows
from datamodules.synthesis.overlap import Keys, comparable, first_overlap, first_seen_rewording, keys_of, overlaps
from datamodules.synthesis.plugin_atoms import atoms_with
from datamodules.synthesis.verification.oracle import behaviour, execute, observer_run, profile_of
from datamodules.synthesis.verification.probes import ProbeBook, Probes
from executor.api import Executor
from executor.grading.tasks.library import select_from_library

BATCH_SIZE = 256


@dataclass(frozen=True)
class Audit:
    """What an audit found."""

    counts: Mapping[str, int]
    overlaps: Mapping[str, Mapping[str, int]]
    seen_rewordings: Mapping[str, int]
    """By split, the prompts that are the reworded prompt of a task of any split."""
    containing_training_item: Mapping[str, Mapping[str, int]]
    changed_splits: tuple[str, ...]
    """Splits whose content is no longer what the manifest has a hash of."""

    @property
    def is_clean(self) -> bool:
        return first_overlap(self.overlaps) is None and first_seen_rewording(self.seen_rewordings) is None


def read_splits(directory: Path) -> dict[str, list[Row]]:
    """Read the rows of every split.

    Raises:
        ValueError: the directory is not a data set of ours.
    """
    return {str(name): split.to_list() for name, split in _load(directory).items()}


def _load(directory: Path) -> DatasetDict:
    disable_progress_bars()
    read_manifest(directory)
    try:
        loaded = load_from_disk(str(directory))
    except Exception as error:
        raise ValueError(f"{directory} does not load as a data set: {error}") from None
    if not isinstance(loaded, DatasetDict) or (missing := [name for name in SPLITS if name not in loaded]):
        raise ValueError(f"{directory} lacks splits of an atomforge data set: {', '.join(missing)}")
    for name, split in loaded.items():
        if absent := [column for column in COLUMNS if column not in split.column_names]:
            raise ValueError(f"{directory}: split {name} lacks the columns {', '.join(absent)}")
    return loaded


def audit(directory: Path, executor: Executor, on_run: Callable[[int], None] = lambda num_run: None) -> Audit:
    """Recompute everything that keeps the splits of a data set apart.

    Args:
        directory: a data set written by `build`.
        executor: runs the solutions.
        on_run: called with the number of programs of every batch.

    Raises:
        ValueError: the directory is not a data set of ours, its outside atoms are not to be found, or a solution in it
            is not a composition.
    """
    loaded = _load(directory)
    splits = {str(name): split.to_list() for name, split in loaded.items()}
    library = read_library(loaded[ATOMIC])
    solutions = list(dict.fromkeys(row["solution"] for rows in splits.values() for row in rows))
    config = read_manifest(directory)["config"]
    atoms = atoms_with(config.get("plugin_atoms", config.get("outside_atoms", [])))  # the latter in version 0.1
    behaviours = _behaviours(solutions, library, ProbeBook({**atoms, **TENSOR_ATOMS}), executor, on_run)
    keys = comparable({name: [_keys(row, name, behaviours) for row in rows] for name, rows in splits.items()})
    hashes = read_manifest(directory)["sha256"]
    return Audit(
        counts={name: len(rows) for name, rows in splits.items()},
        overlaps=overlaps(keys),
        seen_rewordings=seen_rewordings_of_rows(splits),
        containing_training_item=containment(keys),
        changed_splits=tuple(name for name, rows in splits.items() if rows_hash(rows) != hashes.get(name)),
    )


def probes_of_solution(solution: str, book: ProbeBook) -> Probes:
    """Find the probes for the annotations of a solution's entry point.

    Raises:
        ValueError: the solution has no entry point, or an argument of it no known type.
    """
    function = entry_function(solution, ENTRY_POINT)
    annotations = [arg.annotation for arg in function.args.args]
    if not annotations or any(annotation is None for annotation in annotations):
        raise ValueError(f"{ENTRY_POINT} has an argument without a type, or none at all")
    return book.probes([ast.unparse(annotation) for annotation in annotations if annotation is not None])


def _behaviours(
    solutions: Sequence[str],
    library: Mapping[str, str],
    book: ProbeBook,
    executor: Executor,
    on_run: Callable[[int], None],
) -> dict[str, str]:
    found: dict[str, str] = {}
    for start in range(0, len(solutions), BATCH_SIZE):
        batch = solutions[start : start + BATCH_SIZE]
        probes = [probes_of_solution(solution, book) for solution in batch]
        runs = [
            observer_run(
                select_from_library(library, solution) + solution, probe.calls, profile=profile_of(probe.type_names)
            )
            for solution, probe in zip(batch, probes, strict=True)
        ]
        for solution, probe, execution in zip(batch, probes, execute(executor, runs), strict=True):
            found[solution] = behaviour(probe, execution)
        on_run(len(batch))
    return found


def _keys(row: dict[str, Any], split: str, behaviours: Mapping[str, str]) -> Keys:
    try:
        return keys_of(prompt=row["prompt"], solution=row["solution"], behaviour=behaviours[row["solution"]])
    except ValueError as error:
        raise ValueError(f"split {split}, task {row['task_id']}: {error}") from None
