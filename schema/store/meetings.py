"""Meetings: the list of them, and one with its occurrences and instances."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.store.dialect import as_moment, marks, run


class MeetingRow(NamedTuple):
    """One meeting."""

    account_id: str
    meeting_id: int
    kind: str | None
    type: int | None
    topic: str | None
    timezone: str | None
    duration_minutes: int | None
    registration_type: int | None
    deleted_at: datetime | None
    updated_at: datetime | None


class OccurrenceRow(NamedTuple):
    """One row of view occurrence_report, with what the table adds."""

    occurrence_id: str
    scheduled_start: datetime | None
    duration_minutes: int | None
    status: str | None
    state: str
    instances: int | None
    link_state: str | None
    held_from: datetime | None
    held_until: datetime | None
    registrants: int
    attended: int | None
    no_shows: int | None
    walk_ins: int | None
    unidentified: int | None
    staff: int | None
    participants: int | None
    peak_concurrent: int | None
    attended_minutes: float | None
    original_start: datetime | None = None
    moves: int | None = None


class Date(NamedTuple):
    """One occurrence as the schedule has it, without its numbers."""

    occurrence_id: str
    scheduled_start: datetime | None
    status: str | None
    instances: int | None = None
    held_from: datetime | None = None
    held_until: datetime | None = None


class OtherDate(NamedTuple):
    """An occurrence of another meeting that uses the personal meeting id under which an instance ran."""

    meeting_id: int
    topic: str | None
    occurrence_id: str
    scheduled_start: datetime | None


class InstanceRow(NamedTuple):
    """One instance of a meeting."""

    account_id: str
    uuid: str
    meeting_id: int | None
    kind: str | None
    topic: str | None
    started_at: datetime | None
    started_is_inferred: bool | None
    ended_at: datetime | None
    is_practice: bool | None
    occurrence_id: str | None
    link_state: str | None
    link_evidence: str | None
    ran_under: int | None = None


class AttendanceRow(NamedTuple):
    """One row of view attendance."""

    occurrence_id: str
    person_id: str | None
    name: str | None
    email: str | None
    first_joined_at: datetime | None
    last_left_at: datetime | None
    attended_minutes: float | None
    connections: int
    is_present: bool
    is_registered: bool


class RegistrantRow(NamedTuple):
    """Somebody who signed up."""

    registrant_id: str
    email: str | None
    first_name: str | None
    last_name: str | None
    status: str | None
    registered_at: datetime | None
    custom_questions: str | None
    details: str | None


_OF_MEETING = "WHERE account_id = ? AND meeting_id = ?"
_REPORT = ", ".join(OccurrenceRow._fields[:-2])


def read_meeting(connection: Connection, account_id: str, meeting_id: int) -> MeetingRow | None:
    """One meeting, or None."""
    rows = run(
        connection, f"SELECT {', '.join(MeetingRow._fields)} FROM meeting {_OF_MEETING}", (account_id, meeting_id)
    )
    return _meeting(rows[0]) if rows else None


def read_meetings(
    connection: Connection, before: datetime | None, limit: int, only: int | None = None
) -> list[MeetingRow]:
    """The meetings something was last heard of, newest first, older than `before`."""
    conditions, values = ["updated_at IS NOT NULL"], list[Any]()
    if before is not None:
        conditions.append("updated_at < ?")
        values.append(before)
    if only is not None:
        conditions.append("meeting_id = ?")
        values.append(only)
    query = (
        f"SELECT {', '.join(MeetingRow._fields)} FROM meeting WHERE {' AND '.join(conditions)} "
        "ORDER BY updated_at DESC LIMIT ?"
    )
    return [_meeting(row) for row in run(connection, query, (*values, limit))]


def read_registrants(connection: Connection, account_id: str, meeting_id: int) -> list[RegistrantRow]:
    """Everybody who signed up for a meeting."""
    query = f"SELECT {', '.join(RegistrantRow._fields)} FROM registrant {_OF_MEETING} ORDER BY registrant_id"
    rows = [RegistrantRow(*row) for row in run(connection, query, (account_id, meeting_id))]
    return [row._replace(registered_at=as_moment(row.registered_at)) for row in rows]


def read_dates(connection: Connection, account_id: str, meeting_id: int) -> list[Date]:
    """Every occurrence of a meeting, by planned start."""
    query = f"SELECT {', '.join(Date._fields)} FROM occurrence {_OF_MEETING}"
    rows = [Date(*row) for row in run(connection, query, (account_id, meeting_id))]
    dates = [
        row._replace(
            scheduled_start=as_moment(row.scheduled_start),
            held_from=as_moment(row.held_from),
            held_until=as_moment(row.held_until),
        )
        for row in rows
    ]
    return sorted(dates, key=lambda date: (when(date.scheduled_start or date.held_from), date.occurrence_id))


def read_other_dates(connection: Connection, instance: InstanceRow) -> list[OtherDate]:
    """The occurrences of the other meetings that use the number under which an instance ran, by planned start."""
    number = instance.meeting_id if instance.ran_under is None else instance.ran_under
    query = (
        "SELECT m.meeting_id, m.topic, o.occurrence_id, o.scheduled_start FROM meeting m "
        "JOIN occurrence o ON o.account_id = m.account_id AND o.meeting_id = m.meeting_id "
        "WHERE m.account_id = ? AND m.room_id = ? AND m.meeting_id <> ?"
    )
    rows = [OtherDate(*row) for row in run(connection, query, (instance.account_id, number, instance.meeting_id))]
    found = [row._replace(scheduled_start=as_moment(row.scheduled_start)) for row in rows]
    if instance.ran_under is not None:
        found.append(OtherDate(instance.ran_under, None, instance.uuid, None))
    return sorted(found, key=lambda date: (when(date.scheduled_start), date.meeting_id, date.occurrence_id))


def read_occurrences(
    connection: Connection, account_id: str, meeting_id: int, only: Collection[str] | None = None
) -> list[OccurrenceRow]:
    """Every occurrence of a meeting (or only these) with its numbers, by planned start.

    One that 5,000 people came to costs 40 ms: whoever shows many asks for those of one page.
    """
    condition, values = _OF_MEETING, [account_id, meeting_id]
    if only is not None:
        if not only:
            return []
        condition, values = f"{condition} AND occurrence_id IN ({marks(tuple(only))})", [*values, *only]
    rows = run(connection, f"SELECT {_REPORT} FROM occurrence_report {condition}", values)
    beside = {
        row[0]: (as_moment(row[1]), row[2])
        for row in run(connection, f"SELECT occurrence_id, original_start, moves FROM occurrence {condition}", values)
    }
    found = []
    for row in rows:
        start, moves = beside.get(row[0], (None, None))
        one = OccurrenceRow(*(*row, start, moves))
        found.append(
            one._replace(
                scheduled_start=as_moment(one.scheduled_start),
                held_from=as_moment(one.held_from),
                held_until=as_moment(one.held_until),
            )
        )
    return sorted(found, key=lambda one: (when(one.scheduled_start or one.held_from), one.occurrence_id))


def read_instances(connection: Connection, account_id: str, meeting_id: int) -> list[InstanceRow]:
    """Every instance of a meeting, by start."""
    query = f"SELECT {', '.join(InstanceRow._fields)} FROM instance {_OF_MEETING}"
    rows = [_instance(row) for row in run(connection, query, (account_id, meeting_id))]
    return sorted(rows, key=lambda row: (when(row.started_at), row.uuid))


def read_instance(connection: Connection, account_id: str, uuid: str) -> InstanceRow | None:
    """One instance, or None."""
    query = f"SELECT {', '.join(InstanceRow._fields)} FROM instance WHERE account_id = ? AND uuid = ?"
    rows = run(connection, query, (account_id, uuid))
    return _instance(rows[0]) if rows else None


def read_contradicted(connection: Connection, account_id: str, meeting_id: int) -> set[str]:
    """The uuids of this meeting's instances that need a person, as view needs_review says."""
    return {row[0] for row in run(connection, f"SELECT uuid FROM needs_review {_OF_MEETING}", (account_id, meeting_id))}


