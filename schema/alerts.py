"""What is observed of an installation, and how the conditions judged by it stand: values between store and judge."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple

from schema.addresses import instance_url, occurrence_url

LOST_SHARE_MAX = 0.01
"""Of the webhooks of an instance; more of them lost is told to somebody."""


LOSSY_KNOWN_FOR = timedelta(days=7)
"""For so long after that was found."""


class Place(NamedTuple):
    """An instance that a condition is about, and the occurrence it was, where that is known."""

    account_id: str
    meeting_id: int | None
    uuid: str
    occurrence_id: str | None
    topic: str | None
    at: datetime | None  # when the occurrence was planned; else when the instance started

    @property
    def path(self) -> str:
        """Where its page is: the occurrence's, else the instance's."""
        if self.occurrence_id is None:
            return instance_url(self.account_id, self.uuid)
        return occurrence_url(self.account_id, self.meeting_id, self.occurrence_id)


@dataclass(frozen=True)
class RefusedDeliveries:
    """Well-formed, fresh deliveries that no secret that is set had signed."""

    first_at: datetime
    last_at: datetime
    deliveries: int
    secrets: frozenset[str]  # fingerprints of those that were set


@dataclass(frozen=True)
class Disk:
    """The disk that the database's file is on."""

    free_bytes: int
    total_bytes: int


@dataclass(frozen=True)
class Observed:
    """What conditions are judged by; what could not be observed is None, or nothing."""

    secrets: frozenset[str] = frozenset()  # fingerprints of those that are set
    unknown_secret: RefusedDeliveries | None = None
    validated_at: datetime | None = None  # with whichever secret
    pending: int = 0
    oldest_pending_at: datetime | None = None
    dead: int = 0
    reviews: int = 0
    running_since: datetime | None = None  # the newest start of an instance that has not ended
    last_received_at: datetime | None = None
    skew_seconds: float | None = None  # how far our clock is ahead of Zoom's
    skew_at: datetime | None = None
    disk: Disk | None = None
    database_fault: str | None = None
    redis_fault: str | None = None
    pushes_off: int = 0  # endpoints of PUSH_URLS that took nothing for so long that they were switched off
    pushes_off_since: datetime | None = None
    lossy: int = 0  # instances found final lately of which more than LOST_SHARE_MAX of the webhooks never came


@dataclass(frozen=True)
class Alert:
    """How a condition stands, and who was told. A row of table `alert`."""

    condition: str
    begun_at: datetime
    says: str
    cleared_at: datetime | None = None  # since when it does not hold
    told_at: datetime | None = None
    told: int = 0
    over_told_at: datetime | None = None
    sending_until: datetime | None = None
    error: str | None = None
