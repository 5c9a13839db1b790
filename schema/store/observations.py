"""What is noticed of the endpoint, and what conditions are judged by. Small indexed looks only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from schema.alerts import LOSSY_KNOWN_FOR, LOST_SHARE_MAX, Observed, Place, RefusedDeliveries
from schema.store.audit import count_lossy
from schema.store.database import Database
from schema.store.dialect import as_moment, dialect_of, run
from schema.store.health import read_inbox_health, read_validations
from schema.store.push import count_off

UNKNOWN_SECRET, CLOCK_SKEW, JUDGED = "unknown_secret", "clock_skew", "judged"

PLACES_MAX = 5  # of one condition; the pages have all of them
_WHERE: Mapping[str, tuple[str, tuple[Any, ...]]] = {
    "link_undecided": ("(i.account_id, i.uuid) IN (SELECT n.account_id, n.uuid FROM needs_review n)", ()),
    "no_delivery": ("i.ended_at IS NULL AND i.started_at IS NOT NULL", ()),
    "webhooks_lost": (
        "i.webhooks_lost > 0 AND i.final_at >= ? AND i.webhooks_lost > ? * i.webhooks_expected "
        "AND i.webhooks_lost < i.webhooks_expected",
        (LOSSY_KNOWN_FOR, LOST_SHARE_MAX),
    ),
}
"""Which instances each condition is about."""

_NOTE = (
    "INSERT INTO endpoint_observation (account_id, kind, first_at, last_at, deliveries, seconds, secrets, updated_at) "
    "VALUES ('', ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (account_id, kind) DO UPDATE SET "
)
_SAME_EPISODE = "endpoint_observation.last_at >= ? AND endpoint_observation.secrets = excluded.secrets"
_NOTE_REFUSED = (
    f"{_NOTE} first_at = CASE WHEN {_SAME_EPISODE} THEN endpoint_observation.first_at ELSE excluded.first_at END, "
    f"deliveries = excluded.deliveries + CASE WHEN {_SAME_EPISODE} THEN endpoint_observation.deliveries ELSE 0 END, "
    "last_at = excluded.last_at, secrets = excluded.secrets, updated_at = excluded.updated_at"
)
_NOTE_NEWEST = f"{_NOTE} last_at = excluded.last_at, seconds = excluded.seconds, updated_at = excluded.updated_at"


def note_refused(database: Database, refused: RefusedDeliveries, quiet: timedelta) -> None:
    """Add refused deliveries to those before; after `quiet` without any, or with other secrets, they begin anew."""
    secrets, since = ",".join(sorted(refused.secrets)), refused.first_at - quiet
    values = (refused.first_at, refused.last_at, refused.deliveries, None, secrets, refused.last_at, since, since)
    with database.write() as connection:
        run(connection, _NOTE_REFUSED, (UNKNOWN_SECRET, *values))


def note_skew(database: Database, seconds: float, now: datetime) -> None:
    """Note how far our clock is ahead of Zoom's."""
    with database.write() as connection:
        run(connection, _NOTE_NEWEST, (CLOCK_SKEW, now, now, None, seconds, None, now))


def note_judged(connection: Connection, now: datetime) -> None:
    """Note that every condition was looked at; it shows, too, whether the database takes writes."""
    run(connection, _NOTE_NEWEST, (JUDGED, now, now, None, None, None, now))


def read_judged_at(connection: Connection) -> datetime | None:
    """When every condition was last looked at."""
    return as_moment(_read(connection).get(JUDGED, (None,) * 5)[1])


def read_refused_at(connection: Connection) -> datetime | None:
    """When a delivery was last refused because no secret that is set had signed it."""
    return as_moment(_read(connection).get(UNKNOWN_SECRET, (None,) * 5)[1])


def read_refused(connection: Connection) -> RefusedDeliveries | None:
    """What was refused because no secret that is set had signed it."""
    return _refused(_read(connection).get(UNKNOWN_SECRET))


def observe_database(database: Database, secrets: frozenset[str]) -> Observed:
    """What the tables and the disk tell. Raises SQLAlchemyError when the database does not answer."""
    with database.read() as connection:
        inbox = read_inbox_health(connection)
        validations = read_validations(connection)
        noticed = _read(connection)
        ((reviews,),) = run(connection, "SELECT count(*) FROM needs_review")
        running = run(
            connection,
            "SELECT started_at FROM instance WHERE ended_at IS NULL AND started_at IS NOT NULL "
            "ORDER BY started_at DESC LIMIT 1",
        )
        fault = dialect_of(connection).refuses_writes(connection)
        lossy = count_lossy(connection, LOST_SHARE_MAX, datetime.now(UTC) - LOSSY_KNOWN_FOR)
        pushes_off, pushes_off_since = count_off(connection)
    _, skew_at, _, skew_seconds, _ = noticed.get(CLOCK_SKEW, (None,) * 5)
    return Observed(
        secrets=secrets,
        unknown_secret=_refused(noticed.get(UNKNOWN_SECRET)),
        validated_at=validations[0][1] if validations else None,
        pending=inbox.pending,
        oldest_pending_at=inbox.oldest_pending_at,
        dead=inbox.dead,
        reviews=int(reviews),
        running_since=as_moment(running[0][0]) if running else None,
        last_received_at=inbox.last_received_at,
        skew_seconds=skew_seconds,
        skew_at=as_moment(skew_at),
        disk=database.disk(),
        database_fault=fault,
        lossy=lossy,
        pushes_off=pushes_off,
        pushes_off_since=pushes_off_since,
    )


def read_places(connection: Connection, condition: str, now: datetime) -> list[Place]:
    """The newest instances that a condition is about; none for one that is about no instance."""
    where, values = _WHERE.get(condition, ("", ()))
    if not where:
        return []
    query = (
        "SELECT i.account_id, i.meeting_id, i.uuid, i.occurrence_id, i.topic, "
        "COALESCE(o.scheduled_start, i.started_at) FROM instance i "
        "LEFT JOIN occurrence o ON o.account_id = i.account_id AND o.meeting_id = i.meeting_id "
        f"AND o.occurrence_id = i.occurrence_id WHERE {where} ORDER BY i.started_at DESC LIMIT {PLACES_MAX}"
    )
    bound = [now - value if isinstance(value, timedelta) else value for value in values]
    found = [Place._make(row) for row in run(connection, query, bound)]
    return [place._replace(at=as_moment(place.at)) for place in found]


def _read(connection: Connection) -> Mapping[str, tuple[Any, ...]]:
    rows = run(connection, "SELECT kind, first_at, last_at, deliveries, seconds, secrets FROM endpoint_observation")
    return {kind: tuple(values) for kind, *values in rows}


def _refused(row: tuple[Any, ...] | None) -> RefusedDeliveries | None:
    if row is None:
        return None
    first, last, deliveries, _, secrets = row
    first_at, last_at = as_moment(first), as_moment(last)
    assert first_at is not None
    assert last_at is not None
    return RefusedDeliveries(first_at, last_at, int(deliveries), frozenset((secrets or "").split(",")) - {""})