def read_attendance(
    connection: Connection, account_id: str, meeting_id: int, occurrence_id: str | None
) -> list[AttendanceRow]:
    """Who came to an occurrence (None: to each of the meeting), longest first."""
    condition, values = _OF_MEETING, [account_id, meeting_id]
    if occurrence_id is not None:
        condition, values = f"{condition} AND occurrence_id = ?", [*values, occurrence_id]
    rows = run(connection, f"SELECT {', '.join(AttendanceRow._fields)} FROM attendance {condition}", values)
    found = [
        (one := AttendanceRow(*row))._replace(
            first_joined_at=as_moment(one.first_joined_at),
            last_left_at=as_moment(one.last_left_at),
            is_present=bool(one.is_present),
            is_registered=bool(one.is_registered),
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (one.occurrence_id, -(one.attended_minutes or 0), one.person_id or ""))


def when(moment: datetime | None) -> float:
    """A moment to sort by; unknown ones come last."""
    return moment.timestamp() if moment is not None else float("inf")


def _meeting(row: Sequence[Any]) -> MeetingRow:
    one = MeetingRow(*row)
    return one._replace(deleted_at=as_moment(one.deleted_at), updated_at=as_moment(one.updated_at))


def _instance(row: Sequence[Any]) -> InstanceRow:
    one = InstanceRow(*row)
    return one._replace(started_at=as_moment(one.started_at), ended_at=as_moment(one.ended_at))


def count_participants(connection: Connection, account_id: str, meeting_id: int) -> dict[str, int]:
    """How many people came to each instance of a meeting, by uuid."""
    query = f"SELECT uuid, count(DISTINCT person_id) FROM participant {_OF_MEETING} GROUP BY uuid"
    return {uuid: int(count) for uuid, count in run(connection, query, (account_id, meeting_id))}


def read_reported_only(connection: Connection, account_id: str, meeting_id: int) -> set[str]:
    """The uuids of this meeting's instances of which no webhook told: only Zoom's API did."""
    told = f"SELECT DISTINCT uuid FROM inbox_event {_OF_MEETING} AND (source IS NULL OR source = 'webhook')"
    query = f"SELECT uuid FROM instance {_OF_MEETING} AND uuid NOT IN ({told} AND uuid IS NOT NULL)"
    return {row[0] for row in run(connection, query, (account_id, meeting_id, account_id, meeting_id))}
