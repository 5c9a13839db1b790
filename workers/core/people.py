"""Who is behind connections: one person is what their connections show in common. Pure.

Within a meeting a person is a connected component over the identifiers that connections show: the registrant whose
link was used, Zoom users, addresses, customer keys, telephone numbers; within one instance also what binds
connections to each other. Names never identify. Where evidence disagrees:

- Two registrants are never one person. What only one of them shows is theirs, and so is what that leads to; what
  several show is nobody's of them.
- An identifier that too many people show at the same moment (a room, a kiosk, a shared account) is none.
- A registrant id that no registration of the meeting ever named makes nobody a registrant. It still tells that two
  connections came by the same link.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from schema.rows import Connection, Key
from workers.core.stays import stays_of

SIMULTANEOUS_MAX = 5
"""Devices of one person in one instance at the same moment: a desktop, a phone, a tablet, a telephone, and one that
has not been given up yet. An identifier that more show at once, and that no registrant's link goes with, is none."""

USER, EMAIL, KEY, KEYS, PHONE, LINK, WITHIN = "user", "email", "key", "keys", "phone", "link", "within"
STRONGEST_FIRST = (
    (USER, "user"), (EMAIL, "email"), (KEY, "key"), (KEYS, "keys"), (PHONE, "phone"), (LINK, "registrant"),
)  # fmt: skip
"""The kinds of identifiers, strongest first, each with what a person_id that rests on it begins with."""

COLUMNS: Mapping[str, tuple[str, ...]] = {
    USER: ("zoom_user_id", "participant_id"), EMAIL: ("email",), KEY: ("customer_key",), KEYS: ("custom_keys",),
    PHONE: ("phone_number",), LINK: ("registrant_id",),
}  # fmt: skip
"""The columns of `connection` that show an identifier of each kind."""


class Mark(NamedTuple):
    """What connections may have in common: an identifier within a meeting, or a name within an instance."""

    kind: str
    account_id: str
    scope: int | str
    """The meeting, or for WITHIN the uuid of the instance."""
    value: str


class Registrants(NamedTuple):
    """What is known of the registrants of the meetings concerned."""

    named: Collection[Key]
    """Those that a registration ever named: (account_id, meeting_id, registrant_id)."""
    by_address: Mapping[Key, Collection[str]]
    """The ids of the registrants with an address: (account_id, meeting_id, email)."""


def identifiers_of(row: Connection) -> list[Mark]:
    """What a connection shows that may tell who it is, but the registrant whose link was used."""
    if row.meeting_id is None:
        return []  # nobody can say which meeting's people to look among
    shown = (
        (USER, row.zoom_user_id), (USER, row.participant_id), (EMAIL, row.email), (KEY, row.customer_key),
        (KEYS, row.custom_keys), (PHONE, row.phone_number),
    )  # fmt: skip
    return [Mark(kind, row.account_id, row.meeting_id, value) for kind, value in shown if value]


def link_of(row: Connection) -> Key | None:
    """The registrant whose link was used; a host is known to show their own user id there, which is none."""
    if row.registrant_id is None or row.meeting_id is None:
        return None
    if row.registrant_id in (row.zoom_user_id, row.participant_id):
        return None
    return row.account_id, row.meeting_id, row.registrant_id


def names_within(row: Connection) -> set[str]:
    """The names by which a connection and those bound to it are known within the instance."""
    names = (row.connection_id, row.participant_uuid, row.bound_to, row.bind_participant_uuid, row.parent_user_id)
    return {name for name in names if name}


def marks_of(row: Connection, named: Collection[Key]) -> list[Mark]:
    """Everything a connection may have in common with others."""
    marks = [Mark(WITHIN, row.account_id, row.uuid, name) for name in names_within(row)]
    marks += identifiers_of(row)
    link = link_of(row)
    if link is not None and link not in named:
        marks.append(Mark(LINK, *link))
    return marks


def people_of(connections: Sequence[Connection], registrants: Registrants) -> dict[Key, str]:
    """The person behind each of these connections, by (account_id, uuid, connection_id).

    They have to be closed: whoever shows an identifier that one of them shows is among them, but for connections of
    a registrant, of which those are enough that share something with one of the others.
    """
    rows = sorted(connections, key=_key)
    marks = {_key(row): marks_of(row, registrants.named) for row in rows}
    crowded = _crowded(rows, marks)
    marks = {key: [mark for mark in shown if mark not in crowded] for key, shown in marks.items()}
    people = _owned(rows, marks, registrants)
    left = [row for row in rows if _key(row) not in people]
    for group in _components(left, marks):
        person_id = _strongest(group, marks)
        people |= {_key(row): person_id for row in group}
    return people


def _key(row: Connection) -> Key:
    return row.account_id, row.uuid, row.connection_id


# --- what belongs to a registrant -------------------------------------------------------------------------------


