"""From connections to the rows of `participant`: stays, the person behind each, and what each adds to their time.

What a row says rests on more than its own connection: a telephone is bound to another one, an address belongs to a
registrant, a second device must not count twice. So the rows of everybody a batch touches are made anew, and only
those that are not what they were are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection

from schema.store.rows import delete_rows, key_of, read_rows, write_rows
from schema.store.tables import (
    InstanceKey,
    close_open_stays,
    read_bound_connections,
    read_stays_that_may_overlap,
)
from workers.merge import Key, Row
from workers.people import count_once, participant_rows, person_of, same_person_groups

BY_INSTANCE = ("account_id", "uuid")
BY_CONNECTION = ("account_id", "uuid", "connection_id")
BY_PERSON = ("account_id", "uuid", "person_id")
BY_MEETING = ("account_id", "meeting_id")
BY_EMAIL = ("account_id", "meeting_id", "email")
NEIGHBOUR_MAX = timedelta(hours=12)  # instances that started further apart than this cannot hold overlapping stays


def write_presence(
    connection: Connection,
    changed: Mapping[Key, Row],
    registrants: Iterable[Row],
    instances: Mapping[Key, Row],
    ended: Iterable[Key],
    now: datetime,
) -> None:
    """Bring `participant` up to date.

    `changed` are the rows of `connection` a batch changed, `registrants` those of `registrant`; `instances` are the
    rows of `instance` as merged in this batch, `ended` those of them whose end is new.
    """
    for key in ended:
        close_open_stays(connection, (key[0], key[1]), instances[key]["ended_at"], now)
    connections = dict(changed) | _known_by_email(connection, registrants, changed)
    groups = _groups(connection, connections)
    touched = {key: group for group in groups for key in (key_of("connection", row) for row in group)}
    runs = _instances_of(connection, touched, instances)
    before = {
        key_of("participant", row): row for row in read_rows(connection, "participant", touched, by=BY_CONNECTION)
    }
    people = _registrants_by_email(connection, groups)
    after: list[Row] = []
    for group in groups:
        person_id = _resolved(group, people)
        for row in group:
            instance = runs.get((row["account_id"], row["uuid"]), {})
            after += participant_rows(row, person_id, instance.get("ended_at"))
    persons = {(row["account_id"], row["uuid"], row["person_id"]) for row in (*after, *before.values())}
    rest = _other_stays(connection, persons, touched, runs, ended)
    counted = _counted([*after, *rest.values()])
    known = before | rest
    written = [row | {"updated_at": now} for key, row in counted.items() if _differs(row, known.get(key))]
    delete_rows(connection, "participant", [key for key in before if key not in counted])
    write_rows(connection, "participant", written)


def _known_by_email(connection: Connection, registrants: Iterable[Row], changed: Mapping[Key, Row]) -> dict[Key, Row]:
    """Connections that only an address tells, and that address has just turned out to be a registrant's."""
    emails = {(r["account_id"], r["meeting_id"], r["email"]) for r in registrants if r.get("email")}
    stays = read_rows(connection, "participant", emails, by=BY_EMAIL)
    keys = {(s["account_id"], s["uuid"], s["connection_id"]) for s in stays if s["person_id"].startswith("email:")}
    return {key_of("connection", row): row for row in read_rows(connection, "connection", keys - changed.keys())}


def _groups(connection: Connection, connections: Mapping[Key, Row]) -> list[list[Row]]:
    """These connections, each with those of the same person that it is bound to.

    Almost no instance has a telephone or a breakout room, and then this is one look into an empty index.
    """
    bound = read_bound_connections(connection, {(key[0], key[1]) for key in connections})
    with_bonds = {(row["account_id"], row["uuid"]) for row in bound}
    groups = [[row] for key, row in connections.items() if key[:2] not in with_bonds]
    whole: dict[Key, list[Row]] = {}
    for row in read_rows(connection, "connection", with_bonds, by=BY_INSTANCE):
        whole.setdefault((row["account_id"], row["uuid"]), []).append(row)
    for rows in whole.values():
        groups += [
            group
            for group in same_person_groups(rows)
            if any(key_of("connection", row) in connections for row in group)
        ]
    return groups


