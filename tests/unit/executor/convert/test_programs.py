"""Programs in fences."""

import time

import pytest

from executor.convert.programs import strip_fence


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("x = 1\n", "x = 1\n"),
        ("A.\n```python\nx = 1\n```\nB.\n```\r\ny = 2\r\n```", "y = 2\n"),
        ("```\nx = 1\n", "```\nx = 1\n"),
        ("```\n```", ""),
        ("````\n```\nx\n```\n````\n", "```\nx\n```\n"),
        ("~~~py\nx\n```\n~~~~", "x\n```\n"),
        ("~~~~\nx\n~~~\ny\n~~~~", "x\n~~~\ny\n"),
        ("````\n```\nx\n  ```  ", "x\n"),  # the first fence is not closed
    ],
)
def test_the_last_block_is_the_program(text: str, program: str) -> None:
    assert strip_fence(text) == program


def test_fences_that_are_not_closed_take_linear_time() -> None:
    text = "```a\n" * 200_000
    began = time.process_time()
    assert strip_fence(text) == text
    assert time.process_time() - began < 5
