"""Who comes to a session, and what they show at the door."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from joinlog.fakezoom.instances import Instance
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.people import Person
from joinlog.fakezoom.registrations import Signup
from joinlog.fakezoom.timetable import Slot

PANELISTS_AT_REHEARSAL = 2


@dataclass(frozen=True, slots=True)
class Comer:
    """Somebody who comes to a session, and what they show there: `link`, `email` or `nothing`."""

    person: Person
    shows: str
    registrant_id: str = ""
    not_before: datetime | None = None


@dataclass(slots=True)
class Audience:
    """The people of a series: `regulars` walk in without ever registering, about `walk_ins` of them each time."""

    team: list[Person]
    signups: list[Signup]
    guests: Iterator[Person]
    regulars: list[Person]
    walk_ins: float


def comers_to(rng: random.Random, mix: Mix, audience: Audience, instance: Instance) -> list[Comer]:
    """Who comes to a session: the team, registrants, people at the wrong door, walk-ins."""
    team = [Comer(person, "email") for person in audience.team]
    if instance.why in ("rehearsal", "unscheduled"):
        return team[: 1 + PANELISTS_AT_REHEARSAL]
    slot, begins, ends = instance.slot, instance.started_at, instance.ended_at
    comers = team
    for signup in audience.signups:
        if signup.counts_for(slot, begins, slot.ends if slot else ends):
            if rng.random() < mix.show_up:
                since = signup.registered_at if signup.chosen is None or slot is None else signup.chosen[slot.index][0]
                comers.append(with_link(rng, mix, signup, since))
        elif is_at_wrong_door(signup, slot, begins) and rng.random() < mix.wrong_door:
            comers.append(with_link(rng, mix, signup, signup.registered_at))
    for _ in range(round(audience.walk_ins * rng.uniform(0.5, 1.5))):
        shows = "email" if rng.random() < mix.walk_in_email else "nothing"
        if audience.regulars and rng.random() < 0.3:
            guest = audience.regulars[rng.randrange(len(audience.regulars))]
            if any(c.person is guest for c in comers):
                continue
        else:
            guest = next(audience.guests)
            audience.regulars.append(guest)
        comers.append(Comer(guest, shows))
    return comers


def is_at_wrong_door(signup: Signup, slot: Slot | None, begins: datetime) -> bool:
    """Whether this registrant, approved and not cancelled, chose other sessions than this one."""
    if signup.chosen is None or slot is None or slot.index in signup.chosen or signup.cancelled:
        return False
    return signup.is_approved and signup.registered_at < begins


def with_link(rng: random.Random, mix: Mix, signup: Signup, since: datetime) -> Comer:
    """A registrant on the way in, mostly by their own link."""
    shows = "link"
    if rng.random() < mix.without_link:
        shows = "email" if rng.random() < 0.6 else "nothing"
    return Comer(signup.person, shows, signup.registrant_id, since + timedelta(seconds=30))
