"""What a worker is to ask Zoom's API by itself: written down, so that neither Redis nor a killed worker loses it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.store.database import Database
from schema.store.dialect import as_moment, dialect_of, marks, run


class Errand(NamedTuple):
    """One errand as a worker took it."""

    account_id: str
    kind: str
    subject: str
    begun_at: datetime
    tries: int


class EndedInstance(NamedTuple):
    """An instance that ended and whose record is not final."""

    account_id: str
    meeting_id: int
    uuid: str
    ended_at: datetime
    read_at: datetime | None  # when its report was last read
    tried_at: datetime | None  # when the errand that reads it was last planned or tried


_PLAN = (
    "INSERT INTO api_errand (account_id, kind, subject, due_at, tries, updated_at) VALUES (?, ?, ?, ?, 0, ?) "
    "ON CONFLICT (account_id, kind, subject) DO UPDATE SET due_at = excluded.due_at, updated_at = excluded.updated_at "
    "WHERE api_errand.begun_at IS NULL AND (api_errand.due_at IS NULL OR api_errand.due_at > excluded.due_at)"
)


def plan(database: Database, account_id: str, kind: str, subject: str, due_at: datetime, now: datetime) -> None:
    """Have something asked at a moment, or earlier if that was planned; what is being tried goes on as it is."""
    with database.write() as connection:
        run(connection, _PLAN, (account_id, kind, subject, due_at, now))


def unknown_series(connection: Connection, accounts: Collection[str], since: datetime) -> list[tuple[str, int]]:
    """Meetings with several dates of which no date is known, and that were never asked about: account, number.

    Of those told of since a moment. One whose type nobody told may have several dates.
    """
    query = (
        "SELECT m.account_id, m.meeting_id FROM meeting m WHERE m.updated_at >= ? AND m.deleted_at IS NULL "
        f"AND m.account_id IN ({marks(list(accounts))}) AND (m.type IS NULL OR m.type IN (8, 9)) "
        "AND NOT EXISTS (SELECT 1 FROM occurrence o WHERE o.account_id = m.account_id "
        "AND o.meeting_id = m.meeting_id AND o.scheduled_start IS NOT NULL) "
        "AND NOT EXISTS (SELECT 1 FROM api_errand e WHERE e.account_id = m.account_id AND e.kind = 'series' "
        "AND e.subject = CAST(m.meeting_id AS TEXT)) "
        "AND NOT EXISTS (SELECT 1 FROM api_task t WHERE t.account_id = m.account_id AND t.kind = 'zoom.meeting_read' "
        "AND t.subject = CAST(m.meeting_id AS TEXT) AND t.done_at IS NOT NULL)"
    )
    return [(row[0], row[1]) for row in run(connection, query, (since, *accounts))]


_ENDED = (
    "SELECT i.account_id, i.meeting_id, i.uuid, i.ended_at, t.done_at, e.updated_at FROM instance i "
    "LEFT JOIN api_task t "
    "ON t.account_id = i.account_id AND t.kind = 'zoom.participants_read' AND t.subject = i.uuid "
    "LEFT JOIN api_errand e "
    "ON e.account_id = i.account_id AND e.kind = 'ended' AND e.subject = CAST(i.meeting_id AS TEXT) "
    "WHERE i.final_at IS NULL AND i.meeting_id IS NOT NULL AND i.ended_at >= ? "
)


def ended_instances(
    connection: Connection, accounts: Collection[str], ended_since: datetime, changed_since: datetime
) -> list[EndedInstance]:
    """Instances that ended, changed since a moment and whose record is not final."""
    query = f"{_ENDED} AND i.updated_at >= ? AND i.account_id IN ({marks(list(accounts))})"
    return _instances(run(connection, query, (ended_since, changed_since, *accounts)))


def ended_of_meeting(
    connection: Connection, account_id: str, meeting_id: int, ended_since: datetime
) -> list[EndedInstance]:
    """The same of one meeting."""
    query = f"{_ENDED} AND i.account_id = ? AND i.meeting_id = ?"
    return _instances(run(connection, query, (ended_since, account_id, meeting_id)))


def _instances(rows: Sequence[Sequence[Any]]) -> list[EndedInstance]:
    return [EndedInstance._make((*row[:3], *map(as_moment, row[3:]))) for row in rows]


def take_due(database: Database, accounts: Collection[str], now: datetime, until: datetime) -> Errand | None:
    """Take the errand that is due for longest and nobody is at; it is the taker's until a moment."""
    with database.write() as connection:
        lock = dialect_of(connection).claim_lock
        found = run(
            connection,
            "SELECT account_id, kind, subject FROM api_errand WHERE due_at <= ? "
            f"AND (taken_until IS NULL OR taken_until < ?) AND account_id IN ({marks(list(accounts))}) "
            f"ORDER BY due_at LIMIT 1 {lock}",
            (now, now, *accounts),
        )
        for key in found:
            rows = run(
                connection,
                "UPDATE api_errand SET taken_until = ?, begun_at = COALESCE(begun_at, ?), tries = tries + 1, "
                "updated_at = ? WHERE account_id = ? AND kind = ? AND subject = ? RETURNING begun_at, tries",
                (until, now, now, *key),
            )
            for begun_at, tries in rows:
                moment = as_moment(begun_at)
                assert moment is not None
                return Errand._make((*key, moment, tries))
    return None


def finish(database: Database, errand: Errand, due_at: datetime | None, error: str | None, now: datetime) -> None:
    """Note that an errand was run, what is missing all the same, and when it is due again."""
    _note(database, errand, "begun_at = NULL, tries = 0, ", due_at, error, now)


def postpone(database: Database, errand: Errand, due_at: datetime, error: str, now: datetime) -> None:
    """Have an errand that failed tried again; what was answered is not asked for again."""
    _note(database, errand, "", due_at, error, now)


def _note(
    database: Database, errand: Errand, more: str, due_at: datetime | None, error: str | None, now: datetime
) -> None:
    with database.write() as connection:
        run(
            connection,
            f"UPDATE api_errand SET {more}due_at = ?, error = ?, taken_until = NULL, updated_at = ? "
            "WHERE account_id = ? AND kind = ? AND subject = ?",
            (due_at, error, now, *errand[:3]),
        )


def when_planned(connection: Connection, account_id: str, kind: str, subject: str) -> datetime | None:
    """When an errand was last planned or run; None if it never was."""
    query = "SELECT updated_at FROM api_errand WHERE account_id = ? AND kind = ? AND subject = ?"
    found = run(connection, query, (account_id, kind, subject))
    return as_moment(found[0][0]) if found else None


def note_look(database: Database, now: datetime) -> None:
    """Note that somebody looks for errands: a gap in it is an outage."""
    query = (
        "INSERT INTO api_errand (account_id, kind, subject, updated_at) VALUES ('', 'look', '', ?) "
        "ON CONFLICT (account_id, kind, subject) DO UPDATE SET updated_at = excluded.updated_at"
    )
    with database.write() as connection:
        run(connection, query, (now,))


def last_look(connection: Connection) -> datetime | None:
    """When somebody last looked for errands; None if nobody ever did."""
    return when_planned(connection, "", "look", "")
