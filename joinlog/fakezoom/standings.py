"""What every person was to every occurrence, and whether that can be known from what Zoom shows. Pure.

Known means: without leaning on any one rule for evidence that disagrees. An identifier that several people show proves
nothing here, and a name never does.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from joinlog.fakezoom.history import SeriesHistory
from joinlog.fakezoom.identities import KIOSK_GUESTS_MIN
from joinlog.fakezoom.people import STAFF, Person
from joinlog.fakezoom.series import Signup
from joinlog.fakezoom.sessions import Connection, Instance
from joinlog.fakezoom.truth import Decidable, OccurrenceTruth, Standing, StandingTruth

Identifier = tuple[str, str]  # what kind it is, and its value


@dataclass(slots=True)
class _Group:
    """Connections (by `id()`) that belong together by what only their person shows, and those identifiers."""

    connections: set[int]
    proofs: set[Identifier]


@dataclass(slots=True)
class _Known:
    """One person of a meeting. `identified` are the connections that identifiers prove to be theirs."""

    person: Person
    signup: Signup | None = None
    connections: list[Connection] = field(default_factory=list)
    groups: list[_Group] = field(default_factory=list)
    identified: set[int] = field(default_factory=set)

    def shown(self) -> set[Identifier]:
        """Every identifier any connection of theirs ever showed."""
        return {identifier for c in self.connections for identifier in identifiers_of(c)}


@dataclass(slots=True)
class _Meeting:
    """Everybody of a meeting, and who shows each identifier."""

    history: SeriesHistory
    people: dict[str, _Known]
    owners: dict[Identifier, set[str]]
    instances: dict[str, Instance]
    untied: set[int]  # connections that visited a room which no event ties to them
    co_hosts: set[int]


def standings_of(history: SeriesHistory, occurrences: Sequence[OccurrenceTruth]) -> list[StandingTruth]:
    """The standing of everybody who registered for an occurrence or came to it; replaced occurrences have none."""
    people = _people_of(history)
    meeting = _Meeting(
        history, people, _owners_of(people.values()), {i.uuid: i for i in history.instances},
        {id(v.connection) for v in history.visits if not v.is_tied}, {id(c) for c in history.co_hosts},
    )  # fmt: skip
    registrations = {s.registrant_id for s in history.signups}
    for known in people.values():
        _prove(known, meeting.owners, registrations)
    found: list[StandingTruth] = []
    for occurrence in occurrences:
        if occurrence.status == "replaced":
            continue
        uuids = set(occurrence.instances)
        kiosks = _crowded([c for key in occurrence.attendees for c in people[key].connections if c.uuid in uuids])
        for key in sorted({*occurrence.registered, *occurrence.registered_under_old_id, *occurrence.attendees}):
            found.append(_standing(meeting, occurrence, uuids, people[key], kiosks))
    return found


def identifiers_of(connection: Connection) -> set[Identifier]:
    """Every identifier a connection shows, on joining or on leaving."""
    found: set[Identifier] = set()
    for shown in (connection.shows, connection.shown_on_leaving):
        if shown is not None:
            found |= {("user", shown.zoom_user_id), ("user", shown.participant_user_id)}
            found |= {("email", shown.email.lower()), ("key", shown.customer_key), ("registrant", shown.registrant_id)}
    found.add(("phone", connection.phone_number))
    return {identifier for identifier in found if identifier[1]}


def _people_of(history: SeriesHistory) -> dict[str, _Known]:
    people: dict[str, _Known] = {}
    for signup in history.signups:
        people[signup.person.key] = _Known(signup.person, signup)
    for connection in history.connections:
        person = connection.attendee.person
        if person.key not in people:
            people[person.key] = _Known(person)
        people[person.key].connections.append(connection)
    return people


def _registered_identifiers(signup: Signup | None) -> set[Identifier]:
    if signup is None:
        return set()
    return {("registrant", signup.registrant_id), ("email", signup.person.email.lower())}


def _owners_of(people: Iterable[_Known]) -> dict[Identifier, set[str]]:
    owners: dict[Identifier, set[str]] = {}
    for known in people:
        for identifier in known.shown() | _registered_identifiers(known.signup):
            owners.setdefault(identifier, set()).add(known.person.key)
    return owners


def _prove(known: _Known, owners: Mapping[Identifier, set[str]], registrations: set[str]) -> None:
    """Group a person's connections by what only they show and by binds; fill in which are proven to be theirs."""
    own = _registered_identifiers(known.signup)
    if known.signup is not None:
        known.groups.append(_Group(set(), {i for i in own if len(owners[i]) == 1}))
    for connection in known.connections:
        proofs = {
            i
            for i in identifiers_of(connection)
            if len(owners[i]) == 1 and (i[0] != "registrant" or i[1] in registrations)
        }
        group = _Group({id(connection)}, proofs)
        if connection.bound_to is not None:
            group.connections.add(id(connection.bound_to))
        for other in [g for g in known.groups if g.connections & group.connections or g.proofs & group.proofs]:
            known.groups.remove(other)
            group.connections |= other.connections
            group.proofs |= other.proofs
        known.groups.append(group)
    for group in known.groups:
        if group.proofs & own if known.signup is not None else group.proofs:
            known.identified |= group.connections


