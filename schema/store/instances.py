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


class Decided(NamedTuple):
    """One entry of the link history of links."""

    uuid: str
    decided_at: datetime | None
    from_occurrence_id: str | None
    to_occurrence_id: str | None
    state: str | None
    evidence: str | None


class Said(NamedTuple):
    """What an operator or Zoom said about a link."""

    source: str
    occurrence_id: str | None
    stated_by: str | None
    because: str | None
    stated_at: datetime | None


def read_stay_rows(connection: Connection, account_id: str, uuid: str) -> list[StayRow]:
    """Every stay in an instance, the people in the order in which they first came."""
    query = f"SELECT {', '.join(StayRow._fields)} FROM participant WHERE account_id = ? AND uuid = ? \
ORDER BY first_seen_at, connection_id"
    return [_stay(StayRow(*row)) for row in run(connection, query, (account_id, uuid))]


def read_diary(connection: Connection, account_id: str, uuid: str, limit: int) -> list[Decided]:
    """What was decided about an instance's link, newest first."""
    query = f"SELECT {', '.join(Decided._fields)} FROM link_history WHERE account_id = ? AND uuid = ? \
ORDER BY decided_at DESC LIMIT ?"
    rows = [Decided(*row) for row in run(connection, query, (account_id, uuid, limit))]
    return [row._replace(decided_at=as_moment(row.decided_at)) for row in rows]


def read_said(connection: Connection, account_id: str, uuid: str) -> list[Said]:
    """What operators and Zoom said about an instance's link."""
    query = f"SELECT {', '.join(Said._fields)} FROM link_statement WHERE account_id = ? AND uuid = ? ORDER BY source"
    rows = [Said(*row) for row in run(connection, query, (account_id, uuid))]
    return [row._replace(stated_at=as_moment(row.stated_at)) for row in rows]


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
