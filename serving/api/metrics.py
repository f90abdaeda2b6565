"""What Prometheus is told: counts and times, never who."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


class Metrics:
    """The metrics of one API process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "attune_requests", "Requests answered", ["route", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "attune_request_seconds",
            "Time to answer a request",
            ["route"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self.defaults = Counter(
            "attune_defaults_served",
            "Profiles and flags answered with defaults",
            ["reason"],
            registry=self.registry,
        )
        self.events = Counter(
            "attune_events_written", "Events made durable", ["event"], registry=self.registry
        )
        self.cache_failures = Counter(
            "attune_cache_failures", "Reads that the cache failed", registry=self.registry
        )
        self.looks = Counter(
            "attune_looks",
            "Looks at the cache (its declarations), and at tokens and ages",
            ["at"],
            registry=self.registry,
        )
        self.cache_up = Gauge(
            "attune_cache_up", "1 if the cache can be read", registry=self.registry
        )
        self.age = Gauge(
            "attune_cache_age_hours",
            "Hours since what the profiles were built as of",
            registry=self.registry,
        )

    def text(self) -> bytes:
        """The exposition."""
        return generate_latest(self.registry)
