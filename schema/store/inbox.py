"""The inbox: keeping what was accepted, claiming what is pending, settling what was applied."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.states import EventState
from schema.store.database import Database
from schema.store.rows import as_moment, is_postgres, moment_parameter, packed, recordset
from schema.tables import utc_text
from schema.zoom.envelope import Envelope

InboxKey = tuple[str, int]  # account_id, id


class Arrival(NamedTuple):
    """One accepted delivery, to be kept."""

    id: int  # microseconds since 1970, unique
    envelope: Envelope
    received_at: datetime
    tracking_id: str | None


class Claimed(NamedTuple):
    """One pending event, claimed by the drain for the length of its transaction."""

    account_id: str
    id: int
    idempotency_key: str
    event_type: str | None
    event_ts: datetime | None
    received_at: datetime
    body: str | None


_KEEP_COLUMNS = {
    "account_id": "text", "id": "bigint", "idempotency_key": "text", "event_type": "text", "event_ts": "timestamptz",
    "meeting_id": "bigint", "uuid": "text", "received_at": "timestamptz", "last_delivered_at": "timestamptz",
    "processed_at": "timestamptz", "deliveries": "integer", "tracking_id": "text", "state": "text", "error": "text",
    "body": "text", "updated_at": "timestamptz",
}  # fmt: skip
_KEEP_NAMES = ", ".join(_KEEP_COLUMNS)
_KEY_TYPES = {"account_id": "text", "id": "bigint"}
_REPEAT = (
    "ON CONFLICT (account_id, idempotency_key) DO UPDATE SET "
    "deliveries = inbox_event.deliveries + excluded.deliveries, last_delivered_at = "
)
_KEEP_POSTGRES = (
    f"INSERT INTO inbox_event ({_KEEP_NAMES}) SELECT * FROM {recordset(_KEEP_COLUMNS, 'arrived')} "
    f"{_REPEAT} GREATEST(inbox_event.last_delivered_at, excluded.last_delivered_at)"
)
_KEEP_SQLITE = (
    f"INSERT INTO inbox_event ({_KEEP_NAMES}) VALUES ({', '.join('?' * len(_KEEP_COLUMNS))}) "
    f"{_REPEAT} max(inbox_event.last_delivered_at, excluded.last_delivered_at)"
)


def keep(database: Database, arrivals: Sequence[Arrival]) -> None:
    """Commit accepted deliveries in one transaction; a repeat only raises `deliveries` and `last_delivered_at`.

    Raises sqlalchemy.exc.DBAPIError when they could not be committed; none of them is kept then. An id that is taken
    raises IntegrityError: come back with other ids.
    """
    rows = [_kept_row(arrival) for arrival in arrivals]
    if database.is_postgres:
        rows = _merge_repeats(rows)
        with database.autocommit() as connection:  # one statement is one transaction, and one round trip
            connection.exec_driver_sql(_KEEP_POSTGRES, (packed(tuple(_KEEP_COLUMNS), rows),))
        return
    values = [tuple(utc_text(value) if isinstance(value, datetime) else value for value in row) for row in rows]
    with database.write() as connection:
        connection.exec_driver_sql(_KEEP_SQLITE, values)


def _kept_row(arrival: Arrival) -> tuple[Any, ...]:
    envelope, received_at = arrival.envelope, arrival.received_at
    is_dead = envelope.error is not None
    return (
        envelope.account_id, arrival.id, envelope.idempotency_key, envelope.event_type, envelope.event_ts,
        envelope.meeting_id, envelope.uuid, received_at, received_at, received_at if is_dead else None, 1,
        arrival.tracking_id, EventState.DEAD.value if is_dead else EventState.PENDING.value, envelope.error,
        envelope.body, received_at,
    )  # fmt: skip


def _merge_repeats(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Postgres cannot touch a row twice in one statement: repeats within a group become one row first."""
    merged: dict[tuple[Any, Any], tuple[Any, ...]] = {}
    for row in rows:
        identity = (row[0], row[2])
        if (known := merged.get(identity)) is not None:
            row = (*known[:8], max(known[8], row[8]), known[9], known[10] + row[10], *known[11:])
        merged[identity] = row
    return list(merged.values())


