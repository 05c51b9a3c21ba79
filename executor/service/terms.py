"""What a client knows of a service before it sends it anything: its limits, and how many there are at its address.

Learnt from `/healthz`, and from a header that a load balancer adds to it. It sends no programs.
"""

import os
import time
from dataclasses import dataclass
from itertools import count
from typing import Any

from executor.service.courier import Courier, ServiceBusy, ServiceLost, pause_after
from executor.service.protocol import TOKEN_VARIABLE
from executor.types import Limits

MAX_PART = 256
"""Programs of one request."""
NUM_CONNECTIONS = 2
"""Requests of a batch under way at once, for each service behind the address."""
MAX_CONNECTIONS = 64
NUM_REPLICAS_HEADER = "Atomforge-Replicas"
"""A load balancer's count of the services behind it, on the answer of /healthz; without it there is one."""
START_GRACE_S = 60.0
"""For an address that says that it has no service ready."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """How to reach a service, and what it says of itself."""

    url: str
    token: str | None
    description: str
    hash_seed: int
    """PYTHONHASHSEED of the programs."""
    time_factor: float
    num_slots: int
    """Programs that run at once; of one service, where there are several."""
    max_part: int
    """Programs of one request."""
    max_body_bytes: int
    num_connections: int
    """Requests of a batch under way at once."""

    def patience_s(self, limits: Limits) -> float:
        """Bound what a program may take of a busy service's time, in seconds."""
        return 2.0 * limits.wall_time_s * self.time_factor / self.num_slots


def ask_for_terms(url: str, token: str | None) -> Terms:
    """Ask a service what it is.

    Args:
        url: `http://HOST:PORT` or `http+unix:///PATH`.
        token: of the service; None: the environment's ATOMFORGE_EXECUTOR_TOKEN, if it has one.

    Raises:
        ValueError: nobody answers there, or is ready within a minute, or it is no service; one line.
    """
    token = os.environ.get(TOKEN_VARIABLE) if token is None else token
    courier = Courier(url, token)
    try:
        told, num_replicas = _health(courier)
    except ServiceLost as loss:
        raise ValueError(f"no executor service: {loss}") from None
    finally:
        courier.close()
    try:
        return Terms(
            url=url,
            token=token,
            description=str(told["description"]),
            hash_seed=int(told["hash_seed"]),
            time_factor=float(told["time_factor"]),
            num_slots=int(told["num_slots"]),
            # no more at once than leaves room for others
            max_part=max(1, min(MAX_PART, int(told["max_waiting_programs"]) // 4)),
            max_body_bytes=int(told["max_body_bytes"]),
            num_connections=min(MAX_CONNECTIONS, NUM_CONNECTIONS * num_replicas),
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{url} is no executor service") from None


def _health(courier: Courier) -> tuple[dict[str, Any], int]:
    """Return what the service tells of itself, and how many there are, at least 1.

    Raises:
        ValueError: refused, or the answer is none of this service.
        ServiceLost: nobody is there, or has been ready for a minute.
    """
    deadline = time.monotonic() + START_GRACE_S
    for num_vain in count():
        try:
            told, headers = courier.get_with_headers("/healthz")
            num_replicas = headers.get(NUM_REPLICAS_HEADER, "1")
            return told, max(1, int(num_replicas) if num_replicas.isdigit() else 1)
        except ServiceBusy as busy:
            if time.monotonic() > deadline:
                raise
            time.sleep(min(busy.pause_s, pause_after(num_vain)))
    raise AssertionError("unreachable")
