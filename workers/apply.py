"""Events into the tables, in the transaction of whoever calls: load, decide, save.

1. Read the payloads and project them into facts.
2. Hold the meetings they touch, and load the rows they touch and what deciding needs besides.
3. Decide: one pure function, from facts and rows to every row that changes.
4. Save what changes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from sqlalchemy import Connection

from schema.known import Known
from schema.rows import Key
from schema.store.dialect import MEETING_BUCKETS, Dialect, Statement, dialect_of
from schema.store.failures import CameFirst
from schema.store.inbox import Claimed
from schema.store.load import load
from schema.store.save import save
from schema.zoom.payloads import read_payload, to_milliseconds
from workers.core.decide import decide, lookups
from workers.core.event import Event
from workers.core.merge import NEVER_KNOWN, Fact
from workers.core.projection import PROJECTIONS

Settle = Callable[[Dialect, datetime], Sequence[Statement]]
"""What settles the events of a batch, given when it was decided: part of the round trip that saves it."""


def read_event(claimed: Claimed) -> Event:
    """Read a claimed event. Raises PayloadError when its body does not have the shape of its type."""
    assert claimed.event_type is not None
    payload = read_payload(claimed.body or "")
    at = claimed.event_ts or claimed.received_at  # Zoom leaves event_ts out of some; then arrival is all there is
    at_ms = to_milliseconds(at)
    return Event(claimed.account_id, claimed.event_type, claimed.idempotency_key, claimed.id, at, at_ms, payload)


def project(claimed: Claimed) -> list[Fact]:
    """The facts of an event. Raises PayloadError when it lacks what its type promises, or is beyond a limit."""
    event = read_event(claimed)
    return list(PROJECTIONS[event.event_type](event))


def apply_facts(
    connection: Connection,
    facts: Sequence[Fact],
    clock: Callable[[], datetime],
    settle: Settle = lambda _dialect, _now: (),
    staff_domains: Collection[str] = (),
    *,
    is_told: bool = True,
) -> None:
    """Bring the facts of events into the tables; the caller's transaction makes it one with settling them.

    The time is read once the meetings are held, so that of two workers the one that writes last also writes the later
    time. `is_told` is False for tables that nobody reads: the feed does not tell of them.
    """
    dialect = dialect_of(connection)
    numbers, spoken_of = meetings_of(facts), {key[:2] for table, key, _, _ in facts if table == "link_statement"}
    known = load(
        connection,
        partial(lookups, facts, staff_domains=staff_domains),
        dialect.hold_meetings(buckets_of(facts), numbers, spoken_of) if facts else (),
    )
    if known.first and not _is_held(known, numbers, set(known.first[0][0][1])):
        raise CameFirst
    now = clock()
    save(connection, decide(facts, known, now, staff_domains), settle(dialect, now), is_told=is_told)


def buckets_of(facts: Iterable[Fact]) -> set[int]:
    """What to hold while these facts are merged: whatever touches the same row shares at least one bucket."""
    held: set[tuple[str, Any]] = set()
    for table, key, values, _ in facts:
        if table != NEVER_KNOWN:
            held.add((key[0], key[1] if len(key) > 1 else None))
            held.add((key[0], values.get("meeting_id")))  # a link is decided for its meeting
            held.add((key[0], values.get("pmi")))  # under which its instances may have run
    return {_bucket(account_id, name) for account_id, name in held}


def meetings_of(facts: Iterable[Fact]) -> set[tuple[str, int]]:
    """The meetings that facts are about."""
    found = set()
    for table, key, values, _ in facts:
        if table != NEVER_KNOWN:
            found |= {(key[0], n) for n in (*key[1:2], values.get("meeting_id")) if isinstance(n, int)}
    return found


def _bucket(account_id: str, name: Any) -> int:
    if isinstance(name, int):
        return name % MEETING_BUCKETS  # as the database itself can tell it of a row
    return zlib.crc32(f"{account_id}/{name}".encode()) % MEETING_BUCKETS


def _is_held(known: Known, meetings: Collection[Key], held: Collection[int]) -> bool:
    """Whether every number is held under which these meetings run, or whose instances ran under theirs.

    They are told by the tables, which another worker may have changed while this one waited for it.
    """
    rows = (known.rows["meeting"].get(key) for key in meetings)
    numbers = {row.pmi for row in rows if row is not None and row.pmi is not None}
    ran = (row for row in known.rows["instance"].values() if row.ran_under is not None)
    numbers |= {row.meeting_id for row in ran if (row.account_id, row.ran_under) in meetings}
    return all(number % MEETING_BUCKETS in held for number in numbers)
