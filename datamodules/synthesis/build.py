"""Builds a data set: generates all splits, checks that they share nothing, and writes them with a manifest."""

from __future__ import annotations

import gc
import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from datasets import Dataset, DatasetDict, Features, Sequence, Value, disable_progress_bars

from datamodules.atoms import ATOMS, TENSOR_ATOMS, Atom
from datamodules.files import replace_atomically
from datamodules.synthesis.config import SynthesisConfig, load_atoms
from datamodules.synthesis.dataset.atomic import build_atom_files, build_atomic_rows
from datamodules.synthesis.dataset.candidates import GenerationContext
from datamodules.synthesis.dataset.generate import OnProgress, generate_splits
from datamodules.synthesis.dataset.library import make_info
from datamodules.synthesis.dataset.rows import COLUMNS, PROFILE, Row
from datamodules.synthesis.dataset.split import (
    ATOMIC,
    PRETRAINING,
    SPLITS,
    TENSOR_ATOMIC,
    TENSOR_SPLITS,
    choose_held_out_atoms,
    plan_streams,
    plan_tensor_streams,
)
from datamodules.synthesis.manifest import FILE_NAME, Manifest, build_identity, build_manifest, read_manifest
from datamodules.synthesis.overlap import (
    Keys,
    compute_keys,
    describe_first_overlap,
    describe_first_seen_rewording,
    drop_single_atom_files,
)
from datamodules.synthesis.verification.probes import ProbeCache
from datamodules.synthesis.wording.prompts import Wording, choose_wording
from executor.api import Executor, open_executor

NUM_HELD_OUT_TENSOR_ATOMS = 3
HASH_SEEDS = (0, 1)
"""Of the sandbox that produces the expected values, and of the one that confirms them."""

FEATURES = Features(
    {
        column: Sequence(Value("string")) if column == "atoms" else Value("int64" if column == "depth" else "string")
        for column in COLUMNS
    }
)


def synthesize(
    config: SynthesisConfig,
    output: str | Path,
    *,
    backend: str = "auto",
    num_workers: int | None = None,
    on_progress: OnProgress = lambda num_tasks: None,
) -> Manifest:
    """Build a data set, unless `output` already holds it.

    Args:
        config: what to build.
        output: directory to write; it must not exist, or hold this very data set.
        backend: where programs run: `auto`, a backend by name, or the address of a service.
        num_workers: programs that run at the same time; None = one per core.
        on_progress: called after every batch with the number of composed tasks it added, of `config.num_tasks`.

    Returns:
        The manifest.

    Raises:
        ValueError: `output` holds something else or cannot be written, the backend does not work, an atom does not
            run, or two splits overlap.
    """
    output, atoms = Path(output), load_atoms(config.plugin_atoms)
    if is_built(output, config, atoms):
        return read_manifest(output)
    tests_seed, check_seed = HASH_SEEDS
    with (
        open_executor(backend, num_workers=num_workers, hash_seed=tests_seed) as executor,
        open_executor(backend, num_workers=num_workers, hash_seed=check_seed) as verifier,
    ):
        return build(output, config, executor=executor, verifier=verifier, atoms=atoms, on_progress=on_progress)


def is_built(directory: Path, config: SynthesisConfig, atoms: Mapping[str, Atom] | None = None) -> bool:
    """Whether the directory already holds the data set of this configuration.

    Raises:
        ValueError: it holds something else, which a build would not overwrite, or it cannot be created.
    """
    if not directory.exists():
        _check_writable(directory)
        return False
    if not directory.is_dir():
        raise ValueError(f"{directory} is a file: a data set needs a directory of its own")
    manifest = read_manifest(directory)
    wanted = build_identity(config, load_atoms(config.plugin_atoms) if atoms is None else atoms)
    if manifest["config"] != wanted["config"]:
        keys = sorted(key for key in wanted["config"] if manifest["config"].get(key) != wanted["config"][key])
        raise ValueError(
            f"{directory} has a data set with other values of {', '.join(keys)}; choose another output or delete it"
        )
    if any(manifest.get(key) != wanted.get(key) for key in ("atoms_sha256", "tensor_atoms_sha256")):
        raise ValueError(f"{directory} was built from other atoms; choose another output or delete it")
    return True


def build(
    directory: Path,
    config: SynthesisConfig,
    *,
    executor: Executor,
    verifier: Executor,
    atoms: Mapping[str, Atom] = ATOMS,
    on_progress: OnProgress = lambda num_tasks: None,
) -> Manifest:
    """Build a data set and write it; `directory` appears complete or not at all.

    Args:
        directory: must not exist.
        config: what to build.
        executor: produces the expected values.
        verifier: the same with another hash seed.
        atoms: atoms to compose.
        on_progress: as in `synthesize`.

    Raises:
        ValueError: an atom does not run, two splits overlap, or a prompt equals the reworded prompt of a task.
    """
    with _rare_garbage_collection():
        splits, manifest = generate_dataset(
            config, executor=executor, verifier=verifier, atoms=atoms, on_progress=on_progress
        )
    problem = describe_first_overlap(manifest["overlaps"]) or describe_first_seen_rewording(manifest["seen_rewordings"])
    if problem:
        raise ValueError(f"nothing was written: {problem}")
    library = {}
    if config.solution_form == "solve":
        all_atoms = {**atoms, **({} if config.tensor_counts is None else TENSOR_ATOMS)}
        library = {atom.name: atom.source for atom in all_atoms.values()}
    write_dataset(directory, splits, manifest, library=library)
    return manifest


