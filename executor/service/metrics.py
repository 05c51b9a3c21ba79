"""What Prometheus is told: counters of the service itself, and a look at the pool at every scrape."""

from collections.abc import Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from executor.pool.lifecycle import PoolStats

_SECONDS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30, 60)
_PREFIX = "atomforge_executor"


class HasStats(Protocol):
    """An executor in this process."""

    def stats(self) -> PoolStats: ...


class ServiceMetrics:
    """Counters and histograms with a registry of their own."""

    def __init__(self, executor: HasStats):
        self.registry = CollectorRegistry()
        self.verdicts = Counter(f"{_PREFIX}_verdicts", "Samples judged, by status", ["status"], registry=self.registry)
        self.rejects = Counter(
            f"{_PREFIX}_rejects", "Requests turned away, by HTTP status", ["status"], registry=self.registry
        )
        self.queue_seconds = Histogram(
            f"{_PREFIX}_queue_seconds", "From handed in to sent to a sandbox", buckets=_SECONDS, registry=self.registry
        )
        self.run_seconds = Histogram(
            f"{_PREFIX}_run_seconds", "Of a program in its sandbox", buckets=_SECONDS, registry=self.registry
        )
        self.registry.register(_PoolCollector(executor))  # pyright: ignore[reportArgumentType]


class _PoolCollector:
    """Turns a look at the pool into metrics."""

    def __init__(self, executor: HasStats):
        self._executor = executor

    def collect(self) -> Iterator[Metric]:
        stats = self._executor.stats()
        gauges = {
            "slots": (stats.num_slots, "Sandboxes the service may have"),
            "busy_slots": (stats.num_busy, "Sandboxes with a program"),
            "queue_depth": (stats.num_waiting, "Programs that wait for a sandbox"),
        }
        for name, (value, text) in gauges.items():
            yield GaugeMetricFamily(f"{_PREFIX}_{name}", text, value=value)
        counters = {
            "recycles": (stats.num_recycled, "Sandboxes replaced for their age"),
            "replacements": (stats.num_replaced, "Sandboxes that died, failed a canary or were not clean"),
            "infra_retries": (stats.num_retried, "Programs run again after a fault of their sandbox"),
            "canaries": (stats.num_canaries, "Known-good programs run"),
            "canary_failures": (stats.num_failed_canaries, "Known-good programs that failed"),
            "start_failures": (stats.num_failed_starts, "Sandboxes that did not start"),
        }
        for name, (value, text) in counters.items():
            yield CounterMetricFamily(f"{_PREFIX}_{name}", text, value=value)
