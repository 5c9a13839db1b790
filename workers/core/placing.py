"""Which meeting an instance was of that ran under a personal meeting id, before anything else is decided of it. Pure.

The host's number is all its events name. So its row, and those of its connections, are given the number of the meeting
it was an occurrence of, and keep the other one as `ran_under`: everything that asks by meeting, people and registrants
among it, finds them there. What an instance is linked to is decided in the same step, for it rests on nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from schema.known import BY_INSTANCE, BY_MEETING, BY_RAN_UNDER, BY_ROOM, Lookup
from schema.reserved import NO_OCCURRENCE
from schema.rows import Instance, Key, LinkStatement, Meeting
from workers.core import registered
from workers.core.batch import Batch
from workers.core.linking import Decision, MeetingFacts, ObservedInstance, Scheduled, decide, decide_in_room
from workers.core.merge import Fact
from workers.core.rooms import as_placed, named_by_events, uses_room_at
from workers.core.schedule import in_order

NEIGHBOUR_MAX = timedelta(days=4)  # instances further apart than this do not bear on each other's links
OPERATOR, ZOOM = "operator", "zoom"


@dataclass(frozen=True, slots=True)
class Rooms:
    """What was decided of instances that ran, or may have run, under a personal meeting id."""

    decisions: Mapping[Key, Decision | None]
    """By instance; None where it is decided like any other instance of its meeting."""
    rescheduled: frozenset[Key]
    """The numbers (account_id, number) of which other meetings may have been due than before."""


NOTHING = Rooms({}, frozenset())


def lookups_named(facts: Iterable[Fact]) -> list[Lookup]:
    """What the facts themselves show to be needed, so that it is read with the rows they are about."""
    instances, rooms, stated, meetings = set(), set(), set(), set()
    for table, key, values, _ in facts:
        if table == "instance":
            stated.add(key)
            if (number := values.get("meeting_id")) is not None:
                rooms.add((key[0], number))
        elif table in ("connection", "link_statement"):
            instances.add(key[:2])
        elif table == "occurrence_history":
            meetings.add(key[:2])
    lookups = [
        Lookup("instance", BY_INSTANCE, frozenset(instances)),
        Lookup("meeting", BY_MEETING, frozenset(meetings)),
        Lookup("meeting", BY_ROOM, frozenset(rooms)),
        Lookup("link_statement", BY_INSTANCE, frozenset(stated)),
    ]
    return [lookup for lookup in lookups if lookup.keys]


def gather(batch: Batch) -> bool:
    """Whether everything is read that this is decided from; once it is, the batch's rows are placed."""
    if batch.rooms is not None:
        return True
    rescheduled = _rescheduled(batch)
    observed = _observed(batch)
    if observed is None:
        return False
    rooms = rescheduled | {named_by_events(row) for row in observed.values()}
    if not rooms:
        batch.rooms = NOTHING
        return True
    if not batch.has(
        Lookup("meeting", BY_ROOM, frozenset(rooms)),
        Lookup("instance", BY_MEETING, frozenset(rooms)),
        Lookup("instance", BY_RAN_UNDER, frozenset(rooms)),
    ):
        return False
    instances = {room: _instances(batch, room) for room in rooms}
    concerned = {
        room: [key for key, row in rows.items() if room in rescheduled or _is_beside(row, observed)]
        for room, rows in instances.items()
    }
    meetings = {room: meetings_of(batch, room) for room in rooms}
    if not batch.has(
        Lookup("link_statement", BY_INSTANCE, frozenset(key for keys in concerned.values() for key in keys)),
        Lookup("occurrence_history", BY_MEETING, frozenset(_key(m) for found in meetings.values() for m in found)),
    ):
        return False
    placed: dict[Key, Instance] = {}
    decisions: dict[Key, Decision | None] = {}
    for room, keys in concerned.items():
        for key in keys:
            row = instances[room][key]
            meeting_id, decisions[key] = _decide(batch, room, row, instances[room].values(), meetings[room])
            placed[key] = as_placed(row, meeting_id)
    moved = {key for key, row in placed.items() if row.meeting_id != instances[named_by_events(row)][key].meeting_id}
    if not batch.has(Lookup("connection", BY_INSTANCE, frozenset(moved))):
        return False
    batch.place(placed, batch.known.find_all("connection", BY_INSTANCE, moved))
    batch.rooms = Rooms(decisions, frozenset(rescheduled))
    return True


def meetings_of(batch: Batch, room: Key) -> list[Meeting]:
    """The meetings that are or were to run under a number, as they are after this batch, in order of theirs."""
    found = {_key(row): row for row in batch.known.find("meeting", BY_ROOM, room)}
    found |= batch.rows("meeting")
    return [found[key] for key in sorted(found) if (key[0], found[key].room_id) == room]


def _key(meeting: Meeting) -> Key:
    return meeting.account_id, meeting.meeting_id


# --- what is touched --------------------------------------------------------------------------------------------


def _rescheduled(batch: Batch) -> set[Key]:
    """The numbers under which other meetings may have been due than before."""
    rooms: set[Key] = set()
    retold = {key[:2] for key in batch.changed("occurrence_history")}
    for key in batch.changed("meeting").keys() | retold:
        after, before = batch.row("meeting", key), batch.before("meeting", key)
        if key in retold or _bears_on_room(after) != _bears_on_room(before):
            rooms |= {(key[0], row.room_id) for row in (after, before) if row is not None and row.room_id is not None}
    return rooms


