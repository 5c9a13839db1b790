"""What an audit reads of an instance, and what `joinlog audit`, pages and alerts read of audits."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.accuracy import Accuracy
from schema.rows import Connection as ConnectionRow
from schema.rows import Instance
from schema.states import LINKED
from schema.store.codec import row_reader, selected
from schema.store.database import Database
from schema.store.dialect import as_moment, marks, run
from schema.store.load import read_rows

PAGE_ROWS = 2000


def read_instance(connection: Connection, account_id: str, uuid: str) -> Instance | None:
    """One instance."""
    found: list[Instance] = read_rows(connection, "instance", ("account_id", "uuid"), [(account_id, uuid)])
    return found[0] if found else None


def has_ended_event(connection: Connection, account_id: str, uuid: str) -> bool:
    """Whether a webhook told its end."""
    query = (
        "SELECT 1 FROM inbox_event WHERE account_id = ? AND uuid = ? AND event_type IN ('webinar.ended', "
        "'meeting.ended') LIMIT 1"
    )
    return bool(run(connection, query, (account_id, uuid)))


def read_connections(database: Database, account_id: str, uuid: str) -> Iterator[ConnectionRow]:
    """Every connection of an instance, some thousand at a time, so that an audit of a large one holds no more."""
    after = ""
    read = row_reader("connection", database.dialect.has_one_writer)
    query = (
        f"SELECT {selected('connection')} FROM connection t WHERE t.account_id = ? AND t.uuid = ? "
        "AND t.connection_id > ? ORDER BY t.connection_id LIMIT ?"
    )
    while True:
        with database.read() as connection:
            page = read(run(connection, query, (account_id, uuid, after, PAGE_ROWS)))
        yield from page
        if len(page) < PAGE_ROWS:
            return
        after = page[-1].connection_id


class Audited(NamedTuple):
    """One instance with what Zoom's record says of it."""

    account_id: str
    meeting_id: int | None
    uuid: str
    kind: str | None
    topic: str | None
    started_at: datetime | None
    final_at: datetime | None
    stays_both: int | None
    stays_webhook_only: int | None
    stays_report_only: int | None
    webhooks_expected: int | None
    webhooks_lost: int | None
    webhooks_lost_by_event: str | None
    reported_participants: int | None
    reported_absentees: int | None
    participants: int
    absentees: int | None


_AUDITED = (
    "SELECT i.account_id, i.meeting_id, i.uuid, i.kind, i.topic, i.started_at, i.final_at, i.stays_both, "
    "i.stays_webhook_only, i.stays_report_only, i.webhooks_expected, i.webhooks_lost, i.webhooks_lost_by_event, "
    "i.reported_participants, i.reported_absentees, "
    "(SELECT count(DISTINCT p.person_id) FROM participant p WHERE p.account_id = i.account_id AND p.uuid = i.uuid), "
    "{absentees} FROM instance i"
)
_ABSENTEES = (
    "(SELECT r.no_shows FROM occurrence_report r WHERE r.account_id = i.account_id AND r.meeting_id = i.meeting_id "
    "AND r.occurrence_id = i.occurrence_id)"
)


def read_audits(connection: Connection, account_id: str, meeting_id: int) -> list[Audited]:
    """The instances of a meeting, in order of time."""
    query = f"{_AUDITED.format(absentees=_ABSENTEES)} WHERE i.account_id = ? AND i.meeting_id = ? ORDER BY i.started_at"
    return _audits(run(connection, query, (account_id, meeting_id)))


def read_audit(connection: Connection, account_id: str, uuid: str) -> Audited | None:
    """One instance."""
    query = f"{_AUDITED.format(absentees=_ABSENTEES)} WHERE i.account_id = ? AND i.uuid = ?"
    return next(iter(_audits(run(connection, query, (account_id, uuid)))), None)


