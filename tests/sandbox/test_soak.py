"""The long form of the sandbox ring: many batches through one pool, hostile programs among them, nothing grows."""

import os
from pathlib import Path

import pytest

from executor.types import Limits, Status
from tests.sandbox.hostile import HOSTILE, RIGHT
from tests.support.judging import SQUARE, outcomes

NUM_BATCHES = 40
BATCH = 500
HOSTILE_EVERY = 50
LIMITS = Limits(cpu_time_s=0.5, wall_time_s=1.5)


def resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def num_children() -> int:
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    return len(children.read_text().split())


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_resources_do_not_grow_over_twenty_thousand_programs(executor):
    hostile = [source for _, source in HOSTILE.values()]
    sizes = []
    for batch in range(NUM_BATCHES):
        sources = []
        for place in range(BATCH):
            number = batch * BATCH + place
            is_hostile = number % HOSTILE_EVERY == 0
            source = hostile[number // HOSTILE_EVERY % len(hostile)] if is_hostile else f"# {number}\n{RIGHT}"
            sources.append(source)
        for place, outcome in enumerate(outcomes(executor, SQUARE, sources, LIMITS)):
            is_hostile = (batch * BATCH + place) % HOSTILE_EVERY == 0
            assert outcome.status != Status.INFRA, outcome
            assert outcome.passed != is_hostile, (batch, place, outcome)
        sizes.append((resident_bytes(), len(os.listdir("/proc/self/fd")), num_children()))
    warm, last = sizes[4], sizes[-1]
    assert last[0] < warm[0] + 20_000_000
    assert last[1:] == warm[1:]
