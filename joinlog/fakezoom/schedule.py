"""What is done to a schedule and its registrations before anything runs, and the events Zoom sends of it."""

import random
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

from joinlog.fakezoom.events import (
    Emission,
    created,
    full_occurrences,
    occurrences_gone_or_back,
    registrant,
    registration,
    updated,
    zoom_time,
)
from joinlog.fakezoom.identifiers import short_id
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.people import Person
from joinlog.fakezoom.series import SINGLE, Occurrence, Series, Signup, Slot, occurrence_id_for

SERIES_SHIFTS_MINUTES = (-30, 15, 30, 45)
MOVES_MINUTES = (-90, -30, 30, 45, 60, 90)
MOVES_DAYS = (-1, 1, 2)
NOTICE_MIN = timedelta(hours=2)


def edit_schedule(rng: random.Random, mix: Mix, series: Series, slots: list[Slot]) -> list[Emission]:
    """Create the schedule and edit it; returns the events Zoom sends, and brings `slots` up to date."""
    events: list[Emission] = []
    if rng.random() >= mix.created_missing:
        events.append(created(series, series.created_at))
    if series.registration_type and rng.random() < mix.states_registration_type:
        new = {"settings": {"approval_type": 0, "registration_type": series.registration_type}}
        old = {"settings": {"approval_type": 2}}
        events.append(updated(series, series.created_at + timedelta(minutes=2), "all", new, old))
    if series.is_recurring_at_fixed_times and len(slots) > 2 and rng.random() < mix.series_edited:
        events += edit_all(rng, series, slots)
    edits = [(at, slot) for slot in slots for at in [draw_notice(rng, series, slot)] if at is not None]
    for at, slot in sorted(edits, key=lambda edit: edit[0]):
        chance = rng.random()
        if chance < mix.moved:
            events.append(move(rng, mix, series, slots, slot, at))
        elif chance < mix.moved + mix.deleted:
            events += delete(rng, mix, series, slot, at)
    return events


def draw_notice(rng: random.Random, series: Series, slot: Slot) -> datetime | None:
    """A moment at which somebody might edit this occurrence: after it was scheduled, well before it is due."""
    latest = slot.now.start - NOTICE_MIN
    earliest = max(slot.versions[-1][0] + timedelta(minutes=10), latest - timedelta(days=3))
    if earliest >= latest:
        return None
    return earliest + timedelta(seconds=rng.randrange(int((latest - earliest).total_seconds())))


def move(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], slot: Slot, at: datetime) -> Emission:
    """Move one occurrence: it keeps its id, or gets a new one."""
    was = slot.now
    days = rng.choice(MOVES_DAYS) if is_weekly(slots) and rng.random() < 0.4 else 0
    start = was.start + timedelta(days=days, minutes=rng.choice(MOVES_MINUTES))
    if start < at + timedelta(hours=1):
        start = was.start + timedelta(minutes=45)
    occurrence_id = was.occurrence_id
    if occurrence_id != SINGLE and rng.random() < mix.moved_gets_new_id:
        occurrence_id = unused_id(start, slots)
    now = Occurrence(occurrence_id, start, was.duration_minutes)
    slot.versions.append((at, now))
    new: dict[str, object] = {"start_time": zoom_time(now.start)}
    old: dict[str, object] = {"start_time": zoom_time(was.start)}
    if not series.is_recurring_at_fixed_times:
        return updated(series, at, "all", new, old)
    new["occurrences"], old["occurrences"] = full_occurrences([now]), full_occurrences([was])
    return updated(series, at, "single", new, old)


def unused_id(start: datetime, slots: Sequence[Slot]) -> str:
    """An id for a new start that no occurrence of the series ever had."""
    taken = {o.occurrence_id for slot in slots for _, o in slot.versions}
    occurrence_id = occurrence_id_for(start)
    while occurrence_id in taken:
        occurrence_id = str(int(occurrence_id) + 1000)
    return occurrence_id


