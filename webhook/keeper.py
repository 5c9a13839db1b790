"""Group commit: requests that wait at the same moment share one transaction.

The first request that finds nobody committing becomes the leader. It commits everything that waits, its own event
among it, tells the others, and hands the lead to one of those that came meanwhile. There is no extra thread and no
delay: a request that is alone commits alone.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from schema.envelope import Envelope
from schema.store.database import Database, is_infrastructure_failure
from schema.store.inbox import Arrival, keep

GROUP_EVENTS_MAX = 200
GROUP_BYTES_MAX = 8 * 1024 * 1024
ACK_SECONDS_MAX = 2.6  # Zoom gives up after 3 s and comes back in five minutes
ID_ATTEMPTS_MAX = 5


class NotKept(Exception):
    """The store could not take the event in time; Zoom has to send it again."""


class _Waiting:
    """One request's event, and the latch it waits on."""

    __slots__ = ("envelope", "error", "is_kept", "latch", "leads", "received_at", "tracking_id")

    def __init__(self, envelope: Envelope, received_at: datetime, tracking_id: str | None) -> None:
        self.envelope = envelope
        self.received_at = received_at
        self.tracking_id = tracking_id
        self.latch = threading.Lock()
        self.latch.acquire()
        self.is_kept = False
        self.leads = False
        self.error: Exception | None = None


class Keeper:
    """Keeps events of one process. Safe to call from many threads."""

    def __init__(
        self, database: Database, *, when_kept: Callable[[], None], group_events: int = GROUP_EVENTS_MAX
    ) -> None:
        self._database = database
        self._when_kept = when_kept
        self._group_events = group_events
        self._guard = threading.Lock()
        self._queue: deque[_Waiting] = deque()
        self._is_led = False
        self._last_id = 0

    def keep(self, envelope: Envelope, received_at: datetime, tracking_id: str | None = None) -> None:
        """Return once the event is committed. Raises NotKept when that did not happen within ACK_SECONDS_MAX."""
        waiting = _Waiting(envelope, received_at, tracking_id)
        deadline = time.monotonic() + ACK_SECONDS_MAX
        with self._guard:
            self._queue.append(waiting)
            leads = not self._is_led
            self._is_led = True
        if not leads and not waiting.latch.acquire(timeout=ACK_SECONDS_MAX):
            self._give_up(waiting)
        if leads or waiting.leads:
            self._lead(waiting, deadline)
        if not waiting.is_kept:
            raise NotKept(str(waiting.error or "the store did not answer in time")) from waiting.error

    def _give_up(self, waiting: _Waiting) -> None:
        """Leave the queue, unless the event is being committed or the lead has just arrived."""
        with self._guard:
            if waiting in self._queue and not waiting.leads:
                self._queue.remove(waiting)

    def _lead(self, own: _Waiting, deadline: float) -> None:
        """Commit group after group until the own event is in one, then pass the lead on."""
        try:
            while not own.is_kept and own.error is None and time.monotonic() < deadline:
                self._commit(self._next_group())
        finally:
            with self._guard:
                if own in self._queue:
                    self._queue.remove(own)
                if self._queue:
                    heir = self._queue[0]
                    heir.leads = True
                    heir.latch.release()
                else:
                    self._is_led = False

    def _next_group(self) -> list[_Waiting]:
        group: list[_Waiting] = []
        size = 0
        with self._guard:
            while self._queue and len(group) < self._group_events and size < GROUP_BYTES_MAX:
                group.append(self._queue.popleft())
                size += len(group[-1].envelope.body)
        return group

    def _commit(self, group: Sequence[_Waiting]) -> None:
        try:
            self._keep_with_new_ids(group)
        except (SQLAlchemyError, OSError) as error:
            if len(group) > 1 and not is_infrastructure_failure(error):
                for waiting in group:  # one that the database refuses must not take its neighbours with it
                    self._commit([waiting])
                return
            self._finish(group, error)
            return
        self._finish(group, None)
        self._when_kept()

    def _keep_with_new_ids(self, group: Sequence[_Waiting]) -> None:
        for attempt in range(1, ID_ATTEMPTS_MAX + 1):
            try:
                keep(self._database, [self._arrival(waiting) for waiting in group])
                return
            except IntegrityError:  # another process accepted an event in the same microsecond
                if attempt == ID_ATTEMPTS_MAX:
                    raise
            except DBAPIError as error:  # a connection from before a restart of the database: a new one may do
                if attempt > 1 or not error.connection_invalidated:
                    raise

    def _arrival(self, waiting: _Waiting) -> Arrival:
        """Number an event in order of arrival; only the leader calls this, so ids of one process never repeat."""
        self._last_id = max(self._last_id + 1, int(datetime.now(UTC).timestamp() * 1_000_000))
        return Arrival(self._last_id, waiting.envelope, waiting.received_at, waiting.tracking_id)

    @staticmethod
    def _finish(group: Sequence[_Waiting], error: Exception | None) -> None:
        for waiting in group:
            waiting.is_kept = error is None
            waiting.error = error
            if not waiting.leads:
                waiting.latch.release()
