"""What a decision is made from: the rows that were read for it, and how to ask for more. Pure.

Deciding reads nothing itself. It says which rows it needs (`Lookup`), the store reads them (`Known`), and asking
`Known` for rows that nobody read is an error, not an empty answer.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from enum import StrEnum
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

from schema.rows import KEY_COLUMNS, Key, Registration, Row, key_of

BY_MEETING = ("account_id", "meeting_id")
BY_INSTANCE = ("account_id", "uuid")
BY_CONNECTION = ("account_id", "uuid", "connection_id")
BY_EMAIL = ("account_id", "meeting_id", "email")
BY_REGISTRANT = ("account_id", "meeting_id", "registrant_id")
BY_REGISTRANT_SEEN = ("account_id", "uuid", "registrant_id")
BY_ROOM = ("account_id", "room_id")
BY_RAN_UNDER = ("account_id", "ran_under")
BY_PERSON = ("account_id", "meeting_id", "person_id")


class Which(StrEnum):
    """Which of the rows that have a key."""

    ALL = "all"
    STAYLESS = "stayless"  # connections that name a registrant, and of which nobody reported a join or a leave
    BOUND = "bound"  # connections that are bound to another one
    REACHING = "reaching"  # stays that last, or lasted until the lookup's `since` or later
    CLOSING = "closing"  # stays that end with their instance, of people who have others that reach into them
    VOTES = "votes"  # registrations of the registrants seen in an instance, the first `limit` of them


class Lookup(NamedTuple):
    """Rows of a table whose columns `by` equal one of `keys`."""

    table: str
    by: tuple[str, ...]
    keys: frozenset[Key]
    which: Which = Which.ALL
    since: datetime | None = None
    limit: int = 0


class Votes(NamedTuple):
    """The registrants seen in an instance, the first of them by id, and those of their registrations that may tell."""

    registrant_ids: frozenset[str]
    registrations: tuple[Registration, ...]


class NotLookedUp(LookupError):
    """Rows were asked for that nobody read: the plan of what to read forgot them."""


class Known:
    """The rows read for one batch."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Any]] = {table: {} for table in KEY_COLUMNS}
        self.votes: dict[Key, Votes] = {}
        self._asked: dict[tuple[str, tuple[str, ...], Which], set[Key]] = {}
        self._found: dict[tuple[str, tuple[str, ...], Which], dict[Key, list[Any]]] = {}
        self.first: list[Any] = []  # what the statements returned that ran before the first rows were read
        self.is_begun = False  # whether the rows that facts name were asked for
        self.merged: Any = None  # the facts merged into these rows, made once: see workers.core.decide

    def missing(self, lookups: Iterable[Lookup]) -> list[Lookup]:
        """Of these lookups what was not read yet."""
        wanted: dict[tuple[Any, ...], set[Key]] = {}
        for lookup in lookups:
            keys = lookup.keys - self._asked.get((lookup.table, lookup.by, lookup.which), set())
            if keys:
                same = (lookup.table, lookup.by, lookup.which, lookup.since, lookup.limit)
                wanted.setdefault(same, set()).update(keys)
        return [
            Lookup(table, by, frozenset(keys), which, since, limit)
            for (table, by, which, since, limit), keys in wanted.items()
        ]

    def add(self, lookup: Lookup, rows: Collection[Row]) -> None:
        """What was found for a lookup."""
        place = (lookup.table, lookup.by, lookup.which)
        self._asked.setdefault(place, set()).update(lookup.keys)
        table = self.rows[lookup.table]
        if lookup.by == KEY_COLUMNS[lookup.table]:
            for row in rows:
                table[key_of(lookup.table, row)] = row
            return
        found, key = self._found.setdefault(place, {}), _getter(lookup.by)
        for row in rows:
            table[key_of(lookup.table, row)] = row
            found.setdefault(key(row), []).append(row)

    def add_votes(self, lookup: Lookup, votes: Mapping[Key, Votes]) -> None:
        """What was found for a lookup of votes, by instance."""
        self._asked.setdefault((lookup.table, lookup.by, lookup.which), set()).update(lookup.keys)
        self.votes |= votes

    def row(self, table: str, key: Key) -> Any:
        """The row with this primary key, None where there is none. Raises NotLookedUp."""
        found = self.rows[table].get(key)
        if found is None and key not in self._asked.get((table, KEY_COLUMNS[table], Which.ALL), ()):
            raise NotLookedUp(f"{table} {key}")
        return found

    def find(self, table: str, by: tuple[str, ...], key: Key, which: Which = Which.ALL) -> list[Any]:
        """The rows found by other columns. Raises NotLookedUp."""
        if key not in self._asked.get((table, by, which), ()):
            raise NotLookedUp(f"{table} by {', '.join(by)} = {key} ({which})")
        return self._found.get((table, by, which), {}).get(key, [])

    def find_all(self, table: str, by: tuple[str, ...], keys: Collection[Key], which: Which = Which.ALL) -> list[Any]:
        """The rows found for any of these keys. Raises NotLookedUp."""
        place = (table, by, which)
        forgotten = set(keys) - self._asked.get(place, set())
        if forgotten:
            raise NotLookedUp(f"{table} by {', '.join(by)} = {min(forgotten, key=repr)} ({which})")
        found = self._found.get(place)
        return [row for key in keys if key in found for row in found[key]] if found else []

    def has(self, table: str, by: tuple[str, ...], key: Key, which: Which = Which.ALL) -> bool:
        """Whether these rows were read."""
        return key in self._asked.get((table, by, which), ())


@cache
def _getter(columns: tuple[str, ...]) -> Any:
    if len(columns) == 1:
        (name,) = columns
        return lambda row: (getattr(row, name),)
    return attrgetter(*columns)
