"""A whole data set: atomic rows, the streams of compositions, the manifest, and writing it all at once."""

from __future__ import annotations

import gc
import json
import os
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, Sequence, Value, disable_progress_bars

from datamodules.atoms import ATOMS, Atom
from datamodules.atoms.tensors import TENSOR_ATOMS
from datamodules.synthesis.config import SynthesisConfig, TensorCounts
from datamodules.synthesis.dataset.atomic import atomic_rows
from datamodules.synthesis.dataset.generate import OnKept, Workshop, fill
from datamodules.synthesis.dataset.library import make_info
from datamodules.synthesis.dataset.rows import COLUMNS, PROFILE, Row
from datamodules.synthesis.dataset.split import (
    ATOMIC,
    PRETRAINING,
    SPLITS,
    TENSOR_ATOMIC,
    TENSOR_SPLITS,
    choose_held_out,
    plan_streams,
    plan_tensor_streams,
)
from datamodules.synthesis.manifest import FILE_NAME, identity, make_manifest, read_manifest
from datamodules.synthesis.overlap import Keys, comparable, first_overlap, first_seen_rewording, keys_of
from datamodules.synthesis.verification.probes import ProbeBook
from datamodules.synthesis.wording.phrasing import choose_wording
from datamodules.synthesis.wording.pretraining_files import files_of_atoms
from executor.api import Executor

NUM_HELD_OUT_TENSOR_ATOMS = 3
HASH_SEEDS = (0, 1)
"""Of the sandbox that makes the tests, and of the one that must agree with it."""

FEATURES = Features(
    {
        column: Sequence(Value("string")) if column == "atoms" else Value("int64" if column == "depth" else "string")
        for column in COLUMNS
    }
)


def is_built(directory: Path, config: SynthesisConfig, atoms: Mapping[str, Atom] = ATOMS) -> bool:
    """Tell whether the directory already holds the data set of this configuration.

    Raises:
        ValueError: it holds something else, which a build would not overwrite, or it could not be written; one line.
    """
    if not directory.exists():
        _refuse_unwritable(directory)
        return False
    if not directory.is_dir():
        raise ValueError(f"{directory} is a file: a data set is a directory of its own")
    manifest = read_manifest(directory)
    wanted = identity(config, atoms)
    if manifest["config"] != wanted["config"]:
        keys = sorted(key for key in wanted["config"] if manifest["config"].get(key) != wanted["config"][key])
        raise ValueError(
            f"{directory} holds a data set with another {', '.join(keys)}; name another output or delete it"
        )
    if any(manifest.get(key) != wanted.get(key) for key in ("atoms_sha256", "tensor_atoms_sha256")):
        raise ValueError(f"{directory} was built from other atoms; name another output or delete it")
    return True


def _refuse_unwritable(directory: Path) -> None:
    """Find out before minutes of work whether a directory can be made."""
    nearest = next(parent for parent in directory.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"cannot make {directory}: {nearest} cannot be written to")


def build(
    directory: Path,
    config: SynthesisConfig,
    *,
    executor: Executor,
    verifier: Executor,
    atoms: Mapping[str, Atom] = ATOMS,
    on_kept: OnKept = lambda num_kept: None,
) -> dict[str, Any]:
    """Build a data set and write it; `directory` appears complete or not at all.

    Args:
        directory: must not exist (`is_built` tells what to do when it does).
        config: what to build.
        executor: makes the tests.
        verifier: the same with another hash seed.
        atoms: what to compose.
        on_kept: called after every batch with the number of compositions kept of it.

    Returns:
        The manifest.

    Raises:
        ValueError: an atom does not run, two splits overlap, or a prompt is the reworded prompt of a task.
    """
    with _rare_garbage_collection():
        splits, manifest = make_splits(config, executor=executor, verifier=verifier, atoms=atoms, on_kept=on_kept)
    if line := first_overlap(manifest["overlaps"]) or first_seen_rewording(manifest["seen_rewordings"]):
        raise ValueError(f"nothing was written: {line}")
    library = {}
    if config.solution_form == "solve":
        library = {atom.name: atom.source for atom in atoms.values()}
        if config.tensor_counts is not None:
            library |= {atom.name: atom.source for atom in TENSOR_ATOMS.values()}
    write(directory, splits, manifest, library=library)
    return manifest


