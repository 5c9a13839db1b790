"""What the hosts do: which instances run, when, and which session each really was."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinlog.fakezoom.identifiers import instance_uuid
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.series import Series
from joinlog.fakezoom.timetable import Slot
from joinlog.fakezoom.truth import Why

GAP_BETWEEN_INSTANCES = timedelta(seconds=30)
SESSION_MIN = timedelta(minutes=5)
RESTART_GAP_SECONDS_MIN = 5
FREE_SESSIONS_MAX = 5


@dataclass(frozen=True, slots=True)
class Instance:
    """One running. `slot` is None when it belongs to none; `run` is 0, or n for the n-th restart of a session."""

    uuid: str
    started_at: datetime
    ended_at: datetime
    why: Why
    slot: Slot | None = None
    is_practice: bool = False
    run: int = 0
    started_is_stated: bool = True
    ended_is_stated: bool = True


@dataclass(frozen=True, slots=True)
class Opening:
    """A host's intention to open the room."""

    start: datetime
    end: datetime
    why: Why
    slot: Slot | None = None
    is_practice: bool = False


def run_sessions(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot]) -> list[Instance]:
    """Every instance of the series in order of time, never two at once; fills in when each slot was held."""
    openings = intend(rng, mix, series, slots)
    instances: list[Instance] = []
    free_from = series.created_at
    for opening in sorted(openings, key=lambda o: o.start):
        start = max(opening.start, free_from + GAP_BETWEEN_INSTANCES)
        if opening.end - start < SESSION_MIN:
            continue  # the one before ran over it
        for first, last, run in runs(rng, mix, series, opening, start):
            share_uuid = not instances and rng.random() < mix.uuid_is_next
            instance = Instance(
                uuid=series.uuid if share_uuid else instance_uuid(rng),
                started_at=first,
                ended_at=last,
                why="restart" if run else opening.why,
                slot=opening.slot,
                is_practice=opening.is_practice,
                run=run,
                started_is_stated=rng.random() >= mix.started_missing,
                ended_is_stated=rng.random() >= mix.ended_missing,
            )
            instances.append(instance)
            free_from = last
            note_held(instance)
    return instances


def note_held(instance: Instance) -> None:
    """Tell the instance's slot that it was held."""
    if instance.slot is not None:
        instance.slot.uuids.append(instance.uuid)
        instance.slot.held_from = instance.slot.held_from or instance.started_at
        instance.slot.held_until = instance.ended_at


def intend(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot]) -> list[Opening]:
    """When hosts mean to open the room."""
    if not slots:
        return intend_freely(rng, series)
    openings: list[Opening] = []
    for slot in slots:
        if slot.is_deleted or rng.random() < mix.skipped:
            continue
        due = slot.now.start
        if series.is_recurring_at_fixed_times and rng.random() < mix.informal_move:
            due += timedelta(days=rng.choice((1, 2)), minutes=rng.choice((0, 60, 120)))
            slot.informal_start = due
        start = due + draw_offset(rng, mix)
        end = due + timedelta(minutes=slot.now.duration_minutes) + draw_overrun(rng, mix)
        openings.append(Opening(start, max(end, start + SESSION_MIN * 3), "held", slot))
        if rng.random() < mix.rehearsals:
            openings += rehearse(rng, mix, series, start)
        if series.is_recurring_at_fixed_times and rng.random() < mix.unscheduled:
            at = end + timedelta(hours=rng.randint(26, 44))
            openings.append(Opening(at, at + timedelta(minutes=rng.randint(6, 25)), "unscheduled"))
    return openings


def intend_freely(rng: random.Random, series: Series) -> list[Opening]:
    """Types 6, 3, 1 and 4: sessions whenever somebody likes; an instant meeting only once, at once."""
    at = series.created_at + timedelta(seconds=20)
    if series.type == 1:
        return [Opening(at, at + timedelta(minutes=rng.randint(10, 60)), "held")]
    openings = []
    for _ in range(rng.randint(1, FREE_SESSIONS_MAX)):
        at += timedelta(hours=rng.randint(5, 100), minutes=rng.randrange(60))
        openings.append(Opening(at, at + timedelta(minutes=rng.randint(10, 75)), "held"))
    return openings


def draw_offset(rng: random.Random, mix: Mix) -> timedelta:
    """How long after the due time the host starts; negative is early."""
    chance = rng.random()
    if chance < mix.very_early:
        return -timedelta(seconds=rng.randint(900, 3600))
    if chance < mix.very_early + mix.very_late:
        return timedelta(seconds=rng.randint(1800, 7200))
    if rng.random() < mix.early:
        return -timedelta(seconds=rng.uniform(5, 5 + 60 * mix.early_minutes_max) // 1)
    return timedelta(seconds=rng.uniform(0, 60 * mix.late_minutes_max) // 1)


def draw_overrun(rng: random.Random, mix: Mix) -> timedelta:
    """How long after the planned end the session ends; mostly a little before."""
    if rng.random() < mix.overruns:
        return timedelta(seconds=rng.uniform(60, 60 + 60 * mix.overrun_minutes_max) // 1)
    return timedelta(seconds=rng.randint(-300, 60))


def rehearse(rng: random.Random, mix: Mix, series: Series, held_at: datetime) -> list[Opening]:
    """A rehearsal days or minutes before; only a webinar can flag it."""
    unflagged = mix.rehearsals_unflagged if series.is_recurring_at_fixed_times else mix.single_rehearsals_unflagged
    is_practice = rng.random() >= unflagged
    if is_practice and series.kind == "meeting":
        return []
    if rng.random() < 0.5:
        at = held_at - timedelta(days=rng.choice((1, 1, 2, 3)), minutes=rng.randint(-90, 90))
    else:
        at = held_at - timedelta(minutes=rng.randint(35, 80))
    if at < series.created_at + timedelta(minutes=5):
        return []
    return [Opening(at, at + timedelta(minutes=rng.randint(8, 25)), "rehearsal", None, is_practice)]


def runs(
    rng: random.Random, mix: Mix, series: Series, opening: Opening, start: datetime
) -> list[tuple[datetime, datetime, int]]:
    """(first, last, number) of each instance of one opening: several when the host drops and starts again."""
    parts: list[tuple[datetime, datetime, int]] = []
    may_restart = opening.why == "held" and opening.slot is not None
    while may_restart and rng.random() < mix.restarts and opening.end - start > SESSION_MIN * 3:
        drop = start + timedelta(seconds=rng.uniform(60, (opening.end - start).total_seconds() * 0.7) // 1)
        parts.append((start, drop, len(parts)))
        long_gap = rng.random() < 0.3
        longest = max(RESTART_GAP_SECONDS_MIN + 1, mix.restart_gap_seconds_max if long_gap else 60)
        start = drop + timedelta(seconds=rng.uniform(RESTART_GAP_SECONDS_MIN, longest) // 1)
    last = max(opening.end, start + SESSION_MIN)
    return [*parts, (start, last, len(parts))]