_CLAIM_COLUMNS = "e.account_id, e.id, e.idempotency_key, e.event_type, e.event_ts, e.received_at, e.body"


def claim(connection: Connection, limit: int) -> list[Claimed]:
    """Take up to `limit` pending events, oldest first, that no other worker holds, until this transaction ends."""
    query = f"SELECT {_CLAIM_COLUMNS} FROM inbox_event e WHERE e.state = 'pending' ORDER BY e.id LIMIT "
    if is_postgres(connection):
        return claimed_from(connection.exec_driver_sql(query + "%s FOR UPDATE SKIP LOCKED", (limit,)))
    return claimed_from(connection.exec_driver_sql(query + "?", (limit,)))


def claim_again(connection: Connection, keys: Sequence[InboxKey]) -> list[Claimed]:
    """Take these events, those of them that are still pending and not held by another worker."""
    if is_postgres(connection):
        query = (
            f"SELECT {_CLAIM_COLUMNS} FROM {recordset(_KEY_TYPES, 'wanted')} "
            "JOIN inbox_event e USING (account_id, id) WHERE e.state = 'pending' ORDER BY e.id "
            "FOR UPDATE OF e SKIP LOCKED"
        )
        return claimed_from(connection.exec_driver_sql(query, (packed(tuple(_KEY_TYPES), keys),)))
    query = (
        f"SELECT {_CLAIM_COLUMNS} FROM json_each(?) AS wanted CROSS JOIN inbox_event e "
        "WHERE e.account_id = json_extract(wanted.value, '$[0]') AND e.id = json_extract(wanted.value, '$[1]') "
        "AND e.state = 'pending' ORDER BY e.id"
    )
    return claimed_from(connection.exec_driver_sql(query, (json.dumps(keys),)))


def claimed_from(rows: Iterable[Any]) -> list[Claimed]:
    """Rows of the columns a claim reads, on either database."""
    return [
        Claimed(account, id_, key, kind, as_moment(event_ts), as_moment(received) or _EPOCH, body)
        for account, id_, key, kind, event_ts, received, body in rows
    ]


def settle(
    connection: Connection, keys: Iterable[InboxKey], state: EventState, now: datetime, error: str | None = None
) -> None:
    """Give events a state that ends their time as pending, in the transaction that wrote their facts."""
    settled = list(keys)
    if not settled:
        return
    moment = moment_parameter(connection, now)
    if is_postgres(connection):
        connection.exec_driver_sql(
            "UPDATE inbox_event e SET state = %s, processed_at = %s, updated_at = %s, error = %s "
            f"FROM {recordset(_KEY_TYPES, 'settled')} "
            "WHERE e.account_id = settled.account_id AND e.id = settled.id",
            (state.value, moment, moment, error, packed(tuple(_KEY_TYPES), settled)),
        )
        return
    connection.exec_driver_sql(
        "UPDATE inbox_event SET state = ?, processed_at = ?, updated_at = ?, error = ? WHERE account_id = ? AND id = ?",
        [(state.value, moment, moment, error, *key) for key in settled],
    )


def lock_meetings(connection: Connection, buckets: Iterable[int]) -> None:
    """Hold the meetings of this batch until the transaction ends, so that two workers never merge into one row.

    A bucket is a number below MEETING_BUCKETS; sorted, so that two workers cannot wait for each other in a ring.
    SQLite has one writer anyway.
    """
    if is_postgres(connection):
        connection.exec_driver_sql(
            "SELECT pg_advisory_xact_lock_shared(%s, %s), (SELECT count(pg_advisory_xact_lock(%s, bucket)) FROM "
            "(SELECT unnest(%s::int[]) AS bucket ORDER BY 1) AS buckets)",
            (LOCK_SPACE, DRAIN_LOCK, LOCK_SPACE, sorted(set(buckets))),
        )


MEETING_BUCKETS = 1024
DRAIN_LOCK = -1  # every drain shares it; a rebuild takes it alone while it swaps the tables
LOCK_SPACE = 0x4A4C  # "JL": keeps these advisory locks apart from anybody else's in the same database


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
