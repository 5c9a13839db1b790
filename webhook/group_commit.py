"""Group commit: deliveries that wait at the same moment share one transaction.

One thread commits. While it commits one group the next one gathers, so there is no delay to wait for company: a
delivery that is alone is committed alone. Whoever waits does so for ACK_SECONDS_MAX at most, whatever the store does.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from schema.store.database import Database, is_infrastructure_failure
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import Envelope

GROUP_EVENTS_MAX = 200
GROUP_BYTES_MAX = 8 * 1024 * 1024
ACK_SECONDS_MAX = 2.6  # Zoom gives up after 3 s and comes back in five minutes
ID_ATTEMPTS_MAX = 5


class CommitFailed(Exception):
    """The store could not take the event in time; Zoom has to send it again."""


class Delivery(NamedTuple):
    """One believed delivery, ready to be kept."""

    envelope: Envelope
    received_at: datetime
    tracking_id: str | None


class PendingCommit:
    """A delivery that waits for its commit. `tell` is called once, by the keeper's thread, with all of a group."""

    __slots__ = ("delivery", "error", "expires", "is_kept", "tell")

    def __init__(self, delivery: Delivery, tell: Callable[[Sequence[PendingCommit]], None]) -> None:
        self.delivery = delivery
        self.tell = tell
        self.expires = time.monotonic() + ACK_SECONDS_MAX
        self.is_kept = False
        self.error: Exception | None = None  # why it was not kept, where that is known

    def failure(self) -> CommitFailed | None:
        """What to raise for it, once told."""
        if self.is_kept:
            return None
        failure = CommitFailed(str(self.error or "committing ended unexpectedly"))
        failure.__cause__ = self.error
        return failure


Listener = Callable[[Sequence[PendingCommit]], None]


class GroupCommitter:
    """Keeps the deliveries of one process. Safe to call from many threads."""

    def __init__(
        self, database: Database, *, when_kept: Callable[[], None], group_events: int = GROUP_EVENTS_MAX
    ) -> None:
        self._database = database
        self._when_kept = when_kept
        self._group_events = group_events
        self._changed = threading.Condition()
        self._queue: deque[PendingCommit] = deque()
        self._committing: list[PendingCommit] = []
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._last_id = 0

    def keep(self, envelope: Envelope, received_at: datetime, tracking_id: str | None = None) -> None:
        """Return once the event is committed. Raises CommitFailed when that did not happen within ACK_SECONDS_MAX."""
        done = threading.Event()
        ticket = PendingCommit(Delivery(envelope, received_at, tracking_id), lambda _tickets: done.set())
        self.submit(ticket)
        if not done.wait(ACK_SECONDS_MAX):
            raise CommitFailed("the store did not answer in time")
        if (failure := ticket.failure()) is not None:
            raise failure

    def submit(self, ticket: PendingCommit) -> None:
        """Let a delivery wait for the next group; returns at once."""
        with self._changed:
            self._queue.append(ticket)
            if self._thread is None or not self._thread.is_alive():  # not before the first: the process may still fork
                self._thread = threading.Thread(target=self._serve, name="keeper", daemon=True)
                self._thread.start()
            self._changed.notify()

    def close(self) -> None:
        """Commit what waits, and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(ACK_SECONDS_MAX)

    def _serve(self) -> None:
        while group := self._next_group():
            try:
                self._commit(group)
            finally:  # whatever went wrong: nobody waits for an answer that will not come
                for tell, tickets in _by_listener(group):
                    tell(tickets)
                with self._changed:
                    self._committing = []
            if any(ticket.is_kept for ticket in group):
                self._when_kept()

    def _next_group(self) -> list[PendingCommit]:
        """Wait for deliveries and take them; empty when there will be no more."""
        group: list[PendingCommit] = []
        with self._changed:
            while not group:
                while not self._queue:
                    if self._is_closing:
                        return []
                    self._changed.wait()
                size, now = 0, time.monotonic()
                while self._queue and len(group) < self._group_events and size < GROUP_BYTES_MAX:
                    ticket = self._queue.popleft()
                    if ticket.expires > now:  # else it was answered, and Zoom will send it again
                        group.append(ticket)
                        size += len(ticket.delivery.envelope.body)
            self._committing = group
        return group

    def _commit(self, group: Sequence[PendingCommit]) -> None:
        try:
            self._keep_with_new_ids(group)
        except (SQLAlchemyError, OSError, ValueError, TypeError, ArithmeticError) as error:
            if len(group) > 1 and not is_infrastructure_failure(error):
                for ticket in group:  # one that the database refuses must not take its neighbours with it
                    self._commit([ticket])
                return
            for ticket in group:
                ticket.error = error
        else:
            for ticket in group:
                ticket.is_kept = True

    def _keep_with_new_ids(self, group: Sequence[PendingCommit]) -> None:
        for attempt in range(1, ID_ATTEMPTS_MAX + 1):
            try:
                keep(self._database, [self._arrival(ticket.delivery) for ticket in group])
                return
            except IntegrityError:  # another process accepted an event in the same microsecond
                if attempt == ID_ATTEMPTS_MAX:
                    raise
            except DBAPIError as error:  # a connection from before a restart of the database: a new one may do
                if attempt > 1 or not error.connection_invalidated:
                    raise

    def _arrival(self, delivery: Delivery) -> Arrival:
        """Number an event in order of arrival; one thread does, so ids of one process never repeat."""
        self._last_id = max(self._last_id + 1, int(datetime.now(UTC).timestamp() * 1_000_000))
        return Arrival(self._last_id, *delivery)


def _by_listener(
    group: Sequence[PendingCommit],
) -> list[tuple[Callable[[Sequence[PendingCommit]], None], list[PendingCommit]]]:
    """The tickets of a group by whom to tell: the event loop is told once for all of its own."""
    listeners: dict[int, tuple[Listener, list[PendingCommit]]] = {}
    for ticket in group:
        listeners.setdefault(id(ticket.tell), (ticket.tell, []))[1].append(ticket)
    return list(listeners.values())
