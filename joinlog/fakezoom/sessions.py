"""The sessions as they are held: which instances run, who comes, and by which connections."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinlog.fakezoom.identifiers import connection_user_id, connection_uuid, instance_uuid
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.people import STAFF, Person
from joinlog.fakezoom.series import Series, Signup, Slot
from joinlog.fakezoom.truth import Why

GAP_BETWEEN_INSTANCES = timedelta(seconds=30)
SESSION_MIN = timedelta(minutes=5)
RESTART_GAP_SECONDS_MIN = 5
FREE_SESSIONS_MAX = 5


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance. `slot` is None when it was no planned session; `run` is 0, or n for its n-th restart."""

    uuid: str
    started_at: datetime
    ended_at: datetime
    why: Why
    slot: Slot | None = None
    is_practice: bool = False
    run: int = 0
    pmi: int | None = None  # the personal meeting id it ran under, if any
    started_is_sent: bool = True
    ended_is_sent: bool = True


@dataclass(frozen=True, slots=True)
class Opening:
    """When a host means to start and end a session; restarts may cut it into several instances."""

    start: datetime
    end: datetime
    why: Why
    slot: Slot | None = None
    is_practice: bool = False


def draw_instances(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot]) -> list[Instance]:
    """Every instance of the series in order of time, never two at once; fills in when each slot was held."""
    openings = draw_openings(rng, mix, series, slots)
    instances: list[Instance] = []
    free_from = series.created_at
    for opening in sorted(openings, key=lambda o: o.start):
        start = max(opening.start, free_from + GAP_BETWEEN_INSTANCES)
        if opening.end - start < SESSION_MIN:
            continue  # the one before ran over it
        for first, last, run in split_by_restarts(rng, mix, series, opening, start):
            share_uuid = not instances and rng.random() < mix.uuid_is_next
            instance = Instance(
                uuid=series.uuid if share_uuid else instance_uuid(rng),
                started_at=first,
                ended_at=last,
                why="restart" if run else opening.why,
                slot=opening.slot,
                is_practice=opening.is_practice,
                run=run,
                started_is_sent=rng.random() >= mix.started_missing,
                ended_is_sent=rng.random() >= mix.ended_missing,
            )
            instances.append(instance)
            free_from = last
            record_held(instance)
    return instances


def record_held(instance: Instance) -> None:
    """Note in the instance's slot when it was held, and by which uuid."""
    if instance.slot is not None:
        instance.slot.uuids.append(instance.uuid)
        instance.slot.held_from = instance.slot.held_from or instance.started_at
        instance.slot.held_until = instance.ended_at


def draw_openings(rng: random.Random, mix: Mix, series: Series, slots: Sequence[Slot]) -> list[Opening]:
    """When hosts mean to run sessions, rehearsals and unscheduled instances."""
    if not slots:
        return draw_free_openings(rng, series)
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
            openings += draw_rehearsal(rng, mix, series, start)
        if series.is_recurring_at_fixed_times and rng.random() < mix.unscheduled:
            at = end + timedelta(hours=rng.randint(26, 44))
            openings.append(Opening(at, at + timedelta(minutes=rng.randint(6, 25)), "unscheduled"))
    return openings


def draw_free_openings(rng: random.Random, series: Series) -> list[Opening]:
    """When meetings of types 6, 3, 1 and 4, which have no schedule, are run; an instant meeting once, right away."""
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


def draw_rehearsal(rng: random.Random, mix: Mix, series: Series, held_at: datetime) -> list[Opening]:
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


