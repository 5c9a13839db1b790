"""A series: its schedule, its sessions as they are rescheduled, and the people who signed up."""

import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

from joinlog.fakezoom.identifiers import instance_uuid, meeting_number, short_id
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.people import Person

Kind = Literal["webinar", "meeting"]

ZONES = (
    "America/Los_Angeles", "America/New_York", "America/Sao_Paulo", "Europe/London", "Europe/Berlin",
    "Asia/Kolkata", "Asia/Kathmandu", "Asia/Tokyo", "Australia/Sydney", "UTC",
)  # fmt: skip
ZONES_WITH_DST = (
    "America/Los_Angeles", "America/New_York", "Europe/London", "Europe/Berlin", "Australia/Sydney",
)  # fmt: skip
TOPICS = (
    "Getting started with pensions",
    "Onboarding 101",
    "Parents' evening",
    "Quarterly town hall",
    "Weekly product webinar 🚒",
    "نظرة عامة على المنتج",
    "製品説明会",
    "Yoga & breathing <beginners>",
    'The "why" of compliance, part \\ two',
    "Étude de cas : été 2026",
)
DURATIONS_MINUTES = (30, 45, 60, 60, 90)
SERIES_PER_ACCOUNT = 12
SHIFT_WITHIN_DAYS = 250  # no two shifts are further apart
SINGLE = "single"
FIXED_TYPES = {"webinar": 9, "meeting": 8}
SINGLE_TYPES = {"webinar": 5, "meeting": 2}


@dataclass(frozen=True, slots=True)
class Occurrence:
    """One scheduled date as Zoom knows it: `start` is aware UTC."""

    occurrence_id: str
    start: datetime
    duration_minutes: int

    @property
    def end(self) -> datetime:
        """The planned end."""
        return self.start + timedelta(minutes=self.duration_minutes)


@dataclass(frozen=True, slots=True)
class Series:
    """One meeting: `uuid` is what schedule-side events carry, `registration_type` 0 is none.

    `occurrences` holds the schedule as created: one called `single` for types 5 and 2, none for types 6, 3, 1 and 4.
    With a `pmi` its instances run under that personal meeting id. `alternative_hosts` are addresses.
    """

    account_id: str
    meeting_id: int
    uuid: str
    kind: Kind
    type: int
    topic: str
    host_id: str
    timezone: str
    duration_minutes: int
    registration_type: int
    created_at: datetime
    occurrences: tuple[Occurrence, ...]
    recurrence: dict[str, Any] | None
    pmi: int | None = None
    alternative_hosts: tuple[str, ...] = ()

    @property
    def is_recurring_at_fixed_times(self) -> bool:
        """Types 9 and 8, the only ones with real occurrence ids."""
        return self.type in (8, 9)


@dataclass(slots=True)
class Slot:
    """One planned session through every edit: `versions` are (since, the occurrence as it then stood), oldest first."""

    index: int
    versions: list[tuple[datetime, Occurrence]]
    deleted_at: datetime | None = None
    recovered_from: tuple[datetime, datetime] | None = None
    informal_start: datetime | None = None
    uuids: list[str] = field(default_factory=list)
    held_from: datetime | None = None
    held_until: datetime | None = None

    @property
    def now(self) -> Occurrence:
        """The occurrence after every edit."""
        return self.versions[-1][1]

    def at(self, moment: datetime) -> Occurrence:
        """The occurrence as it stood at a moment."""
        return next((o for since, o in reversed(self.versions) if since <= moment), self.versions[0][1])

    def is_deleted_at(self, moment: datetime) -> bool:
        """Whether Zoom showed it as deleted at a moment, also where it was recovered later."""
        if self.recovered_from is not None and self.recovered_from[0] <= moment < self.recovered_from[1]:
            return True
        return not self.is_open(moment)

    @property
    def is_deleted(self) -> bool:
        """Whether it was deleted for good."""
        return self.deleted_at is not None

    def is_open(self, moment: datetime) -> bool:
        """Whether it had not been deleted for good at a moment."""
        return self.deleted_at is None or moment < self.deleted_at

    @property
    def begins(self) -> datetime:
        """When it really began, or should have."""
        return self.held_from or self.now.start

    @property
    def ends(self) -> datetime:
        """When it really ended, or should have."""
        return self.held_until or self.now.end


@dataclass(slots=True)
class Signup:
    """One registrant.

    `chosen` maps the index of each slot registered for to (when, the occurrence id it then had); None is all of them.
    `cancelled` maps the index of a slot, or None for the whole registration, to when it was cancelled. `answered` maps
    the moment of a registration that began as pending to when it was approved or denied.
    """

    person: Person
    registrant_id: str
    registered_at: datetime
    chosen: dict[int, tuple[datetime, str]] | None
    is_approved: bool = True
    answered: dict[datetime, datetime] = field(default_factory=dict)
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


def occurrence_id_for(start: datetime) -> str:
    """The id Zoom gives a new occurrence: the epoch milliseconds of its start."""
    return str(int(start.timestamp()) * 1000)


def slots_of(series: Series) -> list[Slot]:
    """The sessions of the schedule as created."""
    return [Slot(n, [(series.created_at, o)]) for n, o in enumerate(series.occurrences)]


