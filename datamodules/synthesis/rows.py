"""The rows of a data set: one task as plain columns."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

from datamodules.atoms.domain_json import domains_to_json
from datamodules.synthesis.composition import ENTRY_POINT, Call, depth, distinct_atoms, parameters
from datamodules.synthesis.describe import choose_frame, choose_phrasings, describe
from datamodules.synthesis.oracle import Candidate, Observation

COLUMNS = (
    "task_id",
    "prompt",
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
PROMPT_ATTEMPTS = 20

Row = dict[str, Any]


def make_row(candidate: Candidate, observation: Observation, *, task_id: str, prompt: str, language: str) -> Row:
    """Put a task into columns."""
    num_tests = len(candidate.inputs.tests)
    return {
        "task_id": task_id,
        "prompt": prompt,
        "language": language,
        "solution": candidate.solution,
        "entry_point": ENTRY_POINT,
        "tests": _tests(candidate.inputs.tests, observation.expected[:num_tests]),
        "reward_tests": _tests(candidate.inputs.reward_tests, observation.expected[num_tests:]),
        "domains": domains_to_json([param.domain for param in parameters(candidate.tree)]),
        "atoms": [atom.name for atom in distinct_atoms(candidate.tree)],
        "depth": depth(candidate.tree),
        "skeleton": candidate.skeleton,
    }


def draw_prompt(rng: Random, tree: Call, language: str, taken: set[str]) -> str | None:
    """Draw phrasings and a frame until the prompt is a new one, and remember it; None where that does not succeed."""
    for _ in range(PROMPT_ATTEMPTS):
        phrasings = choose_phrasings(rng, tree, language)
        prompt = describe(tree, frame=choose_frame(rng, language), phrasings=phrasings)
        if prompt not in taken:
            taken.add(prompt)
            return prompt
    return None


def _tests(inputs: Sequence[list[Any]], expected: Sequence[Any]) -> str:
    tests = [{"args": args, "expected": value} for args, value in zip(inputs, expected, strict=True)]
    return json.dumps(tests, ensure_ascii=False, separators=(",", ":"))
