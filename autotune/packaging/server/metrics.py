"""Prometheus metrics of a server."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
)

# From less than a small model takes to the time-outs of large ones.
_BUCKET_SECS = (
    *(0.0005, 0.001, 0.002, 0.003, 0.005, 0.0075, 0.01, 0.015, 0.02, 0.03, 0.05, 0.075),
    *(0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0),
)
_BUCKET_REQUESTS = (1, 2, 4, 8, 16, 32, 64, 128)


@dataclass(frozen=True, eq=False)
class Metrics:
    """Counts and times of requests, in a registry of their own.

    requests: by status of HTTP; request_secs: from the arrival to the answer of those with outputs; queue_secs: of
    requests that were run; compute_secs, batch_requests: of runs, their time and the requests that they answered.
    """

    registry: CollectorRegistry
    model: str
    requests: Counter
    request_secs: Histogram
    queue_secs: Histogram
    compute_secs: Histogram
    batch_requests: Histogram

    @classmethod
    def of(cls, model: str) -> Metrics:
        """New metrics of a model, and those of this process."""
        registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        # A text without samples would leave the outcomes out that did not happen yet.
        requests = Counter(
            "inference_requests", "Inference requests by status", ["model", "status"], registry=registry
        )
        for status in (200, 400, 503, 504):
            requests.labels(model, str(status))
        return cls(
            registry,
            model,
            requests,
            _histogram("request", "Time from the arrival of a request to its outputs", model, registry),
            _histogram("queue", "Time that a request waited for an instance", model, registry),
            _histogram("compute", "Time of the model's run", model, registry),
            Histogram(
                "inference_batch_requests",
                "Requests that a run of the model answered",
                ["model"],
                registry=registry,
                buckets=_BUCKET_REQUESTS,
            ).labels(model),
        )

    def count(self, status: int) -> None:
        """Counts a request that was answered."""
        self.requests.labels(self.model, str(status)).inc()

    def watch(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Adds a gauge that is asked for whenever metrics are."""
        gauge = Gauge(f"inference_{name}", text, ["model"], registry=self.registry)
        gauge.labels(self.model).set_function(value)


def _histogram(stage: str, text: str, model: str, registry: CollectorRegistry) -> Histogram:
    name = f"inference_{stage}_duration_seconds"
    found: Histogram = Histogram(name, text, ["model"], registry=registry, buckets=_BUCKET_SECS).labels(model)
    return found