def is_weekly(slots: Sequence[Slot]) -> bool:
    """Whether sessions are so far apart that one can be moved by days without overlapping the next."""
    return len(slots) < 2 or slots[1].versions[0][1].start - slots[0].versions[0][1].start > timedelta(days=5)


def delete(rng: random.Random, mix: Mix, series: Series, slot: Slot, at: datetime) -> list[Emission]:
    """Delete one occurrence, and perhaps recover it an hour later."""
    events = [occurrences_gone_or_back(series, at, "deleted", [slot.now])]
    back = at + timedelta(hours=1)
    if rng.random() < mix.recovered and back < slot.now.start:
        events.append(occurrences_gone_or_back(series, back, "recovered", [slot.now]))
        slot.recovered_from = (at, back)
    else:
        slot.deleted_at = at
    return events


def edit_all(rng: random.Random, series: Series, slots: Sequence[Slot]) -> list[Emission]:
    """Edit the whole series: all occurrences still to come are shifted and get new ids; the event lists only those."""
    turn = rng.randrange(0, len(slots) - 1)
    at = (
        slots[turn].versions[0][1].start + (slots[turn + 1].versions[0][1].start - slots[turn].versions[0][1].start) / 2
    )
    at = at.replace(microsecond=0) if turn else series.created_at + timedelta(hours=1)
    shift = timedelta(minutes=rng.choice(SERIES_SHIFTS_MINUTES))
    coming = [slot for slot in slots if min(slot.now.start, slot.now.start + shift) > at + timedelta(hours=1)]
    if not coming:
        return []
    before = [slot.now for slot in coming]
    for slot in coming:
        start = slot.now.start + shift
        slot.versions.append((at, Occurrence(occurrence_id_for(start), start, slot.now.duration_minutes)))
    after = [slot.now for slot in coming]
    new = {"start_time": zoom_time(after[0].start), "occurrences": full_occurrences(after)}
    old = {"start_time": zoom_time(before[0].start), "occurrences": full_occurrences(before)}
    return [updated(series, at, "all", new, old)]


# --- registrations ---------------------------------------------------------------------------------------------------

LAST_SIGNUP_INTO_SESSION = timedelta(minutes=10)
CANCEL_NOTICE = timedelta(hours=3)


def sign_up(
    rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], people: Iterator[Person], count: int,
    last_moment: datetime,
) -> tuple[list[Signup], list[Emission]]:  # fmt: skip
    """`count` people register between the series' creation and `last_moment`; returns what Zoom states of it."""
    signups: list[Signup] = []
    events: list[Emission] = []
    if not series.registration_type:
        return signups, events
    first_session = min((s.now.start for s in slots), default=last_moment)
    for _ in range(count):
        at = draw_moment(rng, mix, series, slots, first_session, last_moment)
        choice = choose(rng, series, slots, at)
        if choice is not None and not choice:
            continue
        signup = Signup(
            next(people), short_id(rng), at, None if choice is None else {s.index: (at, "") for s in choice}
        )
        signups.append(signup)
        events += state_signup(rng, mix, series, slots, signup)
    return signups, events


def draw_moment(
    rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], first: datetime, last: datetime
) -> datetime:
    """A moment to register: before the first session, or later, sometimes minutes into a session."""
    opens = series.created_at + timedelta(minutes=5)
    if rng.random() >= mix.late_registrants or last <= first:
        until = max(first - CANCEL_NOTICE, opens + timedelta(minutes=5))
        return opens + timedelta(seconds=rng.randrange(int((until - opens).total_seconds())))
    if slots and rng.random() < 0.3:
        return rng.choice(slots).now.start + timedelta(seconds=rng.randrange(60, 600))
    return first + timedelta(seconds=rng.randrange(int((last - first).total_seconds())))


