"""The schedule of a series as it stood at any moment, from everything Zoom stated about it. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby

from schema.reserved import EVERY_OCCURRENCE, SINGLE_OCCURRENCE
from schema.rows import Instance, Meeting, Occurrence, ScheduleStatement
from schema.states import LINKED

SINGLE_SESSION_TYPES = frozenset({5, 2})  # one session: https://developers.zoom.us/docs/api/meetings/, field `type`
NO_SCHEDULE_TYPES = frozenset({6, 3, 1, 4, 7, 0, 10})  # no fixed time: each running is an occurrence of its own

AVAILABLE, DELETED, RETIRED, UNKNOWN = "available", "deleted", "retired", "unknown"
CERTAINTY = tuple(state.value for state in LINKED)


@dataclass(frozen=True, slots=True)
class Planned:
    """One occurrence as the schedule stood at some moment."""

    occurrence_id: str
    scheduled_start: datetime | None
    duration_minutes: int | None
    status: str
    original_start: datetime | None
    moves: int = 0
    is_deleted_with_series: bool = False
    known_since: datetime | None = None  # when Zoom first stated it; None when it may always have been planned


def in_order(statements: Iterable[ScheduleStatement]) -> list[ScheduleStatement]:
    """Statements in the order in which they were made."""
    return sorted(statements, key=lambda s: (s.stated_at, s.statement_id, s.occurrence_id))


def schedule_at(statements: Iterable[ScheduleStatement], moment: datetime | None = None) -> dict[str, Planned]:
    """The occurrences as they stood at `moment` (now when None), by id; deleted and retired ones included.

    `statements` in order, as `in_order` returns them.
    """
    planned: dict[str, Planned] = {}
    for (stated_at, _), group in groupby(statements, key=lambda s: (s.stated_at, s.statement_id)):
        if moment is not None and stated_at > moment:
            break
        _apply(planned, list(group), stated_at)
    return planned


@dataclass(frozen=True, slots=True)
class Offer:
    """The dates that could be chosen from one moment on: id and planned start."""

    since: datetime
    dates: tuple[tuple[str, datetime], ...]

    def at(self, moment: datetime) -> frozenset[str]:
        """Those of them that are still to come."""
        return frozenset(occurrence_id for occurrence_id, start in self.dates if start > moment)


def offers_of(statements: Iterable[ScheduleStatement]) -> tuple[Offer, ...]:
    """What could be chosen, from each of Zoom's statements on; what registrations mention is no statement."""
    planned: dict[str, Planned] = {}
    offers = []
    told = (statement for statement in statements if statement.source != "mentioned")
    for (stated_at, _), group in groupby(told, key=lambda s: (s.stated_at, s.statement_id)):
        _apply(planned, list(group), stated_at)
        dates = [
            (date.occurrence_id, date.scheduled_start)
            for date in planned.values()
            if date.status == AVAILABLE and date.scheduled_start is not None
        ]
        offers.append(Offer(stated_at, tuple(sorted(dates))))
    return tuple(offers)


def on_offer(offers: Sequence[Offer], moment: datetime) -> frozenset[str]:
    """The dates that could be chosen at a moment; none where Zoom had not told the schedule yet."""
    place = bisect_right(offers, moment, key=lambda offer: offer.since)
    return offers[place - 1].at(moment) if place else frozenset()


def _apply(planned: dict[str, Planned], event: list[ScheduleStatement], stated_at: datetime) -> None:
    """Let everything one event states change the schedule."""
    named = {statement.occurrence_id for statement in event}
    for statement in event:
        if statement.occurrence_id == EVERY_OCCURRENCE:
            _apply_to_series(planned, statement, named, stated_at)
        else:
            known = planned.get(statement.occurrence_id)
            planned[statement.occurrence_id] = _new(statement) if known is None else _changed(known, statement)


def _apply_to_series(
    planned: dict[str, Planned], statement: ScheduleStatement, named: set[str], stated_at: datetime
) -> None:
    for occurrence_id, known in planned.items():
        if statement.source == "recovered":
            if known.is_deleted_with_series:
                planned[occurrence_id] = replace(known, status=AVAILABLE, is_deleted_with_series=False)
        elif known.status == AVAILABLE and occurrence_id not in named and not _is_past(known, stated_at):
            is_deletion = statement.source == "deleted"
            status = DELETED if is_deletion else RETIRED
            planned[occurrence_id] = replace(known, status=status, is_deleted_with_series=is_deletion)


def _is_past(planned: Planned, moment: datetime) -> bool:
    """A date whose start has passed was held, or could have been: later edits of the series leave it alone."""
    return planned.scheduled_start is not None and planned.scheduled_start <= moment


def _new(statement: ScheduleStatement) -> Planned:
    return Planned(
        occurrence_id=statement.occurrence_id,
        scheduled_start=statement.scheduled_start,
        duration_minutes=statement.duration_minutes,
        status=_status(statement, AVAILABLE),
        original_start=statement.scheduled_start,
        known_since=statement.stated_at,
    )


