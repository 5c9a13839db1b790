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

from sqlalchemy import Connection

from schema.store.dialect import MEETING_BUCKETS, Dialect, Statement, dialect_of
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
    known = load(
        connection,
        partial(lookups, facts, staff_domains=staff_domains),
        dialect.hold_meetings(buckets_of(facts)) if facts else (),
    )
    now = clock()
    save(connection, decide(facts, known, now, staff_domains), settle(dialect, now), is_told=is_told)


def buckets_of(facts: Iterable[Fact]) -> set[int]:
    """What to hold while these facts are merged: whatever touches the same row shares at least one bucket."""
    held = set()
    for table, key, values, _ in facts:
        if table != NEVER_KNOWN:
            held.add((key[0], key[1] if len(key) > 1 else None))
            held.add((key[0], values.get("meeting_id")))  # a link is decided for its meeting
    return {zlib.crc32(f"{account_id}/{name}".encode()) % MEETING_BUCKETS for account_id, name in held}
