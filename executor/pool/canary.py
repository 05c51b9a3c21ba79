"""Known-good programs that prove a sandbox still works, and the failures that wait for such a proof."""

import secrets
import time
from typing import Any, Generic, TypeVar

from executor.pool.queue import build_request, encode_calls
from executor.pool.results import parse_execution
from executor.types import Limits, Run

CANARY_LIMITS = Limits(cpu_time_s=5.0, wall_time_s=20.0)
MAX_UNCONFIRMED = 64
MAX_WAIT_S = 0.5
"""A failure waits for its canary no longer than this while the sandbox has other work."""
Item = TypeVar("Item")
_SOURCE = """\
def solve(x, items):
    total = x
    for item in sorted(items):
        total = total * 3 + len(item)
    return {"total": total, "items": tuple(sorted(items))}
"""


_PROFILE_LINES = {
    "cpu": "",
    "torch": "    import torch\n    total += int((torch.ones(8, 8) @ torch.ones(8, 8)).sum()) - 512\n",
    "cuda": "    import torch\n    x = torch.ones(8, 8, device='cuda')\n    total += int((x @ x).sum()) - 512\n",
}
"""By profile: a line that adds zero if torch and the device compute correctly."""


class Canary:
    """A known-good program with fresh random arguments, so that replaying an earlier result fails."""

    def __init__(self, profile: str = "cpu") -> None:
        number, words = secrets.randbelow(1 << 32), [secrets.token_hex(2 + i) for i in range(3)]
        source = _SOURCE.replace("    return", _PROFILE_LINES[profile] + "    return")
        self.run = Run(source=source, entry_point="solve", calls=([number, words],), profile=profile)
        total = number
        for word in sorted(words):
            total = total * 3 + len(word)
        self.expected = {"total": total, "items": {"$tuple": sorted(words)}}

    @property
    def request(self) -> tuple[dict[str, Any], bytes]:
        """Header and body of its frame."""
        return build_request(self.run, CANARY_LIMITS, encode_calls(self.run))

    def has_passed(self, reply: dict[str, Any], body: bytes) -> bool:
        """Return whether the sandbox ran it correctly."""
        execution = parse_execution(self.run, CANARY_LIMITS, reply, body)
        return execution.failure is None and execution.results[0].value == self.expected


class UnconfirmedFailures(Generic[Item]):
    """Failures that a sandbox reported and no canary has confirmed yet, oldest first."""

    def __init__(self) -> None:
        self._items: list[Item] = []
        self._oldest_at = 0.0

    def __len__(self) -> int:
        return len(self._items)

    def add(self, item: Item) -> None:
        if not self._items:
            self._oldest_at = time.monotonic()
        self._items.append(item)

    def pop_all(self) -> list[Item]:
        items, self._items = self._items, []
        return items

    def needs_canary_now(self, now: float) -> bool:
        """Return whether they should wait no longer, even if there is other work."""
        return len(self._items) >= MAX_UNCONFIRMED or (bool(self._items) and now - self._oldest_at > MAX_WAIT_S)