def read_lossy(connection: Connection, share: float, since: datetime, limit: int = 1000) -> list[Audited]:
    """The instances found final since a moment that lost more than this share of their webhooks, the newest first."""
    query = (
        f"{_AUDITED.format(absentees='NULL')} WHERE i.webhooks_lost > 0 AND i.final_at >= ? "
        "AND i.webhooks_lost > ? * i.webhooks_expected ORDER BY i.final_at DESC LIMIT ?"
    )
    return _audits(run(connection, query, (since, share, limit)))


def count_lossy(connection: Connection, share: float, since: datetime) -> int:
    """How many they are."""
    query = (
        "SELECT count(*) FROM instance WHERE webhooks_lost > 0 AND final_at >= ? "
        "AND webhooks_lost > ? * webhooks_expected AND webhooks_lost < webhooks_expected"
    )
    return int(run(connection, query, (since, share))[0][0])


def _audits(rows: list[Any]) -> list[Audited]:
    return [Audited._make((*row[:5], as_moment(row[5]), as_moment(row[6]), *row[7:])) for row in rows]


class Record(NamedTuple):
    """How Zoom's own record of an instance stands: what it said, whether it is final, and when it is read again."""

    uuid: str
    started_at: datetime | None
    ended_at: datetime | None
    final_at: datetime | None
    stays_both: int | None
    stays_webhook_only: int | None
    stays_report_only: int | None
    webhooks_expected: int | None
    webhooks_lost: int | None
    webhooks_lost_by_event: str | None
    read_at: datetime | None  # when its report was last read
    due_at: datetime | None  # when it is read next
    error: str | None  # what the last try found missing


def read_records(connection: Connection, account_id: str, meeting_id: int, occurrence_id: str) -> list[Record]:
    """Zoom's record of each instance of an occurrence, in order of time."""
    query = (
        f"SELECT {', '.join(f'i.{name}' for name in Record._fields[:10])}, t.done_at, e.due_at, e.error "
        "FROM instance i LEFT JOIN api_task t "
        "ON t.account_id = i.account_id AND t.kind = 'zoom.participants_read' AND t.subject = i.uuid "
        "LEFT JOIN api_errand e "
        "ON e.account_id = i.account_id AND e.kind = 'ended' AND e.subject = CAST(i.meeting_id AS TEXT) "
        "WHERE i.account_id = ? AND i.meeting_id = ? AND i.occurrence_id = ? ORDER BY i.started_at, i.uuid"
    )
    rows = [Record(*row) for row in run(connection, query, (account_id, meeting_id, occurrence_id))]
    return [
        row._replace(
            started_at=as_moment(row.started_at),
            ended_at=as_moment(row.ended_at),
            final_at=as_moment(row.final_at),
            read_at=as_moment(row.read_at),
            due_at=as_moment(row.due_at),
        )
        for row in rows
    ]


def read_losses(connection: Connection, account_id: str, uuids: Collection[str]) -> list[str]:
    """Those of these instances of which a webhook never came."""
    query = f"SELECT uuid FROM instance WHERE account_id = ? AND webhooks_lost > 0 AND uuid IN ({marks(list(uuids))})"
    return [row[0] for row in run(connection, query, (account_id, *uuids))]


def read_accuracy(connection: Connection) -> list[Accuracy]:
    """What links said before Zoom stated them, by state; `operator` is a person's word. Undecided ones said nothing."""
    query = (
        "SELECT from_state, count(*), sum(CASE WHEN from_occurrence_id = stated_occurrence_id THEN 0 ELSE 1 END) "
        "FROM link_history WHERE stated_occurrence_id IS NOT NULL AND from_state IS NOT NULL "
        "AND from_occurrence_id IS NOT NULL GROUP BY from_state"
    )
    found = {row[0]: Accuracy(row[0], int(row[1]), int(row[2])) for row in run(connection, query)}
    return [found[state] for state in ("operator", *map(str, LINKED)) if state in found]
