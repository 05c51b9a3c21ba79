"""The manifest of a data set: what it was built from, what is in it, and the proof that its splits are apart."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from datamodules.atoms import Atom
from datamodules.atoms.tensors import TENSOR_ATOMS
from datamodules.synthesis.config import SynthesisConfig
from datamodules.synthesis.dataset.rows import Row
from datamodules.synthesis.dataset.split import PRETRAINING
from datamodules.synthesis.overlap import Keys, num_containing, overlaps, seen_rewordings
from datamodules.synthesis.wording.phrasing import Wording

FILE_NAME = "manifest.json"
FORMAT = "atomforge data set 3"
OLDER_FORMATS = ("atomforge data set 1", "atomforge data set 2")
"""Training reads them. Without the column `reworded_prompt`, so that there is no unseen wording to evaluate on; the
first without `domains` too, so that rewards come from the stored tests only."""
TRAINING_SPLITS = ("synthetic_train", "synthetic_rl", PRETRAINING, "tensor_train", "tensor_rl")


def atoms_hash(atoms: Mapping[str, Atom]) -> str:
    """Hash everything of the atoms that data depends on: sources, phrasings and domains, in order."""
    parts = [(a.name, a.topic, a.source, repr(a.parameters), dict(a.phrasings)) for a in atoms.values()]
    return sha256(repr(parts).encode()).hexdigest()


def rows_hash(rows: Sequence[Row]) -> str:
    """Hash the content of a split."""
    digest = sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
    return digest.hexdigest()


def identity(config: SynthesisConfig, atoms: Mapping[str, Atom]) -> dict[str, Any]:
    """Return the part of the manifest that two builds of the same data set share before either is made."""
    tensors = {} if config.tensor_counts is None else {"tensor_atoms_sha256": atoms_hash(TENSOR_ATOMS)}
    return {"format": FORMAT, "config": config.to_mapping(), "atoms_sha256": atoms_hash(atoms), **tensors}


def make_manifest(
    config: SynthesisConfig,
    atoms: Mapping[str, Atom],
    splits: Mapping[str, Sequence[Row]],
    *,
    keys: Mapping[str, Sequence[Keys]],
    held_out: frozenset[str],
    wording: Wording,
    wanted: Mapping[str, int],
    rejections: Mapping[str, int],
) -> dict[str, Any]:
    """Put the manifest together; it holds no times, so that the same seed gives the same bytes."""
    return {
        **identity(config, atoms),
        "versions": _versions(),
        "counts": {name: len(rows) for name, rows in splits.items()},
        "missing": {name: number - len(splits[name]) for name, number in wanted.items() if number > len(splits[name])},
        "held_out_atoms": sorted(held_out),
        "held_out_frames": {language: list(names) for language, names in wording.held_out_frames.items()},
        "held_out_phrasings": {name: dict(chosen) for name, chosen in wording.held_out_phrasings.items()},
        "sha256": {name: rows_hash(rows) for name, rows in splits.items()},
        "rejections": dict(sorted(rejections.items())),
        "overlaps": overlaps(keys),
        "seen_rewordings": seen_rewordings_of_rows(splits),
        "containing_training_item": containment(keys),
    }


def seen_rewordings_of_rows(splits: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """Count, for every split, the prompts that are the reworded prompt of a task of any split."""
    prompts = {name: [row["prompt"] for row in rows] for name, rows in splits.items()}
    return seen_rewordings(prompts, (row["reworded_prompt"] for rows in splits.values() for row in rows))


def containment(keys: Mapping[str, Sequence[Keys]]) -> dict[str, dict[str, int]]:
    """By test split and training split, how many test items hold a training skeleton as a proper sub-tree."""
    return {
        split: {
            training: num_containing((row.skeleton for row in rows), (row.skeleton for row in keys[training]))
            for training in TRAINING_SPLITS
            if training in keys
        }
        for split, rows in keys.items()
        if split.startswith(("synthetic_test", "tensor_test"))
    }


def read_manifest(directory: Path) -> dict[str, Any]:
    """Read the manifest of a data set.

    Raises:
        ValueError: the directory holds none of ours.
    """
    path = directory / FILE_NAME
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"{directory} is not a data set of atomforge: it has no {FILE_NAME}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError):
        raise ValueError(f"{path} is not readable JSON") from None
    if isinstance(manifest, dict) and manifest.get("format") in OLDER_FORMATS:
        raise ValueError(
            f"{directory} was built by an older version ({manifest['format']!r}, now {FORMAT!r}): training still reads "
            "it; for all else build it anew into another directory"
        )
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is not the manifest of an atomforge data set of this version ({FORMAT!r})")
    return manifest


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("atomforge", "datasets"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