def generate_dataset(
    config: SynthesisConfig,
    *,
    executor: Executor,
    verifier: Executor,
    atoms: Mapping[str, Atom],
    on_progress: OnProgress,
) -> tuple[dict[str, list[Row]], Manifest]:
    """Generate the rows of all splits and their manifest, in memory."""
    wording = _choose_wording(atoms, config)
    context = GenerationContext(config, ProbeCache(atoms), wording, executor, verifier)
    held_out = choose_held_out_atoms(atoms, seed=config.seed, num_held_out_atoms=config.num_held_out_atoms)
    splits: dict[str, list[Row]] = {ATOMIC: build_atomic_rows(atoms, context)}
    streams = plan_streams(atoms, config, held_out)
    for stream in streams:
        for split, rows in generate_splits(stream, context, on_progress).items():
            splits.setdefault(split, []).extend(rows)
    if PRETRAINING in splits:
        files = build_atom_files(splits[ATOMIC], atoms, seed=config.seed, used=context.used)
        splits[PRETRAINING] = files + splits[PRETRAINING]
    if config.tensor_counts is not None:  # after all other splits, so that these do not depend on it
        held_out_tensor_atoms = choose_held_out_atoms(
            TENSOR_ATOMS, seed=config.seed, num_held_out_atoms=NUM_HELD_OUT_TENSOR_ATOMS
        )
        tensor_wording = _choose_wording(TENSOR_ATOMS, config)
        tensor_context = replace(context, probe_cache=ProbeCache(TENSOR_ATOMS), wording=tensor_wording)
        splits[TENSOR_ATOMIC] = build_atomic_rows(TENSOR_ATOMS, tensor_context, TENSOR_ATOMIC)
        tensor_streams = plan_tensor_streams(TENSOR_ATOMS, config.tensor_counts, held_out_tensor_atoms)
        for stream in tensor_streams:
            splits.update(generate_splits(stream, tensor_context, on_progress))
        held_out, streams = held_out | held_out_tensor_atoms, streams + tensor_streams
    splits = {name: splits[name] for name in (*SPLITS, PRETRAINING, *TENSOR_SPLITS) if name in splits}
    wanted: Counter[str] = Counter()
    for stream in streams:
        wanted.update(stream.sizes)
    manifest = build_manifest(
        config,
        atoms,
        splits,
        keys=_compute_keys(splits, context.used.behaviour_by_task),
        held_out=held_out,
        wording=wording,
        wanted=wanted,
        rejections=context.used.rejections,
    )
    return splits, manifest


def write_dataset(
    directory: Path, splits: Mapping[str, list[Row]], manifest: Mapping[str, Any], *, library: Mapping[str, str]
) -> None:
    """Write a data set atomically; the same rows give the same bytes.

    Args:
        directory: must not exist.
        splits: rows by split.
        manifest: of these rows.
        library: source by name of functions that solutions call without defining them; stored in the description of
            every split (`dataset.library`).
    """
    disable_progress_bars()
    tables = {}
    for name, rows in splits.items():
        columns = (*COLUMNS, PROFILE) if name in TENSOR_SPLITS else COLUMNS
        features = Features(FEATURES | ({PROFILE: Value("string")} if name in TENSOR_SPLITS else {}))
        table = Dataset.from_dict({c: [row[c] for row in rows] for c in columns}, features=features)
        info, fingerprint = make_info(library, features), manifest["sha256"][name][:16]
        tables[name] = Dataset(table.data, info=info, fingerprint=fingerprint)
    with replace_atomically(directory) as unfinished:
        DatasetDict(tables).save_to_disk(str(unfinished))
        text = json.dumps(manifest, ensure_ascii=False, indent=2) + "\n"
        (unfinished / FILE_NAME).write_text(text, encoding="utf-8")


def _check_writable(directory: Path) -> None:
    """Check before minutes of work that a directory can be created."""
    nearest = next(parent for parent in directory.absolute().parents if parent.exists())
    if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
        raise ValueError(f"cannot create {directory}: {nearest} is not a writable directory")


def _choose_wording(atoms: Mapping[str, Atom], config: SynthesisConfig) -> Wording:
    return choose_wording(
        atoms,
        seed=config.seed,
        num_held_out_frames=config.num_held_out_frames,
        languages=config.languages,
        permutes_names=config.solution_form == "solve",
    )


def _compute_keys(splits: Mapping[str, list[Row]], behaviour_by_task: Mapping[str, str]) -> dict[str, list[Keys]]:
    keys = {
        name: [
            compute_keys(prompt=row["prompt"], solution=row["solution"], behaviour=behaviour_by_task[row["task_id"]])
            for row in rows
        ]
        for name, rows in splits.items()
    }
    return drop_single_atom_files(keys)


@contextmanager
def _rare_garbage_collection() -> Iterator[None]:
    """Collect reference cycles rarely: a build creates none but millions of objects (saves a quarter of its time)."""
    thresholds = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(200_000, 20, 100)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)
        gc.unfreeze()
