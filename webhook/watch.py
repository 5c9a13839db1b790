"""What a web process notices of its endpoint, added to the database by a thread of its own.

A delivery only counts in memory, so that a flood of forged ones stays cheap: one small transaction every NOTE_SECONDS
at most, and none while there is nothing to tell.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.alerts import RefusedDeliveries
from schema.store.database import Database
from schema.store.observations import note_refused, note_skew

NOTE_SECONDS = 5.0
STOP_SECONDS_MAX = 2.0
SKEW_DELIVERIES = 5
"""The least skewed of so many counts: attempts that Zoom repeats may carry the time of the first one."""

SKEW_NOTED_SECONDS = 600.0  # an unchanged one is noted so often
SKEW_CHANGE_SECONDS = 5.0

log = structlog.get_logger()


class EndpointWatch:
    """Counts deliveries that no known secret signed, and how far our clock is ahead of Zoom's."""

    def __init__(
        self,
        database: Database,
        secrets: frozenset[str],
        quiet: timedelta,
        *,
        note_seconds: float = NOTE_SECONDS,
    ) -> None:
        self._database = database
        self._secrets = secrets
        self._quiet = quiet
        self._note_seconds = note_seconds
        self._guard = threading.Lock()
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._thread: threading.Thread | None = None
        self._refused: RefusedDeliveries | None = None
        self._skews: list[float] = []
        self._skew: tuple[float, float] | None = None
        self._noted_skew: tuple[float, float] | None = None

    def note_unknown_secret(self, now_seconds: float) -> None:
        """A well-formed, fresh delivery was signed with none of our secrets."""
        now = datetime.fromtimestamp(now_seconds, UTC)
        with self._guard:
            before = self._refused
            first_at, deliveries = (before.first_at, before.deliveries) if before else (now, 0)
            self._refused = RefusedDeliveries(first_at, now, deliveries + 1, self._secrets)
        self._wake()

    def note_skew(self, ahead_seconds: float, now_seconds: float) -> None:
        """A delivery of ours was signed so long ago, by Zoom's clock."""
        with self._guard:
            self._skews.append(ahead_seconds)
            if len(self._skews) < SKEW_DELIVERIES:
                return
            least = min(self._skews, key=abs)
            self._skews.clear()
            if self._noted_skew is not None:
                noted, at = self._noted_skew
                if abs(least - noted) < SKEW_CHANGE_SECONDS and now_seconds - at < SKEW_NOTED_SECONDS:
                    return
            self._skew = (least, now_seconds)
        self._wake()

    def close(self) -> None:
        """Note what is left, and end."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(STOP_SECONDS_MAX)

    def note(self) -> None:
        """Add what was noticed to the database. Raises SQLAlchemyError, and keeps it for the next time."""
        with self._guard:
            refused, self._refused = self._refused, None
            skew, self._skew = self._skew, None
        try:
            if refused is not None:
                note_refused(self._database, refused, self._quiet)
                refused = None
            if skew is not None:
                note_skew(self._database, skew[0], datetime.fromtimestamp(skew[1], UTC))
                self._noted_skew, skew = skew, None
        finally:
            self._keep(refused, skew)

    def _keep(self, refused: RefusedDeliveries | None, skew: tuple[float, float] | None) -> None:
        with self._guard:
            if refused is not None:
                later = self._refused
                self._refused = RefusedDeliveries(
                    refused.first_at,
                    later.last_at if later else refused.last_at,
                    refused.deliveries + (later.deliveries if later else 0),
                    self._secrets,
                )
            self._skew = self._skew or skew

    def _wake(self) -> None:
        self._wanted.set()
        if self._thread is None:
            with self._guard:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="watch", daemon=True)
                    thread.start()
                    self._thread = thread

    def _run(self) -> None:
        while not self._closing.is_set():
            self._wanted.wait()
            self._wanted.clear()
            self._try_to_note()
            self._closing.wait(self._note_seconds)
        self._try_to_note()

    def _try_to_note(self) -> None:
        try:
            self.note()
        except (SQLAlchemyError, OSError) as error:
            log.warning("observation_not_noted", error=type(error).__name__)
            self._wanted.set()
