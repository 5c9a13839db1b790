"""`/metrics`, for Prometheus: what this process counted, what workers and the clock counted, how the inbox stands."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Metric, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from schema.accuracy import Accuracy
from schema.alerts import Observed
from schema.store.audit import read_accuracy
from schema.store.database import Database
from schema.store.health import InboxHealth, read_inbox_health, read_validations
from schema.store.process_metrics import ProcessMetric, read_process_metrics
from schema.store.push import PushHealth, read_push_health
from workers.notify.conditions import CONDITIONS, judge


def scrape(database: Database, observe: Callable[[], Observed], now: datetime) -> tuple[bytes, str]:
    """The metrics as text, and its content type. Raises SQLAlchemyError when the database does not answer."""
    with database.read() as connection:
        inbox = read_inbox_health(connection)
        validations = read_validations(connection)
        others = read_process_metrics(connection)
        accuracy = read_accuracy(connection)
        pushes = read_push_health(connection)
    families = merge_families(REGISTRY.collect(), others)
    validated_at = validations[0][1] if validations else None
    families += [
        *inbox_families(inbox, validated_at, now),
        condition_family(observe(), now),
        *accuracy_families(accuracy),
        *push_families(pushes, now),
    ]
    return generate_latest(_Collected(families)), CONTENT_TYPE_LATEST


def merge_families(own: Iterable[Metric], others: Iterable[ProcessMetric]) -> list[Metric]:
    """What this process counted, and beside it, under the label `process`, what others did: one family per name."""
    families = {family.name: family for family in own}
    for metric in others:
        name = metric.name.removesuffix("_total") if metric.kind == "counter" else metric.name
        family = families.setdefault(name, Metric(name, metric.help, metric.kind))
        family.add_sample(metric.name, {"process": metric.process, **json.loads(metric.labels)}, metric.value)
    return list(families.values())


def inbox_families(inbox: InboxHealth, validated_at: datetime | None, now: datetime) -> Iterator[Metric]:
    """How the inbox stands."""
    waiting = (now - inbox.oldest_pending_at).total_seconds() if inbox.oldest_pending_at else 0.0
    yield _gauge("joinlog_inbox_pending", "Events kept and not yet in the tables", inbox.pending)
    yield _gauge("joinlog_inbox_dead", "Events that fail whenever they are tried", inbox.dead)
    yield _gauge("joinlog_inbox_unhandled", "Events of a type Joinlog does not know", inbox.unhandled)
    yield _gauge("joinlog_inbox_oldest_pending_seconds", "For how long the oldest pending event has waited", waiting)
    if inbox.last_received_at is not None:
        since = (now - inbox.last_received_at).total_seconds()
        yield _gauge("joinlog_seconds_since_delivery", "Since the last new event was accepted", since)
    if validated_at is not None:
        since = (now - validated_at).total_seconds()
        yield _gauge("joinlog_seconds_since_validation", "Since Zoom last validated the endpoint; every 72 h", since)


def condition_family(observed: Observed, now: datetime) -> Metric:
    """Which conditions hold; `joinlog alerts` says what each means."""
    family = GaugeMetricFamily("joinlog_condition", "1 while this is wrong, else 0", labels=["condition"])
    holding = judge(observed, now)
    for condition in CONDITIONS:
        family.add_metric([condition.name], float(condition.name in holding))
    return family


def accuracy_families(found: Iterable[Accuracy]) -> list[Metric]:
    """How good links were, where Zoom stated them later, by the state they had before."""
    stated = GaugeMetricFamily("joinlog_links_stated", "Links that Zoom stated later", labels=["state"])
    wrong = GaugeMetricFamily("joinlog_links_stated_wrong", "Those of them that were wrong", labels=["state"])
    for one in found:
        stated.add_metric([one.state], one.links)
        wrong.add_metric([one.state], one.wrong)
    return [stated, wrong]


def push_families(pushes: Iterable[PushHealth], now: datetime) -> list[Metric]:
    """How each endpoint of PUSH_URLS stands."""
    labels = ["endpoint"]
    lag = GaugeMetricFamily("joinlog_push_lag_seconds", "Since the first change it was not told", labels=labels)
    taken = CounterMetricFamily("joinlog_push_delivered", "Notices it took", labels=labels)
    failed = CounterMetricFamily("joinlog_push_failed", "Attempts that failed", labels=labels)
    off = GaugeMetricFamily("joinlog_push_off", "1 while it is switched off", labels=labels)
    for one in pushes:
        name = [one.endpoint.endpoint]
        lag.add_metric(name, one.lag_seconds(now))
        taken.add_metric(name, one.endpoint.delivered)
        failed.add_metric(name, one.endpoint.failed)
        off.add_metric(name, float(one.endpoint.off_at is not None))
    return [lag, taken, failed, off]


def _gauge(name: str, says: str, value: float) -> Metric:
    return GaugeMetricFamily(name, says, value)


class _Collected(Collector):
    """Families that are there already, as prometheus_client wants them."""

    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterable[Metric]:
        return self._families
