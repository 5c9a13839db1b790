"""From connections to the rows of `participant`: stays, the person behind each, and what each adds to their time.

What a row says rests on more than its own connection: a telephone is bound to another one, an address belongs to a
registrant, a second device must not count twice. So the rows of everybody a batch touches are made anew, and only
those that are not what they were are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection

from schema.store.rows import delete_rows, key_of, read_rows, write_rows
from schema.store.tables import (
    InstanceKey,
    close_open_stays,
    read_bound_connections,
    read_closed_people,
    read_stays_reaching,
)
from workers.core.merge import Key, Row
from workers.core.people import count_once, participant_rows, person_of, same_person_groups

BY_INSTANCE = ("account_id", "uuid")
BY_CONNECTION = ("account_id", "uuid", "connection_id")
BY_EMAIL = ("account_id", "meeting_id", "email")


def write_presence(
    connection: Connection,
    changed: Mapping[Key, Row],
    registrants: Iterable[Row],
    instances: Mapping[Key, Row],
    ended: Iterable[Key],
    now: datetime,
) -> None:
    """Bring `participant` up to date.

    `changed` are the rows of `connection` a batch changed, `registrants` the rows of `registrant` whose address it
    changed, as they were and as they are; `instances` are the rows of `instance` as merged in this batch, `ended` those
    of them whose end is new.
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
    counted = _count_again(connection, after, before, [(key[0], key[1]) for key in ended])
    written = [row | {"updated_at": now} for key, row in counted.items() if _differs(row, before.get(key))]
    delete_rows(connection, "participant", [key for key in before if key not in counted])
    write_rows(connection, "participant", written)


def _known_by_email(connection: Connection, registrants: Iterable[Row], changed: Mapping[Key, Row]) -> dict[Key, Row]:
    """Connections that only an address tells, and that address has just become a registrant's, or ceased to be."""
    emails = {(r["account_id"], r["meeting_id"], r["email"]) for r in registrants if r.get("email")}
    stays = read_rows(connection, "participant", emails, by=BY_EMAIL)
    keys = {(s["account_id"], s["uuid"], s["connection_id"]) for s in stays if s["registrant_id"] is None}
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


def _count_again(
    connection: Connection, after: Sequence[Row], before: dict[Key, Row], ended: Sequence[InstanceKey]
) -> dict[Key, Row]:
    """The stays of everybody these changes touch, by key, each with what it adds to its person's time.

    A stay bears on those that begin later and before it ends. So, for each person, all stays that reach to the first
    change are looked at, and those that begin after it are counted again. What is read besides is put into `before`.
    """
    since: dict[Key, datetime] = {}
    for row in (*after, *before.values()):
        _note_earliest(since, _person_key(row), row["first_seen_at"])
    for instance in ended:
        for closed in read_closed_people(connection, instance):
            _note_earliest(since, (closed.account_id, closed.meeting_id, closed.person_id), closed.joined_at)
    told = [(str(key[0]), int(key[1]), str(key[2])) for key in since if not isinstance(key[1], str)]
    rest = read_stays_reaching(connection, told, min(since.values())) if told else []
    changed = {key_of("participant", row): row for row in after}
    touched = {key[:3] for key in (*changed, *before)}
    context = {
        key: row for row in rest if (key := key_of("participant", row))[:3] not in touched and _person_key(row) in since
    }
    before |= context
    by_person: dict[Key, list[Row]] = {}
    for row in (*changed.values(), *context.values()):
        by_person.setdefault(_person_key(row), []).append(row)
    return {
        key: counted
        for person, stays in by_person.items()
        for counted in count_once(stays)
        if (key := key_of("participant", counted)) in changed or counted["first_seen_at"] >= since[person]
    } | {key: row for key, row in context.items() if row["first_seen_at"] < since[_person_key(row)]}


def _person_key(row: Row) -> Key:
    """A person is one within a meeting; within the instance where the meeting is not known."""
    meeting_id = row["meeting_id"]
    return row["account_id"], row["uuid"] if meeting_id is None else meeting_id, row["person_id"]


def _note_earliest(since: dict[Key, datetime], key: Key, moment: datetime) -> None:
    known = since.get(key)
    if known is None or moment < known:
        since[key] = moment


def _differs(row: Row, known: Row | None) -> bool:
    return known is None or any(known[column] != value for column, value in row.items() if column != "updated_at")
