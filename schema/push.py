"""An address that is pushed to, and how far it has been told: a row of table `push_endpoint`. Pure."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime

NAME_DIGITS = 12


@dataclass(frozen=True)
class PushEndpoint:
    """How an endpoint stands. Everything up to `after` has been told; what is told next reaches up to `until`."""

    endpoint: str
    address: str
    after: int = 0
    until: int | None = None
    tries: int = 0  # that failed, of the notice it waits for
    retry_at: datetime | None = None
    off_at: datetime | None = None  # since when nothing is sent any more
    error: str | None = None
    delivered: int = 0
    failed: int = 0
    delivered_at: datetime | None = None
    held_by: str | None = None  # the worker that tells it


def endpoint_name(url: str) -> str:
    """A name for an address that does not give away what stands in it."""
    return hashlib.sha256(url.encode()).hexdigest()[:NAME_DIGITS]
