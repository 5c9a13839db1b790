"""One batch of events into the tables, in the transaction that settles them.

1. Read the payloads and project them into facts.
2. Hold the meetings they touch, read the rows they touch, merge.
3. Write the rows that changed, and what follows from them: stays, registrations, occurrences.
4. Link the instances whose evidence changed.

One read and one write per table, whatever the size of the batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from schema.payloads import from_milliseconds, read_payload
from schema.store.inbox import MEETING_BUCKETS, Claimed, lock_meetings
from schema.store.rows import delete_rows, key_of, read_rows, write_rows
from schema.store.tables import InstanceKey, close_open_stays, read_bound_connections
from workers.merge import (
    Fact,
    Key,
    Row,
    decode_stamps,
    encode_stamps,
    merge_facts,
)
from workers.people import participant_rows, person_of, same_person_groups, stays_of
from workers.projection import PROJECTIONS, Event
from workers.registrations import read_history, registrations_of
from workers.relink import Touched, relink

Tables = dict[str, dict[Key, Row]]

BY_INSTANCE = ("account_id", "uuid")
INFERRED_AGE_MAX = timedelta(hours=12)  # a stated start further back than this before any sign of life is not the start
ALWAYS_NEW = "join_log"  # its rows are stated once, by one event: nothing to merge with


def read_event(claimed: Claimed) -> Event:
    """Read a claimed event. Raises PayloadError when its body does not have the shape of its type."""
    assert claimed.event_type is not None
    payload = read_payload(claimed.body or "")
    at = claimed.event_ts or claimed.received_at  # Zoom leaves event_ts out of some; then arrival is all there is
    return Event(claimed.account_id, claimed.event_type, claimed.idempotency_key, claimed.id, at, payload)


def project(events: Iterable[Event]) -> list[Fact]:
    """The facts of these events. Raises PayloadError when one of them lacks what its type promises."""
    return [fact for event in events for fact in PROJECTIONS[event.event_type](event)]


def apply_events(connection: Connection, events: Sequence[Event], now: datetime) -> None:
    """Bring these events into the tables; the caller's transaction makes it one with settling them."""
    facts = project(events)
    lock_meetings(connection, buckets_of(facts))
    known = _read_known(connection, facts)
    merged = merge_facts(facts, known)
    change = Change(known, merged, now)
    _complete_instances(change)
    _complete_registrants(change)
    for table in ("meeting", "occurrence_history", "registrant", "connection", "link_statement", "account_departure"):
        write_rows(connection, table, [_as_kept(row, now) for row in change.changed(table).values()])
    write_rows(
        connection, ALWAYS_NEW, [row | {"updated_at": now} for row in merged.get(ALWAYS_NEW, {}).values()],
        keep_existing=True,
    )  # fmt: skip
    _write_registrations(connection, change)
    _write_stays(connection, change)
    decided = relink(connection, change.touched(), merged, now)
    instances = change.changed("instance") | decided
    write_rows(connection, "instance", [_as_kept(row, now) for row in instances.values()])


def buckets_of(facts: Iterable[Fact]) -> set[int]:
    """What to hold while these facts are merged: whatever touches the same row shares at least one bucket."""
    names = {f"{fact.key[0]}/{fact.key[1] if len(fact.key) > 1 else ''}" for fact in facts if fact.table != ALWAYS_NEW}
    return {zlib.crc32(name.encode()) % MEETING_BUCKETS for name in names}


@dataclass
class Change:
    """What a batch found, and what it made of it."""

    known: Tables
    merged: Tables
    now: datetime
    registrations_changed: list[tuple[str, int, str]] = field(default_factory=list)

    def changed(self, table: str) -> dict[Key, Row]:
        """The rows that are not what they were."""
        known = self.known.get(table, {})
        return {key: row for key, row in self.merged.get(table, {}).items() if row != known.get(key)}

    def touched(self) -> Touched:
        """Whose links have to be decided again."""
        instances = self.changed("instance")
        return Touched(
            instances={key for key, row in instances.items() if _bears_on_link(row, self.known["instance"].get(key))}
            | {key[:2] for key in self.changed("link_statement")}
            | {
                key[:2]
                for key, row in self.changed("connection").items()
                if row.get("registrant_id")
                and row["registrant_id"] != self.known["connection"].get(key, {}).get("registrant_id")
            },
            meetings={key[:2] for key in self.changed("occurrence_history")}
            | {
                key
                for key, row in self.changed("meeting").items()
                if _bears_on_schedule(row, self.known["meeting"].get(key))
            },
            registrants=self.registrations_changed,
        )


def _bears_on_link(row: Row, known: Row | None) -> bool:
    columns = ("meeting_id", "type", "started_at", "ended_at", "is_practice", "duration_minutes")
    return known is None or any(row.get(column) != known.get(column) for column in columns)


def _bears_on_schedule(row: Row, known: Row | None) -> bool:
    columns = ("type", "duration_minutes", "registration_type", "scheduled_start")
    return known is None or any(row.get(column) != known.get(column) for column in columns)


