"""One instance: who was in it, what was decided about it, and the events behind it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from schema.store.dialect import as_moment, run


class StayRow(NamedTuple):
    """One stay of one connection."""

    person_id: str | None
    name: str | None
    email: str | None
    role: str | None
    registrant_id: str | None
    connection_id: str
    room_uuid: str | None
    joined_at: datetime | None
    left_at: datetime | None
    left_is_inferred: bool | None
    leave_reason: str | None
    counts_from: datetime | None


class LinkDecision(NamedTuple):
    """One entry of the history of a link."""

    uuid: str
    decided_at: datetime | None
    from_occurrence_id: str | None
    to_occurrence_id: str | None
    state: str | None
    evidence: str | None


def read_stay_rows(connection: Connection, account_id: str, uuid: str) -> list[StayRow]:
    """Every stay in an instance, the people in the order in which they first came."""
    query = f"SELECT {', '.join(StayRow._fields)} FROM participant WHERE account_id = ? AND uuid = ? \
ORDER BY first_seen_at, connection_id"
    return [_stay(StayRow(*row)) for row in run(connection, query, (account_id, uuid))]


def read_occurrence_of(connection: Connection, account_id: str, uuid: str) -> list[tuple[int, str]]:
    """The meeting and the occurrence an instance was; nothing while that cannot be said."""
    query = (
        "SELECT meeting_id, occurrence_id FROM instance WHERE account_id = ? AND uuid = ? "
        "AND meeting_id IS NOT NULL AND occurrence_id IS NOT NULL"
    )
    return [
        (int(meeting_id), occurrence_id) for meeting_id, occurrence_id in run(connection, query, (account_id, uuid))
    ]


def read_link_history(connection: Connection, account_id: str, uuid: str, limit: int) -> list[LinkDecision]:
    """What was decided about an instance's link, newest first."""
    query = f"SELECT {', '.join(LinkDecision._fields)} FROM link_history WHERE account_id = ? AND uuid = ? \
ORDER BY decided_at DESC LIMIT ?"
    rows = [LinkDecision(*row) for row in run(connection, query, (account_id, uuid, limit))]
    return [row._replace(decided_at=as_moment(row.decided_at)) for row in rows]


def by_person(stays: list[StayRow]) -> Iterator[tuple[str, list[StayRow]]]:
    """The stays of each person, people in the order in which they first came."""
    grouped: dict[str, list[StayRow]] = {}
    for stay in stays:
        grouped.setdefault(stay.person_id or f"connection:{stay.connection_id}", []).append(stay)
    yield from grouped.items()


def _stay(row: StayRow) -> StayRow:
    return row._replace(
        joined_at=as_moment(row.joined_at),
        left_at=as_moment(row.left_at),
        counts_from=as_moment(row.counts_from),
        left_is_inferred=bool(row.left_is_inferred),
    )