def _instances_of(connection: Connection, touched: Iterable[Key], instances: Mapping[Key, Row]) -> dict[Key, Row]:
    """The instances of these connections: as merged in this batch where they are, else as kept."""
    wanted = {key[:2] for key in touched}
    missing = wanted - instances.keys()
    kept = {key_of("instance", row): row for row in read_rows(connection, "instance", missing)}
    return kept | {key: instances[key] for key in wanted & instances.keys()}


def _registrants_by_email(connection: Connection, groups: Iterable[Sequence[Row]]) -> dict[Key, str]:
    """The registrant behind each address that is all we know of somebody."""
    wanted = {
        (group[0]["account_id"], row["meeting_id"], row["email"])
        for group in groups
        for row in group
        if row.get("email") and row.get("meeting_id") is not None and not row.get("registrant_id")
    }
    found: dict[Key, str] = {}
    for row in read_rows(connection, "registrant", wanted, by=BY_EMAIL):
        key = (row["account_id"], row["meeting_id"], row["email"])
        found[key] = min(found.get(key, row["registrant_id"]), row["registrant_id"])
    return found


def _resolved(group: Sequence[Row], people: Mapping[Key, str]) -> str:
    """The person behind a group of connections: a registrant, where one of its addresses is theirs."""
    person_id = person_of(group)
    if person_id.startswith("registrant:"):
        return person_id
    known = sorted(
        people[key] for row in group if (key := (row["account_id"], row["meeting_id"], row.get("email"))) in people
    )
    return f"registrant:{known[0]}" if known else person_id


def _other_stays(
    connection: Connection,
    persons: Iterable[Key],
    touched: Mapping[Key, object],
    runs: Mapping[Key, Row],
    ended: Iterable[Key],
) -> dict[Key, Row]:
    """What else the same people stayed, where it could overlap: in these instances and in those right beside them."""
    neighbours = _neighbours(connection, {**runs, **{key: runs.get(key, {}) for key in ended}})
    wanted = {
        (account_id, uuid, person_id)
        for account_id, own, person_id in persons
        for uuid in (own, *neighbours.get((account_id, own), ()))
    }
    rows = read_rows(connection, "participant", wanted, by=BY_PERSON)
    for account_id, uuid in ended:
        rows += read_stays_that_may_overlap(connection, account_id, [uuid, *neighbours.get((account_id, uuid), ())])
    return {
        key_of("participant", row): row
        for row in rows
        if (row["account_id"], row["uuid"], row["connection_id"]) not in touched
    }


def _neighbours(connection: Connection, runs: Mapping[Key, Row]) -> dict[InstanceKey, list[str]]:
    """For each instance, the other instances of its meeting that ran about the same time."""
    meetings = {(r["account_id"], r["meeting_id"]) for r in runs.values() if r.get("meeting_id") is not None}
    neighbours: dict[InstanceKey, list[str]] = {}
    by_meeting: dict[Key, list[Row]] = {}
    for row in read_rows(connection, "instance", meetings, by=BY_MEETING):
        by_meeting.setdefault((row["account_id"], row["meeting_id"]), []).append(row)
    for key, run in runs.items():
        started_at = run.get("started_at")
        if started_at is not None:
            neighbours[key[0], key[1]] = [
                other["uuid"]
                for other in by_meeting.get((key[0], run["meeting_id"]), ())
                if other["uuid"] != key[1]
                and other["started_at"] is not None
                and abs(other["started_at"] - started_at) <= NEIGHBOUR_MAX
            ]
    return neighbours


def _counted(rows: Iterable[Row]) -> dict[Key, Row]:
    """These rows, by key, with what each adds to its person's time."""
    by_person: dict[Key, list[Row]] = {}
    for row in rows:
        by_person.setdefault((row["account_id"], row["meeting_id"], row["person_id"]), []).append(row)
    return {key_of("participant", row): row for stays in by_person.values() for row in count_once(stays)}


def _differs(row: Row, known: Row | None) -> bool:
    return known is None or any(known[column] != value for column, value in row.items() if column != "updated_at")