def _read_known(connection: Connection, facts: Sequence[Fact]) -> Tables:
    """The rows that facts will be merged into, with their stamps decoded."""
    keys: dict[str, set[Key]] = {table: set() for table in ("meeting", "instance", "connection", "registrant")}
    for fact in facts:
        if fact.table != ALWAYS_NEW:
            keys.setdefault(fact.table, set()).add(fact.key)
    return {
        table: {key_of(table, row): as_merged(table, row) for row in read_rows(connection, table, wanted)}
        for table, wanted in keys.items()
    }


def as_merged(table: str, row: Row) -> Row:
    """A row as read, the way merging works with it: stamps decoded."""
    row["stamps"] = decode_stamps(table, row)
    return row


def _as_kept(row: Row, now: datetime) -> Row:
    """A row the way it is written: stamps encoded, time of change set."""
    return row | {"stamps": encode_stamps(row), "updated_at": now}


def _complete_instances(change: Change) -> None:
    """Where no `started` arrived, the first sign of life is the start, and says that it is inferred."""
    for row in change.merged.get("instance", {}).values():
        observed, stated, seen = row.get("observed_start"), row.get("stated_start"), row.get("first_seen_at")
        is_stated_believable = stated is not None and seen is not None and seen - INFERRED_AGE_MAX <= stated <= seen
        row["started_at"] = observed or (stated if is_stated_believable else seen)
        row["started_is_inferred"] = observed is None


def _complete_registrants(change: Change) -> None:
    """A registrant's status is the one stated last, for whichever occurrences."""
    for row in change.merged.get("registrant", {}).values():
        history = read_history(row.get("history"))
        row["status"] = history[-1].status if history else None


def _write_registrations(connection: Connection, change: Change) -> None:
    """The registrations that follow from each registrant's statuses."""
    written: list[Row] = []
    gone: list[Key] = []
    for key, row in change.changed("registrant").items():
        known = change.known["registrant"].get(key, {})
        after = registrations_of(read_history(row.get("history")))
        before = registrations_of(read_history(known.get("history")))
        if after == before:
            continue
        account_id, meeting_id, registrant_id = key
        names = {"account_id": account_id, "meeting_id": meeting_id, "registrant_id": registrant_id}
        written += [
            names | {"occurrence_id": occurrence_id, **standing._asdict(), "updated_at": change.now}
            for occurrence_id, standing in after.items()
            if standing != before.get(occurrence_id)
        ]
        gone += [(*key, occurrence_id) for occurrence_id in before.keys() - after.keys()]
        change.registrations_changed.append((account_id, meeting_id, registrant_id))
    delete_rows(connection, "registration", gone)
    write_rows(connection, "registration", written)


def _write_stays(connection: Connection, change: Change) -> None:
    """The stays that follow from each connection, and those that end with their instance."""
    changed = change.changed("connection")
    bound = _bound_groups(connection, change, changed)
    written: list[Row] = []
    gone: list[Key] = []
    for key, row in (changed | {key: group[0] for key, group in bound.items()}).items():
        instance = change.merged.get("instance", {}).get(key[:2]) or {}
        person_id = person_of(bound[key][1] if key in bound else [row])
        rows = participant_rows(row, person_id, instance.get("ended_at"))
        written += [stay | {"updated_at": change.now} for stay in rows]
        kept = {stay["first_seen_at"] for stay in rows}
        before = (from_milliseconds(stay.first_seen_ms) for stay in stays_of(change.known["connection"].get(key, {})))
        gone += [(*key, first_seen_at) for first_seen_at in before if first_seen_at not in kept]
    delete_rows(connection, "participant", gone)
    write_rows(connection, "participant", written)
    for key, row in change.changed("instance").items():
        if row.get("ended_at") is not None and row["ended_at"] != change.known["instance"].get(key, {}).get("ended_at"):
            close_open_stays(connection, (key[0], key[1]), row["ended_at"], change.now)


def _bound_groups(
    connection: Connection, change: Change, changed: Mapping[Key, Row]
) -> dict[Key, tuple[Row, Sequence[Row]]]:
    """For the connections of this batch whose person rests on others too: the row, and all rows of the person.

    Almost no instance has a telephone or a breakout room, and then this is one look into an empty index.
    """
    instances: set[InstanceKey] = {(key[0], key[1]) for key in changed}
    bound = read_bound_connections(connection, instances)
    if not bound:
        return {}
    whole = read_rows(connection, "connection", sorted({(r["account_id"], r["uuid"]) for r in bound}), BY_INSTANCE)
    by_instance: dict[Key, list[Row]] = {}
    for row in whole:
        by_instance.setdefault((row["account_id"], row["uuid"]), []).append(row)
    groups: dict[Key, tuple[Row, Sequence[Row]]] = {}
    for rows in by_instance.values():
        for group in same_person_groups(rows):
            if len(group) > 1:
                groups |= {key_of("connection", row): (row, group) for row in group}
    return groups
