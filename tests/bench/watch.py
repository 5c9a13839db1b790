"""Looking at the tables as a reader would, often enough to say within milliseconds when something became visible."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.bench.events import FIRST_USER_ID

LOOK_SECONDS = 0.001
SAMPLE_SECONDS = 0.05

Ask = Callable[[str, tuple[Any, ...]], list[tuple[Any, ...]]]


@contextmanager
def asking(url: str) -> Iterator[Ask]:
    """A function that asks a database, over a plain connection of its own; `?` marks a parameter."""
    if url.startswith("sqlite"):
        lite = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False)
        try:
            yield lambda query, values: lite.execute(query, values).fetchall()
        finally:
            lite.close()
        return
    with psycopg.connect(url, autocommit=True) as pg:
        yield lambda query, values: pg.execute(query.replace("?", "%s"), values).fetchall()


class Watch:
    """A thread that looks until told to stop."""

    def __init__(self, url: str, every_seconds: float) -> None:
        self._url = url
        self._every_seconds = every_seconds
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Any:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        with asking(self._url) as ask:
            while not self._stopping.is_set():
                self.look(ask)
                time.sleep(self._every_seconds)

    def look(self, ask: Ask) -> None:
        """One look."""
        raise NotImplementedError


class Rows(Watch):
    """When the row of each person, and the link of each instance, was first to be seen (monotonic seconds)."""

    def __init__(self, url: str) -> None:
        super().__init__(url, LOOK_SECONDS)
        self.people: dict[int, float] = {}
        self.links: dict[str, float] = {}
        self._is_sqlite = url.startswith("sqlite")
        self._version = -1
        self._since: dict[str, Any] = {}

    def look(self, ask: Ask) -> None:
        """Ask for what changed since the last look; on SQLite only when something did."""
        if self._is_sqlite:
            version = ask("PRAGMA data_version", ())[0][0]
            if version == self._version:
                return
            self._version = version
        for id_ in self._changed(ask, "connection_id", "participant", "joined_at IS NOT NULL"):
            self.people.setdefault((int(id_) - FIRST_USER_ID) // 1024, time.monotonic())
        for uuid in self._changed(ask, "uuid", "instance", "link_state IS NOT NULL"):
            self.links.setdefault(str(uuid), time.monotonic())

    def _changed(self, ask: Ask, name: str, table: str, condition: str) -> list[Any]:
        since = self._since.setdefault(table, "2020-01-01T00:00:00.000000Z")
        query = f"SELECT {name}, updated_at FROM {table} WHERE updated_at >= ? AND {condition}"
        found = ask(query, (since,))
        if found:
            self._since[table] = max(row[1] for row in found)
        return [row[0] for row in found]


class Lag(Watch):
    """The greatest age of an event that was not in the tables yet, seconds."""

    def __init__(self, url: str) -> None:
        super().__init__(url, SAMPLE_SECONDS)
        self.longest_seconds = 0.0

    def look(self, ask: Ask) -> None:
        """The oldest pending event, through its partial index."""
        oldest = ask("SELECT id FROM inbox_event WHERE state = 'pending' ORDER BY id LIMIT 1", ())
        if oldest:
            self.longest_seconds = max(self.longest_seconds, time.time() - oldest[0][0] / 1_000_000)


def wait_until_empty(url: str, seconds_max: float) -> float:
    """Wait until nothing is pending; returns how long that took."""
    begun = time.monotonic()
    with asking(url) as ask:
        while ask("SELECT 1 FROM inbox_event WHERE state = 'pending' LIMIT 1", ()):
            if time.monotonic() - begun > seconds_max:
                raise RuntimeError(f"the inbox was not empty after {seconds_max} s")
            time.sleep(0.005)
    return time.monotonic() - begun
