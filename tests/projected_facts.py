"""From an event to its facts, without a database in between."""

from __future__ import annotations

from datetime import UTC, datetime

from schema.zoom.envelope import read_envelope
from schema.zoom.payloads import read_payload, to_milliseconds
from tests.signed_requests import encode
from tests.stories import Json
from workers.core.event import Event
from workers.core.merge import Fact
from workers.core.projection import PROJECTIONS

ARRIVED_AT = datetime(2026, 11, 22, 10, tzinfo=UTC)


def facts_of(event: Json | bytes) -> list[Fact]:
    """What the projection of its type says of an event."""
    envelope = read_envelope(encode(event))
    assert envelope.event_type is not None
    at = envelope.event_ts or ARRIVED_AT
    read = Event(
        envelope.account_id,
        envelope.event_type,
        envelope.idempotency_key,
        1,
        at,
        to_milliseconds(at),
        read_payload(envelope.body),
    )
    return list(PROJECTIONS[envelope.event_type](read))


def facts_about(table: str, event: Json | bytes) -> list[Fact]:
    """Those of them about one table."""
    return [fact for fact in facts_of(event) if fact.table == table]
