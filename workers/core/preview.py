"""What an event would state if it were applied now, without applying it. Pure."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from schema.zoom.payloads import PayloadError, read_payload, to_milliseconds
from workers.core.event import Event
from workers.core.ignored import IGNORED
from workers.core.merge import NEVER_KNOWN
from workers.core.projection import PROJECTIONS


class Preview(NamedTuple):
    """What would become of an event: its state, why it would fail, and how many rows of which tables it names."""

    state: str
    error: str | None = None
    rows: tuple[tuple[str, int], ...] = ()


def preview(account_id: str, event_type: str | None, seq: int, at: datetime, body: str | None) -> Preview:
    """What would become of this event. Never raises: what fails here fails in the worker, too."""
    if event_type is None:
        return Preview("dead", "it is no event")
    if body is None:
        return Preview("dead", "retention removed its body")
    if event_type in IGNORED:
        return Preview("ignored")
    if event_type not in PROJECTIONS:
        return Preview("unhandled")
    try:
        payload = read_payload(body)
        event = Event(account_id, event_type, "", seq, at, to_milliseconds(at), payload)
        touched = {(fact.table, fact.key) for fact in PROJECTIONS[event_type](event) if fact.table != NEVER_KNOWN}
    except PayloadError as error:
        return Preview("dead", str(error))
    return Preview("done", rows=tuple(sorted(Counter(table for table, _ in touched).items())))
