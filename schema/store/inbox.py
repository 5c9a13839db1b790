"""The inbox: keeping what was accepted, claiming what is pending, settling what was applied."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from schema.states import EventState, states_before
from schema.store.codec import key_kinds, kinds_of
from schema.store.database import Database
from schema.store.dialect import Dialect, Statement, as_moment, dialect_of
from schema.zoom.envelope import Envelope, read_envelope

ID_ATTEMPTS_MAX = 5
InboxKey = tuple[str, int]  # account_id, id


class Arrival(NamedTuple):
    """One accepted delivery, to be kept."""

    id: int  # microseconds since 1970, unique
    envelope: Envelope
    received_at: datetime
    tracking_id: str | None = None
    request_id: str | None = None
    source: str = "webhook"


class Claimed(NamedTuple):
    """One pending event, claimed by the drain for the length of its transaction."""

    account_id: str
    id: int
    idempotency_key: str
    event_type: str | None
    event_ts: datetime | None
    received_at: datetime
    body: str | None


_TABLE = "inbox_event"
_KEEP_NAMES = (
    "account_id", "id", "idempotency_key", "event_type", "event_ts", "meeting_id", "uuid", "received_at",
    "last_delivered_at", "processed_at", "deliveries", "tracking_id", "request_id", "source", "state", "error", "body",
    "updated_at",
)  # fmt: skip
_REPEAT = (
    "ON CONFLICT (account_id, idempotency_key) DO UPDATE SET "
    "deliveries = inbox_event.deliveries + excluded.deliveries, "
    "last_delivered_at = {greatest}(inbox_event.last_delivered_at, excluded.last_delivered_at)"
)


def keep(database: Database, arrivals: Sequence[Arrival]) -> None:
    """Commit accepted deliveries in one transaction; a repeat only raises `deliveries` and `last_delivered_at`.

    Raises sqlalchemy.exc.DBAPIError when they could not be committed; none of them is kept then. An id that is taken
    raises IntegrityError: come back with other ids.
    """
    with database.write_one() as connection:
        database.dialect.run_all(connection, [keeping(database.dialect, arrivals)])


def keeping(dialect: Dialect, arrivals: Sequence[Arrival]) -> Statement:
    """The statement that keeps arrivals, for a transaction of the caller's."""
    kinds = kinds_of(_TABLE)
    columns = {name: kinds[name] for name in _KEEP_NAMES}
    rows = _without_repeats([_kept_row(arrival) for arrival in arrivals])
    return dialect.upsert(_TABLE, columns, _REPEAT.format(greatest=dialect.greatest), rows)


