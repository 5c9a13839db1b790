"""The registrations that follow from each registrant's statuses, and from what those of the meeting admit to. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from schema.known import BY_MEETING, BY_REGISTRANT, Lookup
from schema.rows import Key, Registrant, Registration, ScheduleStatement
from workers.core.batch import Batch
from workers.core.registrations import Admission, Standing, registrations_of
from workers.core.schedule import in_order, offers_of


class Registrations(NamedTuple):
    """What becomes of the registrations of the registrants whose registrations change."""

    after: Mapping[Key, Mapping[str, Standing]]
    """By registrant: every registration they have now, by occurrence_id."""
    written: Mapping[Key, Registration]
    deleted: frozenset[Key]


def gather(batch: Batch) -> bool:
    """Whether everything is read that registrations are decided from; once it is, they are."""
    if batch.registrations is not None:
        return True
    registrants, told = batch.changed("registrant"), batch.changed("occurrence_history")
    meetings = {key[:2] for key in (*registrants, *told)} | batch.rows("meeting").keys()
    if not registrants and not told and not _retyped(batch):
        batch.registrations = Registrations({}, {}, frozenset())
        return True
    if not batch.has(Lookup("meeting", BY_MEETING, frozenset(meetings))):
        return False
    if not batch.has(Lookup("occurrence_history", BY_MEETING, frozenset(_concerned(batch, meetings)))):
        return False
    admissions = _admissions(batch, meetings)
    readmitted = frozenset(key for key, (before, after) in admissions.items() if before != after)
    if not batch.has(Lookup("registrant", BY_MEETING, readmitted)):
        return False
    batch.registrations = _decide(batch, admissions, readmitted)
    return True


def lookups_seen(batch: Batch) -> Lookup:
    """The stays of the people whose registrations change: their instances may be linked otherwise."""
    registrations: Registrations = batch.registrations
    return Lookup("participant", BY_REGISTRANT, frozenset(registrations.after))


def _retyped(batch: Batch) -> bool:
    """Whether the registration type of a meeting is new."""
    return any(before != after for before, after in (_types(batch, key) for key in batch.rows("meeting")))


def _types(batch: Batch, key: Key) -> tuple[int | None, int | None]:
    """The registration type of a meeting before and after this batch."""
    before, after = batch.before("meeting", key), batch.row("meeting", key)
    return (
        None if before is None else before.registration_type,
        None if after is None else after.registration_type,
    )


def _concerned(batch: Batch, meetings: set[Key]) -> set[Key]:
    """The meetings of which what was on offer bears on what registrations admit to: where no type says it."""
    told = {key[:2] for key, row in batch.changed("occurrence_history").items() if row.source != "mentioned"}
    registrants = {key[:2] for key in batch.changed("registrant")}
    types = {key: _types(batch, key) for key in meetings}
    return {
        key
        for key, (before, after) in types.items()
        if None in (before, after) and (key in registrants or key in told or before != after)
    }


def _admissions(batch: Batch, meetings: set[Key]) -> dict[Key, tuple[Admission, Admission]]:
    """What registrations admit to, before and after this batch, of every meeting it touches."""
    concerned = _concerned(batch, meetings)
    admissions = {}
    for key in meetings:
        type_before, type_after = _types(batch, key)
        before: tuple[ScheduleStatement, ...] = ()
        after: tuple[ScheduleStatement, ...] = ()
        if key in concerned:
            before = tuple(batch.known.find("occurrence_history", BY_MEETING, key))
            after = tuple(statements_of(batch, key))
        offers_after = offers_of(in_order(after))
        offers_before = offers_after if set(before) == set(after) else offers_of(in_order(before))
        admissions[key] = Admission.of(type_before, offers_before), Admission.of(type_after, offers_after)
    return admissions


def statements_of(batch: Batch, meeting: Key) -> list[ScheduleStatement]:
    """Everything Zoom stated about the schedule of a meeting, this batch included."""
    own = {key: row for key, row in batch.rows("occurrence_history").items() if key[:2] == meeting}
    kept = batch.known.find("occurrence_history", BY_MEETING, meeting)
    return [row for row in kept if (*meeting, row.occurrence_id, row.statement_id) not in own] + list(own.values())


def _decide(
    batch: Batch, admissions: Mapping[Key, tuple[Admission, Admission]], readmitted: frozenset[Key]
) -> Registrations:
    rows: dict[Key, Registrant] = dict(batch.changed("registrant"))
    for meeting in sorted(readmitted):
        for row in batch.known.find("registrant", BY_MEETING, meeting):
            key = (row.account_id, row.meeting_id, row.registrant_id)
            rows.setdefault(key, batch.row("registrant", key))
    now: dict[Key, Mapping[str, Standing]] = {}
    written: dict[Key, Registration] = {}
    deleted: set[Key] = set()
    for key, row in rows.items():
        admission_before, admission_after = admissions[key[:2]]
        known = batch.before("registrant", key)
        before = registrations_of(() if known is None else known.history, admission_before)
        after = registrations_of(row.history, admission_after)
        if after == before:
            continue
        now[key] = after
        for occurrence_id, standing in after.items():
            if standing != before.get(occurrence_id):
                written[*key, occurrence_id] = Registration(*key, occurrence_id, *standing)
        deleted |= {(*key, occurrence_id) for occurrence_id in before.keys() - after.keys()}
    return Registrations(now, written, frozenset(deleted))
