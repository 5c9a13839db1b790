"""The connections whose person has to be decided again, with everybody they share something with. Pure.

A batch changes what some connections show, or who is a registrant. Whoever shares an identifier with one of them, now
or before, may be another person than before, and so on until nobody new is found: each step is one round of lookups,
and almost always there is one. A connection that came and went, and shows what it showed, is who it was.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from operator import attrgetter
from typing import Any

from schema.known import BY_CONNECTION, BY_EMAIL, BY_INSTANCE, BY_REGISTRANT, Lookup, Which
from schema.rows import Connection, Key, key_getter
from workers.core.batch import Batch
from workers.core.merge import Fact
from workers.core.people import (
    COLUMNS,
    EMAIL,
    LINK,
    WITHIN,
    Mark,
    Registrants,
    identifiers_of,
    link_of,
    marks_of,
    names_within,
    people_of,
)

BY_PARTICIPANT_UUID = ("account_id", "uuid", "participant_uuid")
_key: Callable[[Any], Key] = key_getter("connection")


def lookups_named(facts: Iterable[Fact]) -> list[Lookup]:
    """What the facts themselves show to be needed, so that it is read with the rows they are about."""
    found: dict[tuple[str, tuple[str, ...]], set[Key]] = {}
    for table, key, values, _ in facts:
        if table != "connection":
            continue
        meeting_id, registrant_id = values.get("meeting_id"), values.get("registrant_id")
        if values.get("joins") and values.get("participant_uuid"):
            found.setdefault(("connection", BY_PARTICIPANT_UUID), set()).add((*key[:2], values["participant_uuid"]))
        if meeting_id is None:
            continue
        if registrant_id is not None:
            if values.get("joins") or values.get("reported"):
                found.setdefault(("registrant", BY_REGISTRANT), set()).add((key[0], meeting_id, registrant_id))
            continue
        for kind, columns in COLUMNS.items():
            for column in columns:
                if (value := values.get(column)) is not None:
                    for table_and_columns in _places(kind):
                        found.setdefault(table_and_columns, set()).add((key[0], meeting_id, value))
    return [Lookup(table, by, frozenset(keys)) for (table, by), keys in found.items()]


def _places(kind: str) -> list[tuple[str, tuple[str, ...]]]:
    """The tables and columns in which an identifier of this kind is looked for."""
    places: list[tuple[str, tuple[str, ...]]] = [
        ("connection", ("account_id", "meeting_id", column)) for column in COLUMNS[kind]
    ]
    return [*places, ("registrant", BY_EMAIL)] if kind == EMAIL else places


class Connected:
    """What one batch makes of people; `find` tells who is behind each connection that has to be looked at again."""

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._rows = batch.rows("connection")
        self._new_with: dict[Mark, list[Key]] | None = None
        self._found_seeds: dict[Key, Connection] | None = None
        self._appeared = frozenset(
            key for key in batch.changed("registrant") if batch.before("registrant", key) is None
        )

    def find(self) -> dict[Key, str] | None:
        """The person of each of these connections; None while rows are missing, which the batch notes as needed."""
        seeds = self._seeds()
        if seeds is None:
            return None
        told = self._told_by_link(seeds)
        members: dict[Key, Connection] = {}
        addresses = {Mark(EMAIL, r.account_id, r.meeting_id, r.email) for r in self._batch.readdressed if r.email}
        pending, wanted = {key: row for key, row in seeds.items() if key not in told}, addresses
        while pending or wanted:
            if not self._knows_links(pending.values()):
                return None
            spreading = [row for key, row in pending.items() if key in seeds or not self._is_named(link_of(row))]
            members |= pending
            for row in spreading:
                wanted |= self._telling(row, key_in_seeds=_key(row) in seeds)
            found = self._who_shows(spreading, wanted)
            if found is None:
                return None
            pending, wanted = {key: row for key, row in found.items() if key not in members}, set()
        people = people_of(list(members.values()), self._registrants(members.values()))
        concerned = seeds.keys() | self._batch.changed("connection").keys()
        return (
            self._quiet(members.keys() | told.keys())
            | told
            | {key: people[key] for key, row in members.items() if key in concerned or not self._is_named(link_of(row))}
        )

    # --- where it begins ----------------------------------------------------------------------------------------

    def _seeds(self) -> dict[Key, Connection] | None:
        """Connections that show what they did not, or whose registrant was not known as one; None if not known yet."""
        if self._found_seeds is not None:
            return self._found_seeds
        batch = self._batch
        appeared = self._appeared
        if not batch.has(
            Lookup("participant", BY_REGISTRANT, appeared),
            Lookup("connection", BY_REGISTRANT, appeared, Which.STAYLESS),
        ):
            return None
        keys = {key for key in batch.changed("connection") if not self._is_quiet(key)}
        keys |= self._naming(appeared)
        self._found_seeds = self._read(keys)
        return self._found_seeds

    def _is_quiet(self, key: Key) -> bool:
        """Whether a connection that changed is surely who it was."""
        row, before = self._rows[key], self._batch.before("connection", key)
        if before is None or _shown(row) != _shown(before):
            return False
        if not self._batch.known.find("participant", BY_CONNECTION, key):
            return False
        is_counted = row.registrant_id is None and bool(identifiers_of(row))  # among those who show it at the moment
        return not is_counted or _times(row) == _times(before)

    def _quiet(self, members: Collection[Key]) -> dict[Key, str]:
        quiet = {}
        for key in self._batch.changed("connection"):
            if key not in members:
                stays = self._batch.known.find("participant", BY_CONNECTION, key)
                quiet[key] = stays[0].person_id
        return quiet

    def _told_by_link(self, seeds: Mapping[Key, Connection]) -> dict[Key, str]:
        """The registrants behind new connections that lead to nobody else: almost everybody of a webinar.

        Such a connection shows its registrant's link and address, and nothing else but names within the instance that
        no other connection shares. Where not everything is read yet to say so, it is looked at like any other.
        """
        known, registrants = self._batch.known, self._batch.rows("registrant")
        shared = self._shared_names({key[:2] for key in seeds})
        told = {}
        for key, row in seeds.items():
            link = link_of(row)
            if link is None or link in self._appeared or link in registrants or key in known.rows["connection"]:
                continue
            registrant = known.rows["registrant"].get(link)
            if registrant is None or row.email not in (None, registrant.email) or _also_shown(row) != NONE:
                continue
            name = (*key[:2], row.participant_uuid)
            if key in shared or name in shared or not known.has("connection", BY_INSTANCE, key[:2], Which.BOUND):
                continue
            if row.participant_uuid is None or (
                known.has("connection", BY_PARTICIPANT_UUID, name)
                and not known.find("connection", BY_PARTICIPANT_UUID, name)
            ):
                told[key] = f"registrant:{link[2]}"
        return told

    def _shared_names(self, instances: Collection[Key]) -> set[Key]:
        """The names within these instances that bound connections show, or several of this batch."""
        known, shown, shared = self._batch.known, set[Key](), set[Key]()
        for row in self._rows.values():
            names = {row.connection_id, row.participant_uuid} if _also_shown(row) == NONE else names_within(row)
            for name in names:
                place = (row.account_id, row.uuid, name)
                if place in shown:
                    shared.add(place)
                shown.add(place)
        for instance in instances:
            if known.has("connection", BY_INSTANCE, instance, Which.BOUND):
                for row in known.find("connection", BY_INSTANCE, instance, Which.BOUND):
                    shared |= {(*instance, name) for name in names_within(row)}
        return shared

    # --- and where it leads -------------------------------------------------------------------------------------

    def _telling(self, row: Connection, key_in_seeds: bool) -> set[Mark]:
        """The identifiers, now and before, that others have to be asked for."""
        before = self._batch.before("connection", _key(row)) if key_in_seeds else None
        if before is None and self._shows_what_is_theirs(row):
            return set()
        marks = marks_of(row, self._named([row]))
        if before is not None:
            marks += marks_of(before, self._named([before]))
        if (link := link_of(row)) in self._appeared and link is not None:
            marks.append(Mark(LINK, *link))
        return {mark for mark in marks if mark.kind != WITHIN}

    def _shows_what_is_theirs(self, row: Connection) -> bool:
        """Whether a connection shows but its registrant's link and address: then nobody else can be told by it."""
        link = link_of(row)
        if link is None or not self._is_named(link):
            return False
        registrant = self._batch.row("registrant", link)
        return all(mark.kind == EMAIL and mark.value == registrant.email for mark in identifiers_of(row))

    def _who_shows(self, spreading: Iterable[Connection], wanted: set[Mark]) -> dict[Key, Connection] | None:
        """Everybody who shows one of these identifiers, or is bound to one of these connections."""
        batch, keys = self._batch, set[Key]()
        lookups = [*_lookups_within(spreading), *_lookups_for(wanted)]
        if not batch.has(*lookups):
            return None
        for lookup in lookups:
            if lookup.table != "connection" or lookup.which is not Which.ALL:
                continue
            if lookup.by == BY_CONNECTION:
                keys |= lookup.keys
            else:
                keys |= {_key(row) for row in batch.known.find_all("connection", lookup.by, lookup.keys)}
        links = {(mark.account_id, mark.scope, mark.value) for mark in wanted if mark.kind == LINK}
        keys |= self._naming(links)
        names = {Mark(WITHIN, row.account_id, row.uuid, name) for row in spreading for name in names_within(row)}
        for instance in {(row.account_id, row.uuid) for row in spreading}:
            for row in batch.known.find("connection", BY_INSTANCE, instance, Which.BOUND):
                if any(Mark(WITHIN, *instance, name) in names for name in names_within(row)):
                    keys.add(_key(row))
        new_with = self._new()
        for mark in (*wanted, *names):
            keys.update(new_with.get(mark, ()))
        return self._read(keys)

    def _read(self, keys: Collection[Key]) -> dict[Key, Connection] | None:
        unread = {key for key in keys if key not in self._rows and key not in self._batch.known.rows["connection"]}
        if not self._batch.has(Lookup("connection", BY_CONNECTION, frozenset(unread))):
            return None
        return {key: row for key in keys if (row := self._batch.row("connection", key)) is not None}

    def _naming(self, links: Collection[Key]) -> set[Key]:
        """The connections that name one of these registrants."""
        if not links:
            return set()
        known = self._batch.known
        keys = {_key(stay) for stay in known.find_all("participant", BY_REGISTRANT, links)}
        keys |= {_key(row) for row in known.find_all("connection", BY_REGISTRANT, links, Which.STAYLESS)}
        new_with = self._new()
        return keys | {key for link in links for key in new_with.get(Mark(LINK, *link), ())}

    def _new(self) -> Mapping[Mark, list[Key]]:
        """The connections that facts are about, as the facts make them, by what they show."""
        if self._new_with is None:
            self._new_with = {}
            for key, row in self._rows.items():
                for mark in marks_of(row, ()):
                    self._new_with.setdefault(mark, []).append(key)
        return self._new_with

    # --- registrants --------------------------------------------------------------------------------------------

    def _knows_links(self, rows: Iterable[Connection]) -> bool:
        links = {link for row in rows for link in (link_of(row), self._former_link(row)) if link is not None}
        unread = links - self._batch.rows("registrant").keys() - self._batch.known.rows["registrant"].keys()
        return self._batch.has(Lookup("registrant", BY_REGISTRANT, frozenset(unread)))

    def _former_link(self, row: Connection) -> Key | None:
        before = self._batch.before("connection", _key(row))
        return None if before is None else link_of(before)

    def _is_named(self, link: Key | None) -> bool:
        return link is not None and self._batch.row("registrant", link) is not None

    def _named(self, rows: Iterable[Connection]) -> set[Key]:
        return {link for row in rows if (link := link_of(row)) is not None and self._is_named(link)}

    def _registrants(self, rows: Collection[Connection]) -> Registrants:
        known = self._batch.known
        by_address: dict[Key, set[str]] = {}
        for row in rows:
            for mark in identifiers_of(row):
                key = (mark.account_id, mark.scope, mark.value)
                if mark.kind == EMAIL and key not in by_address and known.has("registrant", BY_EMAIL, key):
                    by_address[key] = self._registrants_with(key)
        return Registrants(self._named(rows), by_address)

    def _registrants_with(self, email: Key) -> set[str]:
        """The ids of the registrants whose address this is after this batch."""
        kept = {row.registrant_id for row in self._batch.known.find("registrant", BY_EMAIL, email)}
        changed = self._batch.changed("registrant")
        gone = {name for name in kept if (key := (*email[:2], name)) in changed and changed[key].email != email[2]}
        new = {key[2] for key, row in changed.items() if key[:2] == email[:2] and row.email == email[2]}
        return (kept - gone) | new


