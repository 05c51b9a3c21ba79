"""The manifest of a data set: its inputs, its contents, and the measured overlaps of its splits."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from hashlib import sha256
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from datamodules.atoms import TENSOR_ATOMS, Atom
from datamodules.synthesis.config import SynthesisConfig
from datamodules.synthesis.dataset.rows import Row
from datamodules.synthesis.dataset.split import PRETRAINING
from datamodules.synthesis.overlap import Keys, count_containing, count_overlaps, count_seen_rewordings
from datamodules.synthesis.wording.prompts import Wording

FILE_NAME = "manifest.json"
FORMAT = "atomforge data set 3"
OLDER_FORMATS = ("atomforge data set 1", "atomforge data set 2")
"""Training reads them. Both lack the column `reworded_prompt`, so there is no held-out wording to evaluate on; the
first also lacks `domains`, so rewards come from the stored tests only."""
TRAINING_SPLITS = ("synthetic_train", "synthetic_rl", PRETRAINING, "tensor_train", "tensor_rl")


class Manifest(TypedDict):
    """Content of `manifest.json`."""

    format: str
    config: dict[str, Any]
    """`SynthesisConfig.to_mapping`"""
    atoms_sha256: str
    tensor_atoms_sha256: NotRequired[str]
    versions: dict[str, str]
    """Of Python and of packages."""
    counts: dict[str, int]
    """Tasks by split."""
    missing: dict[str, int]
    """By split, tasks fewer than wanted."""
    held_out_atoms: list[str]
    held_out_frames: dict[str, list[str]]
    """By language."""
    held_out_phrasings: dict[str, dict[str, str]]
    """By atom and language."""
    sha256: dict[str, str]
    """Hash of the rows by split."""
    rejections: dict[str, int]
    """Rejected candidates by reason."""
    overlaps: dict[str, dict[str, int]]
    """Shared items by pair of splits and measure; all 0."""
    seen_rewordings: dict[str, int]
    """By split, prompts that equal a reworded prompt; all 0."""
    containing_training_item: dict[str, dict[str, int]]
    """By test split and training split, test items that contain a training skeleton as a proper sub-tree."""


def hash_atoms(atoms: Mapping[str, Atom]) -> str:
    """Hash everything about the atoms that data depends on: sources, phrasings and domains, in order."""
    parts = [(a.name, a.topic, a.source, repr(a.parameters), dict(a.phrasings)) for a in atoms.values()]
    return sha256(repr(parts).encode()).hexdigest()


def hash_rows(rows: Sequence[Row]) -> str:
    """Hash the content of a split."""
    digest = sha256()
    for row in rows:
        digest.update(json.dumps(row, ensure_ascii=False, sort_keys=True).encode())
    return digest.hexdigest()


def build_identity(config: SynthesisConfig, atoms: Mapping[str, Atom]) -> dict[str, Any]:
    """Return the part of the manifest that is known before the build and determines the data set."""
    tensors = {} if config.tensor_counts is None else {"tensor_atoms_sha256": hash_atoms(TENSOR_ATOMS)}
    return {"format": FORMAT, "config": config.to_mapping(), "atoms_sha256": hash_atoms(atoms), **tensors}


def build_manifest(
    config: SynthesisConfig,
    atoms: Mapping[str, Atom],
    splits: Mapping[str, Sequence[Row]],
    *,
    keys: Mapping[str, Sequence[Keys]],
    held_out: frozenset[str],
    wording: Wording,
    wanted: Mapping[str, int],
    rejections: Mapping[str, int],
) -> Manifest:
    """Build the manifest of a data set. It contains no times, so the same seed gives the same bytes.

    Args:
        config: what was built.
        atoms: atoms of the synthetic splits.
        splits: rows by split.
        keys: keys of the rows by split.
        held_out: names of held-out atoms.
        wording: held-out wording.
        wanted: wanted size of the composed splits.
        rejections: rejected candidates by reason.
    """
    return {
        **build_identity(config, atoms),
        "versions": _get_versions(),
        "counts": {name: len(rows) for name, rows in splits.items()},
        "missing": {name: number - len(splits[name]) for name, number in wanted.items() if number > len(splits[name])},
        "held_out_atoms": sorted(held_out),
        "held_out_frames": {language: list(names) for language, names in wording.held_out_frames.items()},
        "held_out_phrasings": {name: dict(chosen) for name, chosen in wording.held_out_phrasings.items()},
        "sha256": {name: hash_rows(rows) for name, rows in splits.items()},
        "rejections": dict(sorted(rejections.items())),
        "overlaps": count_overlaps(keys),
        "seen_rewordings": count_seen_rewordings_of_rows(splits),
        "containing_training_item": count_containment(keys),
    }  # pyright: ignore[reportReturnType]


def count_seen_rewordings_of_rows(splits: Mapping[str, Sequence[Row]]) -> dict[str, int]:
    """Count in each split the prompts that equal the reworded prompt of a task of any split."""
    prompts = {name: [row["prompt"] for row in rows] for name, rows in splits.items()}
    return count_seen_rewordings(prompts, (row["reworded_prompt"] for rows in splits.values() for row in rows))


def count_containment(keys: Mapping[str, Sequence[Keys]]) -> dict[str, dict[str, int]]:
    """Count, by test split and training split, the test items that contain a training skeleton as a proper sub-tree."""
    return {
        split: {
            training: count_containing((row.skeleton for row in rows), (row.skeleton for row in keys[training]))
            for training in TRAINING_SPLITS
            if training in keys
        }
        for split, rows in keys.items()
        if split.startswith(("synthetic_test", "tensor_test"))
    }


def read_manifest(directory: Path) -> Manifest:
    """Read the manifest of a data set.

    Raises:
        ValueError: the directory holds no manifest of this version.
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
            "it; for everything else rebuild it in another directory"
        )
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise ValueError(f"{path} is not the manifest of an atomforge data set of this version ({FORMAT!r})")
    if modules := manifest["config"].pop("outside_atoms", None):  # the key's name in version 0.1
        manifest["config"]["plugin_atoms"] = modules
    return manifest  # pyright: ignore[reportReturnType]


def _get_versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in ("atomforge", "datasets"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found
