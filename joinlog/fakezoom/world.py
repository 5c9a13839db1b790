"""A world: everything Zoom states, in order of time, and the truth behind it. Pure: a seed gives one world."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from joinlog.fakezoom.attendees import Audience, Comer, comers_to
from joinlog.fakezoom.connections import connect
from joinlog.fakezoom.ground_truth import Play, truth_of
from joinlog.fakezoom.instances import run_sessions
from joinlog.fakezoom.live_events import tell_instance
from joinlog.fakezoom.mix import MIXES, Mix
from joinlog.fakezoom.payloads import Emission
from joinlog.fakezoom.people import invent_people
from joinlog.fakezoom.registrations import sign_up
from joinlog.fakezoom.series import invent_series
from joinlog.fakezoom.timetable import edit_schedule, slots_of
from joinlog.fakezoom.truth import Truth

TEAM_SIZE = 3
AUDIENCE_DEFAULT = (20, 40)


@dataclass(slots=True)
class World:
    """Emissions sorted by `at`, and what they are about."""

    emissions: list[Emission] = field(default_factory=list)
    truth: Truth = field(default_factory=Truth)


def generate(
    seed: int, series: int = 1, mix: Mix = MIXES["usual"], *, start: datetime,
    audience: tuple[int, int] = AUDIENCE_DEFAULT, first: int = 0,
) -> World:  # fmt: skip
    """The world of series `first` to `first + series - 1` under `seed`, scheduled from `start` (aware) on.

    Each series depends on the seed and its own number only, so a large world can be made in parts. `audience` is the
    fewest and the most who register for (or, without registration, walk into) a series.
    """
    world = World()
    for index in range(first, first + series):
        emissions, truth = generate_series(seed, index, mix, start, audience)
        world.emissions += emissions
        world.truth.add(truth)
    world.emissions.sort(key=lambda emission: emission.at)
    return world


def generate_series(
    seed: int, index: int, mix: Mix, start: datetime, audience: tuple[int, int]
) -> tuple[list[Emission], Truth]:
    """One series: schedule it, edit the schedule, register people, run the sessions, let people in."""
    rng = random.Random(f"{seed}/{index}")  # noqa: S311 - invents, guards nothing
    series = invent_series(rng, seed, index, mix, start)
    slots = slots_of(series)
    emissions = edit_schedule(rng, mix, series, slots)
    instances = run_sessions(rng, mix, series, slots)
    size = rng.randint(*audience)
    prefix = f"{seed}/{index}/"
    team_of = invent_people(rng, prefix, "panelist", 0.0, 0.0)
    host = next(invent_people(rng, prefix, "host", 0.0, 0.0))
    registrants = invent_people(rng, prefix, "registrant", mix.strange_names, mix.shared_names)
    last = max([i.ended_at for i in instances], default=series.created_at + timedelta(days=1))
    signups, stated = sign_up(rng, mix, series, slots, registrants, size, last)
    emissions += stated
    guests = invent_people(rng, prefix, "guest", mix.strange_names, mix.shared_names)
    walk_ins = size * (mix.walk_ins if series.registration_type else mix.show_up)
    people = Audience([host, *(next(team_of) for _ in range(TEAM_SIZE - 1))], signups, guests, [], walk_ins)
    play = Play(series, slots, signups, instances)
    invited: dict[int, list[Comer]] = {}
    for instance in instances:
        comers = comers_to(rng, mix, people, instance) if instance.run == 0 else invited[id(instance.slot)]
        invited[id(instance.slot)] = comers
        connections = connect(rng, mix, instance, comers)
        play.connections += connections
        emissions += tell_instance(rng, mix, series, instance, connections)
    emissions.sort(key=lambda emission: emission.at)
    return emissions, truth_of(play)
