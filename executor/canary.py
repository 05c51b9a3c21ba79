"""A known-good program with a known answer: what a sandbox must still get right before its failures are believed."""

import secrets
from typing import Any

from executor.results import execution_of
from executor.schema import Limits, Run

CANARY_LIMITS = Limits(cpu_time_s=5.0, wall_time_s=20.0)
_SOURCE = """\
def solve(x, items):
    total = x
    for item in sorted(items):
        total = total * 3 + len(item)
    return {"total": total, "items": tuple(sorted(items))}
"""


class Canary:
    """One canary, with arguments of its own: an answer kept from an earlier one is wrong."""

    def __init__(self) -> None:
        number, words = secrets.randbelow(1 << 32), [secrets.token_hex(2 + i) for i in range(3)]
        self.run = Run(source=_SOURCE, entry_point="solve", calls=([number, words],))
        total = number
        for word in sorted(words):
            total = total * 3 + len(word)
        self.answer = {"total": total, "items": {"$tuple": sorted(words)}}

    def is_right(self, reply: dict[str, Any], body: bytes) -> bool:
        """Whether the sandbox ran it and got it right."""
        execution = execution_of(self.run, CANARY_LIMITS, reply, body)
        return execution.failure is None and execution.results[0].value == self.answer