def make_splits(
    config: SynthesisConfig,
    *,
    executor: Executor,
    verifier: Executor,
    atoms: Mapping[str, Atom],
    on_kept: OnKept,
) -> tuple[dict[str, list[Row]], dict[str, Any]]:
    """Make the rows of all splits and the manifest about them, in memory."""
    wording = choose_wording(
        atoms,
        seed=config.seed,
        num_held_out_frames=config.num_held_out_frames,
        languages=config.languages,
        permutes_names=config.solution_form == "solve",
    )
    workshop = Workshop(config=config, book=ProbeBook(atoms), wording=wording, executor=executor, verifier=verifier)
    held_out = choose_held_out(atoms, seed=config.seed, num_held_out_atoms=config.num_held_out_atoms)
    splits: dict[str, list[Row]] = {ATOMIC: atomic_rows(atoms, workshop)}
    wanted: Counter[str] = Counter()
    for stream in plan_streams(atoms, config, held_out):
        wanted.update(stream.quotas)
        for split, rows in fill(stream, workshop, on_kept).items():
            splits.setdefault(split, []).extend(rows)
    if PRETRAINING in splits:
        files = files_of_atoms(splits[ATOMIC], atoms, seed=config.seed, taken=workshop.taken)
        splits[PRETRAINING] = files + splits[PRETRAINING]
    if config.tensor_counts is not None:
        held_out |= _fill_tensor_splits(splits, workshop, config.tensor_counts, wanted, on_kept)
    splits = {name: splits[name] for name in (*SPLITS, PRETRAINING, *TENSOR_SPLITS) if name in splits}
    manifest = make_manifest(
        config,
        atoms,
        splits,
        keys=_keys(splits, workshop),
        held_out=held_out,
        wording=wording,
        wanted=wanted,
        rejections=workshop.taken.rejections,
    )
    return splits, manifest


def _fill_tensor_splits(
    splits: dict[str, list[Row]], main: Workshop, counts: TensorCounts, wanted: Counter[str], on_kept: OnKept
) -> frozenset[str]:
    """Make the tensor splits, after all others, so that these do not change; return the held-out atoms."""
    config = main.config
    held_out = choose_held_out(TENSOR_ATOMS, seed=config.seed, num_held_out_atoms=NUM_HELD_OUT_TENSOR_ATOMS)
    wording = choose_wording(
        TENSOR_ATOMS,
        seed=config.seed,
        num_held_out_frames=config.num_held_out_frames,
        languages=config.languages,
        permutes_names=config.solution_form == "solve",
    )
    workshop = replace(main, book=ProbeBook(TENSOR_ATOMS), wording=wording)
    splits[TENSOR_ATOMIC] = atomic_rows(TENSOR_ATOMS, workshop, TENSOR_ATOMIC)
    for stream in plan_tensor_streams(TENSOR_ATOMS, counts, held_out):
        wanted.update(stream.quotas)
        splits.update(fill(stream, workshop, on_kept))
    return held_out


def write(
    directory: Path, splits: Mapping[str, list[Row]], manifest: Mapping[str, Any], *, library: Mapping[str, str]
) -> None:
    """Write beside the target, then rename; the same rows give the same bytes.

    Args:
        directory: where to.
        splits: rows by split.
        manifest: of the same rows.
        library: source by name of the functions that solutions call without defining them; it is kept in the
            description of every split (`read_library`).
    """
    disable_progress_bars()
    directory.parent.mkdir(parents=True, exist_ok=True)
    unfinished = directory.parent / f".{directory.name}.unfinished-{os.getpid()}"
    try:
        tables = {}
        for name, rows in splits.items():
            columns = (*COLUMNS, PROFILE) if name in TENSOR_SPLITS else COLUMNS
            features = Features(FEATURES | ({PROFILE: Value("string")} if name in TENSOR_SPLITS else {}))
            table = Dataset.from_dict({c: [row[c] for row in rows] for c in columns}, features=features)
            info, fingerprint = make_info(library, features), manifest["sha256"][name][:16]
            tables[name] = Dataset(table.data, info=info, fingerprint=fingerprint)
        DatasetDict(tables).save_to_disk(str(unfinished))
        text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
        (unfinished / FILE_NAME).write_text(text, encoding="utf-8")
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Look for reference cycles rarely: a build makes none and holds millions of objects (a quarter of its time)."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()


def _keys(splits: Mapping[str, list[Row]], workshop: Workshop) -> dict[str, list[Keys]]:
    behaviour_of = workshop.taken.behaviour_of_task
    keys = {
        name: [
            keys_of(prompt=row["prompt"], solution=row["solution"], behaviour=behaviour_of[row["task_id"]])
            for row in rows
        ]
        for name, rows in splits.items()
    }
    return comparable(keys)
