"""By which identifiers people are known: several of them, other people's, or fewer the next time. Pure.

Everything here is drawn from a generator of its own, so that a world without these knobs stays what it was.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from joinlog.fakezoom.identifiers import meeting_number, short_id
from joinlog.fakezoom.mix import Mix
from joinlog.fakezoom.people import Person, invent_people
from joinlog.fakezoom.series import Series
from joinlog.fakezoom.sessions import GAP_BETWEEN_INSTANCES, Connection, Instance, Shown

KIOSK_GUESTS_MIN = 6
BIND_SECONDS_BEFORE_END = 5
PMI_SEED_OFFSET = 1_000_003  # personal meeting ids are numbered far from the meetings'
WITHOUT_LINK = ("account", "account", "address", "address", "nothing")


@dataclass(slots=True)
class Traits:
    """What one person shows whenever they come, beside or instead of their own account and address."""

    second_id: str = ""
    customer_key: str = ""
    phone_number: str = ""
    shared_id: str = ""


@dataclass(slots=True)
class Identities:
    """The identifiers of everybody in one series."""

    rng: random.Random
    mix: Mix
    series: Series
    traits: dict[str, Traits] = field(default_factory=dict)
    account_to_share: str = ""

    def traits_of(self, person: Person) -> Traits:
        """A person's traits, drawn when they first come."""
        if person.key not in self.traits:
            self.traits[person.key] = self._draw(person)
        return self.traits[person.key]

    def _draw(self, person: Person) -> Traits:
        rng, mix, traits = self.rng, self.mix, Traits()
        if person.user_id is not None and rng.random() < mix.two_ids:
            traits.second_id = short_id(rng)
        if person.role == "guest":
            if rng.random() < mix.sdk_users:
                traits.customer_key = short_id(rng)
            elif rng.random() < mix.callers:
                traits.phone_number = f"1303555{rng.randrange(10_000_000):07d}"
        if person.role == "registrant" and rng.random() < mix.shared_accounts:
            traits.shared_id = self.account_to_share or short_id(rng)
            self.account_to_share = "" if self.account_to_share else traits.shared_id
        return traits

    def show(self, instance: Instance, connections: Sequence[Connection]) -> list[Connection]:
        """The connections of one instance with the identifiers they really show."""
        seen: set[str] = set()
        kiosk = self._draw_kiosk(instance, connections)
        made: dict[int, Connection] = {}
        for c in connections:
            shown = self._shown(c, is_again=c.attendee.person.key in seen, kiosk=kiosk)
            seen.add(c.attendee.person.key)
            number = c.phone_number or self.traits_of(c.attendee.person).phone_number
            bound_to = made[id(c.bound_to)] if c.bound_to is not None else None
            bound_at = c.bound_at
            if bound_to is not None and self.rng.random() < self.mix.late_bind:
                bound_at = max(c.joined_at, c.left_at - timedelta(seconds=BIND_SECONDS_BEFORE_END))
            made[id(c)] = replace(
                c, shown=shown, shown_on_leaving=self._shown_on_leaving(shown), phone_number=number, bound_to=bound_to,
                bound_at=bound_at,
            )  # fmt: skip
        return list(made.values())

    def _draw_kiosk(self, instance: Instance, connections: Sequence[Connection]) -> dict[str, Shown]:
        """Person key -> what the kiosk shows; empty where there is none, or too few guests for one."""
        if self.rng.random() >= self.mix.kiosks:
            return {}
        middle = instance.started_at + (instance.ended_at - instance.started_at) / 2
        there = [
            c.attendee.person
            for c in connections
            if c.attendee.person.role == "guest" and not c.phone_number and c.joined_at <= middle < c.left_at
        ]
        people = {p.key: p for p in there if self.traits_of(p) == Traits(second_id=self.traits_of(p).second_id)}
        if len(people) < KIOSK_GUESTS_MIN:
            return {}
        account = short_id(self.rng)
        shown = Shown(account, account, f"kiosk+{account[:6].lower()}@example.net")
        return dict.fromkeys(people, shown)

    def _shown(self, c: Connection, is_again: bool, kiosk: dict[str, Shown]) -> Shown:
        person, plain = c.attendee.person, c.shows
        traits = self.traits_of(person)
        if person.key in kiosk:
            return kiosk[person.key]
        if c.phone_number or traits.phone_number:
            return Shown()
        if traits.customer_key:
            return Shown(customer_key=traits.customer_key)
        if plain.zoom_user_id and traits.second_id:
            plain = replace(plain, participant_user_id=traits.second_id)
        if traits.shared_id and plain != Shown():
            plain = replace(plain, zoom_user_id=traits.shared_id, participant_user_id=traits.shared_id)
        if person.role == "host" and self.series.kind == "webinar" and self.mix.host_as_registrant:
            is_shown = random.Random(f"{self.series.uuid}/host").random() < self.mix.host_as_registrant  # noqa: S311
            plain = replace(plain, registrant_id=plain.zoom_user_id if is_shown else "")
        if is_again and plain.registrant_id and self.rng.random() < self.mix.rejoin_without_link:
            how = self.rng.choice(WITHOUT_LINK)
            if how == "account" and plain.zoom_user_id:
                return replace(plain, registrant_id="", email="")
            return Shown(email=plain.email) if how != "nothing" else Shown()
        return plain

    def _shown_on_leaving(self, shown: Shown) -> Shown | None:
        names = ("zoom_user_id", "participant_user_id", "email", "registrant_id")
        known = [name for name in names if getattr(shown, name)]
        if len(known) < 2 or self.rng.random() >= self.mix.id_missing_later:
            return None
        return replace(shown, **{self.rng.choice(known): ""})


