"""What the drain reads and writes beyond whole rows by key: voters, open stays, instances of registrants."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.reserved import EVERY_OCCURRENCE
from schema.store.rows import as_moment, from_sqlite, is_postgres, moment_parameter, read_rows

VOTERS_MAX = 400
"""Registrants of one instance that are asked at most, by registrant_id, so that linking costs the same with 100,000."""

InstanceKey = tuple[str, str]  # account_id, uuid


class Vote(NamedTuple):
    """A registrant seen in an instance, and one occurrence the registration names; None where it names none."""

    account_id: str
    uuid: str
    registrant_id: str
    occurrence_id: str | None
    since: datetime | None
    until: datetime | None


_VOTES = (
    "SELECT c.registrant_id, r.occurrence_id, r.since, r.until FROM ("
    "SELECT DISTINCT account_id, meeting_id, registrant_id FROM connection "
    "WHERE account_id = ? AND uuid = ? AND registrant_id IS NOT NULL ORDER BY registrant_id LIMIT ?) c "
    "LEFT JOIN registration r ON r.account_id = c.account_id AND r.meeting_id = c.meeting_id "
    "AND r.registrant_id = c.registrant_id AND r.occurrence_id <> ? AND r.status <> 'pending' AND r.since IS NOT NULL"
)


def read_votes(connection: Connection, instances: Iterable[InstanceKey]) -> list[Vote]:
    """The registrants seen in these instances, VOTERS_MAX of each, and which occurrences their registrations name."""
    votes: list[Vote] = []
    query = _VOTES.replace("?", "%s") if is_postgres(connection) else _VOTES
    for account_id, uuid in instances:
        parameters = (account_id, uuid, VOTERS_MAX, EVERY_OCCURRENCE)
        for registrant_id, occurrence_id, since, until in connection.exec_driver_sql(query, parameters):
            votes.append(Vote(account_id, uuid, registrant_id, occurrence_id, as_moment(since), as_moment(until)))
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


def read_stays_that_may_overlap(connection: Connection, account_id: str, uuids: Sequence[str]) -> list[dict[str, Any]]:
    """The stays, in these instances, of people who have more than one there."""
    marks = ", ".join(["%s" if is_postgres(connection) else "?"] * len(uuids))
    mark = marks[0] if marks[0] == "?" else "%s"
    query = (
        f"SELECT * FROM participant WHERE account_id = {mark} AND uuid IN ({marks}) AND person_id IN ("
        f"SELECT person_id FROM participant WHERE account_id = {mark} AND uuid IN ({marks}) "
        "GROUP BY person_id HAVING count(*) > 1)"
    )
    rows = connection.exec_driver_sql(query, (account_id, *uuids, account_id, *uuids))
    return [from_sqlite("participant", list(row)) if mark == "?" else dict(row._mapping) for row in rows]