def choose(rng: random.Random, series: Series, slots: Sequence[Slot], at: datetime) -> list[Slot] | None:
    """The sessions chosen at a moment: None is all of them; empty when none are left."""
    if series.registration_type == 1:
        return None
    left = [s for s in slots if s.is_open(at) and s.at(at).start + LAST_SIGNUP_INTO_SESSION > at]
    wanted = max(1, round(len(left) * rng.choice((0.2, 0.4, 0.6, 1.0))))
    return rng.sample(left, min(wanted, len(left)))


def state_signup(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], signup: Signup) -> list[Emission]:
    """The events of one registrant; fills in when `signup` chose each session, its approval and its cancellation."""
    events: list[Emission] = []
    pending = rng.random() < mix.needs_approval
    status = "pending" if pending else "approved"
    for at, listed in registration_moments(rng, mix, series, slots, signup):
        who = registrant(series, signup.person, signup.registrant_id, status)
        events.append(registration(series, jitter(rng, at), "created", who, listed, by_operator=False))
        if pending:
            signup.is_approved = rng.random() >= mix.denied if len(events) == 1 else signup.is_approved
            what = "approved" if signup.is_approved else "denied"
            answered = jitter(rng, at + timedelta(seconds=rng.randrange(20, 120)))
            signup.answered[at] = answered
            who = registrant(series, signup.person, signup.registrant_id, None)
            events.append(registration(series, answered, what, who, listed, by_operator=True))
    if signup.is_approved and rng.random() < mix.cancels:
        events += cancel(rng, mix, series, slots, signup)
    return events


def registration_moments(
    rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], signup: Signup
) -> list[tuple[datetime, list[Occurrence]]]:
    """Each registration made and the occurrences it lists: with type 2 one for each occurrence, a minute apart."""
    if signup.chosen is None:
        lists_all = series.is_recurring_at_fixed_times and rng.random() < mix.lists_occurrences
        left = [s.at(signup.registered_at) for s in slots if s.is_open(signup.registered_at)]
        left = [o for o in left if o.start + LAST_SIGNUP_INTO_SESSION > signup.registered_at]
        return [(signup.registered_at, left if lists_all else [])]
    step = timedelta(seconds=40 if series.registration_type == 2 else 0)
    by_moment: dict[datetime, list[Occurrence]] = {}
    for n, slot in enumerate(sorted((s for s in slots if s.index in signup.chosen), key=lambda s: s.now.start)):
        at = signup.registered_at + n * step
        occurrence = slot.at(at)
        signup.chosen[slot.index] = (at, occurrence.occurrence_id)
        by_moment.setdefault(at, []).append(occurrence)
    return list(by_moment.items())


def cancel(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], signup: Signup) -> list[Emission]:
    """One cancellation, hours before the session it names, or before some session when it names none."""
    after = max([signup.registered_at, *(at for at, _ in (signup.chosen or {}).values())]) + timedelta(minutes=10)
    of_interest = [s for s in slots if signup.chosen is None or s.index in signup.chosen]
    possible = [s for s in of_interest if s.now.start - CANCEL_NOTICE > after and s.versions[-1][0] < s.now.start]
    if not possible:
        return []
    slot = rng.choice(possible)
    at = slot.now.start - CANCEL_NOTICE - timedelta(seconds=rng.randrange(3600))
    at = max(at, after)
    listed: list[Occurrence] = []
    if series.is_recurring_at_fixed_times and rng.random() < mix.cancels_some:
        signup.cancelled[slot.index] = at
        listed = [slot.at(at)]
    else:
        signup.cancelled[None] = at
    who = registrant(series, signup.person, signup.registrant_id, None)
    return [registration(series, jitter(rng, at), "cancelled", who, listed, by_operator=True)]


def jitter(rng: random.Random, at: datetime) -> datetime:
    """The same second, some milliseconds in."""
    return at.replace(microsecond=rng.randrange(1000) * 1000)
