"""The rows a batch of facts touches, as they were and as the facts make them. Pure.

Whatever decides works on one `Batch`: it asks it for rows, and says which further rows it needs. `needs` is what the
store has to read next; when nothing is missing any more, the batch can be decided.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from msgspec.structs import replace

from schema.known import Known, Lookup
from schema.rows import KEY_COLUMNS, Connection, Instance, Key, Registrant
from workers.core.merge import NEVER_KNOWN, Fact, merge_facts
from workers.core.rooms import as_placed, with_room

INFERRED_AGE_MAX = timedelta(hours=12)  # a stated start further back than this before any sign of life is not the start


class Batch:
    """Facts, the rows they are about, and what was found out about them so far."""

    def __init__(self, facts: Sequence[Fact], known: Known, staff_domains: Collection[str] = ()) -> None:
        self.known = known
        self.staff_domains = staff_domains
        self.needed: list[Lookup] = []
        self.merged: dict[str, dict[Key, Any]] = merge_facts(facts, known.rows)
        self._complete_meetings()
        self._complete_instances()
        self._complete_registrants()
        self._place_as_before()
        self._changed: dict[str, dict[Key, Any]] = {}
        self.rooms: Any = None  # made once, by workers.core.placing
        self.registrations: Any = None  # made once, by workers.core.registered
        self.connected: Any = None  # made once, by workers.core.presence, like the next three
        self.people: Any = None
        self.stays: Any = None
        self.since: Any = None
        self.touched: Any = None  # made once, by workers.core.links

    def has(self, *lookups: Lookup) -> bool:
        """Whether these rows were read; notes those that were not as needed."""
        missing = self.known.missing(lookups)
        self.needed += missing
        return not missing

    def rows(self, table: str) -> dict[Key, Any]:
        """The rows of a table that facts are about, as the facts make them."""
        return self.merged.get(table, {})

    def row(self, table: str, key: Key) -> Any:
        """One row as it is after this batch; None where there is none. Raises NotLookedUp."""
        merged = self.rows(table).get(key)
        return self.known.row(table, key) if merged is None else merged

    def before(self, table: str, key: Key) -> Any:
        """One row that facts are about, as it was; None where there was none."""
        return self.known.rows[table].get(key)

    def changed(self, table: str) -> dict[Key, Any]:
        """The rows that are not what they were."""
        if table not in self._changed:
            known = self.known.rows[table]
            self._changed[table] = {key: row for key, row in self.rows(table).items() if row != known.get(key)}
        return self._changed[table]

    @cached_property
    def readdressed(self) -> list[Registrant]:
        """The registrants whose address is not what it was, as they were and as they are."""
        found: list[Registrant] = []
        for key, row in self.changed("registrant").items():
            before = self.before("registrant", key)
            if before is None or before.email != row.email:
                found += [row] if before is None else [row, before]
        return found

    @cached_property
    def ended(self) -> dict[Key, datetime]:
        """The instances whose end is new, and that end."""
        found: dict[Key, datetime] = {}
        for key, row in self.changed("instance").items():
            before = self.before("instance", key)
            if row.ended_at is not None and (before is None or before.ended_at != row.ended_at):
                found[key] = row.ended_at
        return found

    @cached_property
    def newly_seen(self) -> list[Connection]:
        """The connections by which a registrant came who had not come by them before."""
        changed = self.changed("connection").items()
        return [row for key, row in changed if came(row) not in (None, came(self.before("connection", key)))]

    @cached_property
    def no_longer_named(self) -> list[Connection]:
        """The connections, as they were, by which a registrant came who is not known to have come by them any more."""
        changed = ((row, self.before("connection", key)) for key, row in self.changed("connection").items())
        return [before for row, before in changed if came(before) not in (None, came(row))]

    def _complete_meetings(self) -> None:
        """The personal meeting id under which instances may have run follows from what was said of it."""
        meetings = self.rows("meeting")
        for key, row in meetings.items():
            meetings[key] = with_room(row)

    def _place_as_before(self) -> None:
        """Instances that ran under a personal meeting id, with their connections, are of the meeting they were of."""
        instances, known = self.rows("instance"), self.known.rows["instance"]
        placed = {key: row.meeting_id for key, row in known.items() if row.ran_under is not None}
        if not placed:
            return
        for key in placed.keys() & instances.keys():
            instances[key] = as_placed(instances[key], placed[key])
        connections = self.rows("connection")
        for key, row in connections.items():
            if key[:2] in placed:
                connections[key] = as_placed(row, placed[key[:2]])

    def place(self, instances: Mapping[Key, Instance], connections: Iterable[Connection]) -> None:
        """Let instances be of other meetings than before, with all their connections."""
        self.merged.setdefault("instance", {}).update(instances)
        rows = self.merged.setdefault("connection", {})
        for known in connections:
            key = (known.account_id, known.uuid, known.connection_id)
            rows.setdefault(key, known)
        for key, row in rows.items():
            if (instance := instances.get(key[:2])) is not None:
                rows[key] = as_placed(row, instance.meeting_id)

    def _complete_instances(self) -> None:
        """Where no `started` arrived, the first sign of life is the start, and says that it is inferred."""
        instances = self.rows("instance")
        for key, row in instances.items():
            instances[key] = replace(
                row,
                started_at=_start_of(row),
                started_is_inferred=row.observed_start is None and row.reported_start is None,
            )

    def _complete_registrants(self) -> None:
        """A registrant's status is the one stated last, for whichever occurrences."""
        registrants = self.rows("registrant")
        for key, row in registrants.items():
            registrants[key] = replace(row, status=row.history[-1].status if row.history else None)


def lookups_named(facts: Iterable[Fact]) -> list[Lookup]:
    """The rows that facts are about."""
    keys: dict[str, set[Key]] = {}
    for fact in facts:
        if fact.table != NEVER_KNOWN:
            keys.setdefault(fact.table, set()).add(fact.key)
    return [Lookup(table, KEY_COLUMNS[table], frozenset(wanted)) for table, wanted in keys.items()]


def came(row: Connection | None) -> str | None:
    """The registrant who came by a connection; who was seen in a waiting room only did not come."""
    return None if row is None or not (row.joins or row.leaves or row.reported) else row.registrant_id


def _start_of(row: Instance) -> datetime | None:
    if row.observed_start is not None:
        return row.observed_start
    if row.reported_start is not None:
        return row.reported_start
    stated, seen = row.stated_start, row.first_seen_at
    if stated is not None and seen is not None and seen - INFERRED_AGE_MAX <= stated <= seen:
        return stated
    return seen
