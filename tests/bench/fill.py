"""Many rows, made by the database itself: an inbox of years, and the reports of a large installation."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any, NamedTuple

from schema.store.database import Database
from tests.inbox_to_tables import insert_rows, is_postgres

EVENTS_AT_ONCE = 250_000
ROWS_AT_ONCE = 50_000
SETTLED_AT_ONCE = 10_000
WEEKS = 50
PEOPLE_PER_OCCURRENCE = 2000
ACCOUNT = "benchmarkAccount000000"
BIG_MEETING = 1
FIRST_START = datetime(2026, 1, 5, 15, tzinfo=UTC)
WALK_INS_EVERY = 5
REGISTRANTS_MAX = 10_000

Row = dict[str, Any]

_BODY = '{"event":"webinar.participant_joined","payload":{"filler":"' + "x" * 620 + '"}}'


def fill_inbox(url: str, events: int, first: int = 0) -> None:
    """The events from `first` to `events`, settled long ago, with the lines, connections and stays they led to."""
    database = Database(url, durable=False)
    base_us = int(time.time() * 1_000_000) - 86_400_000_000
    for start in range(first, events, EVENTS_AT_ONCE):
        last = min(events, start + EVENTS_AT_ONCE) - 1
        with database.write() as connection:
            for statement in _filling(is_postgres(database), base_us - (events - start) * 1000, start, last):
                connection.exec_driver_sql(statement)
    _tidy(database)
    database.close()


def settle_under_a_snapshot(url: str, events: int) -> None:
    """So many events that became pending one every millisecond up to now, settled at once, and nothing tidied after."""
    database = Database(url, durable=False)
    base_us = int(time.time() * 1_000_000) - events * 1000
    for start in range(0, events, SETTLED_AT_ONCE):
        last = min(events, start + SETTLED_AT_ONCE) - 1
        kept, *_ = _filling(is_postgres(database), base_us + start * 1000, start, last)
        kept = kept.replace("'done'", "'pending'").replace("'benchmarkAccount'", f"'{start}'")
        for statement in (kept, "UPDATE inbox_event SET state = 'done' WHERE state = 'pending'"):
            with database.write() as connection:
                connection.exec_driver_sql(statement)
    database.close()


class _Series(NamedTuple):
    """So many numbers `n(i)` in one database's words, and when the event of each happened."""

    source: str
    at: str


def _series(on_postgres: bool, base_us: int, first: int, last: int, step_us: int) -> _Series:
    """The numbers from first to last, one event every `step_us` from `base_us` on."""
    if on_postgres:
        at = f"to_timestamp(({base_us} + (i - {first}) * {step_us}) / 1000000.0)"
        return _Series(f"generate_series({first}, {last}) AS n(i)", at)
    source = f"(WITH RECURSIVE n(i) AS (SELECT {first} UNION ALL SELECT i + 1 FROM n WHERE i < {last}) SELECT i FROM n)"
    seconds = f"({base_us} + (i - {first}) * {step_us}) / 1000000"
    return _Series(source, f"strftime('%Y-%m-%dT%H:%M:%S.000000Z', {seconds}, 'unixepoch')")


