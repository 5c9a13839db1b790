"""What becomes of an endpoint after an attempt. Pure: how it stood and what was answered in, how it stands out."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from schema.push import PushEndpoint

RETRY_AFTER_SECONDS = (5, 300, 1800, 7200, 18000, 36000, 50400, 72000)
"""5 s, 5 min, 30 min, 2 h, 5 h, 10 h, 14 h, 20 h; then the endpoint is switched off."""

GONE = 410
"""By which a receiver says that it wants nothing any more; https://www.standardwebhooks.com, "Deliverability"."""


def delivered(endpoint: PushEndpoint, after: int, now: datetime) -> PushEndpoint:
    """It took the notice; everything up to `after` has been told."""
    return replace(
        endpoint, after=after, tries=0, retry_at=None, error=None, delivered=endpoint.delivered + 1, delivered_at=now
    )


def refused(endpoint: PushEndpoint, error: str, status: int | None, now: datetime) -> PushEndpoint:
    """It did not take it: when it is tried again, or that it is switched off."""
    tries = endpoint.tries + 1
    failed = replace(endpoint, tries=tries, error=error, failed=endpoint.failed + 1)
    if status == GONE or tries > len(RETRY_AFTER_SECONDS):
        return replace(failed, off_at=now, retry_at=None)
    return replace(failed, retry_at=now + timedelta(seconds=RETRY_AFTER_SECONDS[tries - 1]))
