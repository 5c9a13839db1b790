"""The demo: a weekly webinar whose past weeks are delivered at once and whose present week runs now."""

import random
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from joinlog.fakezoom.delivery import Faults, plan
from joinlog.fakezoom.endpoint import EndpointError, open_client, require_loopback, validate
from joinlog.fakezoom.events import instance_events
from joinlog.fakezoom.ground_truth import truth_of
from joinlog.fakezoom.history import SeriesHistory
from joinlog.fakezoom.identifiers import connection_user_id, instance_uuid, meeting_number, short_id
from joinlog.fakezoom.mix import CALM, Mix
from joinlog.fakezoom.people import invent_people
from joinlog.fakezoom.player import Pace, Stats, play
from joinlog.fakezoom.schedule import edit_schedule, sign_up
from joinlog.fakezoom.series import Occurrence, Series, Slot, lay_out_weekly, occurrence_id_for, recurrence_of, slots_of
from joinlog.fakezoom.sessions import (
    Attendee,
    Audience,
    Connection,
    Instance,
    between,
    draw_attendees,
    draw_connections,
    new_connection,
    record_held,
    registered_attendee,
)
from joinlog.fakezoom.truth import Why
from joinlog.fakezoom.world import World

WEEKS = 5
LIVE_MINUTES = 30
REGISTRANTS = 180
WALK_INS = 4
GUESTS_LIVE = 25
CROWD_SECONDS = 60  # within which two thirds of the audience arrives
TIME_SCALE = 60.0
CONCURRENCY = 4
ENDPOINT_TRIES_MAX = 200
ENDPOINT_RETRY_SECONDS = 0.3
ZONE = "America/New_York"
HELD_CALMLY, HELD_WITH_RESTART, NOT_HELD, HELD_FOR_OTHERS, HELD_NOW = range(WEEKS)
DEMO_MIX = replace(
    CALM,
    late_registrants=0.15,
    cancels=0.04,
    without_link=0.08,
    wrong_door=0.01,
    rejoins=0.2,
    killed=0.05,
    two_devices=0.05,
    phone=0.03,
    strange_names=0.12,
    shared_names=0.04,
    states_registration_type=1.0,
)
DEMO_FAULTS = Faults(duplicates=0.03, reorder_seconds=0.5, late_left=0.01)


def demo_series(rng: random.Random, seed: int, now: datetime) -> Series:
    """A weekly webinar of five occurrences, the last of them due within five minutes of `now`."""
    due = now.replace(second=0, microsecond=0) + timedelta(minutes=5 - now.minute % 5)
    zone = ZoneInfo(ZONE)
    starts = lay_out_weekly(due, WEEKS, zone)
    return Series(
        account_id=short_id(rng),
        meeting_id=meeting_number(seed, 0),
        uuid=instance_uuid(rng),
        kind="webinar",
        type=9,
        topic="Weekly product webinar 🚒",
        host_id=short_id(rng),
        timezone=ZONE,
        duration_minutes=LIVE_MINUTES,
        registration_type=3,
        created_at=starts[0] - timedelta(days=10),
        occurrences=tuple(Occurrence(occurrence_id_for(at), at, LIVE_MINUTES) for at in starts),
        recurrence=recurrence_of("weekly", starts, zone),
    )


def demo_instances(rng: random.Random, slots: list[Slot], now: datetime) -> list[Instance]:
    """A calm week; one rehearsed and restarted; one not held; one attended by people of the week before; one now.

    Between the last two an instance runs on a day when no occurrence is due.
    """

    def run(
        slot: Slot, first: float, last: float, *, why: Why = "held", number: int = 0, practice: bool = False
    ) -> Instance:
        began = slot.now.start + timedelta(minutes=first)
        ended = slot.now.start + timedelta(minutes=last)
        owner = None if why in ("rehearsal", "unscheduled") else slot
        return Instance(instance_uuid(rng), began, ended, why, owner, practice, number)

    calm, restarted, _not_held, borrowed, present = slots
    live_from = now.replace(microsecond=0)
    instances = [
        run(calm, -6, 31),
        run(restarted, -1500, -1482, why="rehearsal", practice=True),
        run(restarted, -4, 11),
        run(restarted, 13, 33, why="restart", number=1),
        run(borrowed, -3, 29),
        run(present, -4400, -4388, why="unscheduled"),
        Instance(instance_uuid(rng), live_from, live_from + timedelta(minutes=LIVE_MINUTES), "held", present),
    ]
    for instance in instances:
        record_held(instance)
    return instances


def demo_world(now: datetime, seed: int) -> World:
    """The demo's world around `now` (aware UTC): about four weeks of history, then half an hour of live joins."""
    rng = random.Random(f"{seed}/demo")  # noqa: S311 - invents, guards nothing
    series = demo_series(rng, seed, now)
    slots = slots_of(series)
    emissions = edit_schedule(rng, DEMO_MIX, series, slots)
    instances = demo_instances(rng, slots, now)
    team_of = invent_people(rng, "demo/", "panelist", 0.0, 0.0)
    team = [next(invent_people(rng, "demo/", "host", 0.0, 0.0)), next(team_of), next(team_of)]
    registrants = invent_people(rng, "demo/", "registrant", DEMO_MIX.strange_names, DEMO_MIX.shared_names)
    until = now - timedelta(minutes=1)
    signups, registration_events = sign_up(rng, DEMO_MIX, series, slots, registrants, REGISTRANTS, until)
    emissions += registration_events
    guests = invent_people(rng, "demo/", "guest", DEMO_MIX.strange_names, DEMO_MIX.shared_names)
    audience = Audience(team, signups, guests, [], WALK_INS)
    history = SeriesHistory(series, slots, signups, instances, team=team)
    invited: list[Attendee] = []
    for instance in instances:
        if instance.run == 0:
            invited = demo_comers(rng, audience, instance)
        is_live = instance.slot is not None and instance.slot.index == HELD_NOW
        connections = (connect_live if is_live else draw_connections)(rng, DEMO_MIX, instance, invited)
        happened = instance_events(rng, DEMO_MIX, series, instance, connections)
        emissions += happened.emissions
        history.add(connections, happened)
    emissions.sort(key=lambda emission: emission.at)
    return World(emissions, truth_of(history), [history])


