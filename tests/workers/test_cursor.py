"""The cursor: a busy worker does not walk over what it settled, and misses nothing that comes from behind."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schema.store.database import Database
from schema.store.inbox import Arrival, claim, claim_recent, keep
from schema.zoom.envelope import read_envelope
from tests.inbox_to_tables import select
from tests.signed_requests import encode
from tests.stories import Story
from workers.cursor import ELSEWHERE_SECONDS, LATE_MICROSECONDS, LOOK_SHARE, Cursor, Look
from workers.drain import Drain

w = Story()
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
NEWEST = int(NOW.timestamp() * 1_000_000)


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def after_a_batch(clock: Clock, whole_seconds: float = 0.0) -> Cursor:
    cursor = Cursor(clock)
    with cursor.looking(Look.WHOLE):
        clock.seconds += whole_seconds
    cursor.settled(Look.WHOLE, NEWEST)
    return cursor


def test_a_new_worker_looks_at_the_whole_inbox() -> None:
    assert Cursor(Clock()).next_look() is Look.WHOLE


def test_a_busy_worker_looks_behind_its_cursor_and_elsewhere_every_few_seconds() -> None:
    clock = Clock()
    cursor = after_a_batch(clock)
    assert (cursor.next_look(), cursor.after) == (Look.AFTER, NEWEST - LATE_MICROSECONDS)
    clock.seconds += ELSEWHERE_SECONDS
    assert cursor.next_look() is Look.WHOLE


def test_while_a_whole_look_is_dear_a_look_at_what_is_recent_takes_its_place() -> None:
    clock = Clock()
    cursor = after_a_batch(clock, whole_seconds=2.0)
    clock.seconds += ELSEWHERE_SECONDS
    assert cursor.next_look() is Look.RECENT
    assert cursor.look_further(Look.AFTER) is Look.RECENT
    clock.seconds += 2.0 * LOOK_SHARE
    assert cursor.next_look() is Look.WHOLE


def test_a_look_at_what_is_recent_never_takes_the_cursor_forward() -> None:
    cursor = after_a_batch(Clock())
    cursor.settled(Look.RECENT, NEWEST + 5)
    assert cursor.after == NEWEST - LATE_MICROSECONDS
    cursor.settled(Look.RECENT, NEWEST - 5_000_000)
    assert cursor.after == NEWEST - 5_000_000 - LATE_MICROSECONDS


def keep_at(database: Database, seconds: float, minute: float) -> int:
    """Keep an event accepted so many seconds after NOW; returns its id."""
    at = NOW + timedelta(seconds=seconds)
    id_ = int(at.timestamp() * 1_000_000)
    keep(database, [Arrival(id_, read_envelope(encode(w.started(minute))), at, None, None)])
    return id_


def pending(database: Database) -> int:
    return int(select(database, "SELECT count(*) AS n FROM inbox_event WHERE state = 'pending'")[0]["n"])


def test_an_event_that_is_kept_late_with_an_old_id_is_settled(database: Database) -> None:
    drain = Drain(database)
    keep_at(database, 0, 1)
    assert drain.step().total == 1
    keep_at(database, -3600, 2)  # beyond what a slow commit explains
    assert drain.step().total == 1
    assert pending(database) == 0


def test_old_events_that_are_replayed_are_settled_again_however_many(database: Database) -> None:
    drain = Drain(database, batch_events=2, now=lambda: NOW)
    for number in range(7):
        keep_at(database, number * 100, number)
    assert drain.drain_all() == 7
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET state = 'pending'")
    assert drain.drain_all() == 7
    assert pending(database) == 0


def test_a_claim_begins_after_an_id(database: Database) -> None:
    first, second = keep_at(database, 0, 1), keep_at(database, 10, 2)
    with database.write() as connection:
        assert [event.id for event in claim(connection, 10)] == [first, second]
        assert [event.id for event in claim(connection, 10, first)] == [second]


def test_a_claim_of_what_is_recent_goes_by_when_it_became_pending(database: Database) -> None:
    keep_at(database, -100, 1)
    second = keep_at(database, 10, 2)
    with database.write() as connection:
        assert [event.id for event in claim_recent(connection, 10, NOW)] == [second]
