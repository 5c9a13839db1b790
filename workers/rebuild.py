"""Recomputing every derived table from the inbox, beside the live ones.

1. Apply every settled event to empty tables of one connection, batch by batch.
2. Hold the drains, apply what was settled meanwhile (facts are idempotent), and compare.
3. Make the live tables equal, in the same transaction; or, when only checking, say what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial

from sqlalchemy import Connection

from schema.store.changes import number_changes
from schema.store.database import Database
from schema.store.inbox import Claimed
from schema.store.shadow import (
    Difference,
    count_settled,
    differences,
    read_settled,
    shadow_tables,
    stop_drains,
    swap,
    take_over_links,
)
from workers.apply import apply_facts, project
from workers.core.projection import PROJECTIONS

BATCH_EVENTS = 2000
CLOCKS_APART_MAX = timedelta(minutes=5)  # between the machines whose drains stamp processed_at

Progress = Callable[[int, int], None]
Apply = Callable[[Connection, Sequence[Claimed]], None]


class BodiesMissing(Exception):
    """Events whose bodies retention removed cannot be applied again: a rebuild would lose what they said."""

    def __init__(self, missing: int) -> None:
        super().__init__(f"{missing} events have no body any more")
        self.missing = missing


@dataclass
class Rebuilt:
    """What a rebuild found: events applied, and rows of the live tables that were not what the inbox says."""

    events: int
    rows_differing: int
    examples: Sequence[Difference] = field(default_factory=list)


def rebuild(
    database: Database,
    *,
    check_only: bool = False,
    on_progress: Progress = lambda _done, _total: None,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
    staff_domains: Collection[str] = (),
) -> Rebuilt:
    """Recompute the derived tables; with `check_only` compare and leave the live ones alone.

    `on_progress` is told how many events of how many are applied. Raises BodiesMissing.
    """
    began = now()
    with database.read() as connection:
        total, missing = count_settled(connection)
    if missing:
        raise BodiesMissing(missing)
    apply = partial(_apply, now=now, staff_domains=staff_domains)
    with shadow_tables(database) as connection:
        done = _apply_all(connection, total, on_progress, apply)
        with connection.begin():
            stop_drains(connection)
            for batch in _batches(connection, since=began - CLOCKS_APART_MAX):
                apply(connection, batch)
            take_over_links(connection)
            count, examples = differences(connection)
            if not check_only and count:
                changed_at = now()
                number_changes(connection, swap(connection, changed_at), changed_at)
    return Rebuilt(done, count, examples)


def _apply_all(connection: Connection, total: int, on_progress: Progress, apply: Apply) -> int:
    done, after = 0, ("", 0)
    while True:
        with connection.begin():
            batch = read_settled(connection, after, BATCH_EVENTS, None)
            apply(connection, batch)
        if not batch:
            return done
        after = (batch[-1].account_id, batch[-1].id)
        done += len(batch)
        on_progress(done, max(total, done))


def _batches(connection: Connection, since: datetime) -> list[list[Claimed]]:
    batches: list[list[Claimed]] = []
    after = ("", 0)
    while batch := read_settled(connection, after, BATCH_EVENTS, since):
        batches.append(batch)
        after = (batch[-1].account_id, batch[-1].id)
    return batches


def _apply(
    connection: Connection, batch: Sequence[Claimed], now: Callable[[], datetime], staff_domains: Collection[str]
) -> None:
    facts = [fact for claimed in batch if claimed.event_type in PROJECTIONS for fact in project(claimed)]
    if facts:
        apply_facts(connection, facts, now, staff_domains=staff_domains, is_told=False)
