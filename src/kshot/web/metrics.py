"""What the service counts, for Prometheus: requests, their duration, batches, and the cache. No label holds anything of a user.

With several workers, each writes its counts into a folder that the parent has made (`PROMETHEUS_MULTIPROC_DIR`), and any of them answers
for all. In: events. Out: the text of `/metrics`. Next: `kshot.web.edge`, `kshot.web.routes`.
"""

import os

from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from kshot.web.cache import StateCache

CONTENT_TYPE = CONTENT_TYPE_LATEST
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_ITEMS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        self.requests = Counter("kshot_requests", "Requests that were answered.", ["method", "route", "status"], registry=own)
        self.seconds = Histogram(
            "kshot_request_seconds", "From the header of a request to its answer.", ["route"], buckets=_SECONDS, registry=own
        )
        self.batches = Histogram("kshot_batch_items", "Items in a batch of the network.", buckets=_ITEMS, registry=own)
        self._known: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}
        self._bytes = Gauge("kshot_cache_bytes", "Bytes of adapted tasks in memory.", registry=own, multiprocess_mode="livesum")
        self._tasks = Gauge("kshot_cache_tasks", "Adapted tasks in memory.", registry=own, multiprocess_mode="livesum")
        self._inputs = Gauge("kshot_inputs_in_progress", "Inputs that are being answered.", registry=own, multiprocess_mode="livesum")

    def answered(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a request. The counters of what was counted before are kept: finding one by its labels takes longer than counting."""
        if (known := self._known.get((method, route, status))) is None:
            known = self._known[method, route, status] = self.requests.labels(method, route, status), self.seconds.labels(route)
        known[0].inc()
        known[1].observe(seconds)

    def text(self, cache: StateCache, inputs: int) -> bytes:
        """Return all counts."""
        self._bytes.set(cache.bytes)
        self._tasks.set(len(cache))
        self._inputs.set(inputs)
        registry = self._registry
        if os.environ.get("PROMETHEUS_MULTIPROC_DIR"):
            registry = CollectorRegistry()
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