def demo_comers(rng: random.Random, audience: Audience, instance: Instance) -> list[Attendee]:
    """Who comes to an instance; to the fourth week mostly those who registered for the third, which was not held."""
    if instance.slot is None or instance.slot.index != HELD_FOR_OTHERS:
        attendees = draw_attendees(rng, DEMO_MIX, audience, instance)
        if instance.slot is not None and instance.slot.index == HELD_NOW:
            attendees += [Attendee(next(audience.guests), rng.choice(("email", "nothing"))) for _ in range(GUESTS_LIVE)]
        return attendees
    attendees = [Attendee(person, "email") for person in audience.team]
    for signup in audience.signups:
        chosen = signup.chosen or {}
        came_late = NOT_HELD in chosen and HELD_FOR_OTHERS not in chosen and rng.random() < 0.9
        if (came_late or (HELD_FOR_OTHERS in chosen and NOT_HELD not in chosen and rng.random() < 0.2)) and (
            signup.registered_at < instance.started_at and not signup.cancelled
        ):
            attendees.append(registered_attendee(rng, DEMO_MIX, signup, signup.registered_at))
    return attendees


def connect_live(rng: random.Random, mix: Mix, instance: Instance, attendees: list[Attendee]) -> list[Connection]:
    """The connections of the running week: the first within seconds, most within a minute, then constant rejoins."""
    made: list[Connection] = []
    crowd = max(1, len(attendees) * 2 // 3)
    for n, attendee in enumerate(attendees):
        soon = n < crowd
        seconds = 1 + n * CROWD_SECONDS // crowd if soon else rng.randint(CROWD_SECONDS, (LIVE_MINUTES - 4) * 60)
        at = max(instance.started_at + timedelta(seconds=seconds), attendee.not_before or instance.started_at)
        at = at.replace(microsecond=0)
        if attendee.person.role == "host":
            made.append(new_connection(rng, mix, instance, attendee, instance.started_at, instance.ended_at))
            continue
        while instance.ended_at - at > timedelta(minutes=1):
            left = min(instance.ended_at, at + timedelta(seconds=rng.randint(40, 400)))
            made.append(new_connection(rng, mix, instance, attendee, at, left))
            if rng.random() < mix.two_devices:
                made.append(new_connection(rng, mix, instance, attendee, between(rng, at, left), left))
            at = left + timedelta(seconds=rng.randint(8, 90))
    made.sort(key=lambda c: c.joined_at)
    return [replace(c, user_id=connection_user_id(n)) for n, c in enumerate(made)]


def play_demo(
    url: str,
    secret: str,
    stop: threading.Event,
    seed: int | None = None,
    on_progress: Callable[[Stats], None] | None = None,
    on_world: Callable[[World], None] | None = None,
) -> None:
    """Play demos one after another until `stop` is set; waits up to a minute for the endpoint to come up.

    Without a seed each demo is another webinar; `on_world` is told of each before it plays. No webhook tells of the
    first week, as if Joinlog had been installed after it. Raises `EndpointError` when nobody can be played to.
    """
    require_loopback(url)
    await_endpoint(url, secret, stop)
    while not stop.is_set():
        now = datetime.now(UTC)
        chosen = int(now.timestamp()) if seed is None else seed
        world = demo_world(now, chosen)
        attempts = plan(world.emissions, replace(DEMO_FAULTS, off=(unheard_span(world),)), chosen)
        if on_world is not None:
            on_world(world)
        play(
            attempts,
            url=url,
            secret=secret,
            pace=Pace(speed=1.0, time_scale=TIME_SCALE, origin=now),
            concurrency=CONCURRENCY,
            stop=stop,
            on_progress=on_progress,
        )
        seed = None


def unheard_span(world: World) -> tuple[datetime, datetime]:
    """From when to when the demo's webhook was off: around what ran in the first week."""
    instance = first_held(world)
    return instance.started_at - timedelta(minutes=1), instance.ended_at + timedelta(minutes=2)


def unheard_week(world: World) -> World:
    """The part of the demo's world that its API tells: of all instances only the one of the first week."""
    (history,) = world.histories
    instance = first_held(world)
    kept = [connection for connection in history.connections if connection.uuid == instance.uuid]
    only = SeriesHistory(history.series, history.slots, history.signups, [instance], kept, history.team)
    return World(world.emissions, world.truth, [only])


def first_held(world: World) -> Instance:
    """The instance of the first week."""
    return min(world.histories[0].instances, key=lambda instance: instance.started_at)


def await_endpoint(url: str, secret: str, stop: threading.Event) -> None:
    """Return when the endpoint answers a validation, or `stop` is set; `EndpointError` after a minute in vain."""
    with open_client(1) as client:
        for attempt in count(1):
            try:
                validate(client, url, secret)
                return
            except EndpointError as failure:
                if failure.reason not in ("unreachable", "slow") or attempt == ENDPOINT_TRIES_MAX:
                    raise
            if stop.wait(ENDPOINT_RETRY_SECONDS):
                return
