"""Metrics for Prometheus and JSON logs of the service. Neither contains programs or tokens."""

import json
import logging
import sys
import time
from collections.abc import Iterator
from typing import Any, Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from executor.pool.lifecycle import PoolStats

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_PREFIX = "atomforge_executor"
_LOG_INTERVAL_S = 10.0

_log = logging.getLogger("atomforge.service")


class HasStats(Protocol):
    """An executor with a local pool."""

    def stats(self) -> PoolStats: ...


class ServiceMetrics:
    """Counters and histograms of one service, in a registry of their own."""

    def __init__(self, executor: HasStats):
        self.registry = CollectorRegistry()
        self.outcomes = Counter(
            f"{_PREFIX}_verdicts", "Finished programs by status", ["status"], registry=self.registry
        )
        self.rejects = Counter(
            f"{_PREFIX}_rejects", "Rejected requests by HTTP status", ["status"], registry=self.registry
        )
        self.queue_seconds = Histogram(
            f"{_PREFIX}_queue_seconds", "Time of a program in the queue", buckets=_SECONDS, registry=self.registry
        )
        self.run_seconds = Histogram(
            f"{_PREFIX}_run_seconds", "Time of a program in its sandbox", buckets=_SECONDS, registry=self.registry
        )
        self.registry.register(_PoolCollector(executor))  # pyright: ignore[reportArgumentType]


class _PoolCollector:
    """Reads the pool's statistics at each scrape."""

    def __init__(self, executor: HasStats):
        self._executor = executor

    def collect(self) -> Iterator[Metric]:
        stats = self._executor.stats()
        gauges = {
            "slots": (stats.num_slots, "Programs that can run at the same time"),
            "busy_slots": (stats.num_busy, "Slots that run a program"),
            "queue_depth": (stats.num_waiting, "Programs in the queue"),
        }
        for name, (value, text) in gauges.items():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)
        counters = {
            "recycles": (stats.num_recycled, "Sandboxes replaced because of their age"),
            "replacements": (stats.num_replaced, "Sandboxes that died, failed a canary or were not clean"),
            "infra_retries": (stats.num_retried, "Programs run again after a sandbox fault"),
            "canaries": (stats.num_canaries, "Known-good programs run"),
            "canary_failures": (stats.num_failed_canaries, "Known-good programs that failed"),
            "start_failures": (stats.num_failed_starts, "Sandboxes that did not start"),
        }
        for name, (value, text) in counters.items():
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, value=value)


class JsonFormatter(logging.Formatter):
    """Formats a log record as one JSON object; the values of `log_event` are keys of it."""

    def format(self, record: logging.LogRecord) -> str:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        line: dict[str, Any] = {"time": stamp, "level": record.levelname.lower(), "event": record.getMessage()}
        line |= getattr(record, "fields", {})
        if record.exc_info is not None:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line)


class RateLimitedLog:
    """Counts an event that may be frequent, and logs it at most every 10 seconds."""

    def __init__(self, event: str, **values: Any):
        self._event = event
        self._values = values
        self._count = 0
        self._next_log_at = 0.0

    def record(self) -> None:
        self._count += 1
        now = time.monotonic()
        if now >= self._next_log_at:
            self._next_log_at = now + _LOG_INTERVAL_S
            log_event(self._event, number=self._count, **self._values)


def log_event(event: str, **values: Any) -> None:
    """Log an event with values as extra keys."""
    _log.info(event, extra={"fields": values})


def log_as_json() -> None:
    """Write all log records of this process as JSON lines to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.getLogger("uvicorn.access").disabled = True
