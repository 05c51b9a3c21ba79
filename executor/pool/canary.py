"""What a sandbox must still get right before its failures are believed, and the failures that wait for that."""

import secrets
import time
from typing import Any

from executor.pool.job import Job, encode_calls, message_of
from executor.pool.results import execution_of
from executor.types import Execution, Limits, Run

CANARY_LIMITS = Limits(cpu_time_s=5.0, wall_time_s=20.0)
MAX_DOUBTS = 64
MAX_DOUBT_S = 0.5
_SOURCE = """\
def solve(x, items):
    total = x
    for item in sorted(items):
        total = total * 3 + len(item)
    return {"total": total, "items": tuple(sorted(items))}
"""


_PRODUCTS = {
    "cpu": "",
    "torch": "    import torch\n    total += int((torch.ones(8, 8) @ torch.ones(8, 8)).sum()) - 512\n",
    "cuda": "    import torch\n    x = torch.ones(8, 8, device='cuda')\n    total += int((x @ x).sum()) - 512\n",
}
"""By profile, a line that adds nothing where torch and the device compute as they should."""


class Canary:
    """A known-good program with arguments of its own: an answer kept from an earlier one is wrong."""

    def __init__(self, profile: str = "cpu") -> None:
        number, words = secrets.randbelow(1 << 32), [secrets.token_hex(2 + i) for i in range(3)]
        source = _SOURCE.replace("    return", _PRODUCTS[profile] + "    return")
        self.run = Run(source=source, entry_point="solve", calls=([number, words],), profile=profile)
        total = number
        for word in sorted(words):
            total = total * 3 + len(word)
        self.answer = {"total": total, "items": {"$tuple": sorted(words)}}

    @property
    def message(self) -> tuple[dict[str, Any], bytes]:
        """Header and body of its frame."""
        return message_of(self.run, CANARY_LIMITS, encode_calls(self.run))

    def is_right(self, reply: dict[str, Any], body: bytes) -> bool:
        """Whether the sandbox ran it and got it right."""
        execution = execution_of(self.run, CANARY_LIMITS, reply, body)
        return execution.failure is None and execution.results[0].value == self.answer


class Doubts:
    """Failures that a sandbox stated and no canary has confirmed yet, oldest first."""

    def __init__(self) -> None:
        self._items: list[tuple[Job, Execution]] = []
        self._oldest_at = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, job: Job, execution: Execution) -> None:
        if not self._items:
            self._oldest_at = time.monotonic()
        self._items.append((job, execution))

    def take_all(self) -> list[tuple[Job, Execution]]:
        """Empty it."""
        items, self._items = self._items, []
        return items

    def are_due(self, now: float) -> bool:
        """Whether they should wait no longer, even if there is other work."""
        return len(self._items) >= MAX_DOUBTS or (bool(self._items) and now - self._oldest_at > MAX_DOUBT_S)
