"""What a client needs to know of a service: its /healthz, and how to split batches into requests. Sends no programs."""

import os
import time
from dataclasses import dataclass
from itertools import count

from executor.service.connection import Overloaded, ServiceConnection, ServiceError, backoff_s
from executor.service.settings import TOKEN_VARIABLE
from executor.types import Limits

MAX_BATCH_SIZE = 256
"""Programs per request."""
CONNECTIONS_PER_REPLICA = 2
"""Concurrent requests of a batch for each replica of the service."""
MAX_CONNECTIONS = 64
NUM_REPLICAS_HEADER = "Atomforge-Replicas"
"""Header of /healthz in which a load balancer gives the number of replicas; without it there is one."""
START_TIMEOUT_S = 60.0
"""Time for which `fetch_service_info` retries an address that answers 503."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceInfo:
    """Address of a service, and what its /healthz says."""

    url: str
    token: str | None
    description: str
    hash_seed: int
    """PYTHONHASHSEED of the programs."""
    time_factor: float
    num_slots: int
    """Programs that run at the same time in one replica."""
    max_batch_size: int
    """Programs per request."""
    max_body_bytes: int
    num_connections: int
    """Concurrent requests of a batch."""

    def timeout_s(self, limits: Limits) -> float:
        """Return the seconds that each program of a request adds to its deadline."""
        return 2.0 * limits.wall_time_s * self.time_factor / self.num_slots


def fetch_service_info(url: str, token: str | None) -> ServiceInfo:
    """Fetch /healthz of a service; arguments as for `HttpExecutor`.

    Raises:
        ValueError: there is no service, or it is not ready within a minute.
    """
    token = os.environ.get(TOKEN_VARIABLE) if token is None else token
    deadline = time.monotonic() + START_TIMEOUT_S
    connection = ServiceConnection(url, token)
    try:
        for num_failures in count():
            try:
                health, headers = connection.get("/healthz")
                break
            except Overloaded as error:
                if time.monotonic() > deadline:
                    raise
                time.sleep(min(error.retry_after_s, backoff_s(num_failures)))
    except ServiceError as error:
        raise ValueError(f"no executor service: {error}") from None
    finally:
        connection.close()
    replicas = headers.get(NUM_REPLICAS_HEADER, "1")
    num_replicas = max(1, int(replicas) if replicas.isdigit() else 1)
    try:
        return ServiceInfo(
            url=url,
            token=token,
            description=str(health["description"]),
            hash_seed=int(health["hash_seed"]),
            time_factor=float(health["time_factor"]),
            num_slots=int(health["num_slots"]),
            # a request leaves room in the queue for other clients
            max_batch_size=max(1, min(MAX_BATCH_SIZE, int(health["max_waiting_programs"]) // 4)),
            max_body_bytes=int(health["max_body_bytes"]),
            num_connections=min(MAX_CONNECTIONS, CONNECTIONS_PER_REPLICA * num_replicas),
        )
    except (KeyError, TypeError, ValueError):
        raise ValueError(f"{url} is not an executor service") from None
