"""What the modules of programs share: the plain right program, and programs written as indented blocks."""

from textwrap import dedent

RIGHT = "def solve(n):\n    return n * n + 1\n"


def dedented(**sources: str) -> dict[str, str]:
    """Name to source, without the indentation of this file."""
    return {name: dedent(source) for name, source in sources.items()}
