"""The schedule as it is edited: what moved, what was deleted, what got a new id, and when."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.payloads import Emission, created, full_occurrences, occurrences_gone_or_back, updated, zoom_time
from joinlog.fakezoom.series import SINGLE, Occurrence, Series, occurrence_id_for

SERIES_SHIFTS_MINUTES = (-30, 15, 30, 45)
MOVES_MINUTES = (-90, -30, 30, 45, 60, 90)
MOVES_DAYS = (-1, 1, 2)
NOTICE_MIN = timedelta(hours=2)


@dataclass(slots=True)
class Slot:
    """One session somebody intends to hold, whatever ids and times Zoom gives it: (since, occurrence), oldest first."""

    index: int
    told: list[tuple[datetime, Occurrence]]
    deleted_at: datetime | None = None
    informal_start: datetime | None = None
    uuids: list[str] = field(default_factory=list)
    held_from: datetime | None = None
    held_until: datetime | None = None

    @property
    def now(self) -> Occurrence:
        """The occurrence after every edit."""
        return self.told[-1][1]

    def at(self, moment: datetime) -> Occurrence:
        """The occurrence as it stood at a moment."""
        return next((o for since, o in reversed(self.told) if since <= moment), self.told[0][1])

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted for good."""
        return self.deleted_at is not None

    def is_open(self, moment: datetime) -> bool:
        """Whether one could register for it at a moment, as far as deletion goes."""
        return self.deleted_at is None or moment < self.deleted_at

    @property
    def begins(self) -> datetime:
        """When it really began, or should have."""
        return self.held_from or self.now.start

    @property
    def ends(self) -> datetime:
        """When it really ended, or should have."""
        return self.held_until or self.now.end


def slots_of(series: Series) -> list[Slot]:
    """The sessions of the schedule as created."""
    return [Slot(n, [(series.created_at, o)]) for n, o in enumerate(series.occurrences)]


def edit_schedule(rng: random.Random, mix: Mix, series: Series, slots: list[Slot]) -> list[Emission]:
    """Draw up and edit the schedule: what Zoom states of it; `slots` are changed to match."""
    stated: list[Emission] = []
    if rng.random() >= mix.created_missing:
        stated.append(created(series, series.created_at))
    if series.registration_type and rng.random() < mix.states_registration_type:
        new = {"settings": {"approval_type": 0, "registration_type": series.registration_type}}
        old = {"settings": {"approval_type": 2}}
        stated.append(updated(series, series.created_at + timedelta(minutes=2), "all", new, old))
    if series.is_recurring_at_fixed_times and len(slots) > 2 and rng.random() < mix.series_edited:
        stated += edit_all(rng, series, slots)
    edits = [(at, slot) for slot in slots for at in [draw_notice(rng, series, slot)] if at is not None]
    for at, slot in sorted(edits, key=lambda edit: edit[0]):
        chance = rng.random()
        if chance < mix.moved:
            stated.append(move(rng, mix, series, slots, slot, at))
        elif chance < mix.moved + mix.deleted:
            stated += delete(rng, mix, series, slot, at)
    return stated


def draw_notice(rng: random.Random, series: Series, slot: Slot) -> datetime | None:
    """A moment at which somebody might edit this occurrence: after it was scheduled, well before it is due."""
    latest = slot.now.start - NOTICE_MIN
    earliest = max(slot.told[-1][0] + timedelta(minutes=10), latest - timedelta(days=3))
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
    slot.told.append((at, now))
    new: dict[str, object] = {"start_time": zoom_time(now.start)}
    old: dict[str, object] = {"start_time": zoom_time(was.start)}
    if not series.is_recurring_at_fixed_times:
        return updated(series, at, "all", new, old)
    new["occurrences"], old["occurrences"] = full_occurrences([now]), full_occurrences([was])
    return updated(series, at, "single", new, old)


def unused_id(start: datetime, slots: Sequence[Slot]) -> str:
    """An id for a new start that no occurrence of the series ever had."""
    taken = {o.occurrence_id for slot in slots for _, o in slot.told}
    occurrence_id = occurrence_id_for(start)
    while occurrence_id in taken:
        occurrence_id = str(int(occurrence_id) + 1000)
    return occurrence_id


def is_weekly(slots: Sequence[Slot]) -> bool:
    """Whether there is room to move a session by days without meeting its neighbour."""
    return len(slots) < 2 or slots[1].told[0][1].start - slots[0].told[0][1].start > timedelta(days=5)


def delete(rng: random.Random, mix: Mix, series: Series, slot: Slot, at: datetime) -> list[Emission]:
    """Delete one occurrence, and perhaps recover it an hour later."""
    stated = [occurrences_gone_or_back(series, at, "deleted", [slot.now])]
    back = at + timedelta(hours=1)
    if rng.random() < mix.recovered and back < slot.now.start:
        stated.append(occurrences_gone_or_back(series, back, "recovered", [slot.now]))
    else:
        slot.deleted_at = at
    return stated


def edit_all(rng: random.Random, series: Series, slots: Sequence[Slot]) -> list[Emission]:
    """Shift the rest of the series: what is still to come gets new ids, and only that is listed."""
    turn = rng.randrange(0, len(slots) - 1)
    at = slots[turn].told[0][1].start + (slots[turn + 1].told[0][1].start - slots[turn].told[0][1].start) / 2
    at = at.replace(microsecond=0) if turn else series.created_at + timedelta(hours=1)
    shift = timedelta(minutes=rng.choice(SERIES_SHIFTS_MINUTES))
    coming = [slot for slot in slots if min(slot.now.start, slot.now.start + shift) > at + timedelta(hours=1)]
    if not coming:
        return []
    before = [slot.now for slot in coming]
    for slot in coming:
        start = slot.now.start + shift
        slot.told.append((at, Occurrence(occurrence_id_for(start), start, slot.now.duration_minutes)))
    after = [slot.now for slot in coming]
    new = {"start_time": zoom_time(after[0].start), "occurrences": full_occurrences(after)}
    old = {"start_time": zoom_time(before[0].start), "occurrences": full_occurrences(before)}
    return [updated(series, at, "all", new, old)]
