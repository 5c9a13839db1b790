"""What runs now, what waits for a decision, and who is in an instance."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from schema.store.dialect import as_moment, dialect_of, run


class Running(NamedTuple):
    """One row of view live_instance."""

    account_id: str
    meeting_id: int | None
    uuid: str
    kind: str | None
    topic: str | None
    started_at: datetime | None
    occurrence_id: str | None
    link_state: str | None
    scheduled_start: datetime | None
    present: int
    participants: int
    registrants: int


class Stay(NamedTuple):
    """From when to when one person was there, overlapping stays counted once; no end: they still are."""

    begin: datetime
    end: datetime | None


def read_running(connection: Connection, meetings: Sequence[int], limit: int) -> list[Running]:
    """The instances that run now, newest first, of these meetings (none given: of all)."""
    condition = f"WHERE meeting_id IN ({', '.join('?' * len(meetings))})" if meetings else ""
    query = f"SELECT {', '.join(Running._fields)} FROM live_instance {condition} ORDER BY started_at DESC LIMIT ?"
    return [
        (found := Running(*row))._replace(
            started_at=as_moment(found.started_at), scheduled_start=as_moment(found.scheduled_start)
        )
        for row in run(connection, query, (*meetings, limit))
    ]


def count_running(connection: Connection, meetings: Sequence[int]) -> int:
    """How many instances have not ended, of these meetings (none given: of all)."""
    condition = f"AND meeting_id IN ({', '.join('?' * len(meetings))})" if meetings else ""
    query = f"SELECT count(*) FROM instance WHERE ended_at IS NULL AND started_at IS NOT NULL {condition}"
    return int(run(connection, query, meetings)[0][0])


def read_stays(connection: Connection, account_id: str, uuid: str) -> list[Stay]:
    """The stays that count in this instance."""
    query = "SELECT counts_from, left_at FROM participant WHERE account_id = ? AND uuid = ? AND counts_from IS NOT NULL"
    found = [(as_moment(begin), as_moment(end)) for begin, end in run(connection, query, (account_id, uuid))]
    return [Stay(begin, end) for begin, end in found if begin is not None]


def read_changes(connection: Connection, account_id: str, uuid: str, since: datetime) -> dict[datetime, int]:
    """By how many people each second changed who is there, of the stays that reach beyond `since`.

    Added up by the database: ten thousand people who come within a minute are sixty numbers.
    """
    second_of = dialect_of(connection).second_of
    began, ended = second_of("counts_from"), second_of("left_at")
    counted = (
        "FROM participant WHERE account_id = ? AND uuid = ? AND counts_from IS NOT NULL "
        "AND (left_at IS NULL OR left_at >= ?)"
    )
    query = (
        f"SELECT at, sum(change) FROM (SELECT {began} AS at, 1 AS change {counted} UNION ALL "
        f"SELECT {ended}, -1 {counted} AND left_at IS NOT NULL) AS changes GROUP BY at"
    )
    of_instance = (account_id, uuid, since)
    rows = run(connection, query, (*of_instance, *of_instance))
    return {moment: int(change) for at, change in rows if (moment := as_moment(at)) is not None}


class Review(NamedTuple):
    """A meeting with links to decide."""

    account_id: str
    meeting_id: int | None
    topic: str | None
    instances: int


def read_reviews(connection: Connection, meetings: Sequence[int], limit: int) -> list[Review]:
    """The meetings with links a person should decide, and how many each has."""
    condition = f"WHERE meeting_id IN ({', '.join('?' * len(meetings))})" if meetings else ""
    query = (
        f"SELECT account_id, meeting_id, max(topic), count(*) FROM needs_review {condition} "
        "GROUP BY account_id, meeting_id ORDER BY max(started_at) DESC LIMIT ?"
    )
    return [Review(*row) for row in run(connection, query, (*meetings, limit))]