def _standing(
    meeting: _Meeting, occurrence: OccurrenceTruth, uuids: set[str], known: _Known, kiosks: set[Identifier]
) -> StandingTruth:
    key = known.person.key
    mine = [c for c in known.connections if c.uuid in uuids]
    is_registered = key in occurrence.registered or key in occurrence.registered_under_old_id
    standing = _name(meeting, known, is_registered, bool(uuids), mine)
    standing_by = _standing_by(meeting, standing, known, mine, uuids, kiosks)
    if key in occurrence.registered_under_old_id:
        standing_by = "never"  # whether the old id's registrations count for the new one is a matter of taste
    seconds_by = standing_by if not mine or _seconds_are_shown(meeting, known, mine) else "never"
    return StandingTruth(
        occurrence.account_id, occurrence.meeting_id, occurrence.occurrence_id, key, standing, _seconds(mine),
        standing_by, seconds_by,
    )  # fmt: skip


def _name(
    meeting: _Meeting, known: _Known, is_registered: bool, was_held: bool, mine: Sequence[Connection]
) -> Standing:
    if is_registered:
        return "registered" if not was_held else "attended" if mine else "no_show"
    if known.person.role in STAFF or any(id(c) in meeting.co_hosts for c in mine):
        return "staff"
    return "walk_in" if any(id(c) in known.identified for c in mine) else "unidentified"


def _standing_by(
    meeting: _Meeting, standing: Standing, known: _Known, mine: Sequence[Connection], uuids: set[str],
    kiosks: set[Identifier],
) -> Decidable:  # fmt: skip
    if standing == "registered":
        return "webhook"
    if standing == "staff":
        return _staff_by(meeting, known, mine)
    if standing == "no_show":
        return "never" if _is_impersonated(meeting, known, uuids) else "webhook"
    if standing == "unidentified":
        return "webhook" if {i for c in mine for i in identifiers_of(c)} <= kiosks else "never"
    return "webhook" if any(id(c) in known.identified for c in mine) else "never"


def _staff_by(meeting: _Meeting, known: _Known, mine: Sequence[Connection]) -> Decidable:
    """Hosts are known by the host's id, co-hosts by their role; addresses of the others are told by the API."""
    here = {id(c) for c in mine}
    proofs = {i for group in known.groups if group.connections & here for i in group.proofs}
    if here & meeting.co_hosts or ("user", meeting.history.series.host_id) in proofs:
        return "webhook"
    return "api" if ("email", known.person.email.lower()) in proofs else "never"


def _is_impersonated(meeting: _Meeting, known: _Known, uuids: set[str]) -> bool:
    """Whether somebody without a registration came with an identifier that this absent registrant shows elsewhere."""
    for identifier in known.shown() | _registered_identifiers(known.signup):
        for key in meeting.owners[identifier] - {known.person.key}:
            other = meeting.people[key]
            if other.signup is None and any(
                c.uuid in uuids and identifier in identifiers_of(c) for c in other.connections
            ):
                return True
    return False


def _seconds_are_shown(meeting: _Meeting, known: _Known, mine: Sequence[Connection]) -> bool:
    """Whether all connections are proven to be one person's, could be nobody else's, and every end can be known."""
    here = {id(c) for c in mine}
    touching = [group for group in known.groups if group.connections & here]
    if len(touching) > 1 or (known.signup is not None and not here <= known.identified):
        return False
    if any(len(meeting.owners[identifier]) > 1 for identifier in known.shown()):
        return False
    if here & meeting.untied and not touching[0].proofs:
        return False
    ends = ((c, meeting.instances[c.uuid]) for c in mine)
    return all(c.left_is_sent or (c.left_at == i.ended_at and i.ended_is_sent) for c, i in ends)


def _seconds(connections: Sequence[Connection]) -> int:
    """How long somebody was there: the union of their connections, in seconds."""
    total, reached = 0.0, None
    for c in sorted(connections, key=lambda c: c.joined_at):
        since: datetime = c.joined_at if reached is None else max(c.joined_at, reached)
        total += max(0.0, (c.left_at - since).total_seconds())
        reached = c.left_at if reached is None else max(reached, c.left_at)
    return int(total)


def _crowded(connections: Sequence[Connection]) -> set[Identifier]:
    """Identifiers that as many connections as a kiosk has show at one moment."""
    spans: dict[Identifier, list[Connection]] = {}
    for connection in connections:
        for identifier in identifiers_of(connection):
            spans.setdefault(identifier, []).append(connection)
    return {
        identifier
        for identifier, shown in spans.items()
        if len(shown) >= KIOSK_GUESTS_MIN
        and any(sum(o.joined_at <= c.joined_at < o.left_at for o in shown) >= KIOSK_GUESTS_MIN for c in shown)
    }
