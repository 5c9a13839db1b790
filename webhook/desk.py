"""Where deliveries wait for their commit on the event loop: no thread each, one hand-over to the keeper and back."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from webhook.group_commit import ACK_SECONDS_MAX, CommitFailed, Delivery, GroupCommitter, PendingCommit


class Desk:
    """The event loop's side of the keeper."""

    def __init__(self, keeper: GroupCommitter) -> None:
        self._keeper = keeper
        self._waiting: dict[PendingCommit, asyncio.Future[None]] = {}
        self._tell = self._told  # one bound method, so that the keeper tells a whole group at once

    def open(self, loop: asyncio.AbstractEventLoop) -> None:
        """Take deliveries on this loop."""
        self._loop = loop

    def close(self) -> None:
        """Have everything that waits committed."""
        self._keeper.close()

    async def keep(self, delivery: Delivery) -> None:
        """Return once it is committed. Raises CommitFailed when that did not happen within ACK_SECONDS_MAX."""
        future: asyncio.Future[None] = self._loop.create_future()
        ticket = PendingCommit(delivery, self._tell)
        self._waiting[ticket] = future
        impatience = self._loop.call_later(ACK_SECONDS_MAX, _give_up, future)
        self._keeper.submit(ticket)
        try:
            await future
        finally:
            impatience.cancel()
            self._waiting.pop(ticket, None)

    def _told(self, tickets: Sequence[PendingCommit]) -> None:
        """Called by the keeper's thread."""
        self._loop.call_soon_threadsafe(self._settle, tickets)

    def _settle(self, tickets: Sequence[PendingCommit]) -> None:
        for ticket in tickets:
            future = self._waiting.get(ticket)
            if future is None or future.done():
                continue
            failure = ticket.failure()
            if failure is None:
                future.set_result(None)
            else:
                future.set_exception(failure)


def _give_up(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_exception(CommitFailed("the store did not answer in time"))
