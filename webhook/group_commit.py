"""Group commit: deliveries that wait at the same moment share one transaction.

One thread commits. While it commits one group the next one gathers, so there is no delay to wait for company: a
delivery that is alone is committed alone. A thread waits with `commit`, a coroutine with `commit_async`; both for
ACK_SECONDS_MAX at most, whatever the database does.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from datetime import UTC, datetime
from typing import NamedTuple

from sqlalchemy.exc import DBAPIError, IntegrityError, SQLAlchemyError

from schema.store.database import Database
from schema.store.failures import is_infrastructure_failure, is_lock_timeout
from schema.store.inbox import Arrival, keep, known_keys
from schema.zoom.envelope import Envelope

GROUP_EVENTS_MAX = 200
GROUP_BYTES_MAX = 8 * 1024 * 1024
ACK_SECONDS_MAX = 2.6  # Zoom gives up after 3 s and comes back in five minutes
ID_ATTEMPTS_MAX = 5

_TOO_LATE = "the database did not answer in time"


class CommitFailed(Exception):
    """The delivery was not committed in time; whoever sent it has to send it again."""


class Delivery(NamedTuple):
    """One verified delivery, ready to be kept in the inbox."""

    envelope: Envelope
    received_at: datetime
    tracking_id: str | None = None
    request_id: str | None = None


class PendingCommit:
    """A delivery that waits for its commit, and the future of the thread or coroutine that waits for it."""

    __slots__ = ("delivery", "error", "expires_at", "future", "is_committed")

    def __init__(self, delivery: Delivery, future: Future[None] | asyncio.Future[None]) -> None:
        self.delivery = delivery
        self.future = future
        self.expires_at = time.monotonic() + ACK_SECONDS_MAX
        self.is_committed = False
        self.error: Exception | None = None  # why not, where that is known

    def resolve(self) -> None:
        """Let the one who waits go on. A future of an event loop must be resolved on that loop."""
        if self.future.done():  # it gave up, and Zoom will send the delivery again
            return
        if self.is_committed:
            self.future.set_result(None)
            return
        failure = CommitFailed(str(self.error or "committing ended unexpectedly"))
        failure.__cause__ = self.error
        self.future.set_exception(failure)


class GroupCommitter:
    """Commits the deliveries of one process to the inbox. Safe to call from many threads and from event loops.

    `when_committed` is called after each group, from the thread that commits.
    """

    def __init__(
        self, database: Database, *, when_committed: Callable[[], None], group_events: int = GROUP_EVENTS_MAX
    ) -> None:
        self._database = database
        self._when_committed = when_committed
        self._group_events = group_events
        self._changed = threading.Condition()
        self._queue: deque[PendingCommit] = deque()
        self._thread: threading.Thread | None = None
        self._is_closing = False
        self._last_id = 0
        self.committing = 0  # deliveries in the transaction of this moment

    @property
    def waiting(self) -> int:
        """Deliveries that wait for the next transaction."""
        return len(self._queue)

    def commit(self, delivery: Delivery) -> None:
        """Return once it is committed. Raises CommitFailed when that did not happen within ACK_SECONDS_MAX."""
        future: Future[None] = Future()
        self._submit(PendingCommit(delivery, future))
        try:
            future.result(ACK_SECONDS_MAX)
        except TimeoutError:
            raise CommitFailed(_TOO_LATE) from None

    async def commit_async(self, delivery: Delivery) -> None:
        """`commit` for a coroutine: it holds no thread while it waits."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(ACK_SECONDS_MAX, _give_up, future)
        self._submit(PendingCommit(delivery, future))
        try:
            await future
        finally:
            timer.cancel()

    def close(self) -> None:
        """Commit what waits, and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify()
        if self._thread is not None:
            self._thread.join(ACK_SECONDS_MAX)

    def _submit(self, pending: PendingCommit) -> None:
        with self._changed:
            self._queue.append(pending)
            if self._thread is None or not self._thread.is_alive():  # not before the first: the process may still fork
                self._thread = threading.Thread(target=self._serve, name="group-commit", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _serve(self) -> None:
        while group := self._next_group():
            try:
                self._commit(group)
            finally:  # whatever went wrong: nobody waits for an answer that will not come
                _resolve_all(group)
                self.committing = 0
            if any(pending.is_committed for pending in group):
                self._when_committed()

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
                    pending = self._queue.popleft()
                    if pending.expires_at > now:  # else it was answered, and Zoom will send it again
                        group.append(pending)
                        size += len(pending.delivery.envelope.body)
            self.committing = len(group)
        return group

    def _commit(self, group: Sequence[PendingCommit]) -> None:
        if not group:
            return
        try:
            self._keep_with_new_ids(group)
        except (SQLAlchemyError, OSError, ValueError, TypeError, ArithmeticError) as error:
            if is_lock_timeout(error) and (new := self._without_known(group)) is not None:
                self._commit(new)
                return
            if len(group) > 1 and not is_infrastructure_failure(error):
                for pending in group:  # one that the database refuses must not take its neighbours with it
                    self._commit([pending])
                return
            for pending in group:
                pending.error = error
        else:
            for pending in group:
                pending.is_committed = True

    def _without_known(self, group: Sequence[PendingCommit]) -> list[PendingCommit] | None:
        """Those of a group that the inbox does not have yet; None when that is all of them, or cannot be told.

        Somebody holds the row of an event that comes again, for long if it is a worker that was cut off. It is
        committed already, so it is answered as a repeat that is not counted, and does not hold up the others.
        """
        keys = [(one.delivery.envelope.account_id, one.delivery.envelope.idempotency_key) for one in group]
        try:
            with self._database.read_newest() as connection:
                known = known_keys(connection, set(keys))
        except (SQLAlchemyError, OSError):
            return None
        for pending, key in zip(group, keys, strict=True):
            pending.is_committed = key in known
        return [pending for pending in group if not pending.is_committed] if known else None

    def _keep_with_new_ids(self, group: Sequence[PendingCommit]) -> None:
        for attempt in range(1, ID_ATTEMPTS_MAX + 1):
            try:
                keep(self._database, [self._arrival(pending.delivery) for pending in group])
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


def _resolve_all(group: Sequence[PendingCommit]) -> None:
    """Let all of a group go on: threads at once, and each event loop with one call for all of its own."""
    by_loop: dict[asyncio.AbstractEventLoop, list[PendingCommit]] = {}
    for pending in group:
        if isinstance(pending.future, asyncio.Future):
            by_loop.setdefault(pending.future.get_loop(), []).append(pending)
        else:
            pending.resolve()
    for loop, waiting in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, and nobody waits there any more
            loop.call_soon_threadsafe(_resolve_each, waiting)


def _resolve_each(waiting: Sequence[PendingCommit]) -> None:
    for pending in waiting:
        pending.resolve()


def _give_up(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(CommitFailed(_TOO_LATE))
