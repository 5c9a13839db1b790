"""One batch of events into the tables, in the transaction that settles them.

1. Read the payloads and project them into facts.
2. Hold the meetings they touch, read the rows they touch, merge.
3. Write the rows that changed, and what follows from them: stays, registrations, occurrences.
4. Link the instances whose evidence changed.

One read and one write per table, whatever the size of the batch.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy import Connection

from schema.store.inbox import MEETING_BUCKETS, Claimed, lock_meetings
from schema.store.rows import delete_rows, key_of, read_rows, write_rows
from schema.zoom.payloads import read_payload, to_milliseconds
from workers.core.merge import (
    Fact,
    Key,
    Row,
    decode_stamps,
    encode_stamps,
    merge_facts,
)
from workers.core.projection import PROJECTIONS, Event
from workers.core.registrations import Admission, read_history, registrations_of
from workers.core.schedule import offers_of, read_statements
from workers.presence import write_presence
from workers.relink import Touched, relink

Tables = dict[str, dict[Key, Row]]

BY_MEETING = ("account_id", "meeting_id")
INFERRED_AGE_MAX = timedelta(hours=12)  # a stated start further back than this before any sign of life is not the start
ALWAYS_NEW = "join_log"  # its rows are stated once, by one event: nothing to merge with


def read_event(claimed: Claimed) -> Event:
    """Read a claimed event. Raises PayloadError when its body does not have the shape of its type."""
    assert claimed.event_type is not None
    payload = read_payload(claimed.body or "")
    at = claimed.event_ts or claimed.received_at  # Zoom leaves event_ts out of some; then arrival is all there is
    at_ms = to_milliseconds(at)
    return Event(claimed.account_id, claimed.event_type, claimed.idempotency_key, claimed.id, at, at_ms, payload)


def project(events: Iterable[Event]) -> list[Fact]:
    """The facts of these events. Raises PayloadError when one of them lacks what its type promises."""
    return [fact for event in events for fact in PROJECTIONS[event.event_type](event)]


def apply_events(connection: Connection, events: Sequence[Event], clock: Callable[[], datetime]) -> datetime:
    """Bring these events into the tables; the caller's transaction makes it one with settling them.

    Returns the moment it was done: read once the meetings are held, so that of two workers the one that writes last
    also writes the later time.
    """
    facts = project(events)
    lock_meetings(connection, buckets_of(facts))
    now = clock()
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
    write_presence(
        connection,
        change.changed("connection"),
        change.readdressed(),
        merged.get("instance", {}),
        change.ended(),
        now,
    )
    decided = relink(connection, change.touched(), merged, now)
    instances = change.changed("instance") | decided
    write_rows(connection, "instance", [_as_kept(row, now) for row in instances.values()])
    return now


def buckets_of(facts: Iterable[Fact]) -> set[int]:
    """What to hold while these facts are merged: whatever touches the same row shares at least one bucket."""
    names = set()
    for fact in facts:
        if fact.table != ALWAYS_NEW:
            names.add(f"{fact.key[0]}/{fact.key[1] if len(fact.key) > 1 else ''}")
            names.add(f"{fact.key[0]}/{fact.values.get('meeting_id', '')}")  # a link is decided for its meeting
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

    def readdressed(self) -> list[Row]:
        """The registrants whose address is not what it was, as they were and as they are."""
        known = self.known["registrant"]
        changed = [(row, known.get(key, {})) for key, row in self.changed("registrant").items()]
        return [one for row, before in changed if row.get("email") != before.get("email") for one in (row, before)]

    def ended(self) -> list[Key]:
        """The instances whose end is new."""
        known = self.known["instance"]
        return [
            key
            for key, row in self.changed("instance").items()
            if row.get("ended_at") is not None and row["ended_at"] != known.get(key, {}).get("ended_at")
        ]

    def touched(self) -> Touched:
        """Whose links have to be decided again."""
        instances, connections = self.changed("instance"), self.changed("connection")
        known = self.known["connection"]
        return Touched(
            runs={key for key, row in instances.items() if _bears_on_link(row, self.known["instance"].get(key))},
            instances={key[:2] for key in self.changed("link_statement")}
            | {
                key[:2]
                for key, row in connections.items()
                if row.get("registrant_id") and row["registrant_id"] != known.get(key, {}).get("registrant_id")
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
    """The registrations that follow from each registrant's statuses, and from what those of the meeting admit to."""
    changed = change.changed("registrant")
    meetings = _admissions(connection, change, changed)
    of_changed = [key for key, (before, after) in meetings.items() if before != after]
    for row in read_rows(connection, "registrant", of_changed, by=BY_MEETING):
        changed.setdefault(key_of("registrant", row), row)
    written: list[Row] = []
    gone: list[Key] = []
    for key, row in changed.items():
        admission_before, admission_after = meetings[key[:2]]
        known = change.known["registrant"].get(key, {}) if key in change.merged.get("registrant", {}) else row
        before = registrations_of(read_history(known.get("history")), admission_before)
        after = registrations_of(read_history(row.get("history")), admission_after)
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


def _admissions(
    connection: Connection, change: Change, registrants: Mapping[Key, Row]
) -> dict[Key, tuple[Admission, Admission]]:
    """What registrations admit to, before and after this batch, of every meeting it touches; its meetings were read."""
    merged, known = change.merged.get("meeting", {}), change.known["meeting"]
    told, told_before = change.changed("occurrence_history"), change.known.get("occurrence_history", {})
    wanted = {*merged, *(key[:2] for key in registrants), *(key[:2] for key in told)}
    types = {
        key: (
            known.get(key, {}).get("registration_type"),
            merged.get(key, known.get(key, {})).get("registration_type"),
        )
        for key in wanted
    }
    concerned = {
        *(key[:2] for key in registrants),
        *(key[:2] for key, row in told.items() if row["source"] != "mentioned"),
        *(key for key, (before, after) in types.items() if before != after),
    } & {key for key, known_types in types.items() if None in known_types}  # else the type says all there is to say
    history: dict[Key, dict[Key, Row]] = {key: {} for key in wanted}
    for row in read_rows(connection, "occurrence_history", concerned, by=BY_MEETING):
        history[row["account_id"], row["meeting_id"]][key_of("occurrence_history", row)] = row
    admissions = {}
    for key, (type_before, type_after) in types.items():
        after = history[key]
        before = {
            name: told_before.get(name, row) for name, row in after.items() if name not in told or name in told_before
        }
        offers_after = offers_of(read_statements(after.values()))
        offers_before = offers_after if before == after else offers_of(read_statements(before.values()))
        admissions[key] = Admission.of(type_before, offers_before), Admission.of(type_after, offers_after)
    return admissions
