"""Rows of a data set: a task as plain columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from datamodules.atoms.domain_json import domains_to_json
from datamodules.synthesis.composition.tree import ENTRY_POINT, depth, distinct_atoms, parameters
from datamodules.synthesis.verification.oracle import Candidate, SolutionOutputs

COLUMNS = (
    "task_id",
    "prompt",
    "reworded_prompt",
    "language",
    "solution",
    "entry_point",
    "tests",
    "reward_tests",
    "domains",
    "atoms",
    "depth",
    "skeleton",
)

PROFILE = "profile"
"""Additional column of the tensor splits: the sandbox profile that programs need."""

Row = dict[str, Any]


def make_row(
    candidate: Candidate,
    outputs: SolutionOutputs,
    *,
    task_id: str,
    prompt: str,
    reworded_prompt: str,
    language: str,
    solution: str,
) -> Row:
    """Build the row of a task."""
    num_tests = len(candidate.inputs.tests)
    row = {
        "task_id": task_id,
        "prompt": prompt,
        "reworded_prompt": reworded_prompt,
        "language": language,
        "solution": solution,
        "entry_point": ENTRY_POINT,
        "tests": _tests(candidate.inputs.tests, outputs.expected[:num_tests]),
        "reward_tests": _tests(candidate.inputs.reward_tests, outputs.expected[num_tests:]),
        "domains": domains_to_json([param.domain for param in parameters(candidate.tree)]),
        "atoms": [atom.name for atom in distinct_atoms(candidate.tree)],
        "depth": depth(candidate.tree),
        "skeleton": candidate.skeleton,
    }
    return row if candidate.profile == "cpu" else {**row, PROFILE: candidate.profile}


def _tests(inputs: Sequence[list[Any]], expected: Sequence[Any]) -> str:
    tests = [{"args": args, "expected": value} for args, value in zip(inputs, expected, strict=True)]
    return json.dumps(tests, ensure_ascii=False, separators=(",", ":"))
