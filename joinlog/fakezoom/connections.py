"""How people are connected to an instance: arrivals, rejoins, devices, telephones."""

import random
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from joinlog.fakezoom.attendees import Comer
from joinlog.fakezoom.identifiers import connection_user_id, connection_uuid
from joinlog.fakezoom.instances import Instance
from joinlog.fakezoom.mix import Mix

STAY_MIN_SECONDS = 20
REJOIN_AFTER_RESTART = 0.85


@dataclass(frozen=True, slots=True)
class Connection:
    """One connection to one instance; times in whole seconds, `left_at` is the leave time stated."""

    comer: Comer
    uuid: str
    user_id: str
    participant_uuid: str
    joined_at: datetime
    left_at: datetime
    reason: str
    left_is_stated: bool = True
    phone_number: str = ""
    bound_to: "Connection | None" = None

    @property
    def email(self) -> str:
        """The address shown, empty for the nameless and for telephones."""
        return "" if self.comer.shows == "nothing" or self.phone_number else self.comer.person.email

    @property
    def zoom_user_id(self) -> str:
        """The signed-in Zoom user, empty for guests."""
        return "" if self.comer.shows == "nothing" or self.phone_number else self.comer.person.user_id or ""

    @property
    def registrant_id(self) -> str:
        """The registrant whose link was used, empty without one."""
        return self.comer.registrant_id if self.comer.shows == "link" and not self.phone_number else ""

    @property
    def name(self) -> str:
        """The display name; a telephone shows its number."""
        return self.phone_number or self.comer.person.name


def connect(rng: random.Random, mix: Mix, instance: Instance, comers: Sequence[Comer]) -> list[Connection]:
    """The connections of all comers to one instance, in order of joining."""
    made: list[Connection] = []
    for comer in comers:
        if instance.run and comer.person.role not in ("host", "panelist") and rng.random() >= REJOIN_AFTER_RESTART:
            continue
        made += connect_one(rng, mix, instance, comer)
    made.sort(key=lambda c: c.joined_at)
    numbered: dict[int, Connection] = {}
    for n, c in enumerate(made):
        bound_to = None if c.bound_to is None else numbered[id(c.bound_to)]
        numbered[id(c)] = replace(c, user_id=connection_user_id(n), bound_to=bound_to)
    return list(numbered.values())


def connect_one(rng: random.Random, mix: Mix, instance: Instance, comer: Comer) -> list[Connection]:
    """One person's connections to one instance; empty if it ended before they could come."""
    begins, ends = instance.started_at, instance.ended_at
    joined = begins + timedelta(seconds=draw_arrival(rng, comer, instance))
    if comer.not_before is not None:
        joined = max(joined, comer.not_before.replace(microsecond=0))
    if (ends - joined).total_seconds() < STAY_MIN_SECONDS * 2:
        if comer.person.role != "host":
            return []
        joined = begins
    leaves = ends if rng.random() < 0.7 or comer.person.role == "host" else between(rng, joined, ends)
    main = link_up(rng, mix, instance, comer, joined, leaves)
    if comer.person.role == "host":
        return [main]
    made = come_back(rng, mix, instance, main)
    if rng.random() < mix.two_devices:
        other = replace(comer, shows="nothing") if rng.random() < 0.3 else comer
        made.append(link_up(rng, mix, instance, other, between(rng, main.joined_at, main.left_at), leaves))
    if rng.random() < mix.phone:
        at = between(rng, made[0].joined_at, made[0].left_at)
        number = f"1202555{rng.randrange(10_000):04d}"
        dialled = link_up(rng, mix, instance, comer, at, made[0].left_at)
        made.append(replace(dialled, phone_number=number, bound_to=made[0]))
    return made


def come_back(rng: random.Random, mix: Mix, instance: Instance, main: Connection) -> list[Connection]:
    """The connection, cut in two where somebody leaves and rejoins or their client is killed."""
    length = (main.left_at - main.joined_at).total_seconds()
    chance = rng.random()
    if length < 300 or chance >= mix.rejoins + mix.killed:
        return [main]
    cut = main.joined_at + timedelta(seconds=rng.randint(40, int(length) - 200))
    if chance < mix.killed:
        noticed = cut + timedelta(seconds=rng.randint(60, 90))
        back = cut + timedelta(seconds=rng.randint(10, 45))
        first = replace(main, left_at=noticed, reason="Network connection error", left_is_stated=True)
    else:
        back = cut + timedelta(seconds=rng.randint(10, 150))
        first = replace(main, left_at=cut, reason=left_by_choice(main), left_is_stated=True)
    return [first, link_up(rng, mix, instance, main.comer, back, main.left_at)]


def link_up(
    rng: random.Random, mix: Mix, instance: Instance, comer: Comer, joined: datetime, left: datetime
) -> Connection:
    """A connection with fresh ids; it ends with the instance at the latest."""
    with_end = left >= instance.ended_at
    made = Connection(
        comer, instance.uuid, "", connection_uuid(rng), joined, left, "", rng.random() >= mix.left_missing
    )
    return replace(made, reason="Host ended the meeting." if with_end else left_by_choice(made))


def left_by_choice(connection: Connection) -> str:
    """What Zoom writes when somebody leaves of their own accord."""
    return f"{connection.comer.person.name} left the meeting.<br>Reason: left the meeting."


def draw_arrival(rng: random.Random, comer: Comer, instance: Instance) -> int:
    """Seconds after the start of the instance; after a restart everybody is quick."""
    if comer.person.role == "host":
        return 0
    if comer.person.role == "panelist" or instance.run:
        return rng.randint(2, 60)
    due = instance.slot.informal_start or instance.slot.now.start if instance.slot is not None else instance.started_at
    wait = max(0, int((due - instance.started_at).total_seconds()))
    return max(3, wait + int(rng.gauss(0, 240)) if wait else int(abs(rng.gauss(0, 240))) + 3)


def between(rng: random.Random, first: datetime, last: datetime) -> datetime:
    """A whole second between two moments at least one apart, nearer to neither."""
    return first + timedelta(seconds=rng.randint(1, max(1, int((last - first).total_seconds()) - 1)))
