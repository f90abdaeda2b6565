"""What Prometheus is told: counts and times, never who."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator

    from prometheus_client import Metric

CONTENT_TYPE = CONTENT_TYPE_LATEST
SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.1, 0.5, 2.5)


class Answers(Collector):
    """Requests answered and how long each took, as plain numbers until somebody asks for them.

    Counted and collected by one thread alone, so that nothing is locked.
    """

    def __init__(self) -> None:
        self._requests: defaultdict[tuple[str, int], int] = defaultdict(int)
        # of each route how many requests took up to each bound and no bound before it, the slower
        # ones last
        self._taken: defaultdict[str, list[int]] = defaultdict(lambda: [0] * (len(SECONDS) + 1))
        self._seconds: defaultdict[str, float] = defaultdict(float)

    def count(self, route: str, status: int, seconds: float) -> None:
        """Count a request that was answered.

        Args:
            route: The name of its route.
            status: HTTP status.
            seconds: From its arrival to the answer.
        """
        self._requests[route, status] += 1
        self._taken[route][bisect_left(SECONDS, seconds)] += 1
        self._seconds[route] += seconds

    def collect(self) -> Iterator[Metric]:
        """Say it as Prometheus has it."""
        requests = CounterMetricFamily(
            "attune_requests", "Requests answered", labels=["route", "status"]
        )
        for (route, status), number in self._requests.items():
            requests.add_metric([route, f"{status:d}"], number)
        yield requests
        times = HistogramMetricFamily(
            "attune_request_seconds", "Time to answer a request", labels=["route"]
        )
        bounds = [*map(str, SECONDS), "+Inf"]
        for route, taken in self._taken.items():
            buckets = list(zip(bounds, accumulate(taken), strict=True))
            times.add_metric([route], buckets, self._seconds[route])
        yield times


class Metrics:
    """The metrics of one API process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.answers = Answers()
        self.registry.register(self.answers)
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