def _owned(rows: Sequence[Connection], marks: Mapping[Key, Sequence[Mark]], registrants: Registrants) -> dict[Key, str]:
    """The connections that are a registrant's: of those who used their link, and of what that leads to.

    It spreads step by step from all registrants at once. What two of them reach in the same step is neither's, and
    what one has reached stays theirs.
    """
    owners: dict[Key, str] = {}
    for row in rows:
        link = link_of(row)
        if link is not None and link in registrants.named:
            owners[_key(row)] = link[2]
    showing: dict[Mark, list[Key]] = {}
    for key, shown in marks.items():
        for mark in shown:
            showing.setdefault(mark, []).append(key)
    reached: dict[Mark, set[str]] = {}
    for mark in showing:
        if mark.kind == EMAIL and (with_it := registrants.by_address.get((mark.account_id, mark.scope, mark.value))):
            reached[mark] = set(with_it)
    spreading, settled_marks, contested = set(owners), set[Mark](), set[Key]()
    while spreading or reached:
        for key in spreading:
            for mark in marks[key]:
                if mark not in settled_marks:
                    reached.setdefault(mark, set()).add(owners[key])
        settled_marks |= reached.keys()
        claimed: dict[Key, set[str]] = {}
        for mark, by in reached.items():
            if len(by) == 1:
                for key in showing[mark]:
                    if key not in owners and key not in contested:
                        claimed.setdefault(key, set()).update(by)
        contested |= {key for key, by in claimed.items() if len(by) > 1}
        spreading = {key for key, by in claimed.items() if len(by) == 1}
        owners |= {key: min(claimed[key]) for key in spreading}
        reached = {}
    return {key: f"registrant:{owner}" for key, owner in owners.items()}


# --- everybody else ---------------------------------------------------------------------------------------------


def _components(rows: Sequence[Connection], marks: Mapping[Key, Sequence[Mark]]) -> list[list[Connection]]:
    """These connections in groups: whoever has a mark in common is in one."""
    parent = list(range(len(rows)))

    def root(place: int) -> int:
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    first_with: dict[Mark, int] = {}
    for place, row in enumerate(rows):
        for mark in marks[_key(row)]:
            other = first_with.setdefault(mark, place)
            one, another = sorted((root(place), root(other)))
            parent[another] = one
    groups: dict[int, list[Connection]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(root(place), []).append(row)
    return list(groups.values())


def _strongest(group: Sequence[Connection], marks: Mapping[Key, Sequence[Mark]]) -> str:
    """The person_id of a group that is no registrant's; without any identifier that of its first connection."""
    shown: dict[str, str] = {}
    for (
        row
    ) in group:  # in the order of keys, which are Zoom's: the first that shows one, so that pseudonyms may stand in
        for mark in marks[_key(row)]:
            shown.setdefault(mark.kind, mark.value)
    for kind, prefix in STRONGEST_FIRST:
        if kind in shown:
            return f"{prefix}:{shown[kind]}"
    first = min(group, key=_key)
    return f"connection:{first.uuid}:{first.connection_id}"


# --- what is no identifier --------------------------------------------------------------------------------------


def _crowded(rows: Sequence[Connection], marks: Mapping[Key, Sequence[Mark]]) -> set[Mark]:
    """The identifiers that more than SIMULTANEOUS_MAX devices without a registrant's link show at one moment."""
    showing: dict[tuple[Mark, str], list[Connection]] = {}
    for row in rows:
        if row.registrant_id is None:
            for mark in marks[_key(row)]:
                if mark.kind != WITHIN:
                    showing.setdefault((mark, row.uuid), []).append(row)
    crowded = set()
    for (mark, _), shown_by in showing.items():
        if len(shown_by) > SIMULTANEOUS_MAX and _most_at_once(shown_by, marks) > SIMULTANEOUS_MAX:
            crowded.add(mark)
    return crowded


def _most_at_once(rows: Sequence[Connection], marks: Mapping[Key, Sequence[Mark]]) -> int:
    """How many devices were there at the same moment; rooms and telephones of one device are that device."""
    within = {key: [mark for mark in shown if mark.kind == WITHIN] for key, shown in marks.items()}
    ends: list[tuple[float, int]] = []
    for device in _components(rows, within):
        for start, end in _merged(_spans(device)):
            ends += [(start, 1), (end, -1)]
    most = present = 0
    for _, change in sorted(ends):
        present += change
        most = max(most, present)
    return most


def _spans(rows: Iterable[Connection]) -> list[tuple[float, float]]:
    return sorted(
        (stay.joined_ms, float("inf") if stay.left_ms is None else stay.left_ms)
        for row in rows
        for stay in stays_of(row)
        if stay.joined_ms is not None
    )


def _merged(spans: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
    merged: list[tuple[float, float]] = []
    for start, end in spans:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], end))
        else:
            merged.append((start, end))
    return merged
