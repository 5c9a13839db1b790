"""A story of deliveries, drains and a rebuild, in a process that ends at its n-th point.

A point is the moment before and after each send of statements to the database, each commit, and each answer to Zoom.
For every number on standard input a child is forked that plays the story and ends itself at that point, without a word
to anybody, as kill -9 does. The line that comes back says which deliveries were answered, and whether the story ended.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Connection

from schema.own_events import link_event
from schema.store.database import Database
from schema.store.dialect import Statement
from tests.inbox_to_tables import keep_events
from tests.stories import ACCOUNT, Json, Story, at
from workers.drain import Drain
from workers.rebuild import rebuild

BATCH_EVENTS = 3
CRASHED, ENDED = 70, 0
w = Story()


def deliveries() -> list[list[Json | bytes]]:
    """What Zoom sends, in groups that intake commits together; with a repeat, a poisonous and an ignored event."""
    dates = {"1001": 60.0, "1002": 60.0 + 7 * 24 * 60}
    joined = w.person(61, "joined", "1", 60, registrant_id="ann")
    return [
        [w.created(0, dates), w.registration(1, "created", "ann", dates, status="approved"), w.started(60), joined],
        [joined, w.event("participant_joined", 62, {"id": 1, "uuid": "u"}), w.event("participant_jbh_waiting", 62, {})],
        [
            w.person(63, "joined", "2", 60), w.person(70, "left", "1", 60), w.ended(120, 60),
            link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", by="ops", because="x", now=at(200)),
        ],
    ]  # fmt: skip


class Points:
    """Counts the points that are passed, and ends the process at one of them."""

    def __init__(self, last: int) -> None:
        self._last = last
        self._passed = 0

    def passed(self) -> None:
        """One more."""
        self._passed += 1
        if self._passed == self._last:
            os._exit(CRASHED)


def watch(database: Database, points: Points) -> None:
    """Have a database pass a point around each of its sends and commits, at the seams that are there for it."""
    kind = type(database.dialect)
    send = kind.run_all

    def run_all(self: Any, connection: Connection, statements: Sequence[Statement]) -> Any:
        points.passed()
        found = send(self, connection, statements)
        points.passed()
        return found

    kind.run_all = run_all  # type: ignore[method-assign]
    for name in ("write", "write_one"):
        setattr(database, name, _watched(getattr(database, name), points))


def _watched(original: Callable[[], Any], points: Points) -> Callable[[], Any]:
    @contextmanager
    def watched() -> Iterator[Connection]:
        with original() as connection:
            yield connection
            points.passed()  # everything is written, nothing is committed
        points.passed()  # it is committed, and nobody knows

    return watched


def play(url: str, last_point: int, answered: Callable[[int], object]) -> None:
    """The story up to a point; `answered` is told each group of deliveries that was answered 2xx."""
    database, points = Database(url), Points(last_point)
    watch(database, points)
    drain = Drain(database, batch_events=BATCH_EVENTS)
    for number, group in enumerate(deliveries()):
        keep_events(database, group)
        answered(number)
        points.passed()
        if number:  # the first group waits, so that a batch has two
            drain.drain_all()
    rebuild(database)
    drain.drain_all()


def serve(url: str) -> None:
    """Play for every number that is asked for."""
    database = Database(url)
    with database.read():
        pass  # what the first connection imports is here before the forks, and not made in each of them
    database.close()
    for line in sys.stdin:
        code, answered = play_in_a_child(url, int(line))
        print("point", code, answered or "-", flush=True)


def play_in_a_child(url: str, last_point: int) -> tuple[int, str]:
    """How a child ended that played up to this point, and the groups it had answered."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # what is drained is logged there, and the parent writes there
        play(url, last_point, lambda number: os.write(writing, str(number).encode()))
        os._exit(ENDED)
    os.close(writing)
    with open(reading, "rb") as told:
        answered = told.read().decode()
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), answered


if __name__ == "__main__":
    serve(sys.argv[1])
