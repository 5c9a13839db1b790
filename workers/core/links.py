"""Which instances have to be linked again after a batch, what the evidence for each is, and what changes. Pure.

The decision about one instance is in `workers.core.linking`. It is paid once per touched instance and batch, never per
participant, and not at all for meetings a batch does not touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from msgspec.structs import replace

from schema.known import (
    BY_INSTANCE,
    BY_MEETING,
    BY_REGISTRANT,
    BY_REGISTRANT_SEEN,
    BY_ROOM,
    Lookup,
    Which,
)
from schema.log_kinds import LogKind
from schema.reserved import EVERY_OCCURRENCE
from schema.rows import Instance, Key, LinkHistory, LogLine, Meeting, Occurrence, Registration
from schema.states import LinkState
from workers.core import placing, registered
from workers.core.batch import Batch, came
from workers.core.linking import Decision, MeetingFacts, Seen, Voter, link_instances
from workers.core.placing import NEIGHBOUR_MAX, OPERATOR, ZOOM, Rooms, observed_instance, statements_of
from workers.core.rooms import ROOM_TYPE, named_by_events
from workers.core.schedule import in_order, occurrences_of

VOTERS_MAX = 400
"""Registrants of one instance that are asked at most, by registrant_id, so that linking costs the same with 100,000."""


@dataclass(frozen=True, slots=True)
class Links:
    """What becomes of the links, and of the occurrences that follow from them."""

    instances: dict[Key, Instance]
    history: dict[Key, LinkHistory]
    lines: dict[Key, LogLine]
    occurrences: dict[Key, Occurrence]
    occurrences_deleted: frozenset[Key]


@dataclass(frozen=True, slots=True)
class _Touched:
    """What a batch changed that links may rest on, by key."""

    observed: set[Key]  # instances that began, ended or turned out to be something else; they bear on their neighbours
    instances: set[Key]  # instances in which new people were seen, or about which somebody stated something
    meetings: set[Key]  # meetings whose schedule changed

    def is_empty(self) -> bool:
        """Whether no link can have changed."""
        return not (self.observed or self.instances or self.meetings)


def gather(batch: Batch) -> bool:
    """Whether everything is read that links are decided from; registrations have to be decided before."""
    if not batch.has(registered.lookups_seen(batch)):
        return False
    touched = _touched(batch)
    if touched.is_empty():
        return True
    wanted = touched.observed | touched.instances
    if not batch.has(Lookup("instance", BY_INSTANCE, frozenset(wanted - batch.rows("instance").keys()))):
        return False
    meetings = _meetings(batch, touched)
    is_known = batch.has(
        Lookup("meeting", BY_MEETING, frozenset(meetings)),
        Lookup("instance", BY_MEETING, frozenset(meetings)),
        Lookup("occurrence_history", BY_MEETING, frozenset(meetings)),
        Lookup("occurrence", BY_MEETING, frozenset(meetings)),
        Lookup("meeting", BY_ROOM, frozenset(meetings | _rooms(batch, wanted))),
    )
    concerned = frozenset(_concerned(batch, touched, _instances(batch, touched, meetings)) if is_known else wanted)
    return _gather_evidence(batch, concerned) and is_known


def decide(batch: Batch, now: datetime) -> Links:
    """Decide again where the evidence changed."""
    touched = _touched(batch)
    if touched.is_empty():
        return Links({}, {}, {}, {}, frozenset())
    meetings = _meetings(batch, touched)
    instances = _instances(batch, touched, meetings)
    facts = {key: _meeting_facts(batch, key) for key in meetings}
    decisions = _decisions(batch, _concerned(batch, touched, instances), instances, facts)
    decided, history, lines = _changes(batch, instances, decisions, now)
    written, deleted = _occurrences(batch, meetings, facts, instances | decided)
    return Links(decided, history, lines, written, deleted)


# --- what is touched --------------------------------------------------------------------------------------------


def _touched(batch: Batch) -> _Touched:
    """What this batch changed; told once, when its registrations are decided."""
    if batch.touched is None:
        batch.touched = _find_touched(batch)
    touched: _Touched = batch.touched
    return touched


def _find_touched(batch: Batch) -> _Touched:
    seen_again = {
        (stay.account_id, stay.uuid)
        for registrant in batch.registrations.after
        for stay in batch.known.find("participant", BY_REGISTRANT, registrant)
    }
    observed, meetings = set(), {key[:2] for key in batch.changed("occurrence_history")}
    for key, row in batch.changed("instance").items():
        before = batch.before("instance", key)
        if _bears_on_link(row, before):
            observed.add(key)
        if before is not None and before.meeting_id is not None and before.meeting_id != row.meeting_id:
            meetings.add((before.account_id, before.meeting_id))  # it was counted there
    for key, row in batch.changed("meeting").items():
        if _bears_on_schedule(row, batch.before("meeting", key)):
            meetings.add(key)
    newly_seen = {(row.account_id, row.uuid) for row in batch.newly_seen}
    stated = {key[:2] for key in batch.changed("link_statement")}
    rooms: Rooms = batch.rooms
    return _Touched(observed, stated | newly_seen | seen_again | rooms.decisions.keys(), meetings | rooms.rescheduled)


def _bears_on_link(row: Instance, known: Instance | None) -> bool:
    return known is None or (
        row.meeting_id, row.type, row.started_at, row.ended_at, row.is_practice, row.duration_minutes,
    ) != (
        known.meeting_id, known.type, known.started_at, known.ended_at, known.is_practice, known.duration_minutes,
    )  # fmt: skip


def _bears_on_schedule(row: Meeting, known: Meeting | None) -> bool:
    return known is None or (
        row.type, row.duration_minutes, row.registration_type, row.scheduled_start, row.deleted_at,
    ) != (
        known.type, known.duration_minutes, known.registration_type, known.scheduled_start, known.deleted_at,
    )  # fmt: skip


def _meetings(batch: Batch, touched: _Touched) -> set[Key]:
    """The meetings whose links may change."""
    rows = (batch.row("instance", key) for key in touched.observed | touched.instances)
    named = {(row.account_id, row.meeting_id) for row in rows if row is not None and row.meeting_id is not None}
    return named | touched.meetings


def _rooms(batch: Batch, instances: Iterable[Key]) -> set[Key]:
    """The numbers under which events name these instances."""
    rows = (batch.row("instance", key) for key in instances)
    return {named_by_events(row) for row in rows if row is not None and row.meeting_id is not None}


def _instances(batch: Batch, touched: _Touched, meetings: set[Key]) -> dict[Key, Instance]:
    """Every instance of these meetings, and those touched that name no meeting, as they are after this batch."""
    found: dict[Key, Instance] = {}
    for meeting in meetings:
        for row in batch.known.find("instance", BY_MEETING, meeting):
            found[row.account_id, row.uuid] = row
    found |= batch.rows("instance")
    for key in touched.observed | touched.instances:
        if (row := batch.row("instance", key)) is not None:
            found[key] = row
    wanted = touched.observed | touched.instances
    return {key: row for key, row in found.items() if key in wanted or (row.account_id, row.meeting_id) in meetings}


def _concerned(batch: Batch, touched: _Touched, instances: Mapping[Key, Instance]) -> set[Key]:
    """The instances to decide: those touched, those of a touched schedule, and those that ran about the same time."""
    by_meeting = _by_meeting(instances)
    beside: set[Key] = set()
    for key in touched.observed:
        row = instances[key]
        for other in by_meeting[row.account_id, row.meeting_id]:
            if abs(_started(instances[other]) - _started(row)) <= NEIGHBOUR_MAX:
                beside.add(other)
    planned = {key for meeting in touched.meetings for key in by_meeting.get(meeting, ())}
    return (touched.instances & instances.keys()) | touched.observed | beside | planned


def _by_meeting(instances: Mapping[Key, Instance]) -> dict[Key, list[Key]]:
    by_meeting: dict[Key, list[Key]] = {}
    for key, row in instances.items():
        by_meeting.setdefault((row.account_id, row.meeting_id), []).append(key)
    return by_meeting


def _started(row: Instance) -> datetime:
    assert row.started_at is not None  # every instance has a sign of life
    return row.started_at


# --- the evidence -----------------------------------------------------------------------------------------------


def _gather_evidence(batch: Batch, concerned: frozenset[Key]) -> bool:
    """What was stated about these instances, and who was seen in them."""
    departing: dict[Key, int] = {}
    gone = set()
    for row in batch.no_longer_named:
        if (row.account_id, row.uuid) in concerned:
            departing[row.account_id, row.uuid] = departing.get((row.account_id, row.uuid), 0) + 1
            gone.add((row.account_id, row.uuid, row.registrant_id))
    arriving: dict[Key, set[Key]] = {}
    for row in batch.newly_seen:
        if (row.account_id, row.uuid) in concerned and row.meeting_id is not None:
            names = arriving.setdefault((row.account_id, row.uuid), set())
            names.add((row.account_id, row.meeting_id, row.registrant_id))
    limit = VOTERS_MAX + max(departing.values(), default=0)
    voters = frozenset(name for names in arriving.values() for name in sorted(names)[:VOTERS_MAX])
    return batch.has(
        Lookup("link_statement", BY_INSTANCE, concerned),
        Lookup("registration", BY_INSTANCE, concerned, Which.VOTES, None, limit),
        Lookup("registration", BY_REGISTRANT, voters),
        Lookup("connection", BY_REGISTRANT_SEEN, frozenset(gone)),
    )


def _seen(batch: Batch, key: Key, instance: Instance, arrived: Mapping[Key, set[str]]) -> Seen:
    """The registrants in an instance, and what the registrations that stood when it started name."""
    votes = batch.known.votes[key]
    names = set(votes.registrant_ids) | arrived.get(key, set())
    for row in batch.no_longer_named:
        if (row.account_id, row.uuid) == key and not _is_still_seen(batch, key, row.registrant_id):
            names.discard(row.registrant_id)
    asked = sorted(names)[:VOTERS_MAX]
    by_person: dict[str, list[Registration]] = {}
    for registration in votes.registrations:
        by_person.setdefault(registration.registrant_id, []).append(registration)
    voters = []
    for name in asked:
        registrations = _registrations(batch, key[0], instance.meeting_id, name, by_person)
        telling = [r for r in registrations if _may_tell(r)]
        if telling:
            voters.append(_voter(name, telling, _started(instance)))
    return Seen(len(asked), voters)


def _is_still_seen(batch: Batch, instance: Key, registrant_id: str | None) -> bool:
    """Whether a registrant still came by any connection of an instance after this batch."""
    connections = batch.known.find("connection", BY_REGISTRANT_SEEN, (*instance, registrant_id))
    kept = {(row.account_id, row.uuid, row.connection_id): row for row in connections}
    now = kept | {key: row for key, row in batch.rows("connection").items() if key[:2] == instance}
    return any(came(row) == registrant_id for row in now.values())


def _registrations(
    batch: Batch,
    account_id: str,
    meeting_id: int | None,
    registrant_id: str,
    by_person: Mapping[str, list[Registration]],
) -> Iterable[Registration]:
    """Every registration of a registrant after this batch that was read."""
    if meeting_id is None:
        return ()
    key = (account_id, meeting_id, registrant_id)
    if key in batch.registrations.after:
        return [Registration(*key, name, *standing) for name, standing in batch.registrations.after[key].items()]
    if registrant_id in by_person:
        return by_person[registrant_id]
    if batch.known.has("registration", BY_REGISTRANT, key):
        return batch.known.find("registration", BY_REGISTRANT, key)
    return ()  # seen before this batch, and nothing of theirs may tell


def _may_tell(registration: Registration) -> bool:
    return (
        registration.occurrence_id != EVERY_OCCURRENCE
        and registration.status != "pending"
        and registration.since is not None
    )


def _voter(registrant_id: str, registrations: Iterable[Registration], started_at: datetime) -> Voter:
    """A registrant with what stood when the instance started."""
    standing = [r for r in registrations if r.until is None or r.until > started_at]
    return Voter(
        registrant_id,
        frozenset(r.occurrence_id for r in standing),
        min((r.since for r in standing if r.since is not None), default=None),
    )


def _meeting_facts(batch: Batch, meeting: Key) -> MeetingFacts:
    row = batch.row("meeting", meeting)
    statements = in_order(registered.statements_of(batch, meeting))
    if row is None:
        return MeetingFacts(statements=statements)
    return MeetingFacts(row.type, row.duration_minutes, row.registration_type, statements)


# --- the decisions ----------------------------------------------------------------------------------------------


def _decisions(
    batch: Batch, concerned: set[Key], instances: Mapping[Key, Instance], facts: Mapping[Key, MeetingFacts]
) -> dict[Key, Decision]:
    arrived: dict[Key, set[str]] = {}
    for row in batch.newly_seen:
        assert row.registrant_id is not None
        arrived.setdefault((row.account_id, row.uuid), set()).add(row.registrant_id)
    decisions: dict[Key, Decision] = {}
    for meeting, keys in _by_meeting(instances).items():
        here = [key for key in keys if key in concerned]
        if not here:
            continue
        observed = {key: observed_instance(instances[key]) for key in keys}
        known = facts.get(meeting, MeetingFacts())
        of_meeting = MeetingFacts(
            known.type, known.duration_minutes, known.registration_type, known.statements, tuple(observed.values())
        )
        stated = {key: statements_of(batch, key) for key in here}
        decided = link_instances(
            [observed[key] for key in here],
            of_meeting if meeting in facts else MeetingFacts(),
            {key[1]: _seen(batch, key, instances[key], arrived) for key in here},
            {key[1]: stated[key][OPERATOR] for key in here if OPERATOR in stated[key]},
            {key[1]: stated[key][ZOOM] for key in here if ZOOM in stated[key]},
        )
        decisions |= {key: _in_room(batch, key, instances[key]) or decided[key[1]] for key in here}
    return decisions


def _in_room(batch: Batch, key: Key, row: Instance) -> Decision | None:
    """What was decided of an instance that ran under a personal meeting id, now or before; None for any other.

    That rests on nothing a batch can change without its being decided again, so what stands is right.
    """
    rooms: Rooms = batch.rooms
    if key in rooms.decisions:
        return rooms.decisions[key]
    if row.link_state is None or not (row.ran_under is not None or _is_room(batch, (row.account_id, row.meeting_id))):
        return None
    evidence = msgspec.json.decode(row.link_evidence or "{}")
    return Decision(row.occurrence_id, LinkState(row.link_state), evidence)


def _is_room(batch: Batch, number: Key) -> bool:
    return number[1] is not None and bool(placing.meetings_of(batch, number))


def _changes(
    batch: Batch, instances: Mapping[Key, Instance], decisions: Mapping[Key, Decision], now: datetime
) -> tuple[dict[Key, Instance], dict[Key, LinkHistory], dict[Key, LogLine]]:
    """The instances whose link changes, and the entries of the link history and of the join log that say so."""
    rows: dict[Key, Instance] = {}
    history: dict[Key, LinkHistory] = {}
    lines: dict[Key, LogLine] = {}
    for key, decision in decisions.items():
        row = instances[key]
        evidence = msgspec.json.encode(decision.evidence, order="sorted").decode()
        linked = replace(
            row, occurrence_id=decision.occurrence_id, link_state=decision.state.value, link_evidence=evidence
        )
        stated = _newly_stated(batch, key)
        if linked == row and stated is None:
            continue
        rows[key] = linked
        is_other = (row.occurrence_id, row.link_state) != (linked.occurrence_id, linked.link_state)
        if is_other or stated is not None:
            history[*key, now] = _history_entry(row, linked, now, _state_before(batch, key, row), stated)
        if is_other:
            line = _line(linked, now, len(lines))
            lines[line.account_id, line.line_id] = line
    return rows, history, lines


def _newly_stated(batch: Batch, instance: Key) -> str | None:
    """What Zoom states of an instance, where nothing stated it before this batch."""
    key = (*instance, ZOOM)
    row = batch.changed("link_statement").get(key)
    return None if row is None or batch.before("link_statement", key) is not None else row.occurrence_id


def _state_before(batch: Batch, instance: Key, row: Instance) -> str | None:
    """How sure the link was; `operator` where a person had decided it."""
    said = batch.known.find("link_statement", BY_INSTANCE, instance)
    if any(one.source == OPERATOR and one.occurrence_id is not None for one in said):
        return OPERATOR
    return row.link_state


def _history_entry(
    before: Instance, after: Instance, now: datetime, from_state: str | None, stated: str | None
) -> LinkHistory:
    return LinkHistory(
        account_id=after.account_id,
        uuid=after.uuid,
        decided_at=now,
        meeting_id=after.meeting_id,
        from_occurrence_id=before.occurrence_id,
        to_occurrence_id=after.occurrence_id,
        state=after.link_state,
        evidence=after.link_evidence,
        from_state=from_state,
        stated_occurrence_id=stated,
    )


def _line(instance: Instance, now: datetime, place: int) -> LogLine:
    microseconds = int(now.timestamp() * 1_000_000)
    return LogLine(
        account_id=instance.account_id,
        line_id=f"link:{instance.uuid}:{microseconds}",
        seq=microseconds + place,
        event_ts=now,
        kind=LogKind.LINK.value,
        meeting_id=instance.meeting_id,
        uuid=instance.uuid,
        occurrence_id=instance.occurrence_id,
        detail=instance.link_state,
    )


# --- the occurrences --------------------------------------------------------------------------------------------


def _occurrences(
    batch: Batch, meetings: set[Key], facts: Mapping[Key, MeetingFacts], instances: Mapping[Key, Instance]
) -> tuple[dict[Key, Occurrence], frozenset[Key]]:
    """The rows of `occurrence` that change, and the keys of those that are no more."""
    by_meeting = _by_meeting(instances)
    written: dict[Key, Occurrence] = {}
    deleted: set[Key] = set()
    for key in meetings:
        ran = [instances[instance] for instance in by_meeting.get(key, ())]
        meeting: Any = batch.row("meeting", key) or Meeting(*key)
        if _is_room(batch, key):
            meeting = replace(meeting, type=ROOM_TYPE)  # whatever type its instances say that they are of
        after = {(*key, o.occurrence_id): o for o in occurrences_of(meeting, facts[key].statements, ran)}
        before = {(*key, o.occurrence_id): o for o in batch.known.find("occurrence", BY_MEETING, key)}
        written |= {name: row for name, row in after.items() if row != before.get(name)}
        deleted |= before.keys() - after.keys()
    return written, frozenset(deleted)
