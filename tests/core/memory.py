"""The tables in memory: what the store does with lookups and changes, for tests with tens of thousands of orders."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from schema.change import Change
from schema.known import Known, Lookup, Votes, Which
from schema.reserved import EVERY_OCCURRENCE
from schema.rows import KEY_COLUMNS, ROW_TYPES, Key, Participant, Row
from workers.core.decide import decide, lookups
from workers.core.merge import Fact
from workers.core.presence import closed_at

ROUNDS_MAX = 64


class MemoryTables:
    """Every derived table, as dicts of rows by key."""

    def __init__(self) -> None:
        self.rows: dict[str, dict[Key, Any]] = {table: {} for table in ROW_TYPES}

    def copy(self) -> MemoryTables:
        """The same rows, to go on from; no row is ever changed in place."""
        other = MemoryTables()
        other.rows = {table: dict(rows) for table, rows in self.rows.items()}
        return other

    def apply(self, facts: Sequence[Fact], now: datetime) -> Change:
        """Load, decide, save: one batch."""
        known = Known()
        plan = partial(lookups, facts)
        for _ in range(ROUNDS_MAX):
            wanted = plan(known)
            if not wanted:
                break
            for lookup in wanted:
                self._answer(known, lookup)
        change = decide(facts, known, now)
        self._save(change)
        return change

    def _answer(self, known: Known, lookup: Lookup) -> None:
        if lookup.which is Which.VOTES:
            known.add_votes(lookup, {key: self._votes(key, lookup.limit) for key in lookup.keys})
            return
        if lookup.by == KEY_COLUMNS[lookup.table]:
            table = self.rows[lookup.table]
            known.add(lookup, [table[key] for key in lookup.keys if key in table])
            return
        found = (
            row
            for row in self.rows[lookup.table].values()
            if tuple(getattr(row, name) for name in lookup.by) in lookup.keys
        )
        known.add(lookup, [row for row in found if self._fits(row, lookup)])

    def _fits(self, row: Any, lookup: Lookup) -> bool:
        if lookup.which is Which.BOUND:
            return row.bound_to is not None
        if lookup.which is Which.STAYLESS:
            return row.registrant_id is not None and not row.joins and not row.leaves and not row.reported
        if lookup.which is Which.REACHING:
            assert lookup.since is not None
            return row.left_at is None or row.left_at >= lookup.since
        if lookup.which is Which.CLOSING:
            return self._is_closing(row)
        return None not in (getattr(row, name) for name in lookup.by)

    def _is_closing(self, stay: Participant) -> bool:
        if stay.joined_at is None or stay.meeting_id is None or not (stay.left_at is None or stay.left_is_inferred):
            return False
        return any(
            (other.left_at is None or other.left_at >= stay.joined_at) and other is not stay
            for other in self.rows["participant"].values()
            if (other.account_id, other.meeting_id, other.person_id)
            == (stay.account_id, stay.meeting_id, stay.person_id)
        )

    def _votes(self, instance: Key, limit: int) -> Votes:
        seen = {
            (row.account_id, row.meeting_id, row.registrant_id)
            for row in self.rows["connection"].values()
            if (row.account_id, row.uuid) == instance
            and row.registrant_id is not None
            and (row.joins or row.leaves or row.reported)
        }
        asked = sorted(seen, key=lambda key: key[2])[:limit]
        telling = [
            row
            for row in self.rows["registration"].values()
            if (row.account_id, row.meeting_id, row.registrant_id) in asked
            and row.occurrence_id != EVERY_OCCURRENCE
            and row.status != "pending"
            and row.since is not None
        ]
        return Votes(frozenset(key[2] for key in asked), tuple(telling))

    def _save(self, change: Change) -> None:
        for instance, ended_at in change.closed.items():
            self._close(instance, ended_at)
        for table, keys in change.deleted.items():
            for key in keys:
                self.rows[table].pop(key, None)
        for table, rows in change.written.items():
            for key, row in rows.items():
                if table not in change.only_new or key not in self.rows[table]:
                    self.rows[table][key] = row

    def _close(self, instance: Key, ended_at: datetime) -> None:
        stays = self.rows["participant"]
        last: dict[Key, datetime] = {}
        for key, row in stays.items():
            if key[:2] == instance and row.joined_at is not None:
                last[key[:3]] = max(last.get(key[:3], row.joined_at), row.joined_at)
        for key, row in list(stays.items()):
            if key[:2] == instance and row.joined_at is not None and row.joined_at == last[key[:3]]:
                stays[key] = closed_at(row, ended_at)

    def contents(self, tables: Iterable[str]) -> dict[str, list[Row]]:
        """The rows of these tables, in order of their keys."""
        return {table: [self.rows[table][key] for key in sorted(self.rows[table], key=repr)] for table in tables}
