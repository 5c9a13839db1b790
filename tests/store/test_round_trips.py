"""How often a batch waits for Postgres: counted in the messages that libpq writes, not in what our code believes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
from sqlalchemy import Engine, event

from schema.store.database import Database
from tests.inbox_to_tables import keep_events, one, take
from tests.stories import WEEK_MINUTES, Json, Story
from workers.drain import Drain

ROUND_TRIPS_MAX = 8
ENDS_A_ROUND_TRIP = ("Sync", "Query")  # libpq sends what it has, and waits for the answer
FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
w = Story()


@contextmanager
def counted(folder: Path) -> Iterator[list[int]]:
    """Counts round trips of every connection that is opened here; the count is there when the block ends."""
    files: list[IO[bytes]] = []

    def trace(connection: Any, _record: object) -> None:
        files.append((folder / f"trace-{len(files)}").open("w+b"))
        connection.pgconn.trace(files[-1].fileno())

    found: list[int] = []
    event.listen(Engine, "connect", trace)
    try:
        yield found
    finally:
        event.remove(Engine, "connect", trace)
        for file in files:
            file.seek(0)
            written = [line.decode().split("\t") for line in file]
            sent = [parts[3].split()[0] for parts in written if len(parts) > 3 and parts[1] == "F"]
            found.append(sum(1 for message in sent if message in ENDS_A_ROUND_TRIP))
            file.close()


def crowd(name: str, people: int) -> list[Json]:
    """Joins or leaves of so many people, every second of them a registrant."""
    return [
        w.person(SECOND + n / 60, name, str(n), SECOND, "run-2==", **({"registrant_id": f"r{n}"} if n % 2 else {}))
        for n in range(people)
    ]


@pytest.mark.parametrize("name", ["joined", "left"])
def test_a_batch_of_joins_or_leaves_waits_eight_times_at_most(name: str, postgres_url: str, tmp_path: Path) -> None:
    database = Database(postgres_url)
    dates = {"1001": FIRST, "1002": SECOND}
    signed_up = [w.registration(n, "created", f"r{n}", {"1002": SECOND}, status="approved") for n in range(1, 40, 2)]
    take(database, w.created(0, dates), *signed_up, w.started(SECOND, "run-2=="))
    if name == "left":
        take(database, *crowd("joined", 40))
    keep_events(database, crowd(name, 40))
    database.close()
    with counted(tmp_path) as round_trips:
        opened = Database(postgres_url, durable=False)
        assert one(opened, "SELECT 1 AS n") == {"n": 1}  # what opening a connection takes is not the batch's
        opened.close()
        drained = Database(postgres_url, durable=False)
        assert Drain(drained).step().done == 40
        drained.close()
    opening, whole = round_trips
    assert 0 < whole - opening <= ROUND_TRIPS_MAX
