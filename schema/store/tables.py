"""What the drain reads and writes beyond whole rows by key: voters, open stays, instances of registrants."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.reserved import EVERY_OCCURRENCE
from schema.store.rows import (
    as_moment,
    columns_of,
    from_sqlite,
    is_postgres,
    moment_parameter,
    packed,
    read_rows,
    recordset,
)

VOTERS_MAX = 400
"""Registrants of one instance that are asked at most, by registrant_id, so that linking costs the same with 100,000."""

InstanceKey = tuple[str, str]  # account_id, uuid


class Vote(NamedTuple):
    """A registrant seen in an instance, and one occurrence the registration names."""

    registrant_id: str
    occurrence_id: str
    since: datetime | None
    until: datetime | None


class Votes(NamedTuple):
    """Of the registrants seen in an instance: how many were asked, and what those say who name occurrences."""

    registrants: int
    named: list[Vote]


_VOTES = (
    "SELECT c.registrant_id, r.occurrence_id, r.since, r.until FROM ("
    "SELECT DISTINCT account_id, meeting_id, registrant_id FROM connection "
    "WHERE account_id = ? AND uuid = ? AND registrant_id IS NOT NULL ORDER BY registrant_id LIMIT ?) c "
    "LEFT JOIN registration r ON r.account_id = c.account_id AND r.meeting_id = c.meeting_id "
    "AND r.registrant_id = c.registrant_id AND r.occurrence_id <> ? AND r.status <> 'pending' AND r.since IS NOT NULL"
)


def read_votes(connection: Connection, instances: Iterable[InstanceKey]) -> dict[InstanceKey, Votes]:
    """The registrants seen in these instances, VOTERS_MAX of each, and which occurrences their registrations name."""
    query = _VOTES.replace("?", "%s") if is_postgres(connection) else _VOTES
    votes = {}
    for account_id, uuid in instances:
        parameters = (account_id, uuid, VOTERS_MAX, EVERY_OCCURRENCE)
        rows = connection.exec_driver_sql(query, parameters).fetchall()
        votes[account_id, uuid] = Votes(
            len({row[0] for row in rows}),
            [Vote(name, named, as_moment(since), as_moment(until)) for name, named, since, until in rows if named],
        )
    return votes


def read_instances_of(connection: Connection, registrants: Sequence[tuple[str, int, str]]) -> list[InstanceKey]:
    """The instances in which any of these registrants (account_id, meeting_id, registrant_id) was seen."""
    rows = read_rows(connection, "participant", registrants, by=("account_id", "meeting_id", "registrant_id"))
    return sorted({(row["account_id"], row["uuid"]) for row in rows})


def read_bound_connections(connection: Connection, instances: Iterable[InstanceKey]) -> list[dict[str, Any]]:
    """The connections of these instances that are bound to another one."""
    found: list[dict[str, Any]] = []
    mark = "%s" if is_postgres(connection) else "?"
    query = f"SELECT * FROM connection WHERE account_id = {mark} AND uuid = {mark} AND bound_to IS NOT NULL"
    for account_id, uuid in instances:
        rows = connection.exec_driver_sql(query, (account_id, uuid))
        found += [from_sqlite("connection", list(row)) if mark == "?" else dict(row._mapping) for row in rows]
    return found


_CLOSE_STAYS = (
    "UPDATE participant SET left_at = CASE WHEN joined_at > {end} THEN joined_at ELSE {end} END, "
    "left_is_inferred = {true}, updated_at = {mark} "
    "WHERE account_id = {mark} AND uuid = {mark} AND joined_at IS NOT NULL AND (left_at IS NULL OR left_is_inferred) "
    "AND NOT EXISTS (SELECT 1 FROM participant later WHERE later.account_id = participant.account_id "
    "AND later.uuid = participant.uuid AND later.connection_id = participant.connection_id "
    "AND later.joined_at > participant.joined_at)"
)


def close_open_stays(connection: Connection, instance: InstanceKey, ended_at: datetime, now: datetime) -> None:
    """End the stays nobody saw end with their instance; those that were ended so before move with its end."""
    mark, true = ("%s", "true") if is_postgres(connection) else ("?", "1")
    end, moment = moment_parameter(connection, ended_at), moment_parameter(connection, now)
    query = _CLOSE_STAYS.format(mark=mark, true=true, end=mark)
    connection.exec_driver_sql(query, (end, end, moment, *instance))


def read_stays_reaching(
    connection: Connection, persons: Sequence[tuple[str, int, str]], since: datetime
) -> list[dict[str, Any]]:
    """The stays of these people (account_id, meeting_id, person_id) that lasted until `since` or later, or still last.

    Two index ranges per person: a long series with a faithful audience costs what its last session does.
    """
    found: list[dict[str, Any]] = []
    moment = moment_parameter(connection, since)
    for reaching, parameters in (("p.left_at >= ?", (moment,)), ("p.left_at IS NULL", ())):
        query = f"SELECT {columns_of('participant', 'p')} FROM {{people}} WHERE {{same}} AND {reaching}"
        if is_postgres(connection):
            people = recordset({"a": "text", "m": "bigint", "n": "text"}, "w") + ", participant p"
            same = "p.account_id = w.a AND p.meeting_id = w.m AND p.person_id = w.n"
            text = query.format(people=people, same=same).replace("?", "%s")
            names = columns_of("participant").split(", ")
            rows = connection.exec_driver_sql(text, (packed("amn", persons), *parameters)).fetchall()
            found += [dict(zip(names, row, strict=True)) for row in rows]
        else:
            same = " AND ".join(
                f"p.{name} = json_extract(w.value, '$[{place}]')"
                for place, name in enumerate(("account_id", "meeting_id", "person_id"))
            )
            text = query.format(people="json_each(?) AS w CROSS JOIN participant p", same=same)
            rows = connection.exec_driver_sql(text, (json.dumps(persons), *parameters)).fetchall()
            found += [from_sqlite("participant", row) for row in rows]
    return found


class ClosedPerson(NamedTuple):
    """Somebody whose stay ended with its instance, and whose other stays may have to be counted again."""

    account_id: str
    meeting_id: int
    person_id: str
    joined_at: datetime


_CLOSED = (
    "SELECT p.account_id, p.meeting_id, p.person_id, min(p.joined_at) FROM participant p "
    "WHERE p.account_id = ? AND p.uuid = ? AND p.left_is_inferred AND p.meeting_id IS NOT NULL AND EXISTS ("
    "SELECT 1 FROM participant o WHERE o.account_id = p.account_id AND o.meeting_id = p.meeting_id "
    "AND o.person_id = p.person_id AND (o.left_at IS NULL OR o.left_at >= p.joined_at) "
    "AND (o.uuid <> p.uuid OR o.connection_id <> p.connection_id OR o.first_seen_at <> p.first_seen_at)) "
    "GROUP BY p.account_id, p.meeting_id, p.person_id"
)


def read_closed_people(connection: Connection, instance: InstanceKey) -> list[ClosedPerson]:
    """The people whose stays ended with this instance and who have others that reach into them."""
    query = _CLOSED.replace("?", "%s") if is_postgres(connection) else _CLOSED
    people = []
    for account_id, meeting_id, person_id, joined_at in connection.exec_driver_sql(query, instance):
        moment = as_moment(joined_at)
        assert moment is not None
        people.append(ClosedPerson(account_id, meeting_id, person_id, moment))
    return people
