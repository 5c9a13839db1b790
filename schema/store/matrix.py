"""Who came to which of a meeting's occurrences: a few set-based looks, whatever the number of people and dates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Connection

from schema.store.dialect import dialect_of, marks, run

REGISTRANT = "registrant:"


class Came(NamedTuple):
    """How long somebody was in an occurrence, and what they showed there."""

    person_id: str
    occurrence_id: str
    seconds: float
    name: str | None
    email: str | None


class Total(NamedTuple):
    """Somebody with how many of the occurrences they came to, and for how long in all; 0 for who never came."""

    person_id: str
    came: int
    seconds: float


class Signed(NamedTuple):
    """Who signed up, as they registered."""

    registrant_id: str
    name: str | None
    email: str | None


def read_totals(connection: Connection, account_id: str, meeting_id: int, dates: Sequence[str]) -> list[Total]:
    """Everybody who came to one of these occurrences or had registered for one; who came most often first."""
    if not dates:
        return []
    words = dialect_of(connection).view_words
    came = run(
        connection,
        f"SELECT p.person_id, count(DISTINCT i.occurrence_id), {words['seconds']} {_stays(connection, dates)} "
        "GROUP BY p.person_id",
        (account_id, meeting_id, *dates),
    )
    found = [Total(person_id, int(number), float(seconds)) for person_id, number, seconds in came]
    known = {one.person_id for one in found}
    never = run(
        connection,
        "SELECT g.registrant_id FROM registrant g WHERE g.account_id = ? AND g.meeting_id = ? AND EXISTS ("
        "SELECT 1 FROM occurrence_registrant x WHERE x.account_id = g.account_id AND x.meeting_id = g.meeting_id "
        f"AND x.registrant_id = g.registrant_id AND x.occurrence_id IN ({marks(dates)})) "
        "ORDER BY g.first_name, g.last_name, g.registrant_id",
        (account_id, meeting_id, *dates),
    )
    absent = [Total(f"{REGISTRANT}{row[0]}", 0, 0.0) for row in never if f"{REGISTRANT}{row[0]}" not in known]
    return sorted(found, key=lambda one: (-one.came, -one.seconds, one.person_id)) + absent


def read_came(
    connection: Connection, account_id: str, meeting_id: int, dates: Sequence[str], people: Sequence[str] | None = None
) -> list[Came]:
    """How long these people (None: all) were in each of these occurrences."""
    if not dates or people == []:
        return []
    words = dialect_of(connection).view_words
    only = "" if people is None else f" AND p.person_id IN ({marks(people)})"
    query = (
        f"SELECT p.person_id, i.occurrence_id, {words['seconds']}, max(p.name), max(p.email) "
        f"{_stays(connection, dates)}{only} GROUP BY p.person_id, i.occurrence_id"
    )
    return [Came._make(row) for row in run(connection, query, (account_id, meeting_id, *dates, *(people or ())))]


def read_registered(
    connection: Connection, account_id: str, meeting_id: int, dates: Sequence[str], people: Sequence[str] | None = None
) -> set[tuple[str, str]]:
    """Registrant and occurrence of each registration of these registrants (None: all) that counts."""
    if not dates or people == []:
        return set()
    only = "" if people is None else f" AND registrant_id IN ({marks(people)})"
    query = (
        "SELECT registrant_id, occurrence_id FROM occurrence_registrant WHERE account_id = ? AND meeting_id = ? "
        f"AND occurrence_id IN ({marks(dates)}){only}"
    )
    rows = run(connection, query, (account_id, meeting_id, *dates, *(people or ())))
    return {(registrant_id, occurrence_id) for registrant_id, occurrence_id in rows}


def read_signed(
    connection: Connection, account_id: str, meeting_id: int, people: Sequence[str] | None = None
) -> dict[str, Signed]:
    """These registrants (None: all) by id."""
    if people == []:
        return {}
    only = "" if people is None else f" AND registrant_id IN ({marks(people)})"
    query = (
        "SELECT registrant_id, NULLIF(trim(COALESCE(first_name, '') || ' ' || COALESCE(last_name, '')), ''), email "
        f"FROM registrant WHERE account_id = ? AND meeting_id = ?{only}"
    )
    rows = run(connection, query, (account_id, meeting_id, *(people or ())))
    return {row[0]: Signed._make(row) for row in rows}


def _stays(connection: Connection, dates: Sequence[str]) -> str:
    then_join = dialect_of(connection).view_words["then_join"]
    return (
        f"FROM instance i {then_join} participant p ON p.account_id = i.account_id AND p.uuid = i.uuid "
        f"WHERE i.account_id = ? AND i.meeting_id = ? AND i.occurrence_id IN ({marks(dates)})"
    )