def split_by_restarts(
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


PANELISTS_AT_REHEARSAL = 2


@dataclass(frozen=True, slots=True)
class Attendee:
    """Somebody who comes to a session and identifies by `link` (registrant id), `email` or `nothing`."""

    person: Person
    shows: str
    registrant_id: str = ""
    not_before: datetime | None = None


@dataclass(slots=True)
class Audience:
    """The people of a series; about `walk_ins` unregistered guests come to each session, `regulars` repeatedly."""

    team: list[Person]
    signups: list[Signup]
    guests: Iterator[Person]
    regulars: list[Person]
    walk_ins: float


def draw_attendees(rng: random.Random, mix: Mix, audience: Audience, instance: Instance) -> list[Attendee]:
    """Who comes: the team, registrants, people who registered for another session, and guests who never registered."""
    team = [Attendee(person, "email") for person in audience.team]
    if instance.why in ("rehearsal", "unscheduled"):
        return team[: 1 + PANELISTS_AT_REHEARSAL]
    slot, begins, ends = instance.slot, instance.started_at, instance.ended_at
    attendees = team
    for signup in audience.signups:
        if signup.person in audience.team:
            continue  # comes anyway
        if signup.counts_for(slot, begins, slot.ends if slot else ends):
            if rng.random() < mix.show_up:
                since = signup.registered_at if signup.chosen is None or slot is None else signup.chosen[slot.index][0]
                attendees.append(registered_attendee(rng, mix, signup, since))
        elif registered_for_another(signup, slot, begins) and rng.random() < mix.wrong_door:
            attendees.append(registered_attendee(rng, mix, signup, signup.registered_at))
    for _ in range(round(audience.walk_ins * rng.uniform(0.5, 1.5))):
        shows = "email" if rng.random() < mix.walk_in_email else "nothing"
        if audience.regulars and rng.random() < 0.3:
            guest = audience.regulars[rng.randrange(len(audience.regulars))]
            if any(c.person is guest for c in attendees):
                continue
        else:
            guest = next(audience.guests)
            audience.regulars.append(guest)
        attendees.append(Attendee(guest, shows))
    return attendees


def registered_for_another(signup: Signup, slot: Slot | None, begins: datetime) -> bool:
    """Whether this registrant is approved, not cancelled, and registered for other sessions only."""
    if signup.chosen is None or slot is None or slot.index in signup.chosen or signup.cancelled:
        return False
    return signup.is_approved and signup.registered_at < begins


def registered_attendee(rng: random.Random, mix: Mix, signup: Signup, since: datetime) -> Attendee:
    """A registrant as attendee, mostly by their own join link."""
    shows = "link"
    if rng.random() < mix.without_link:
        shows = "email" if rng.random() < 0.6 else "nothing"
    return Attendee(signup.person, shows, signup.registrant_id, since + timedelta(seconds=30))


STAY_MIN_SECONDS = 20
REJOIN_AFTER_RESTART = 0.85


@dataclass(frozen=True, slots=True)
class Shown:
    """The identifiers a connection shows, each empty where it shows none; `zoom_user_id` is Zoom's `id`."""

    zoom_user_id: str = ""
    participant_user_id: str = ""
    email: str = ""
    registrant_id: str = ""
    customer_key: str = ""


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to one instance; times in whole seconds, `left_at` is the leave time stated.

    `shown` None is what the attendee and the device would show; `shown_on_leaving` None is the same once more.
    A telephone is `bound_to` another connection of its person at `bound_at`.
    """

    attendee: Attendee
    uuid: str
    user_id: str
    participant_uuid: str
    joined_at: datetime
    left_at: datetime
    reason: str
    left_is_sent: bool = True
    phone_number: str = ""
    bound_to: "Connection | None" = None
    bound_at: datetime | None = None
    shown: Shown | None = None
    shown_on_leaving: Shown | None = None

    @property
    def shows(self) -> Shown:
        """The identifiers shown on joining: none for telephones and for those who show nothing."""
        if self.shown is not None:
            return self.shown
        if self.attendee.shows == "nothing" or self.phone_number:
            return Shown()
        person, link = self.attendee.person, self.attendee.registrant_id if self.attendee.shows == "link" else ""
        return Shown(person.user_id or "", person.user_id or "", person.email, link)

    @property
    def email(self) -> str:
        """The address shown, empty without one."""
        return self.shows.email

    @property
    def zoom_user_id(self) -> str:
        """The signed-in Zoom user, empty for guests."""
        return self.shows.zoom_user_id

    @property
    def registrant_id(self) -> str:
        """The registrant whose link was used, empty without one."""
        return self.shows.registrant_id

    @property
    def name(self) -> str:
        """The display name; a telephone shows its number."""
        return self.phone_number or self.attendee.person.name


@dataclass(frozen=True, slots=True)
class RoomVisit:
    """The time one connection spent in a breakout room, where it has a `user_id` of its own.

    `is_tied` says that an event names the connection it belongs to, by parent_user_id or participant_uuid.
    """

    connection: Connection
    user_id: str
    participant_uuid: str
    room_uuid: str
    joined_at: datetime
    left_at: datetime
    is_tied: bool = True


@dataclass(frozen=True, slots=True)
class Wait:
    """Time in the waiting room: before `connection` was admitted, or (None) of somebody who never was."""

    uuid: str
    connection: Connection | None
    user_id: str
    name: str
    since: datetime
    until: datetime


def draw_connections(
    rng: random.Random, mix: Mix, instance: Instance, attendees: Sequence[Attendee]
) -> list[Connection]:
    """The connections of all attendees to one instance, in order of joining."""
    made: list[Connection] = []
    for attendee in attendees:
        if instance.run and attendee.person.role not in STAFF and rng.random() >= REJOIN_AFTER_RESTART:
            continue
        made += connections_of(rng, mix, instance, attendee)
    made.sort(key=lambda c: c.joined_at)
    numbered: dict[int, Connection] = {}
    for n, c in enumerate(made):
        bound_to = None if c.bound_to is None else numbered[id(c.bound_to)]
        numbered[id(c)] = replace(c, user_id=connection_user_id(n), bound_to=bound_to)
    return list(numbered.values())


def connections_of(rng: random.Random, mix: Mix, instance: Instance, attendee: Attendee) -> list[Connection]:
    """One person's connections to one instance; empty if it ended before they could come."""
    begins, ends = instance.started_at, instance.ended_at
    joined = begins + timedelta(seconds=draw_arrival(rng, attendee, instance))
    if attendee.not_before is not None:
        joined = max(joined, attendee.not_before.replace(microsecond=0))
    if (ends - joined).total_seconds() < STAY_MIN_SECONDS * 2:
        if attendee.person.role != "host":
            return []
        joined = begins
    leaves = ends if rng.random() < 0.7 or attendee.person.role == "host" else between(rng, joined, ends)
    main = new_connection(rng, mix, instance, attendee, joined, leaves)
    if attendee.person.role == "host":
        return [main]
    made = split_by_rejoin(rng, mix, instance, main)
    if rng.random() < mix.two_devices:
        other = replace(attendee, shows="nothing") if rng.random() < 0.3 else attendee
        made.append(new_connection(rng, mix, instance, other, between(rng, main.joined_at, main.left_at), leaves))
    if rng.random() < mix.phone:
        at = between(rng, made[0].joined_at, made[0].left_at)
        number = f"1202555{rng.randrange(10_000):04d}"
        dialled = new_connection(rng, mix, instance, attendee, at, made[0].left_at)
        made.append(replace(dialled, phone_number=number, bound_to=made[0], bound_at=at + timedelta(seconds=3)))
    return made


def split_by_rejoin(rng: random.Random, mix: Mix, instance: Instance, main: Connection) -> list[Connection]:
    """The connection, cut in two where somebody leaves and rejoins or their client is killed."""
    length = (main.left_at - main.joined_at).total_seconds()
    chance = rng.random()
    if length < 300 or chance >= mix.rejoins + mix.killed:
        return [main]
    cut = main.joined_at + timedelta(seconds=rng.randint(40, int(length) - 200))
    if chance < mix.killed:
        noticed = cut + timedelta(seconds=rng.randint(60, 90))
        back = cut + timedelta(seconds=rng.randint(10, 45))
        first = replace(main, left_at=noticed, reason="Network connection error", left_is_sent=True)
    else:
        back = cut + timedelta(seconds=rng.randint(10, 150))
        first = replace(main, left_at=cut, reason=leave_text(main), left_is_sent=True)
    return [first, new_connection(rng, mix, instance, main.attendee, back, main.left_at)]


def new_connection(
    rng: random.Random, mix: Mix, instance: Instance, attendee: Attendee, joined: datetime, left: datetime
) -> Connection:
    """A connection with fresh ids; it ends with the instance at the latest."""
    with_end = left >= instance.ended_at
    made = Connection(
        attendee, instance.uuid, "", connection_uuid(rng), joined, left, "", rng.random() >= mix.left_missing
    )
    return replace(made, reason="Host ended the meeting." if with_end else leave_text(made))


def leave_text(connection: Connection) -> str:
    """The `leave_reason` Zoom sends when somebody leaves before the end."""
    return f"{connection.attendee.person.name} left the meeting.<br>Reason: left the meeting."


def draw_arrival(rng: random.Random, attendee: Attendee, instance: Instance) -> int:
    """Seconds after the start of the instance; after a restart everybody is quick."""
    if attendee.person.role == "host":
        return 0
    if attendee.person.role in STAFF or instance.run:
        return rng.randint(2, 60)
    due = instance.slot.informal_start or instance.slot.now.start if instance.slot is not None else instance.started_at
    wait = max(0, int((due - instance.started_at).total_seconds()))
    return max(3, wait + int(rng.gauss(0, 240)) if wait else int(abs(rng.gauss(0, 240))) + 3)


def between(rng: random.Random, first: datetime, last: datetime) -> datetime:
    """A whole second between two moments at least one apart, nearer to neither."""
    return first + timedelta(seconds=rng.randint(1, max(1, int((last - first).total_seconds()) - 1)))
