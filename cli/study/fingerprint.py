"""The fingerprint of an arm: a hash of everything that affects its numbers.

It covers the YAML files, the data set, the sources that compute, the versions of the packages that compute, the seed,
and the arm it starts from. Comments, docstrings, documentation, tests and the commit are not part of it. A source file
that only shows or measures results is excluded by a comment that contains `MARKER`.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import hashlib
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from cli.config.files import read_yaml
from cli.study.plan import Stage

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("lightning_modules", "datamodules", "executor")
MARKER = "# study-fingerprint: ignore"
EXCLUDED = ("executor/service", "executor/integrations", "executor/commands")
"""Packages that carry outcomes and do not compute them."""
PACKAGES = ("torch", "lightning", "transformers", "tokenizers", "numpy", "datasets", "peft")


def compute_fingerprint(
    stage: Stage,
    seed: int,
    *,
    measurement: Mapping[str, Any],
    num_threads: int | None,
    data: Mapping[str, Any],
    parent: str | None,
) -> str:
    """Hash what the numbers of an arm depend on.

    Args:
        stage: the training. Its files are hashed one by one in their order, not merged.
        seed: of weights, order and sampling.
        measurement: the evaluation of the arm (`StudyConfig.measurement_for`).
        num_threads: of torch; the last bits of sums depend on it.
        data: manifest of the data set.
        parent: fingerprint of the arm it starts from.

    Raises:
        UsageError: a file cannot be read.
    """
    parts = {
        "kind": stage.kind,
        "settings": [*map(read_yaml, stage.configs), dict(stage.overrides)],
        "seed": seed,
        "measurement": dict(measurement),
        "num_threads": num_threads,
        "data": data["sha256"],
        "sources": hash_sources(),
        "packages": package_versions(),
        "parent": parent,
    }
    if stage.sampling is not None:
        parts["sampling"] = dataclasses.asdict(stage.sampling)
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:12]


@functools.cache
def hash_sources() -> str:
    """Hash the syntax trees of the sources that compute, without docstrings."""
    digest = hashlib.sha256()
    for package in SOURCES:
        for path in sorted((ROOT / package).rglob("*.py")):
            name, source = path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")
            if not name.startswith(EXCLUDED) and not _is_marked(source):
                digest.update(f"{name}\n{_dump_code(source)}\n".encode())
    return digest.hexdigest()


def package_versions() -> dict[str, str]:
    """Return the versions of the packages that compute."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _is_marked(source: str) -> bool:
    return any(line.startswith(MARKER) for line in source.splitlines())


def _dump_code(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # a string that is a statement is documentation
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)
