"""The lines of the join log, with what a reader needs beside them: topic, occurrence, person.

`seq` orders lines by when their event was accepted; `updated_at` says which batch of a drain brought them, and a batch
is committed whole. New lines are found by batch: an old event that is replayed brings a line with an old `seq`.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.log_kinds import LogKind
from schema.store.dialect import as_moment, marks, run

INT64_MAX = 2**63 - 1


class Line(NamedTuple):
    """One line of the join log."""

    account_id: str
    line_id: str
    seq: int
    event_ts: datetime | None
    kind: str | None
    meeting_id: int | None
    uuid: str | None
    occurrence_id: str | None  # of live events: what their instance is linked to now
    name: str | None
    email: str | None
    detail: str | None
    updated_at: datetime | None
    topic: str | None
    scheduled_start: datetime | None
    person_id: str | None


_OCCURRENCE = f"CASE WHEN l.kind = '{LogKind.LINK}' OR l.uuid IS NULL THEN l.occurrence_id ELSE i.occurrence_id END"
_PERSON = """COALESCE(
    CASE WHEN l.connection_id IS NOT NULL THEN
        (SELECT p.person_id FROM participant p WHERE p.account_id = l.account_id AND p.uuid = l.uuid
         AND p.connection_id = l.connection_id LIMIT 1) END,
    'registrant:' || l.registrant_id)"""
_COLUMNS = f"""l.account_id, l.line_id, l.seq, l.event_ts, l.kind, l.meeting_id, l.uuid, {_OCCURRENCE}, l.name,
    l.email, l.detail, l.updated_at, COALESCE(m.topic, i.topic), o.scheduled_start, {_PERSON}"""
_BESIDE = f"""LEFT JOIN instance i ON i.account_id = l.account_id AND i.uuid = l.uuid
LEFT JOIN meeting m ON m.account_id = l.account_id AND m.meeting_id = l.meeting_id
LEFT JOIN occurrence o ON o.account_id = l.account_id AND o.meeting_id = l.meeting_id
    AND o.occurrence_id = {_OCCURRENCE}"""
_NEWEST_FIRST = "ORDER BY l.seq DESC, l.line_id DESC"


class Cursor(NamedTuple):
    """A place in the log: everything older than this line."""

    seq: int = INT64_MAX
    line_id: str = ""


def read_lines_before(
    connection: Connection, cursor: Cursor, limit: int, meetings: Sequence[int] = (), kinds: Sequence[str] = ()
) -> list[Line]:
    """The newest lines older than the cursor, newest first, of these meetings, else of these kinds, else all.

    One look into an index per meeting (or kind), each ending after `limit` lines.
    """
    found: list[Line] = []
    if meetings:
        for meeting_id in meetings:
            found += _read_before(connection, cursor, limit, "l.meeting_id = ?", meeting_id)
    elif kinds:
        for kind in kinds:
            found += _read_before(connection, cursor, limit, "l.kind = ?", kind)
    else:
        found = _read_before(connection, cursor, limit)
    found.sort(key=lambda line: (line.seq, line.line_id), reverse=True)
    return found[:limit]


def _read_before(
    connection: Connection, cursor: Cursor, limit: int, condition: str = "1 = 1", *values: Any
) -> list[Line]:
    query = (
        f"SELECT {_COLUMNS} FROM (SELECT * FROM join_log l WHERE {condition} "
        f"AND l.seq <= ? AND (l.seq < ? OR l.line_id < ?) {_NEWEST_FIRST} LIMIT ?) l {_BESIDE} {_NEWEST_FIRST}"
    )
    return [_line(row) for row in run(connection, query, (*values, cursor.seq, cursor.seq, cursor.line_id, limit))]


def count_by_batch(connection: Connection, since: datetime | None) -> dict[datetime, int]:
    """How many lines each batch brought, of those since this moment; None: of the last one only."""
    if since is None:
        rows = run(connection, "SELECT max(updated_at) FROM join_log")
        last = as_moment(rows[0][0])
        return {} if last is None else count_by_batch(connection, last)
    query = "SELECT updated_at, count(*) FROM join_log WHERE updated_at >= ? GROUP BY updated_at"
    counted = [(as_moment(at), count) for at, count in run(connection, query, (since,))]
    return {at: int(count) for at, count in counted if at is not None}


def read_batches(connection: Connection, batches: Sequence[datetime], limit: int) -> list[Line]:
    """The lines of these batches, newest first, at most `limit`."""
    moments = list(batches)
    query = (
        f"SELECT {_COLUMNS} FROM (SELECT * FROM join_log l WHERE l.updated_at IN ({marks(moments)}) "
        f"{_NEWEST_FIRST} LIMIT ?) l {_BESIDE} {_NEWEST_FIRST}"
    )
    return [_line(row) for row in run(connection, query, (*moments, limit))]


def _line(row: tuple[Any, ...]) -> Line:
    line = Line(*row)
    return line._replace(
        seq=int(line.seq),
        event_ts=as_moment(line.event_ts),
        updated_at=as_moment(line.updated_at),
        scheduled_start=as_moment(line.scheduled_start),
    )
