"""The metrics of workers and of the clock: counted in the process, added up in the database, shown by the web process.

A metric is a Counter or a Gauge of prometheus_client whose name begins with `joinlog_`, here or beside the code that
counts. Why they are not on ports of their own stands in ARCHITECTURE.md, "Decisions".
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import structlog
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge
from sqlalchemy.exc import SQLAlchemyError

from schema.store.database import Database
from schema.store.process_metrics import COUNTER, GAUGE, ProcessMetric, add_process_metrics

PUBLISH_SECONDS = 5.0  # at most so often, and only when something was counted
STOP_SECONDS_MAX = 2.0  # for what is being published when the process is asked to stop
_PREFIX = "joinlog_"

EVENTS = Counter("joinlog_events_settled", "Events that got their state", ["state"])
BATCHES = Counter("joinlog_batches", "Transactions that settled events")
BATCH_SECONDS = Counter("joinlog_batch_seconds", "Time spent in them, seconds")
RETRIES = Counter("joinlog_drain_retries", "Batches tried again because the database did not answer")
LAST_BATCH = Gauge("joinlog_last_batch_timestamp_seconds", "When the last of them was committed, seconds since 1970")
DUTIES = Counter("joinlog_clock_duties", "What the clock did, by name and outcome", ["duty", "outcome"])
LAST_TICK = Gauge("joinlog_clock_last_tick_timestamp_seconds", "When the clock last looked, seconds since 1970")

log = structlog.get_logger()


class Publisher:
    """Adds what this process counted to the database, every PUBLISH_SECONDS, from a thread of its own."""

    def __init__(
        self,
        database: Database,
        process: str,
        *,
        registry: CollectorRegistry = REGISTRY,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._database = database
        self._process = process
        self._registry = registry
        self._now = now
        self._published: dict[tuple[str, str], float] = {}
        self._is_failing = False
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="metrics", daemon=True)

    def start(self) -> None:
        """Begin to publish."""
        self._thread.start()

    def stop(self) -> None:
        """Publish what is left, and end."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS_MAX)
        if not self._thread.is_alive():
            self.publish()

    def publish(self) -> int:
        """Publish what was counted since the last time; returns how many values. What fails is published next time."""
        found = list(self._changed())
        if not found:
            return 0
        added = [metric._replace(value=self._difference(metric)) for metric in found]
        try:
            add_process_metrics(self._database, added, self._now())
        except (SQLAlchemyError, OSError) as error:
            if not self._is_failing:  # once per outage
                log.warning("metrics_not_published", error=type(error).__name__)
            self._is_failing = True
            return 0
        self._is_failing = False
        self._published |= {(metric.name, metric.labels): metric.value for metric in found}
        return len(found)

    def _run(self) -> None:
        while not self._stopping.wait(PUBLISH_SECONDS):
            self.publish()

    def _changed(self) -> Iterator[ProcessMetric]:
        """The values that differ from what was published, as they are now."""
        for family in self._registry.collect():
            if not family.name.startswith(_PREFIX) or family.type not in (COUNTER, GAUGE):
                continue
            for sample in family.samples:
                if sample.name.endswith("_created"):
                    continue
                labels = json.dumps(sample.labels, sort_keys=True)
                if sample.value != self._published.get((sample.name, labels), 0.0):
                    yield ProcessMetric(
                        self._process, sample.name, labels, family.type, family.documentation, sample.value
                    )

    def _difference(self, metric: ProcessMetric) -> float:
        before = self._published.get((metric.name, metric.labels), 0.0) if metric.kind == COUNTER else 0.0
        return metric.value - before


def count_batch(settled: dict[str, int], seconds: float) -> None:
    """Count a batch: how many events got which state, and how long it took."""
    for state, events in settled.items():
        if events:
            EVENTS.labels(state=state).inc(events)
    BATCHES.inc()
    BATCH_SECONDS.inc(seconds)
    LAST_BATCH.set_to_current_time()