def _changed(known: Planned, statement: ScheduleStatement) -> Planned:
    start = statement.scheduled_start or known.scheduled_start
    if statement.source in ("deleted", "replaced"):
        start = known.scheduled_start or start  # a deletion does not move what it deletes
    has_moved = known.scheduled_start is not None and start != known.scheduled_start
    return Planned(
        occurrence_id=known.occurrence_id,
        scheduled_start=start,
        duration_minutes=statement.duration_minutes or known.duration_minutes,
        status=_status(statement, known.status),
        original_start=known.original_start or start,
        moves=known.moves + has_moved,
        is_deleted_with_series=known.is_deleted_with_series and statement.source == "mentioned",
        known_since=known.known_since,
    )


def _status(statement: ScheduleStatement, known: str) -> str:
    if statement.source == "deleted":
        return DELETED
    if statement.source == "replaced":
        return RETIRED
    if statement.source == "mentioned":
        return known  # somebody who signed up long ago still lists a date that is gone
    return DELETED if statement.status == DELETED else AVAILABLE


def occurrences_of(
    meeting: Meeting, statements: Iterable[ScheduleStatement], instances: Iterable[Instance]
) -> list[Occurrence]:
    """The rows of `occurrence` a meeting has now: as planned, and as held by the instances linked to each."""
    held: dict[str, list[Instance]] = {}
    for instance in instances:
        if instance.occurrence_id is not None:
            held.setdefault(instance.occurrence_id, []).append(instance)
    planned = _planned_now(meeting, statements, held.keys())
    for occurrence_id in sorted(held.keys() - planned.keys()):  # Zoom never told when it was planned
        status = AVAILABLE if meeting.type in NO_SCHEDULE_TYPES else UNKNOWN
        planned[occurrence_id] = Planned(occurrence_id, None, None, status, None)
    return [_as_held(meeting, date, held.get(date.occurrence_id, ())) for date in planned.values()]


def _planned_now(
    meeting: Meeting, statements: Iterable[ScheduleStatement], held: Collection[str]
) -> dict[str, Planned]:
    """What is planned. Zoom names no occurrence where there is one session, and plans none where no time is fixed.

    Of a series that lost its fixed times the dates stay that were held while it had them.
    """
    planned = schedule_at(statements)
    single = planned.pop(SINGLE_OCCURRENCE, None)
    if meeting.type in SINGLE_SESSION_TYPES:
        return {SINGLE_OCCURRENCE: single or _session_of(meeting)}
    if meeting.type in NO_SCHEDULE_TYPES:
        return {occurrence_id: occurrence for occurrence_id, occurrence in planned.items() if occurrence_id in held}
    return planned


def _session_of(meeting: Meeting) -> Planned:
    """The only session of a meeting whose date Zoom never stated by itself."""
    start, deleted_at = meeting.scheduled_start, meeting.deleted_at
    is_deleted = deleted_at is not None and (start is None or start > deleted_at)
    status = DELETED if is_deleted else AVAILABLE
    return Planned(SINGLE_OCCURRENCE, start, meeting.duration_minutes, status, start)


def _as_held(meeting: Meeting, date: Planned, instances: Sequence[Instance]) -> Occurrence:
    """An occurrence and how it was held: by how many instances, from when until when, how sure the least sure link."""
    starts = [instance.started_at for instance in instances if instance.started_at is not None]
    ends = [instance.ended_at for instance in instances]
    states = [CERTAINTY.index(instance.link_state) for instance in instances if instance.link_state is not None]
    return Occurrence(
        account_id=meeting.account_id,
        meeting_id=meeting.meeting_id,
        occurrence_id=date.occurrence_id,
        scheduled_start=date.scheduled_start,
        duration_minutes=date.duration_minutes or meeting.duration_minutes,
        status=date.status,
        original_start=date.original_start,
        moves=date.moves,
        instances=len(instances),
        held_from=min(starts, default=None),
        held_until=None if None in ends else max((end for end in ends if end is not None), default=None),
        link_state=CERTAINTY[max(states)] if states else None,
        held_milliseconds=_held_milliseconds(instances),
    )


def _held_milliseconds(instances: Sequence[Instance]) -> int | None:
    """How long these instances ran, a moment in two of them once; None while one runs, or when there are none."""
    held, reached = timedelta(0), None
    for instance in sorted(instances, key=lambda row: (row.started_at is None, row.started_at)):
        if instance.started_at is None or instance.ended_at is None:
            return None
        start = instance.started_at if reached is None else max(reached, instance.started_at)
        held += max(instance.ended_at - start, timedelta(0))
        reached = instance.ended_at if reached is None else max(reached, instance.ended_at)
    return held // timedelta(milliseconds=1) if instances else None
