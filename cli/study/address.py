"""The address of an arm: a hash of all that reaches its numbers, so that nothing is trained twice and nothing is stale.

It covers the merged YAML layers, the data set, the sources that compute, the versions of the packages that compute, the
seed and the arm it starts from. Comments, docstrings, documents, tests and the commit are no part of it.
"""

from __future__ import annotations

import ast
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
ONLY_SHOW = frozenset(
    {"throughput", "flops", "device_peaks", "run_logger", "sample_texts", "tags", "breakdown", "statistics"}
)
"""Modules that measure or show what was computed elsewhere."""
NOT_CONCERNED = ("executor/service",)
"""The service carries verdicts and makes none."""
PACKAGES = ("torch", "lightning", "transformers", "tokenizers", "numpy", "datasets", "peft")


def address(
    stage: Stage,
    seed: int,
    *,
    asked: Mapping[str, Any],
    num_threads: int | None,
    data: Mapping[str, Any],
    parent: str | None,
) -> str:
    """Hash what an arm's numbers depend on.

    How layers lie over one another is `atomforge fit`'s business: they are hashed one by one, in their order.

    Args:
        stage: what is trained.
        seed: of weights, order and sampling.
        asked: what the trained model is asked (`StudyConfig.asked_of`).
        num_threads: of torch; sums depend on it in their last bits.
        data: manifest of the data set.
        parent: address of the arm it starts from.

    Raises:
        UsageError: a layer cannot be read.
    """
    parts = {
        "kind": stage.kind,
        "settings": [*map(read_yaml, stage.layers), dict(stage.overrides)],
        "seed": seed,
        "measurement": dict(asked),
        "num_threads": num_threads,
        "data": data["sha256"],
        "sources": sources_digest(),
        "packages": versions(),
        "parent": parent,
    }
    return _digest(parts)[:12]


@functools.cache
def sources_digest() -> str:
    """Hash the syntax trees of the sources that compute, without docstrings."""
    digest = hashlib.sha256()
    for room in SOURCES:
        for path in sorted((ROOT / room).rglob("*.py")):
            name = path.relative_to(ROOT).as_posix()
            if path.stem not in ONLY_SHOW and not name.startswith(NOT_CONCERNED):
                digest.update(f"{name}\n{_code_of(path.read_text(encoding='utf-8'))}\n".encode())
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Name the packages that compute, and their versions."""
    return {package: _version(package) for package in PACKAGES}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _code_of(source: str) -> str:
    tree = ast.parse(source)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):  # texts that stand alone are documentation
            node.body = [part for part in body if not _is_text(part)]  # type: ignore[attr-defined]
    return ast.dump(tree)


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _digest(parts: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()