_ALSO = (
    "zoom_user_id", "participant_id", "customer_key", "custom_keys", "phone_number", "bound_to",
    "bind_participant_uuid", "parent_user_id",
)  # fmt: skip
NONE = (None,) * len(_ALSO)
_also_shown = attrgetter(*_ALSO)
_shown = attrgetter("meeting_id", "registrant_id", "email", "participant_uuid", *_ALSO)
"""Everything of a connection that bears on who it is; `_also_shown` is what a registrant's mostly shows nothing of."""


def _times(row: Connection) -> tuple[Any, ...]:
    """Everything of a connection that says when it was there."""
    return row.joins, row.leaves, row.reported


def _lookups_within(rows: Iterable[Connection]) -> list[Lookup]:
    """What these connections may be bound to, or share a participant_uuid with, in their instance."""
    instances, uuids, bound = set(), set(), set()
    for row in rows:
        instance = (row.account_id, row.uuid)
        instances.add(instance)
        names = {name for name in (row.bound_to, row.bind_participant_uuid, row.parent_user_id) if name}
        bound |= {(*instance, name) for name in names}
        uuids |= {(*instance, name) for name in (row.participant_uuid, *names) if name}
    return [
        Lookup("connection", BY_INSTANCE, frozenset(instances), Which.BOUND),
        Lookup("connection", BY_PARTICIPANT_UUID, frozenset(uuids)),
        Lookup("connection", BY_CONNECTION, frozenset(bound)),
    ]


def _lookups_for(marks: Iterable[Mark]) -> list[Lookup]:
    """Where to look for others who show these identifiers."""
    found: dict[tuple[str, tuple[str, ...], Which], set[Key]] = {}
    for mark in marks:
        key = (mark.account_id, mark.scope, mark.value)
        if mark.kind == LINK:
            found.setdefault(("participant", BY_REGISTRANT, Which.ALL), set()).add(key)
            found.setdefault(("connection", BY_REGISTRANT, Which.STAYLESS), set()).add(key)
        else:
            for table, by in _places(mark.kind):
                found.setdefault((table, by, Which.ALL), set()).add(key)
    return [Lookup(table, by, frozenset(keys), which) for (table, by, which), keys in found.items()]
