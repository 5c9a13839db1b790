"""Who signs up for what, and when; and who counts as registered for a session."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from joinlog.fakezoom.identifiers import short_id
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.payloads import Emission, registrant, registration
from joinlog.fakezoom.people import Person
from joinlog.fakezoom.series import Occurrence, Series
from joinlog.fakezoom.timetable import Slot

LAST_SIGNUP_INTO_SESSION = timedelta(minutes=10)
CANCEL_NOTICE = timedelta(hours=3)


@dataclass(slots=True)
class Signup:
    """One registrant. `chosen` maps a slot's index to (when chosen, the id it had); None is all occurrences.

    `cancelled` maps the slots cancelled, or None for everything, to the moment.
    """

    person: Person
    registrant_id: str
    registered_at: datetime
    chosen: dict[int, tuple[datetime, str]] | None
    is_approved: bool = True
    cancelled: dict[int | None, datetime] = field(default_factory=dict)

    def counts_for(self, slot: Slot | None, begins: datetime, ends: datetime) -> bool:
        """Approved, registered before it ended and not cancelled before it started; a None slot has no schedule."""
        if not self.is_approved or self.registered_at >= ends:
            return False
        gone = [self.cancelled[None]] if None in self.cancelled else []
        if slot is not None:
            if self.chosen is not None and (slot.index not in self.chosen or self.chosen[slot.index][0] >= ends):
                return False
            gone += [at for index, at in self.cancelled.items() if index == slot.index]
        return all(at >= begins for at in gone)

    def id_chosen(self, slot: Slot) -> str | None:
        """The id the slot had when it was chosen; None for those registered for all."""
        return None if self.chosen is None else self.chosen[slot.index][1]


def sign_up(
    rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], people: Iterator[Person], count: int,
    last_moment: datetime,
) -> tuple[list[Signup], list[Emission]]:  # fmt: skip
    """`count` people register between the series' creation and `last_moment`; returns what Zoom states of it."""
    signups: list[Signup] = []
    stated: list[Emission] = []
    if not series.registration_type:
        return signups, stated
    first_session = min((s.now.start for s in slots), default=last_moment)
    for _ in range(count):
        at = draw_moment(rng, mix, series, slots, first_session, last_moment)
        choice = choose(rng, series, slots, at)
        if choice is not None and not choice:
            continue
        told = Signup(next(people), short_id(rng), at, None if choice is None else {s.index: (at, "") for s in choice})
        signups.append(told)
        stated += state_signup(rng, mix, series, slots, told)
    return signups, stated


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


def state_signup(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], told: Signup) -> list[Emission]:
    """The events of one registrant's life; fills in what `told` chose, and its approval and cancellation."""
    stated: list[Emission] = []
    pending = rng.random() < mix.needs_approval
    status = "pending" if pending else "approved"
    for at, listed in rounds(rng, mix, series, slots, told):
        who = registrant(series, told.person, told.registrant_id, status)
        stated.append(registration(series, jitter(rng, at), "created", who, listed, by_operator=False))
        if pending:
            told.is_approved = rng.random() >= mix.denied if len(stated) == 1 else told.is_approved
            what = "approved" if told.is_approved else "denied"
            answered = jitter(rng, at + timedelta(seconds=rng.randrange(20, 120)))
            who = registrant(series, told.person, told.registrant_id, None)
            stated.append(registration(series, answered, what, who, listed, by_operator=True))
    if told.is_approved and rng.random() < mix.cancels:
        stated += cancel(rng, mix, series, slots, told)
    return stated


def rounds(
    rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], told: Signup
) -> list[tuple[datetime, list[Occurrence]]]:
    """Each registration made and the occurrences it lists: with type 2 one for each occurrence, a minute apart."""
    if told.chosen is None:
        lists_all = series.is_recurring_at_fixed_times and rng.random() < mix.lists_occurrences
        left = [s.at(told.registered_at) for s in slots if s.is_open(told.registered_at)]
        left = [o for o in left if o.start + LAST_SIGNUP_INTO_SESSION > told.registered_at]
        return [(told.registered_at, left if lists_all else [])]
    step = timedelta(seconds=40 if series.registration_type == 2 else 0)
    by_moment: dict[datetime, list[Occurrence]] = {}
    for n, slot in enumerate(sorted((s for s in slots if s.index in told.chosen), key=lambda s: s.now.start)):
        at = told.registered_at + n * step
        occurrence = slot.at(at)
        told.chosen[slot.index] = (at, occurrence.occurrence_id)
        by_moment.setdefault(at, []).append(occurrence)
    return list(by_moment.items())


def cancel(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot], told: Signup) -> list[Emission]:
    """One cancellation, hours before the session it names, or before some session when it names none."""
    after = max([told.registered_at, *(at for at, _ in (told.chosen or {}).values())]) + timedelta(minutes=10)
    of_interest = [s for s in slots if told.chosen is None or s.index in told.chosen]
    possible = [s for s in of_interest if s.now.start - CANCEL_NOTICE > after and s.told[-1][0] < s.now.start]
    if not possible:
        return []
    slot = rng.choice(possible)
    at = slot.now.start - CANCEL_NOTICE - timedelta(seconds=rng.randrange(3600))
    at = max(at, after)
    listed: list[Occurrence] = []
    if series.is_recurring_at_fixed_times and rng.random() < mix.cancels_some:
        told.cancelled[slot.index] = at
        listed = [slot.at(at)]
    else:
        told.cancelled[None] = at
    who = registrant(series, told.person, told.registrant_id, None)
    return [registration(series, jitter(rng, at), "cancelled", who, listed, by_operator=True)]


def jitter(rng: random.Random, at: datetime) -> datetime:
    """The same second, some milliseconds in."""
    return at.replace(microsecond=rng.randrange(1000) * 1000)
