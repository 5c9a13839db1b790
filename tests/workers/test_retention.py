"""What the clock removes: bodies past their time. (Accounts that left are in test_erase.py.)"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import structlog

from schema.store import erase as store
from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import read_envelope
from tests.inbox_to_tables import drain, read_table, select, take
from tests.signed_requests import encode
from tests.stories import Json, Story
from workers.retention import remove_bodies

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
w = Story()


def keep_at(database: Database, event: Json | bytes, days_ago: float) -> None:
    """An event accepted some time ago; ids are microseconds of acceptance."""
    received = NOW - timedelta(days=days_ago)
    keep(database, [Arrival(int(received.timestamp() * 1_000_000), read_envelope(encode(event)), received, "trace")])


def bodies(database: Database) -> dict[str | None, bool]:
    return {row["event_type"]: row["body"] is not None for row in read_table(database, "inbox_event")}


def fill(database: Database) -> None:
    keep_at(database, w.created(0, {"1001": 60}), 40)
    keep_at(database, b"not json", 35)
    keep_at(database, w.event("invented", 1, {}), 31)
    keep_at(database, w.started(60), 29)
    drain(database)


def test_bodies_past_their_time_go_and_everything_else_stays(database: Database) -> None:
    fill(database)
    before = read_table(database, "inbox_event")
    tables = {name: read_table(database, name) for name in ("meeting", "occurrence", "instance", "join_log")}
    assert remove_bodies(database, 30, NOW) == 3
    assert bodies(database) == {"webinar.created": False, None: False, "webinar.invented": False,
                                "webinar.started": True}  # fmt: skip
    kept = ("account_id", "id", "idempotency_key", "event_type", "event_ts", "state", "deliveries", "processed_at")
    after = read_table(database, "inbox_event")
    assert [[row[name] for name in kept] for row in after] == [[row[name] for name in kept] for row in before]
    assert {name: read_table(database, name) for name in tables} == tables


def test_readers_who_follow_changes_see_which_went(database: Database) -> None:
    fill(database)
    remove_bodies(database, 30, NOW)
    assert {row["event_type"] for row in read_table(database, "inbox_event") if row["updated_at"] == NOW} == {
        "webinar.created", None, "webinar.invented",
    }  # fmt: skip


def test_zero_days_keeps_them_for_ever(database: Database) -> None:
    fill(database)
    assert remove_bodies(database, 0, NOW) == 0
    assert all(bodies(database).values())


def test_what_was_not_applied_yet_keeps_its_body(database: Database) -> None:
    keep_at(database, w.started(60), 100)
    assert remove_bodies(database, 30, NOW) == 0
    assert drain(database).done == 1
    assert remove_bodies(database, 30, NOW) == 1


def test_many_go_in_several_transactions(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETENTION_BATCH_EVENTS", 2)
    fill(database)
    with structlog.testing.capture_logs() as logged:
        assert remove_bodies(database, 1, NOW) == 4
    assert logged == [{"event": "bodies_removed", "events": 4, "older_than_days": 1, "log_level": "info"}]


def test_a_repeat_of_an_event_without_a_body_is_still_a_repeat(database: Database) -> None:
    started = w.started(60)
    take(database, started)
    remove_bodies(database, 1, datetime(2126, 1, 1, tzinfo=UTC))
    assert take(database, started).total == 0
    assert select(database, "SELECT deliveries, body FROM inbox_event") == [{"deliveries": 2, "body": None}]
