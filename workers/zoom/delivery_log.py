"""Zoom's own log of deliveries: what never reached us is kept, as if it had, with `source = zoom_log`."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import structs
from sqlalchemy.exc import IntegrityError

from schema.store.api_calls import keep_without
from schema.store.database import Database
from schema.store.erased import ErasedMeanwhile, Told, leave_out
from schema.store.inbox import ID_ATTEMPTS_MAX, Arrival, known_keys
from schema.zoom.envelope import Envelope, decode_document, read_envelope
from workers.zoom.client import ZoomClient
from workers.zoom.endpoints import WEBHOOK_LOGS

LOG = "zoom_log"
LOG_KEPT = timedelta(days=7)
NOT_OF_THE_WEBHOOK = ("joinlog.", "zoom.", "endpoint.")
"""Types that no event subscription sends, and a check of the endpoint, which is nothing to keep."""


def recover(database: Database, client: ZoomClient, app_id: str, now: datetime) -> int:
    """Keep every event in the log of an app whose key is unknown; returns how many. Raises ZoomError.

    The log has no signature; what makes it Zoom's word is the connection it came through. A body that is missing or
    cut off cannot be kept; one about somebody who was erased after it was sent is not.
    """
    kept = 0

    def take(rows: list[Any]) -> None:
        nonlocal kept
        kept += _keep_unknown(database, client.account_id, rows, now)

    days = [now - LOG_KEPT + timedelta(days=day) for day in range(LOG_KEPT.days + 1)]
    for day in days:
        client.read_in_parts(WEBHOOK_LOGS, take, app_id, **{"from": f"{day:%Y-%m-%d}", "to": f"{day:%Y-%m-%d}"})
    return kept


def _keep_unknown(database: Database, account_id: str, rows: Sequence[Any], now: datetime) -> int:
    told: dict[tuple[str, str], tuple[Envelope, str | None]] = {}
    for row in rows:
        body = row.get("request_body") if isinstance(row, dict) else None
        if not isinstance(body, str):
            continue
        envelope = read_envelope(body.encode("utf-8", "replace"))
        if envelope.error is None and not (envelope.event_type or "").startswith(NOT_OF_THE_WEBHOOK):
            request_id = row.get("request_id")
            told.setdefault(
                (envelope.account_id, envelope.idempotency_key),
                (envelope, request_id if isinstance(request_id, str) else None),
            )
    with database.read() as connection:
        known = known_keys(connection, told)
    missing = [told[key] for key in told if key not in known]
    for attempt in range(1, ID_ATTEMPTS_MAX + 1):
        documents = [Told(decode_document(one.body), one.uuid, one.event_ts) for one, _ in missing]
        left, left_out = leave_out(database, account_id, documents, now)
        first = time.time_ns() // 1000
        arrivals = [
            Arrival(first + place, _with(envelope, document), now.astimezone(UTC), request_id=request_id, source=LOG)
            for place, ((envelope, request_id), document) in enumerate(zip(missing, left, strict=True))
            if document is not None
        ]
        try:
            if arrivals:
                keep_without(database, arrivals, left_out, now)
            return len(arrivals)
        except (IntegrityError, ErasedMeanwhile):  # or another process accepted an event in the same microsecond
            if attempt == ID_ATTEMPTS_MAX:
                raise
    return 0


def _with(envelope: Envelope, document: Any) -> Envelope:
    """An event with what is left of its body. Its key stays that of the whole, by which it is known."""
    if document == decode_document(envelope.body):
        return envelope
    return structs.replace(envelope, body=msgspec.json.encode(document).decode())
