"""A world: every event Zoom states, in order of time, and the truth behind them. Pure: a seed gives one world."""

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import chain

from joinlog.fakezoom.events import Emission, instance_events
from joinlog.fakezoom.ground_truth import truth_of
from joinlog.fakezoom.history import SeriesHistory
from joinlog.fakezoom.identities import (
    Identities,
    give_pmi,
    invite_staff,
    known_by_host_id,
    move_to_room,
    shows_more,
    staff_who_register,
)
from joinlog.fakezoom.mix import MIXES, Mix
from joinlog.fakezoom.people import invent_people
from joinlog.fakezoom.schedule import edit_schedule, sign_up
from joinlog.fakezoom.series import SERIES_PER_ACCOUNT, invent_series, slots_of
from joinlog.fakezoom.sessions import Attendee, Audience, draw_attendees, draw_connections, draw_instances
from joinlog.fakezoom.truth import Truth

TEAM_SIZE = 3
AUDIENCE_DEFAULT = (20, 40)


@dataclass(slots=True)
class World:
    """Events in the order in which Zoom states them, the truth behind them, and the history of each series."""

    emissions: list[Emission] = field(default_factory=list)
    truth: Truth = field(default_factory=Truth)
    histories: list[SeriesHistory] = field(default_factory=list)


def generate(
    seed: int, series: int = 1, mix: Mix = MIXES["usual"], *, start: datetime,
    audience: tuple[int, int] = AUDIENCE_DEFAULT, first: int = 0, series_per_account: int = SERIES_PER_ACCOUNT,
) -> World:  # fmt: skip
    """The world of series `first` to `first + series - 1` under `seed`, scheduled from `start` (aware) on.

    Each series depends on the seed and its own number only, so a large world can be made in parts. `audience` is the
    fewest and the most who register for (or, without registration, walk into) a series.
    """
    world = World()
    for index in range(first, first + series):
        emissions, history = generate_series(seed, index, mix, start, audience, series_per_account)
        world.emissions += emissions
        world.histories.append(history)
        world.truth.add(truth_of(history))
    world.emissions.sort(key=lambda emission: emission.at)
    return world


def generate_series(
    seed: int, index: int, mix: Mix, start: datetime, audience: tuple[int, int], series_per_account: int
) -> tuple[list[Emission], SeriesHistory]:
    """One series from its first event to its last: schedule, edits, registrations, sessions, connections."""
    rng = random.Random(f"{seed}/{index}")  # noqa: S311 - invents, guards nothing
    own = random.Random(f"{seed}/{index}/people")  # noqa: S311 - its own, so that older mixes give what they gave
    prefix = f"{seed}/{index}/"
    series = give_pmi(own, mix, invent_series(rng, seed, index, mix, start, series_per_account), seed, index)
    series, helpers = invite_staff(own, mix, series, prefix)
    slots = slots_of(series)
    emissions = edit_schedule(rng, mix, series, slots)
    instances = move_to_room(own, series, draw_instances(rng, mix, series, slots))
    size = rng.randint(*audience)
    team_of = invent_people(rng, prefix, "panelist", 0.0, 0.0)
    host = known_by_host_id(own, mix, series, next(invent_people(rng, prefix, "host", 0.0, 0.0)))
    registering = staff_who_register(own, mix, [host, *helpers])
    others = invent_people(rng, prefix, "registrant", mix.strange_names, mix.shared_names)
    registrants = chain(registering, others)
    last = max([i.ended_at for i in instances], default=series.created_at + timedelta(days=1))
    signups, registration_events = sign_up(rng, mix, series, slots, registrants, size, last)
    emissions += registration_events
    guests = invent_people(rng, prefix, "guest", mix.strange_names, mix.shared_names)
    walk_ins = size * (mix.walk_ins if series.registration_type else mix.show_up)
    team = [host, *(next(team_of) for _ in range(TEAM_SIZE - 1)), *helpers]
    people = Audience(team, signups, guests, [], walk_ins)
    history = SeriesHistory(series, slots, signups, instances, team=team)
    identities = Identities(own, mix, series) if shows_more(mix) else None
    invited: dict[int, list[Attendee]] = {}
    for instance in instances:
        attendees = draw_attendees(rng, mix, people, instance) if instance.run == 0 else invited[id(instance.slot)]
        invited[id(instance.slot)] = attendees
        connections = draw_connections(rng, mix, instance, attendees)
        if identities is not None:
            connections = identities.show(instance, connections)
        happened = instance_events(rng, mix, series, instance, connections)
        emissions += happened.emissions
        history.add(connections, happened)
    emissions.sort(key=lambda emission: emission.at)
    return emissions, history