def invent_series(
    rng: random.Random, seed: int, index: int, mix: Mix, start: datetime, series_per_account: int
) -> Series:
    """Series `index` under `seed`, scheduled within half a day after `start`."""
    kind: Kind = "meeting" if rng.random() < mix.meetings else "webinar"
    chance = rng.random()
    if chance < mix.single:
        type_number = SINGLE_TYPES[kind]
    elif chance < mix.single + mix.no_fixed_time:
        type_number = 6 if kind == "webinar" else rng.choice((3, 3, 1, 4))
    else:
        type_number = FIXED_TYPES[kind]
    crosses_dst = rng.random() < mix.crosses_dst
    zone = rng.choice(ZONES_WITH_DST if crosses_dst else ZONES)
    registration_type = 0 if type_number in (1, 4) else rng.choice(mix.registration_types)
    if registration_type and type_number not in (8, 9):
        registration_type = 1  # types 2 and 3 need occurrences to choose from
    created_at = (start + timedelta(seconds=rng.randrange(43_200))).replace(microsecond=0)
    duration = rng.choice(DURATIONS_MINUTES)
    occurrences: tuple[Occurrence, ...] = ()
    recurrence: dict[str, Any] | None = None
    if type_number in (8, 9):
        pattern = rng.choice(mix.patterns)
        count = rng.randint(mix.occurrences_min, max(mix.occurrences_min, mix.occurrences_max))
        starts = lay_out(rng, pattern, count, created_at, ZoneInfo(zone), crosses_dst)
        occurrences = tuple(Occurrence(occurrence_id_for(at), at, duration) for at in starts)
        recurrence = recurrence_of(pattern, starts, ZoneInfo(zone))
    elif type_number in (5, 2):
        (at,) = lay_out(rng, "weekly", 1, created_at, ZoneInfo(zone), crosses_dst=False)
        occurrences = (Occurrence(SINGLE, at, duration),)
    account = random.Random(f"{seed}/account/{index // series_per_account}")  # noqa: S311 - invents, guards nothing
    return Series(
        account_id=short_id(account),
        meeting_id=meeting_number(seed, index),
        uuid=instance_uuid(rng),
        kind=kind,
        type=type_number,
        topic=rng.choice(TOPICS),
        host_id=short_id(rng),
        timezone=zone,
        duration_minutes=duration,
        registration_type=registration_type,
        created_at=created_at,
        occurrences=occurrences,
        recurrence=recurrence,
    )


def lay_out(
    rng: random.Random, pattern: str, count: int, after: datetime, zone: ZoneInfo, crosses_dst: bool
) -> list[datetime]:
    """`count` starts in UTC that recur at the same local time, the first at least a day after `after`.

    With `crosses_dst` they are put around the zone's next shift, so that their UTC hours differ.
    """
    first_day = after.astimezone(zone).date() + timedelta(days=rng.randint(2, 8))
    at = time(rng.randint(9, 17), rng.choice((0, 0, 15, 30)))
    step_days, hours = {"weekly": (7, (0,)), "daily": (1, (0,)), "several_a_day": (1, (0, 2, 5))}[pattern]
    if crosses_dst:
        shift = next_shift(first_day, zone)
        if shift is not None:
            first_day = max(first_day, shift - timedelta(days=step_days * max(1, count // len(hours) // 2)))
    if len(hours) > 1:
        at = at.replace(hour=min(at.hour, 16))
    return [local_to_utc(first_day + timedelta(days=step_days * (n // len(hours))), at, hours[n % len(hours)], zone)
            for n in range(count)]  # fmt: skip


def lay_out_weekly(last: datetime, count: int, zone: ZoneInfo) -> list[datetime]:
    """`count` weekly starts in UTC at the same local time, the last of them `last`."""
    local = last.astimezone(zone)
    return [(local - timedelta(weeks=count - 1 - n)).astimezone(UTC) for n in range(count)]


def local_to_utc(day: date, at: time, hours_later: int, zone: ZoneInfo) -> datetime:
    """A local wall-clock time as aware UTC."""
    return datetime.combine(day, at.replace(hour=at.hour + hours_later), tzinfo=zone).astimezone(UTC)


def next_shift(day: date, zone: ZoneInfo) -> date | None:
    """The first day two weeks to eight months ahead whose noon has another UTC offset than the day before."""
    for ahead in range(14, SHIFT_WITHIN_DAYS):
        before, after = (datetime.combine(day + timedelta(days=n), time(12), tzinfo=zone) for n in (ahead - 1, ahead))
        if before.utcoffset() != after.utcoffset():
            return after.date()
    return None


def recurrence_of(pattern: str, starts: list[datetime], zone: ZoneInfo) -> dict[str, Any]:
    """The `recurrence` object; Zoom cannot express several a day, so that schedule calls itself daily."""
    if pattern == "weekly":
        weekday = starts[0].astimezone(zone).isoweekday() % 7 + 1  # Zoom: 1 is Sunday
        return {"type": 2, "repeat_interval": 1, "weekly_days": str(weekday), "end_times": len(starts)}
    return {"type": 1, "repeat_interval": 1, "end_times": len(starts)}
