"""The newest lines of the log, read once for all open pages.

The web process keeps the last lines in memory. However many viewers and filters there are, new lines are read at most
every LOOK_SECONDS, and only when something was committed since. Each line is numbered as it arrives, and a page asks
for what came after the last number it has: nothing is shown twice or left out, even when an old event is replayed.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from schema.store.commit_marker import CommitMarker
from schema.store.database import Database
from schema.store.join_log import Line, count_by_batch, read_batches
from webhook.pages.parameters import read_number

LOOK_SECONDS = 0.2
TAIL_LINES_MAX = 5000
BATCH_SECONDS_MAX = 30  # between the time a batch carries and its commit, with several workers on Postgres
BATCH_SECONDS_MAX_ALONE = 5  # SQLite has one writer, and a batch takes its time while it is the writer


class Changes:
    """Whether anything was committed, read at most every LOOK_SECONDS. Safe to call from many threads."""

    def __init__(self, marker: CommitMarker, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._marker = marker
        self._now_seconds = now_seconds
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._last = ""

    def marker(self) -> str:
        """A text that differs once something was committed; at most LOOK_SECONDS old."""
        if self._now_seconds() - self._looked_at > LOOK_SECONDS:
            with self._lock:
                if self._now_seconds() - self._looked_at > LOOK_SECONDS:
                    self._last = self._marker.read()
                    self._looked_at = self._now_seconds()
        return self._last


class Entry(NamedTuple):
    """A line, and its number in order of arrival."""

    place: int
    line: Line


class News(NamedTuple):
    """What came after a cursor, newest first. `is_whole` is False when memory does not reach back so far."""

    cursor: str
    entries: list[Entry]
    is_whole: bool


class LogTail:
    """The last TAIL_LINES_MAX lines in order of arrival. Safe to call from many threads.

    Places are moments, and no numbers in a row: whoever may see one meeting must not learn how many lines others had.
    """

    def __init__(self, database: Database, changes: Changes, lines_max: int = TAIL_LINES_MAX) -> None:
        self._database = database
        self._changes = changes
        self._lines_max = lines_max
        self._reach = timedelta(
            seconds=BATCH_SECONDS_MAX_ALONE if database.dialect.has_one_writer else BATCH_SECONDS_MAX
        )
        self._lock = threading.Lock()
        self._marker: str | None = None
        self._seen: dict[datetime, int] = {}
        self._place = 0
        self._forget("")

    def cursor(self) -> str:
        """The cursor after the newest line: `since` returns what arrives later."""
        self._look()
        return f"{self._epoch}.{self._place}"

    def since(self, cursor: str) -> News:
        """What came after a cursor."""
        self._look()
        with self._lock:
            epoch, _, number = cursor.partition(".")
            place = read_number(number)
            now = f"{self._epoch}.{self._place}"
            if epoch != self._epoch or place is None or not self._begin <= place <= self._place:
                return News(now, [], is_whole=False)
            newer = list[Entry]()
            for entry in reversed(self._entries):
                if entry.place <= place:
                    break
                newer.append(entry)
            return News(now, newer, is_whole=True)

    def _look(self) -> None:
        """Read what was committed since the last look."""
        marker = self._changes.marker()
        if marker == self._marker:
            return
        with self._lock:
            if marker == self._marker:
                return
            with self._database.read() as connection:
                counted = count_by_batch(connection, max(self._seen) - self._reach if self._seen else None)
                grown = [at for at, count in counted.items() if count != self._seen.get(at)]
                new = sum(counted[at] for at in grown)
                if self._marker is None or new > self._lines_max:
                    counted = count_by_batch(connection, max(counted) - self._reach) if counted else {}
                    self._forget(secrets.token_hex(4))
                elif grown:
                    self._append(read_batches(connection, grown, new))
            self._seen = {at: count for at, count in counted.items() if at >= max(counted) - self._reach}
            self._marker = marker

    def _append(self, lines: list[Line]) -> None:
        """Append these, without those known already: two workers may commit batches of the same microsecond."""
        in_part = self._seen.keys() & {line.updated_at for line in lines}
        known = {(e.line.account_id, e.line.line_id) for e in self._entries if e.line.updated_at in in_part}
        for line in reversed(lines):
            if (line.account_id, line.line_id) not in known:
                if len(self._entries) == self._lines_max:
                    self._begin = self._entries[0].place
                self._place = max(self._place + 1, _now_microseconds())
                self._entries.append(Entry(self._place, line))

    def _forget(self, epoch: str) -> None:
        self._epoch = epoch
        self._place = _now_microseconds()
        self._begin = self._place  # the tail holds everything after this place
        self._entries: deque[Entry] = deque(maxlen=self._lines_max)


def _now_microseconds() -> int:
    return time.time_ns() // 1000
