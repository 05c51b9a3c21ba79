"""The way from completion to program on what a real model wrote.

`completions/smollm2_135m.jsonl` holds greedy completions of SmolLM2-135M-Instruct (dequantised Q4_1) in four styles:
going on with the plain prompt; asked for code alone; with a talkative system prompt; asked for a fenced block.
`program` is what was taken out of each, read and found right. Many are cut off, loop, or hold no program: those stay
what they are.
"""

import json
import re
from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from executor.grading.extract import extract_program

ROWS = [
    json.loads(line)
    for line in (Path(__file__).parent / "completions" / "smollm2_135m.jsonl").read_text(encoding="utf-8").splitlines()
]


def ids(row: dict) -> str:
    return f"{row['style']}-{row['task_id']}"


@pytest.mark.parametrize("row", ROWS, ids=ids)
def test_program_taken_out(row: dict) -> None:
    assert extract_program(row["completion"], row["entry_point"], prompt=row["prompt"]).source == row["program"]


def test_fences_agree_with_a_markdown_parser() -> None:
    num_compared = 0
    for row in ROWS:
        if row["prompt"] is not None and row["style"] == "plain":
            continue  # the code goes on with the prompt there, and its first fence closes what none opened
        defines = re.compile(rf"^def {row['entry_point']}\b", re.MULTILINE)
        blocks = [token.content for token in MarkdownIt().parse(row["completion"]) if token.type == "fence"]
        wanted = next((block for block in blocks if defines.search(block)), None)
        if wanted is not None:
            num_compared += 1
            program = extract_program(row["completion"], row["entry_point"], prompt=row["prompt"]).source
            assert program.rstrip().endswith(wanted.rstrip())
    assert num_compared >= 30


def test_an_answer_that_began_within_a_block_ends_at_its_first_fence() -> None:
    stray = [row for row in ROWS if row["style"] == "chat_bare" and row["completion"].startswith("def ")]
    ended = [row for row in stray if "\n```" in row["completion"]]
    assert len(ended) >= 3
    for row in ended:
        program = extract_program(row["completion"], row["entry_point"], prompt=row["prompt"]).source
        assert f"def {row['entry_point']}" in program
        assert "```" not in program