def shows_more(mix: Mix) -> bool:
    """Whether any knob of this module is turned."""
    return any(
        (mix.two_ids, mix.id_missing_later, mix.sdk_users, mix.callers, mix.late_bind, mix.rejoin_without_link,
         mix.shared_accounts, mix.kiosks, mix.host_as_registrant)
    )  # fmt: skip


def invite_staff(rng: random.Random, mix: Mix, series: Series, prefix: str) -> tuple[Series, list[Person]]:
    """The series with its alternative hosts, and who helps its host: alternative hosts and co-hosts."""
    staff: list[Person] = []
    if rng.random() < mix.alternative_hosts:
        staff.append(next(invent_people(rng, prefix, "alternative_host", 0.0, 0.0)))
        series = replace(series, alternative_hosts=(staff[0].email,))
    if rng.random() < mix.co_hosts:
        staff.append(next(invent_people(rng, prefix, "co_host", 0.0, 0.0)))
    return series, staff


def known_by_host_id(rng: random.Random, mix: Mix, series: Series, host: Person) -> Person:
    """The host, perhaps with the user id that events name as `host_id`."""
    return replace(host, user_id=series.host_id) if rng.random() < mix.host_by_id else host


def staff_who_register(rng: random.Random, mix: Mix, staff: Sequence[Person]) -> list[Person]:
    """The hosts and alternative hosts who register like everybody else."""
    return [p for p in staff if p.role in ("host", "alternative_host") and rng.random() < mix.staff_register]


def give_pmi(rng: random.Random, mix: Mix, series: Series, seed: int, index: int) -> Series:
    """The series, perhaps made to run under its host's personal meeting id, which knows no registration."""
    if series.kind != "meeting" or series.type not in (2, 8) or rng.random() >= mix.pmi:
        return series
    return replace(series, pmi=meeting_number(seed + PMI_SEED_OFFSET, index), registration_type=0)


def move_to_room(rng: random.Random, series: Series, instances: Sequence[Instance]) -> list[Instance]:
    """The instances as they run under the personal meeting id, and now and then one more that nobody scheduled."""
    if series.pmi is None:
        return list(instances)
    made = [replace(i, pmi=series.pmi) for i in instances]
    if made and rng.random() < 0.5:
        last = made[-1]
        start = last.ended_at + GAP_BETWEEN_INSTANCES + timedelta(minutes=rng.randint(40, 600))
        end = start + timedelta(minutes=rng.randint(10, 40))
        uuid = short_id(rng) + "=="
        made.append(Instance(uuid, start, end, "unscheduled", pmi=series.pmi))
    return made
