"""What workers and clocks count reaches the database once, adds up, and is shown by the web process."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy.exc import OperationalError
from structlog.testing import capture_logs

from schema.settings import Settings
from schema.store.database import Database
from schema.store.process_metrics import read_process_metrics
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import keep_events, one, select
from tests.page_client import TOKENS, open_site
from tests.processes import running
from tests.signed_requests import read_payload_file
from tests.waiting import wait_until
from webhook.tokens import Role, new_pass
from workers import metrics
from workers.clock import Clock, Duty
from workers.metrics import Publisher
from workers.queue import QueueAway

NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


class Process:
    """A process that counts."""

    def __init__(self, database: Database, name: str = "worker") -> None:
        registry = CollectorRegistry()
        self.events = Counter("joinlog_test_events", "Events", ["state"], registry=registry)
        self.last = Gauge("joinlog_test_last", "Last", registry=registry)
        self.foreign = Counter("python_things", "Not ours", registry=registry)
        self.publisher = Publisher(database, name, registry=registry, now=lambda: NOW)


def values(database: Database) -> dict[tuple[str, str, str], float]:
    with database.read() as connection:
        return {(m.process, m.name, m.labels): m.value for m in read_process_metrics(connection)}


DONE = ("worker", "joinlog_test_events_total", '{"state": "done"}')
DEAD = ("worker", "joinlog_test_events_total", '{"state": "dead"}')
LAST = ("worker", "joinlog_test_last", "{}")


def test_only_what_was_counted_since_the_last_time_is_added(database: Database) -> None:
    process = Process(database)
    process.events.labels("done").inc(3)
    process.last.set(7)
    process.foreign.inc()
    assert process.publisher.publish() == 2
    process.events.labels("done").inc(2)
    process.events.labels("dead").inc()
    process.last.set(5)
    assert process.publisher.publish() == 3
    assert values(database) == {DONE: 5, DEAD: 1, LAST: 5}


def test_nothing_is_written_when_nothing_was_counted(database: Database) -> None:
    process = Process(database)
    assert process.publisher.publish() == 0
    process.events.labels("done").inc()
    process.publisher.publish()
    row = one(database, "SELECT * FROM process_metric")
    later = Publisher(database, "worker", registry=CollectorRegistry(), now=lambda: NOW + timedelta(hours=1))
    assert (later.publish(), process.publisher.publish()) == (0, 0)
    assert one(database, "SELECT * FROM process_metric") == row


def test_counters_of_several_processes_and_of_their_successors_add_up(database: Database) -> None:
    for _ in range(3):
        process = Process(database)
        process.events.labels("done").inc(2)
        process.publisher.publish()
    clock = Process(database, "clock")
    clock.events.labels("done").inc()
    clock.publisher.publish()
    assert values(database) == {DONE: 6, ("clock", *DONE[1:]): 1}


def test_what_could_not_be_published_is_published_once_when_the_database_is_back(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = Process(sqlite_database)

    def away(*_: object) -> None:
        raise OperationalError("add", None, Exception("away"))

    for outage in (1, 2):
        process.events.labels("done").inc(4)
        with monkeypatch.context() as patch, capture_logs() as lines:
            patch.setattr(metrics, "add_process_metrics", away)
            assert (process.publisher.publish(), process.publisher.publish()) == (0, 0)
        assert [line["event"] for line in lines] == ["metrics_not_published"]  # once per outage
        process.events.labels("done").inc()
        assert process.publisher.publish() == 1
        assert values(sqlite_database) == {DONE: 5 * outage}


def test_a_process_publishes_by_itself_and_once_more_when_it_stops(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(metrics, "PUBLISH_SECONDS", 0.01)
    process = Process(sqlite_database)
    process.events.labels("done").inc()
    process.publisher.start()
    wait_until(lambda: values(sqlite_database) == {DONE: 1}, "the first values")
    process.publisher.stop()
    process.events.labels("done").inc()
    assert "metrics" not in {thread.name for thread in threading.enumerate()}
    process.publisher.stop()
    assert values(sqlite_database) == {DONE: 2}


def test_the_clock_counts_what_it_did_and_what_failed() -> None:
    def fail() -> None:
        raise QueueAway

    def counted() -> list[float]:
        wanted = [{"duty": "works", "outcome": "done"}, {"duty": "fails", "outcome": "failed"}]
        return [REGISTRY.get_sample_value("joinlog_clock_duties_total", labels) or 0.0 for labels in wanted]

    before = counted()
    Clock([Duty("works", 1, lambda: None), Duty("fails", 1, fail)]).tick()
    assert counted() == [value + 1 for value in before]


def test_the_web_process_shows_what_worker_and_clock_counted(
    web_settings: Settings, database: Database, tmp_path: Path
) -> None:
    keep_events(database, [read_payload_file("webinar.started"), read_payload_file("webinar.participant_joined")])
    variables = {
        "DATABASE_URL": web_settings.database_url, "REDIS_URL": web_settings.redis_url or "",
        "SECRET_KEY": SIGNING_KEY, "CLOCK_SECONDS": "0.2",
    }  # fmt: skip
    with running(tmp_path, "worker", **variables) as worker, running(tmp_path, "clock", **variables) as clock:
        wait_until(lambda: not select(database, "SELECT 1 AS n FROM inbox_event WHERE state = 'pending'"), "the drain")
        clock.says("clock_started")
        assert (worker.stop(), clock.stop()) == (0, 0)
    with open_site(web_settings) as site:
        token = TOKENS.sign_link(new_pass(Role.VIEWER, timedelta(hours=1), datetime.now(UTC)))
        text = site.stranger().get("/metrics", Authorization=f"Bearer {token}").text
    assert text.count("# TYPE joinlog_doorbell_rings_total ") == 1  # of the clock and of the web process
    shown = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert shown["joinlog_events_settled_total", ("process", "worker"), ("state", "done")] == 2
    assert shown["joinlog_batches_total", ("process", "worker")] >= 1
    assert shown["joinlog_batch_seconds_total", ("process", "worker")] > 0
    assert shown["joinlog_doorbell_rings_total", ("process", "clock")] >= 1
    assert shown["joinlog_clock_duties_total", ("duty", "ring"), ("outcome", "done"), ("process", "clock")] >= 1
    ticked_at = shown["joinlog_clock_last_tick_timestamp_seconds", ("process", "clock")]
    assert 0 <= datetime.now(UTC).timestamp() - ticked_at < 300
    assert shown["joinlog_inbox_pending",] == 0
