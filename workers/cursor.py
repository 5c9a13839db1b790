"""Where in the inbox a worker looks for its next batch: after what it settled, and now and then elsewhere.

Settling an event leaves a dead entry in Postgres' index of what is pending. While anybody holds a snapshot (a dump, a
BI tool) no vacuum removes them, and a claim that begins at the first one walks over them all, every time.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import Enum

LATE_MICROSECONDS = 1_000_000
"""An id says when an event was accepted; that of a slow commit may come after younger ones were claimed."""

ELSEWHERE_SECONDS = 4.0
"""However busy it is, a worker looks so often for what is not after its cursor: a replay has old ids."""

RECENT = timedelta(seconds=15)
"""Beyond the time since the last look: what a slow commit, or another machine's clock, may be late."""

CHEAP_SECONDS = 0.05
LOOK_SHARE = 50
"""A look that took longer than CHEAP_SECONDS is not repeated before so many times as long have passed."""


class Look(Enum):
    """At which events."""

    AFTER = "those after the cursor"
    RECENT = "those that became pending lately, whatever their ids"
    WHOLE = "all"


class Cursor:
    """The position of one worker, and when it looked elsewhere, on a clock of seconds."""

    def __init__(self, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._now_seconds = now_seconds
        self._newest = 0
        self._looked_at = dict.fromkeys(Look, -math.inf)
        self._took = dict.fromkeys(Look, 0.0)

    @property
    def after(self) -> int:
        """The id after which everything that came in time was claimed."""
        return max(0, self._newest - LATE_MICROSECONDS)

    def next_look(self) -> Look:
        """Where to look first."""
        since = self._now_seconds() - ELSEWHERE_SECONDS
        if since >= max(self._looked_at[Look.RECENT], self._looked_at[Look.WHOLE]):
            return Look.WHOLE if self._is_worth_it(Look.WHOLE) else Look.RECENT
        return Look.AFTER if self.after else Look.WHOLE

    def look_further(self, found_nothing: Look) -> Look | None:
        """Where to look when there was nothing; None when it is too early."""
        wider = {Look.AFTER: (Look.WHOLE, Look.RECENT), Look.RECENT: (Look.AFTER,), Look.WHOLE: ()}[found_nothing]
        return next((look for look in wider if self._is_worth_it(look)), None)

    @contextmanager
    def looking(self, look: Look) -> Iterator[None]:
        """Take note of a look, and of how long it takes."""
        begun = self._now_seconds()
        yield
        self._looked_at[look] = self._now_seconds()
        self._took[look] = self._looked_at[look] - begun

    def recent(self) -> timedelta:
        """How far back a look at what is recent has to reach."""
        last = max(self._looked_at[Look.RECENT], self._looked_at[Look.WHOLE])
        return RECENT if last == -math.inf else RECENT + timedelta(seconds=self._now_seconds() - last)

    def settled(self, look: Look, newest: int) -> None:
        """Go on after this id, up to which a look claimed what it saw; replayed ids take the cursor back.

        A look at what is recent passed older events by, so it never takes the cursor forward.
        """
        self._newest = min(self._newest, newest) if look is Look.RECENT else newest

    def _is_worth_it(self, look: Look) -> bool:
        since = self._now_seconds() - self._looked_at[look]
        return look is Look.AFTER or self._took[look] <= CHEAP_SECONDS or since >= LOOK_SHARE * self._took[look]
