"""Waiting for what is new in the change feed: any number of readers, no thread for each, and the database asked once.

1. A reader who asks to wait is answered by Flask like any other, in a thread, unless there is nothing for them yet.
2. Then the request waits on the event loop, with what it may see. One task looks for all who wait.
3. New changes are read once, and kept as the lines that are sent; each reader gets those they may see.

The more wait, the seldomer it looks: all together get FEED_ANSWERS_PER_SECOND_MAX answers a second, since each of them
asks again at once, and intake has the same processor.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import NamedTuple

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.change import Operation
from schema.store.database import Database
from schema.store.feed import FedChange, FeedGone, read_feed

LOOK_SECONDS = 0.1
FEED_ANSWERS_PER_SECOND_MAX = 25
FEED_READERS_MAX = 200  # who wait at the same moment; further ones are answered at once
TAIL_CHANGES_MAX = 5000
NEXT = "Joinlog-Next"
"""The header with the number to ask on from."""

WAITING = "joinlog.waiting"
"""Where the server lets a request say what it waits for: a list in its environment."""

log = structlog.get_logger()


class Wanted(NamedTuple):
    """What a reader waits for: changes after a number, of these tables and perhaps one meeting, for so long."""

    after: int
    limit: int
    tables: Collection[str]
    meeting_id: int | None
    seconds: float


class Told(NamedTuple):
    """Lines for a reader, and the number after which to go on."""

    lines: list[bytes]
    next_after: int


class FeedTail:
    """The newest changes as lines, read by one thread at a time while somebody waits."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._begin = self._end = 0
        self._kept: deque[tuple[FedChange, bytes]] = deque(maxlen=TAIL_CHANGES_MAX)

    def begin(self, after: int) -> None:
        """Nobody was waiting: keep what comes after this number."""
        self._begin = self._end = after
        self._kept.clear()

    def look(self) -> bool:
        """Read what is new; says whether anything is. Raises SQLAlchemyError."""
        try:
            part = read_feed(self._database, self._end)
        except FeedGone as gone:
            self.begin(gone.go_on_from)
            return True
        if part.next_after == self._end:
            return False
        gone_now = {(c.table, *c.key.values()) for c in part.changes if c.operation == Operation.DELETE}
        if gone_now:  # perhaps erased: nobody is shown the row of an earlier change any more
            self._kept = deque(
                (_without_row(entry) if (entry[0].table, *entry[0].key.values()) in gone_now else entry)
                for entry in self._kept
            )
        entries = [(change, change.as_line()) for change in part.changes]
        if len(self._kept) + len(entries) > TAIL_CHANGES_MAX:
            keep = max(0, TAIL_CHANGES_MAX - len(entries))
            while len(self._kept) > keep:
                self._begin = self._kept.popleft()[0].seq
        self._kept.extend(entries)
        self._end = part.next_after
        return True

    def since(self, wanted: Wanted) -> Told | None:
        """What somebody who waits is told; None when that is not kept here any more."""
        if not self._begin <= wanted.after <= self._end:
            return None
        lines: list[bytes] = []
        for change, line in self._kept:
            if change.seq > wanted.after and change.table in wanted.tables and change.is_of(wanted.meeting_id):
                lines.append(line)
                if len(lines) == wanted.limit:
                    return Told(lines, change.seq)
        return Told(lines, self._end)


def _without_row(entry: tuple[FedChange, bytes]) -> tuple[FedChange, bytes]:
    change = entry[0]._replace(row=None)
    return change, change.as_line()


class FeedWaiters:
    """The readers who wait, on the event loop of a web process."""

    def __init__(self, database: Database) -> None:
        self._tail = FeedTail(database)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feed")
        self._waiting: dict[asyncio.Future[Told | None], Wanted] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def is_full(self) -> bool:
        """Whether nobody else may wait."""
        return len(self._waiting) >= FEED_READERS_MAX

    async def wait(self, wanted: Wanted) -> Told:
        """What the reader is told, once there is something or their time is over."""
        loop = asyncio.get_running_loop()
        if self._task is None or self._task.done():
            self._tail.begin(wanted.after)
            self._task = loop.create_task(self._look_while_somebody_waits())
        answer: asyncio.Future[Told | None] = loop.create_future()
        self._waiting[answer] = wanted
        told: Told | None = None
        try:
            with suppress(TimeoutError):
                told = await asyncio.wait_for(answer, wanted.seconds)
        finally:
            del self._waiting[answer]
        return told or Told([], wanted.after)

    def close(self) -> None:
        """Look no more."""
        self._thread.shutdown(wait=False)

    async def _look_while_somebody_waits(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(max(LOOK_SECONDS, len(self._waiting) / FEED_ANSWERS_PER_SECOND_MAX))
            if not self._waiting:
                return
            try:
                await loop.run_in_executor(self._thread, self._tail.look)
            except (SQLAlchemyError, OSError) as error:
                log.warning("feed_not_read", error=type(error).__name__)
                continue
            for answer, wanted in list(self._waiting.items()):
                told = self._tail.since(wanted)
                if not answer.done() and (told is None or told.lines):
                    answer.set_result(told)