def _filling(on_postgres: bool, base_us: int, first: int, last: int) -> Iterator[str]:
    """One event every millisecond; every other one is the leave of the one before, so stays are half as many."""
    events = _series(on_postgres, base_us, first, last, 1000)
    stays = _series(on_postgres, base_us, first // 2, last // 2, 2000)
    if on_postgres:
        account, body = "'benchmarkAccount' || lpad(mod(i, 4)::text, 6, '0')", f"'{_BODY}'"
        key = f"lpad(to_hex({base_us // 1000} + i - {first}), 12, '0') || '-' || md5(i::text) || '00000000'"
        false = "false"
    else:
        account, body = "'benchmarkAccount' || printf('%06d', i % 4)", f"'{_BODY}'"
        key = f"printf('%012x-%040x', {base_us // 1000} + i - {first}, i)"
        false = "0"
    meeting, uuid = "70000000000 + i / 2000", "'old/' || (i / 2000) || '=='"
    yield (
        "INSERT INTO inbox_event (account_id, id, idempotency_key, event_type, event_ts, meeting_id, uuid, "
        "received_at, last_delivered_at, processed_at, deliveries, state, body, updated_at) "
        f"SELECT {account}, {base_us} + (i - {first}) * 1000, {key}, 'webinar.participant_joined', {events.at}, "
        f"{meeting}, {uuid}, {events.at}, {events.at}, {events.at}, 1, 'done', {body}, {events.at} "
        f"FROM {events.source}"
    )
    yield (
        "INSERT INTO join_log (account_id, line_id, seq, event_ts, kind, meeting_id, uuid, connection_id, name, "
        f"updated_at) SELECT {account}, {key}, {base_us} + (i - {first}) * 1000, {events.at}, 'joined', {meeting}, "
        f"{uuid}, CAST(i AS text), 'Somebody', {events.at} FROM {events.source}"
    )
    common = (
        f"{account}, {uuid}, CAST(i AS text), {meeting}, 'registrant' || i, 'old' || i || '@example.com', 'Somebody'"
    )
    names = "account_id, uuid, connection_id, meeting_id, registrant_id, email, name"
    yield (
        f"INSERT INTO connection ({names}, joins, leaves, updated_at) "
        f"SELECT {common}, '[1]', '[2]', {stays.at} FROM {stays.source}"
    )
    yield (
        f"INSERT INTO participant ({names}, first_seen_at, joined_at, left_at, counts_from, left_is_inferred, "
        f"person_id, updated_at) SELECT {common}, {stays.at}, {stays.at}, {stays.at}, {stays.at}, {false}, "
        f"'registrant:registrant' || i, {stays.at} FROM {stays.source}"
    )


def fill_reports(url: str, people: int, crowd: int) -> None:
    """So many rows of `participant` in series of 50 weeks; the first occurrence of the first holds `crowd` of them."""
    database = Database(url, durable=False)
    made, meeting_id = 0, BIG_MEETING
    while made < people:
        per_week = max(1, min(PEOPLE_PER_OCCURRENCE, (people - made) // WEEKS))
        made += _fill_series(database, meeting_id, per_week, crowd if meeting_id == BIG_MEETING else per_week)
        meeting_id += 1
    _tidy(database)
    database.close()


def _fill_series(database: Database, meeting_id: int, per_week: int, first_week: int) -> int:
    now = datetime.now(UTC)
    registrants = min(REGISTRANTS_MAX, max(per_week, first_week))
    key = {"account_id": ACCOUNT, "meeting_id": meeting_id, "updated_at": now}
    rows: dict[str, Iterator[Row]] = {
        "meeting": iter([key | {"kind": "webinar", "type": 9, "topic": f"Series {meeting_id}"}]),
        "occurrence": (key | _occurrence(week) for week in range(WEEKS)),
        "instance": (key | _instance(meeting_id, week) for week in range(WEEKS)),
        "registrant": (
            key | {"registrant_id": f"R{n}", "email": f"r{n}@example.com", "first_name": "F", "status": "approved"}
            for n in range(registrants)
        ),
        "registration": (
            key | {"registrant_id": f"R{n}", "occurrence_id": "*", "status": "approved",
                   "since": FIRST_START - timedelta(days=30)}
            for n in range(registrants)
        ),
        "participant": (
            key | _stay(meeting_id, week, n) for week in range(WEEKS) for n in range(per_week if week else first_week)
        ),
        "join_log": (
            key | _line(meeting_id, week, n) for week in range(WEEKS) for n in range(per_week if week else first_week)
        ),
    }  # fmt: skip
    for table, found in rows.items():
        while some := list(islice(found, ROWS_AT_ONCE)):
            with database.write() as connection:
                insert_rows(connection, table, some)
    return first_week + (WEEKS - 1) * per_week


def start_of(week: int) -> datetime:
    """Of an occurrence."""
    return FIRST_START + timedelta(weeks=week)


def occurrence_of(week: int) -> str:
    """Its occurrence_id."""
    return str(int(start_of(week).timestamp() * 1000))


def uuid_of(meeting_id: int, week: int) -> str:
    """Its instance."""
    return f"filled/{meeting_id}/{week}=="


def _occurrence(week: int) -> Row:
    start = start_of(week)
    return {
        "occurrence_id": occurrence_of(week), "scheduled_start": start, "duration_minutes": 60, "status": "available",
        "original_start": start, "moves": 0, "instances": 1, "held_from": start,
        "held_until": start + timedelta(minutes=62), "link_state": "observed",
    }  # fmt: skip


def _instance(meeting_id: int, week: int) -> Row:
    start = start_of(week)
    is_running = week == WEEKS - 1
    return {
        "uuid": uuid_of(meeting_id, week), "kind": "webinar", "type": 9, "started_at": start,
        "started_is_inferred": False, "ended_at": None if is_running else start + timedelta(minutes=62),
        "occurrence_id": occurrence_of(week), "link_state": "observed",
    }  # fmt: skip


def _stay(meeting_id: int, week: int, number: int) -> Row:
    joined = start_of(week) + timedelta(seconds=number * 37 % 600)
    is_walk_in = number % WALK_INS_EVERY == 0
    return {
        "uuid": uuid_of(meeting_id, week), "connection_id": str(16778240 + 1024 * number), "first_seen_at": joined,
        "joined_at": joined, "counts_from": joined, "left_at": joined + timedelta(seconds=600 + number % 2400),
        "left_is_inferred": False, "name": "N", "registrant_id": None if is_walk_in else f"R{number}",
        "email": f"w{number}@example.org" if is_walk_in else None,
        "person_id": f"email:w{number}@example.org" if is_walk_in else f"registrant:R{number}",
    }  # fmt: skip


def _line(meeting_id: int, week: int, number: int) -> Row:
    at = start_of(week) + timedelta(seconds=number * 37 % 600)
    return {
        "line_id": f"{meeting_id}/{week}/{number}", "seq": int(at.timestamp() * 1_000_000) + number, "event_ts": at,
        "kind": "joined", "uuid": uuid_of(meeting_id, week), "connection_id": str(16778240 + 1024 * number),
        "name": "N",
    }  # fmt: skip


def _tidy(database: Database) -> None:
    """What Postgres' autovacuum has done by the time a database is that large; SQLite is left as it is."""
    if is_postgres(database):
        with database.write_one() as one:
            one.exec_driver_sql("VACUUM ANALYZE")
    else:
        with closing(sqlite3.connect(str(database.url.database))) as connection:
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
