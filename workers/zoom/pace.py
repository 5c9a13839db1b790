"""Below Zoom's limits, over all processes of an installation."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from schema.store.api_calls import take_call
from schema.store.database import Database
from workers.zoom.client import DailyLimit
from workers.zoom.endpoints import HEAVY_PER_DAY, PER_SECOND, Tier


@dataclass(frozen=True, slots=True)
class SharedPace:
    """Spaces the calls of each account and tier evenly, and stops at its share of the day."""

    database: Database
    plan: str
    share: float

    def wait_seconds(self, account_id: str, tier: Tier) -> float:
        """Take one call, and say how long to wait before making it. Raises DailyLimit."""
        now = datetime.now(UTC)
        interval_ms = math.ceil(1000 / (PER_SECOND[self.plan][tier] * self.share))
        at_ms, calls = take_call(self.database, account_id, tier.value, interval_ms, now)
        if tier is Tier.HEAVY and calls > HEAVY_PER_DAY[self.plan] * self.share:
            raise DailyLimit(now.replace(hour=0, minute=0, second=0, microsecond=0) + timedelta(days=1))
        return max(0.0, at_ms / 1000 - now.timestamp())
