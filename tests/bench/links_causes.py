"""Why an instance was missed or mistaken, from the simulated truth, and whether the evidence could decide it. Pure.

Undecidable is what somebody who sees all that Joinlog sees could not tell from something else that is as likely: the
time does not say it, and the people do not. Everything else is Joinlog's to mend.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinlog.fakezoom.truth import InstanceTruth, OccurrenceTruth, SeriesTruth, Truth

DECIDABLE = "decidable"
UNTOLD = "no event that arrived told when it was planned"
MORE_OF_ANOTHER = "more people of another date than of its own were in it"
OTHER_DAY_NO_VOTERS = "held on another day without telling Zoom, and nobody in it registered for particular dates"
OTHER_DAY_MIXED = "held on another day without telling Zoom, and too few, or people of several dates, were in it"
AFTER_ITS_END = "begun after its planned end, and nobody in it, or one person, registered for particular dates"
IN_TIME_OF_ANOTHER = "held in the time of another date without telling Zoom"
TWO_AT_ONCE = "two dates planned at overlapping times, and nobody in it registered for one of them only"
LIKE_A_TRY_OUT = "begun and dropped before the planned start, like a try-out"
TRY_OUT_IN_TIME = "an unflagged try-out or another use of the room, while a date was due or right after it"
END_UNTOLD = "a rehearsal whose `ended`, which says that it was one or that it was over before, never arrived"

EARLY = timedelta(minutes=60)
AFTERWARDS = timedelta(minutes=30)
DAY = timedelta(hours=6)  # begun later than this after the planned end, or earlier before the start: another day
VOTERS_MIN = 2  # one person may be at the wrong door
VOTERS_FEW = 4  # fewer than this could all be at the wrong door
SHARE_MIXED = 0.9  # and a smaller share than this
TRY_OUT_OVER = timedelta(minutes=5)


@dataclass(frozen=True, slots=True)
class People:
    """Who showed a registrant's link in it: `telling` registered for some dates only, `votes` counts what for."""

    registrants: int
    telling: int
    votes: Counter[str]


@dataclass(frozen=True, slots=True)
class Case:
    """One instance with everything the truth knows about it; `own` is its occurrence, or None."""

    instance: InstanceTruth
    series: SeriesTruth
    own: OccurrenceTruth | None
    occurrences: Sequence[OccurrenceTruth]
    instances: Sequence[InstanceTruth]
    people: People
    is_date_known: bool

    def in_words(self) -> str:
        """The case as one would tell it."""
        i = self.instance
        registration = self.series.registration_type or "none"
        told = f"{self.series.kind} of type {self.series.type}, registration type {registration}"
        ran = f"{i.why} {i.started_at:%a %d %b %H:%M}-{i.ended_at:%H:%M}"
        planned = "for no date"
        if self.own is not None and self.own.scheduled_start is not None:
            planned = f"for {self.own.scheduled_start:%a %d %b %H:%M}-{_end(self.own):%H:%M}"
        own = self.people.votes[i.occurrence_id or ""]
        return (
            f"{told}: {ran} {planned}; {self.people.registrants} registrants, {self.people.telling} of them for "
            f"particular dates, {own} for its own, at most {most_of_another(self)} for another"
        )


def people_in(truth: Truth, uuid: str, registration_type: int, occurrences: Sequence[OccurrenceTruth]) -> People:
    """Count the registrants who showed their link in an instance, and what they had registered for."""
    shown = {c.person for c in truth.connections if c.uuid == uuid and c.registrant_id}
    if registration_type not in (2, 3):
        return People(len(shown), 0, Counter())
    final = [o for o in occurrences if o.status != "replaced"]
    chosen = {
        person: [o.occurrence_id for o in final if person in o.registered or person in o.registered_under_old_id]
        for person in shown
    }
    telling = {person: names for person, names in chosen.items() if 0 < len(names) < len(final)}
    return People(len(shown), len(telling), Counter(name for names in telling.values() for name in names))


def cause_of(case: Case, linked_to: str | None, *, has_end: bool = True) -> str:
    """The class of a miss or a mistake; `has_end` says whether its `ended` arrived."""
    if case.own is None:
        if not has_end:
            return END_UNTOLD
        return TRY_OUT_IN_TIME if linked_to is not None and _is_in_time_of(case, linked_to) else DECIDABLE
    if case.own.scheduled_start is None:
        return DECIDABLE
    if not case.is_date_known:
        return UNTOLD
    people, instance = case.people, case.instance
    own = people.votes[case.own.occurrence_id]
    if most_of_another(case) > own:
        return MORE_OF_ANOTHER
    start, end = case.own.scheduled_start, _end(case.own)
    is_in_time = start - EARLY <= instance.started_at < end
    if not is_in_time and any(_is_in_time_of(case, date.occurrence_id) for date in _others(case)):
        return IN_TIME_OF_ANOTHER
    if not start - DAY <= instance.started_at <= end + DAY:
        if people.telling == 0:
            return OTHER_DAY_NO_VOTERS
        is_mixed = people.telling < VOTERS_FEW or own < SHARE_MIXED * people.telling
        return OTHER_DAY_MIXED if is_mixed else DECIDABLE
    if instance.started_at >= end and instance.why != "restart" and people.telling < VOTERS_MIN:
        return AFTER_ITS_END
    if instance.ended_at < start - TRY_OUT_OVER and people.telling == 0:
        return LIKE_A_TRY_OUT
    if people.telling == 0 and any(_start(date) < end and start < _end(date) for date in _others(case)):
        return TWO_AT_ONCE
    return DECIDABLE


def _others(case: Case) -> list[OccurrenceTruth]:
    """The dates of the final schedule but its own."""
    own = case.own.occurrence_id if case.own else None
    return [o for o in case.occurrences if o.status in ("held", "skipped") and o.occurrence_id != own]


def most_of_another(case: Case) -> int:
    """How many people registered for the date, not its own, that most of them registered for."""
    own = case.own.occurrence_id if case.own else None
    return max((count for name, count in case.people.votes.items() if name != own), default=0)


def _is_in_time_of(case: Case, occurrence_id: str) -> bool:
    """Whether a date was due when it began, or just over, and it was not over before."""
    for date in case.occurrences:
        if date.occurrence_id == occurrence_id and date.scheduled_start is not None:
            begins = date.scheduled_start - EARLY <= case.instance.started_at < _end(date) + AFTERWARDS
            return begins and case.instance.ended_at >= date.scheduled_start - TRY_OUT_OVER
    return False


def _start(date: OccurrenceTruth) -> datetime:
    assert date.scheduled_start is not None
    return date.scheduled_start


def _end(date: OccurrenceTruth) -> datetime:
    return _start(date) + timedelta(minutes=date.duration_minutes)