def keep_own_event(database: Database, body: bytes) -> None:
    """Keep an event of Joinlog's own (`joinlog.*`): what an operator decided, or what Zoom's API answered.

    Raises sqlalchemy.exc.DBAPIError.
    """
    envelope = read_envelope(body)
    for attempt in range(1, ID_ATTEMPTS_MAX + 1):
        try:
            keep(database, [Arrival(time.time_ns() // 1000, envelope, datetime.now(UTC), source="joinlog")])
            return
        except IntegrityError:  # another process accepted an event in the same microsecond
            if attempt == ID_ATTEMPTS_MAX:
                raise


def known_keys(connection: Connection, keys: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Those of these keys (account, idempotency key) that are in the inbox."""
    dialect = dialect_of(connection)
    kinds = {name: kinds_of(_TABLE)[name] for name in ("account_id", "idempotency_key")}
    query = dialect.select_by("t.account_id, t.idempotency_key", _TABLE, kinds)
    return {(row[0], row[1]) for row in dialect.run(connection, query, (dialect.pack_keys(kinds, sorted(keys)),))}


def _kept_row(arrival: Arrival) -> tuple[Any, ...]:
    envelope, received_at = arrival.envelope, arrival.received_at
    is_dead = envelope.error is not None
    return (
        envelope.account_id, arrival.id, envelope.idempotency_key, envelope.event_type, envelope.event_ts,
        envelope.meeting_id, envelope.uuid, received_at, received_at, received_at if is_dead else None, 1,
        arrival.tracking_id, arrival.request_id, arrival.source,
        EventState.DEAD.value if is_dead else EventState.PENDING.value,
        envelope.error, envelope.body, received_at,
    )  # fmt: skip


_DELIVERED, _DELIVERIES = _KEEP_NAMES.index("last_delivered_at"), _KEEP_NAMES.index("deliveries")


def _without_repeats(rows: list[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """One statement may touch a row once: repeats within a group become one row first."""
    merged: dict[tuple[Any, Any], tuple[Any, ...]] = {}
    for row in rows:
        same = (row[0], row[2])
        if (known := merged.get(same)) is not None:
            values = list(known)
            values[_DELIVERED] = max(known[_DELIVERED], row[_DELIVERED])
            values[_DELIVERIES] = known[_DELIVERIES] + row[_DELIVERIES]
            row = tuple(values)
        merged[same] = row
    return list(merged.values())


CLAIMED = ("account_id", "id", "idempotency_key", "event_type", "event_ts", "received_at", "body")
CLAIMED_BYTES_MAX = 4 * 1024 * 1024  # of bodies that one batch holds, or one body
_SMALL_BYTES = 4096  # bodies up to here come with the claim; a larger one is read once it is known to fit


NOT_ANSWERS, ANSWERS = "AND COALESCE(t.source, '') <> 'api'", "AND t.source = 'api'"
"""What a claim may be narrowed to: all but answers of Zoom's API, or only those."""


def answers_wait(connection: Connection) -> bool:
    """Whether an answer of Zoom's API is pending, also one that a worker is at."""
    query = f"SELECT 1 FROM inbox_event t WHERE t.state = 'pending' {ANSWERS} LIMIT 1"
    return bool(dialect_of(connection).run(connection, query))


def claim(connection: Connection, limit: int, after: int = 0, only: str = "") -> list[Claimed]:
    """Take pending events with ids above `after`, oldest first, passing by what other workers hold, until the commit.

    Up to `limit` of them, and up to CLAIMED_BYTES_MAX of bodies; one event at least.
    """
    dialect = dialect_of(connection)
    query = (
        f"SELECT {_claim_columns(dialect)} FROM inbox_event t WHERE t.state = 'pending' AND t.id > ? {only} "
        f"ORDER BY t.id LIMIT ? {dialect.claim_lock}"
    )
    return _bounded(connection, query, (after, limit))


def claim_recent(connection: Connection, limit: int, since: datetime, only: str = "") -> list[Claimed]:
    """The same of those events that became pending, or were replayed, since a moment, whatever their ids.

    It never looks at the index of what is pending, which a held snapshot fills with dead entries on Postgres.
    """
    dialect, kinds = dialect_of(connection), key_kinds(_TABLE)
    query = (
        "WITH recent AS MATERIALIZED "
        f"(SELECT account_id, id, state FROM inbox_event t WHERE t.updated_at >= ? {only}) "
        "SELECT account_id, id FROM recent WHERE state = 'pending' ORDER BY id LIMIT ?"
    )
    keys = dialect.run(connection, query, (since, limit))
    lock = dialect.claim_lock.replace("UPDATE", "UPDATE OF t")
    query = dialect.select_by(
        _claim_columns(dialect), _TABLE, kinds, f"AND t.state = 'pending' ORDER BY t.id LIMIT ? {lock}"
    )
    return _bounded(connection, query, (dialect.pack_keys(kinds, keys), limit)) if keys else []


def _claim_columns(dialect: Dialect) -> str:
    """What a claim reads: a small body, and how long every body is."""
    length = dialect.bytes_of("t.body")
    names = ", ".join(f"t.{name}" for name in CLAIMED[:-1])
    return f"{names}, CASE WHEN {length} <= {_SMALL_BYTES} THEN t.body END, {length}"


def _bounded(connection: Connection, query: str, values: Sequence[Any]) -> list[Claimed]:
    """Read claimed events until their bodies are CLAIMED_BYTES_MAX long."""
    text, parameters = dialect_of(connection).for_driver(query, values)
    held = 0
    rows: list[Any] = []
    found = connection.exec_driver_sql(text, parameters)
    for row in found:
        held += row[-1] or 0
        if rows and held > CLAIMED_BYTES_MAX:
            break
        rows.append(row)
    found.close()
    claimed = claimed_from(row[:-1] for row in rows)
    large = {(row[0], row[1]) for row in rows if row[-2] is None and row[-1] is not None}
    return _with_bodies(connection, claimed, large) if large else claimed


def _with_bodies(connection: Connection, claimed: Sequence[Claimed], large: set[InboxKey]) -> list[Claimed]:
    """These events with the bodies that did not come with the claim."""
    dialect, kinds = dialect_of(connection), key_kinds(_TABLE)
    query = dialect.select_by("t.account_id, t.id, t.body", _TABLE, kinds)
    found = dialect.run(connection, query, (dialect.pack_keys(kinds, sorted(large)),))
    bodies = {(account_id, id_): body for account_id, id_, body in found}
    return [
        event._replace(body=bodies[event.account_id, event.id]) if (event.account_id, event.id) in bodies else event
        for event in claimed
    ]


def claim_again(connection: Connection, keys: Sequence[InboxKey]) -> list[Claimed]:
    """Take these events, those of them that are still pending and not held by another worker."""
    dialect, kinds = dialect_of(connection), key_kinds(_TABLE)
    names = ", ".join(f"t.{name}" for name in CLAIMED)
    lock = dialect.claim_lock.replace("UPDATE", "UPDATE OF t")
    query = dialect.select_by(names, _TABLE, kinds, f"AND t.state = 'pending' ORDER BY t.id {lock}")
    return claimed_from(dialect.run(connection, query, (dialect.pack_keys(kinds, keys),)))


def claimed_from(rows: Iterable[Any]) -> list[Claimed]:
    """Rows of the columns a claim reads, on either database."""
    return [
        Claimed(account, id_, key, kind, as_moment(event_ts), as_moment(received) or _EPOCH, body)
        for account, id_, key, kind, event_ts, received, body in rows
    ]


def settling(
    dialect: Dialect, keys: Sequence[InboxKey], state: EventState, now: datetime, error: str | None = None
) -> Statement:
    """The statement that gives events their next state, for the transaction that wrote their facts.

    An event that is not in a state from which that is a transition stays as it is.
    """
    return dialect.update_by(
        _TABLE,
        "state = ?, processed_at = ?, updated_at = ?, error = ?",
        key_kinds(_TABLE),
        keys,
        (state.value, now, now, error),
        f"AND state IN ({', '.join(map(repr, states_before(state)))})",
    )


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
