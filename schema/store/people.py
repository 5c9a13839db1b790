"""The people of occurrences, and their stays."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection

from schema.people import Person
from schema.store.dialect import as_moment, run
from schema.store.live import Stay

_OF_OCCURRENCE = "account_id = ? AND meeting_id = ? AND occurrence_id = ?"


class PersonStay(NamedTuple):
    """A stay of somebody, of whom the page shows a bar."""

    person_id: str
    joined_at: datetime | None
    left_at: datetime | None
    counts_from: datetime | None


def read_people(connection: Connection, account_id: str, meeting_id: int, occurrence_id: str) -> list[Person]:
    """View `occurrence_person` of one occurrence."""
    query = f"SELECT {', '.join(Person._fields)} FROM occurrence_person WHERE {_OF_OCCURRENCE}"
    return [_person(Person(*row)) for row in run(connection, query, (account_id, meeting_id, occurrence_id))]


def read_stays_of(
    connection: Connection, account_id: str, uuids: Sequence[str], people: Sequence[str]
) -> list[PersonStay]:
    """The stays of these people in these instances, in order of time."""
    if not uuids or not people:
        return []
    query = (
        f"SELECT {', '.join(PersonStay._fields)} FROM participant WHERE account_id = ? "
        f"AND uuid IN ({', '.join('?' * len(uuids))}) AND person_id IN ({', '.join('?' * len(people))}) "
        "ORDER BY first_seen_at"
    )
    found = [PersonStay(*row) for row in run(connection, query, (account_id, *uuids, *people))]
    return [
        row._replace(
            joined_at=as_moment(row.joined_at),
            left_at=as_moment(row.left_at),
            counts_from=as_moment(row.counts_from),
        )
        for row in found
    ]


def read_presence(connection: Connection, account_id: str, uuids: Sequence[str]) -> list[Stay]:
    """From when to when people were in any of these instances."""
    if not uuids:
        return []
    query = (
        "SELECT counts_from, left_at FROM participant "
        f"WHERE account_id = ? AND uuid IN ({', '.join('?' * len(uuids))}) AND counts_from IS NOT NULL"
    )
    found = [(as_moment(begin), as_moment(end)) for begin, end in run(connection, query, (account_id, *uuids))]
    return [Stay(begin, end) for begin, end in found if begin is not None]


def _person(row: Person) -> Person:
    return row._replace(
        registered_since=as_moment(row.registered_since),
        first_joined_at=as_moment(row.first_joined_at),
        last_left_at=as_moment(row.last_left_at),
        is_present=bool(row.is_present),
    )