def _bears_on_room(row: Meeting | None) -> Any:
    return row and (row.room_id, row.pmi_uses, row.type, row.duration_minutes, row.host_id)


def _observed(batch: Batch) -> dict[Key, Instance] | None:
    """The instances whose meeting has to be found again; None while it is not known whether there are any.

    Those of which something is new, and that ran under a number that other meetings use, or of which somebody said
    that it was another one's.
    """
    restated = {key[:2] for key in batch.changed("link_statement")}
    changed = {
        key: row
        for key in batch.rows("instance").keys() | restated
        if (row := batch.row("instance", key)) is not None
        and row.meeting_id is not None
        and (key in restated or _bears_on_link(row) != _bears_on_link(batch.before("instance", key)))
    }
    numbers = {key: named_by_events(row) for key, row in changed.items()}
    if not batch.has(
        Lookup("meeting", BY_ROOM, frozenset(numbers.values())),
        Lookup("link_statement", BY_INSTANCE, frozenset(changed)),
    ):
        return None
    return {
        key: row
        for key, row in changed.items()
        if key in restated
        or row.ran_under is not None
        or meetings_of(batch, numbers[key])
        or any(word.meeting_id not in (None, numbers[key][1]) for word in statements_of(batch, key).values())
    }


def _bears_on_link(row: Instance | None) -> Any:
    return row and (
        named_by_events(row), row.type, row.started_at, row.ended_at, row.is_practice, row.duration_minutes,
        row.host_id,
    )  # fmt: skip


def _instances(batch: Batch, room: Key) -> dict[Key, Instance]:
    """Every instance that ran under a number, as it is after this batch but for where it is placed."""
    known = [*batch.known.find("instance", BY_MEETING, room), *batch.known.find("instance", BY_RAN_UNDER, room)]
    found = {(row.account_id, row.uuid): row for row in known} | batch.rows("instance")
    return {key: row for key, row in found.items() if named_by_events(row) == room}


def _is_beside(row: Instance, observed: Mapping[Key, Instance]) -> bool:
    """Whether an instance is one of these, or ran about the same time under the same number."""
    return any(
        named_by_events(one) == named_by_events(row) and abs(_started(one) - _started(row)) <= NEIGHBOUR_MAX
        for one in observed.values()
    )


def _started(row: Instance) -> Any:
    assert row.started_at is not None  # every instance has a sign of life
    return row.started_at


# --- the decision -----------------------------------------------------------------------------------------------


def _decide(
    batch: Batch, room: Key, row: Instance, beside: Iterable[Instance], meetings: Iterable[Meeting]
) -> tuple[int, Decision | None]:
    """The meeting an instance was of, and what it was linked to there, unless that is decided as anywhere else."""
    instance, (_, number) = observed_instance(row), room
    stated = statements_of(batch, (row.account_id, row.uuid))
    operator, zoom = stated.get(OPERATOR), stated.get(ZOOM)
    if operator is not None and operator.meeting_id is not None:
        return operator.meeting_id, decide(instance, MeetingFacts(), operator=operator, zoom=zoom)
    meetings = list(meetings)
    if not meetings or instance.is_practice:
        return number, None
    facts = {one.meeting_id: _facts(batch, one) for one in meetings}
    if zoom is not None:
        return _named_by_zoom(zoom, number, facts), decide(instance, MeetingFacts(), zoom=zoom)
    scheduled = [
        Scheduled(one.meeting_id, facts[one.meeting_id])
        for one in meetings
        if uses_room_at(one, instance.started_at) and _is_same_host(one, row)
    ]
    near = [observed_instance(one) for one in beside if abs(_started(one) - _started(row)) <= NEIGHBOUR_MAX]
    return decide_in_room(instance, number, near, scheduled)


def _is_same_host(meeting: Meeting, instance: Instance) -> bool:
    return None in (meeting.host_id, instance.host_id) or meeting.host_id == instance.host_id


def _named_by_zoom(zoom: LinkStatement, number: int, facts: Mapping[int, MeetingFacts]) -> int:
    """The meeting of an occurrence that Zoom named: what it said beside it, else the only one that has it."""
    if zoom.meeting_id is not None and zoom.meeting_id != number:
        return zoom.meeting_id
    if zoom.occurrence_id == NO_OCCURRENCE:
        return number
    having = [
        name for name, known in facts.items() if zoom.occurrence_id in {s.occurrence_id for s in known.statements}
    ]
    return having[0] if len(having) == 1 else number


def _facts(batch: Batch, meeting: Meeting) -> MeetingFacts:
    statements = in_order(registered.statements_of(batch, _key(meeting)))
    return MeetingFacts(meeting.type, meeting.duration_minutes, meeting.registration_type, statements)


def observed_instance(row: Instance) -> ObservedInstance:
    """An instance as linking looks at it."""
    return ObservedInstance(
        uuid=row.uuid,
        started_at=_started(row),
        ended_at=row.ended_at,
        is_practice=bool(row.is_practice),
        type=row.type,
        duration_minutes=row.duration_minutes,
    )


def statements_of(batch: Batch, instance: Key) -> dict[str, LinkStatement]:
    """What an operator and Zoom state of an instance, by source; a statement taken back is none."""
    rows = {(*instance, row.source): row for row in batch.known.find("link_statement", BY_INSTANCE, instance)}
    rows |= {key: row for key, row in batch.rows("link_statement").items() if key[:2] == instance}
    return {row.source: row for row in rows.values() if row.occurrence_id is not None}
