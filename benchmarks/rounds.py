"""Runs contestants in interleaved rounds and formats what they measured. It measures nothing by itself.

In each round every contestant runs once, in a process of its own, so that all share the good and bad minutes of the
machine; ratios are taken within a round.
"""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
Round = dict[str, Any]
"""What each contestant printed in one round; contestants that failed are missing."""


def run_rounds(
    commands: Mapping[str, Sequence[str]], num_rounds: int, *, timeout_s: float = 900, environment: Mapping = os.environ
) -> list[Round]:
    """Run all commands `num_rounds` times, in turn; Ctrl-C ends after the rounds that are complete."""
    rounds: list[Round] = []
    try:
        for number in range(1, num_rounds + 1):
            found: Round = {}
            for name, command in commands.items():
                print(f"round {number}: {name}", file=sys.stderr)
                try:
                    found[name] = run_json(command, timeout_s=timeout_s, environment=environment)
                except RuntimeError as error:
                    print(f"failed: {error}", file=sys.stderr)
            rounds.append(found)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
    return rounds


def run_json(command: Sequence[str], *, timeout_s: float, environment: Mapping = os.environ) -> Any:
    """Run a command in the root of the repository and return the JSON of its last line.

    Raises:
        RuntimeError: the command failed, took longer than `timeout_s`, or printed no JSON.
    """
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, cwd=ROOT, env=environment, **pipes) as process:
        try:
            output, errors = process.communicate(timeout=timeout_s)
            return json.loads(output.splitlines()[-1])
        except KeyboardInterrupt:  # the process gets it, too, and stops its sandboxes
            process.wait()
            raise
        except subprocess.TimeoutExpired:
            process.kill()
            raise RuntimeError(f"{' '.join(command)}: no result after {timeout_s:g} s") from None
        except (IndexError, json.JSONDecodeError):
            last_lines = "\n".join(errors.splitlines()[-5:])
            raise RuntimeError(f"{' '.join(command)}: exit code {process.returncode}\n{last_lines}") from None


def build_table(titles: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Build a Markdown table that ends with a newline."""
    return "".join(f"| {' | '.join(line)} |\n" for line in (titles, ["---"] * len(titles), *rows))


def format_spread(values: Sequence[float], digits: int = 0) -> str:
    """Format median, least and greatest as `2.50 (2.00-3.00)`."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f}-{max(values):.{digits}f})"
