"""Audit of a data set: recomputes overlaps and seen held-out wording from its directory alone.

No column is trusted: skeletons and signatures are read from the syntax trees of the solutions, and behaviour comes from
running the solutions again on the probes of their signature.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets import DatasetDict, disable_progress_bars, load_from_disk

from datamodules.atoms import TENSOR_ATOMS
from datamodules.synthesis.composition.canonical import find_function
from datamodules.synthesis.composition.tree import ENTRY_POINT
from datamodules.synthesis.config import load_atoms
from datamodules.synthesis.dataset.library import read_library
from datamodules.synthesis.dataset.rows import COLUMNS, Row
from datamodules.synthesis.dataset.split import ATOMIC, SPLITS
from datamodules.synthesis.manifest import (
    count_containment,
    count_seen_rewordings_of_rows,
    hash_rows,
    read_manifest,
)
from datamodules.synthesis.overlap import (
    Keys,
    compute_keys,
    count_overlaps,
    describe_first_overlap,
    describe_first_seen_rewording,
    drop_single_atom_files,
)
from datamodules.synthesis.verification.oracle import build_batch_run, choose_profile, execute, fingerprint_execution
from datamodules.synthesis.verification.probes import ProbeCache, Probes
from executor.api import Executor
from executor.grading.tasks.library import select_from_library

BATCH_SIZE = 256


@dataclass(frozen=True)
class Audit:
    """Result of an audit."""

    counts: Mapping[str, int]
    """Tasks by split."""
    overlaps: Mapping[str, Mapping[str, int]]
    """Shared items by pair of splits and measure."""
    seen_rewordings: Mapping[str, int]
    """By split, prompts that equal the reworded prompt of a task of any split."""
    containing_training_item: Mapping[str, Mapping[str, int]]
    """By test split and training split, test items that contain a training skeleton as a proper sub-tree."""
    changed_splits: tuple[str, ...]
    """Splits whose content differs from the manifest's hash."""

    @property
    def is_clean(self) -> bool:
        """Whether no two splits overlap and no reworded prompt is seen."""
        return (
            describe_first_overlap(self.overlaps) is None
            and describe_first_seen_rewording(self.seen_rewordings) is None
        )


def read_splits(directory: Path) -> dict[str, list[Row]]:
    """Read the rows of every split.

    Raises:
        ValueError: the directory is not a data set of atomforge.
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


def audit_dataset(
    directory: Path, executor: Executor, on_progress: Callable[[int], None] = lambda num_programs: None
) -> Audit:
    """Recompute everything that separates the splits of a data set.

    Args:
        directory: data set written by `synthesize`.
        executor: runs the solutions.
        on_progress: called after every batch with its number of programs.

    Raises:
        ValueError: the directory is not a data set of atomforge, a module of plug-in atoms is missing, or a solution is
            not a composition.
    """
    loaded, manifest = _load(directory), read_manifest(directory)
    splits = {str(name): split.to_list() for name, split in loaded.items()}
    library = read_library(loaded[ATOMIC])
    solutions = list(dict.fromkeys(row["solution"] for rows in splits.values() for row in rows))
    probe_cache = ProbeCache({**load_atoms(manifest["config"].get("plugin_atoms", [])), **TENSOR_ATOMS})
    behaviours = fingerprint_solutions(solutions, library, probe_cache, executor, on_progress)
    all_keys = {name: [_compute_keys(row, name, behaviours) for row in rows] for name, rows in splits.items()}
    keys = drop_single_atom_files(all_keys)
    return Audit(
        counts={name: len(rows) for name, rows in splits.items()},
        overlaps=count_overlaps(keys),
        seen_rewordings=count_seen_rewordings_of_rows(splits),
        containing_training_item=count_containment(keys),
        changed_splits=tuple(name for name, rows in splits.items() if hash_rows(rows) != manifest["sha256"].get(name)),
    )


def choose_probes(solution: str, probe_cache: ProbeCache) -> Probes:
    """Return the probes for the annotated parameters of a solution's entry point.

    Raises:
        ValueError: the solution has no entry point, or a parameter has no known type.
    """
    function = find_function(solution, ENTRY_POINT)
    annotations = [arg.annotation for arg in function.args.args]
    if not annotations or any(annotation is None for annotation in annotations):
        raise ValueError(f"{ENTRY_POINT} has no parameters, or one without a type")
    return probe_cache.probes([ast.unparse(annotation) for annotation in annotations if annotation is not None])


def fingerprint_solutions(
    solutions: Sequence[str],
    library: Mapping[str, str],
    probe_cache: ProbeCache,
    executor: Executor,
    on_progress: Callable[[int], None] = lambda num_programs: None,
) -> dict[str, str]:
    """Run distinct solutions on the probes and return the fingerprint of each.

    Args:
        solutions: sources.
        library: of the data set.
        probe_cache: of all atoms.
        executor: runs the solutions.
        on_progress: called after every batch with its number of programs.

    Raises:
        ValueError: as in `choose_probes`.
    """
    found: dict[str, str] = {}
    for start in range(0, len(solutions), BATCH_SIZE):
        batch = solutions[start : start + BATCH_SIZE]
        probes = [choose_probes(solution, probe_cache) for solution in batch]
        programs = [select_from_library(library, solution) + solution for solution in batch]
        runs = [
            build_batch_run(program, probe.calls, profile=choose_profile(probe.type_names))
            for program, probe in zip(programs, probes, strict=True)
        ]
        for solution, probe, execution in zip(batch, probes, execute(executor, runs), strict=True):
            found[solution] = fingerprint_execution(probe, execution)
        on_progress(len(batch))
    return found


def _compute_keys(row: dict[str, Any], split: str, behaviours: Mapping[str, str]) -> Keys:
    try:
        return compute_keys(prompt=row["prompt"], solution=row["solution"], behaviour=behaviours[row["solution"]])
    except ValueError as error:
        raise ValueError(f"split {split}, task {row['task_id']}: {error}") from None
