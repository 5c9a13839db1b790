"""A process that ends at its n-th point, for every n there is: random kills never cover what this does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from schema.store.database import Database
from schema.tables import DERIVED, TABLES
from schema.zoom.envelope import read_envelope
from tests.faults.crashing_story import BATCH_EVENTS, CRASHED, ENDED, deliveries
from tests.inbox_to_tables import drain, keep_events, read_table, select
from tests.processes import ROOT
from tests.signed_requests import encode
from tests.waiting import wait_until
from workers.rebuild import rebuild

POINTS_MAX = 500  # a story that does not end by then is not the one that was meant
NOT_COMPARED = {"updated_at", "seq", "decided_at", "first_seq"}


@contextmanager
def crashing_process(url: str) -> Iterator[subprocess.Popen[str]]:
    """The process that plays the story as often as it is told to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.crashing_story", url],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    try:
        yield process
    finally:
        process.communicate()


def play(process: subprocess.Popen[str], point: int) -> tuple[int, set[int]]:
    """Play up to a point; returns how the process ended and which groups it had answered."""
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{point}\n")
    process.stdin.flush()
    _, code, answered = process.stdout.readline().split()
    return int(code), {int(number) for number in answered if number != "-"}


def empty(database: Database) -> None:
    """Every table as it was at the beginning."""
    with database.write() as connection:
        for table in TABLES:
            connection.exec_driver_sql(f"DELETE FROM {table}")


def tables(database: Database) -> dict[str, Any]:
    """The derived tables without what says when or in which order something came."""
    return {
        table: sorted(
            repr([value for name, value in row.items() if name not in NOT_COMPARED])
            for row in read_table(database, table)
            if row.get("kind") != "link"
        )
        for table in DERIVED
    }


def inbox(database: Database) -> list[tuple[Any, ...]]:
    query = "SELECT event_type, state, idempotency_key, error FROM inbox_event ORDER BY event_type, idempotency_key"
    return [tuple(row.values()) for row in select(database, query)]


def finish(database: Database, answered: set[int]) -> None:
    """What Zoom and a fresh worker do afterwards: what was not answered comes again, and is drained."""
    kept = {row["idempotency_key"] for row in select(database, "SELECT idempotency_key FROM inbox_event")}
    for number, group in enumerate(deliveries()):
        if number in answered:
            assert {read_envelope(encode(event)).idempotency_key for event in group} <= kept
        else:
            keep_events(database, group)

    def is_settled() -> bool:
        """On Postgres a killed process holds its rows until the server notices; they are passed over until then."""
        drain(database, batch_events=BATCH_EVENTS)
        return not select(database, "SELECT id FROM inbox_event WHERE state = 'pending'")

    wait_until(is_settled, "a fresh worker to settle everything")


def test_whatever_point_a_process_ends_at_everything_answered_is_applied_once(
    database: Database, database_url: str
) -> None:
    for group in deliveries():
        keep_events(database, group)
    drain(database)
    undisturbed, expected = tables(database), inbox(database)
    points = 0
    with crashing_process(database_url) as process:
        for points in range(1, POINTS_MAX):
            empty(database)
            code, answered = play(process, points)
            assert code in (CRASHED, ENDED)
            finish(database, answered)
            assert inbox(database) == expected, f"at point {points}"
            assert tables(database) == undisturbed, f"at point {points}"
            if code == ENDED:
                break
    assert code == ENDED
    assert points > 50
    # which holds for every point: the inbox and the tables were the same at each
    assert rebuild(database, check_only=True).examples == []
