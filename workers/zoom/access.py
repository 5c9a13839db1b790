"""What Zoom's API lets the app of an account do: its scopes, and the events that its subscriptions send.

A worker asks every ASK_EVERY and keeps the answer, so that no page calls Zoom.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog

from schema.store.api_access import ApiAccess, read_access, save_access
from schema.store.database import Database
from workers.looking import LookingThread
from workers.zoom.client import ZoomClient, ZoomError
from workers.zoom.endpoints import EVENT_SUBSCRIPTION

ASK_EVERY = timedelta(minutes=10)
LOOK_SECONDS = 60.0
STOP_SECONDS_MAX = 35.0  # a call that is under way when the worker is asked to stop; the client gives it 30

log = structlog.get_logger()


class AccessLook(LookingThread):
    """Asks about the accounts whose credentials are given, unless another worker did so lately."""

    def __init__(
        self,
        database: Database,
        clients: Sequence[ZoomClient],
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        super().__init__("access", self.look, _note_failure, look_seconds=LOOK_SECONDS, stop_seconds=STOP_SECONDS_MAX)
        self._database = database
        self._clients = clients
        self._now = now

    def start(self) -> None:
        """Begin with a look; nothing where there is no account to ask about."""
        if self._clients:
            super().start()

    def look(self) -> int:
        """Ask about the accounts whose answer is too old; returns how many those were."""
        with self._database.read() as connection:
            known = read_access(connection)
        asked = 0
        for client in self._clients:
            before = known.get(client.account_id)
            if before is not None and before.read_at is not None and self._now() - before.read_at < ASK_EVERY:
                continue
            save_access(self._database, ask(client, self._now()))
            asked += 1
        return asked


def ask(client: ZoomClient, now: datetime) -> ApiAccess:
    """What the API lets the app of this account do now; what it does not tell is None, with the reason."""
    try:
        scopes = client.granted_scopes()
    except ZoomError as error:
        return ApiAccess(client.account_id, now, None, None, str(error))
    if EVENT_SUBSCRIPTION.scope not in scopes:
        says = f"without the scope {EVENT_SUBSCRIPTION.scope} nobody can tell which events come"
        return ApiAccess(client.account_id, now, scopes, None, says)
    try:
        told = client.read(EVENT_SUBSCRIPTION)
    except ZoomError as error:
        return ApiAccess(client.account_id, now, scopes, None, str(error))
    rows = [row for row in told.get("event_subscriptions") or () if isinstance(row, dict)]
    events = frozenset(str(name) for row in rows for name in row.get("events") or ())
    return ApiAccess(client.account_id, now, scopes, events, None)


def _note_failure(error: str) -> None:
    log.warning("access_not_kept", error=error)
