"""Runs `atomforge` in this process, which has imported its packages: a process of its own takes seconds to do so."""

import contextlib
import io
from typing import NamedTuple

from cli.main import main


class Done(NamedTuple):
    """How a command ended."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*words: object) -> Done:
    """Run a command with these words; what it prints is captured."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        code = main([str(word) for word in words])
    return Done(code, out.getvalue(), err.getvalue())
