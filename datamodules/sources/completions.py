"""Completions of a model as training data: the rows that `atomforge sample` keeps. Nothing is sampled here."""

import json
from pathlib import Path

from datasets import Dataset

COMPLETIONS = "completions"
"""Name of their part in a mixture of SFT."""
COLUMNS = ("prompt", "solution")


def read_completions(path: str | Path) -> Dataset:
    """Read a JSONL file with `prompt` and `solution` in each row; other keys are dropped.

    Raises:
        ValueError: there is no such file, or a line is no such row; names the line.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").split("\n")
    except OSError as error:
        raise ValueError(f"completions: cannot read {path}: {error.strerror}; `atomforge sample` writes one") from None
    rows = [_parse(line, f"{path}, line {number}") for number, line in enumerate(lines, start=1) if line]
    return Dataset.from_dict({column: [row[column] for row in rows] for column in COLUMNS})


def _parse(line: str, place: str) -> dict[str, str]:
    try:
        row = json.loads(line)
        found = {column: row[column] for column in COLUMNS}
    except (ValueError, KeyError, TypeError):
        found = {}
    if not found or not all(isinstance(text, str) for text in found.values()):
        raise ValueError(f"{place}: not a row with the texts prompt and solution")
    return found
