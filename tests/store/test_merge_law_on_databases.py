"""The law on real databases: fewer orders than in memory, through the inbox, the drain and the store."""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection

from schema.store.database import Database
from schema.tables import DERIVED, TABLES
from tests.core.law import WORLDS, Tables, assert_law, batches, difference, later, shuffled, some_orders, world_of
from tests.core.law_stories import PEOPLE_STORIES, STORIES
from tests.inbox_to_tables import keep_events
from tests.stories import Json
from workers.drain import Drain

ORDERS = 12
PEOPLE_ORDERS = 3


class DatabaseStage:
    """One migrated database on which the same events are played again and again."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def play(self, events: Sequence[Json], luck: random.Random | None = None) -> Tables:
        """The tables after these events arrived in this order; `luck` cuts batches, doubles and replays events."""
        self.clear()
        for batch in batches(events, luck):
            keep_events(self._database, batch)
            Drain(self._database, now=later).step()
        if luck is not None and luck.random() < 0.5:
            self._replay(luck)
        return self.tables()

    def _replay(self, luck: random.Random) -> None:
        """Apply some events again, in one batch or several."""
        with self._database.write() as connection:
            every = luck.choice((1, 2, 3))
            connection.exec_driver_sql(
                f"UPDATE inbox_event SET state = 'pending' WHERE id - (id / {every}) * {every} = 0"
            )
        drain = Drain(self._database, now=later, batch_events=luck.choice((1, 3, 1000)))
        while drain.step().total:
            pass

    def clear(self) -> None:
        """Empty every table."""
        with self._database.write() as connection:
            cursor = _cursor(connection)
            for table in ("inbox_event", "link_history", *DERIVED):
                cursor.execute(f"DELETE FROM {table}")

    def tables(self) -> Tables:
        """Every derived table, without what tells when Joinlog worked rather than what Zoom stated."""
        with self._database.read() as connection:
            cursor = _cursor(connection)
            cursor.execute("SELECT state, error FROM inbox_event WHERE state NOT IN ('done', 'ignored')")
            assert cursor.fetchall() == []
            found: dict[str, list[tuple[Any, ...]]] = {}
            for table, query in _queries().items():
                cursor.execute(query)
                found[table] = sorted(cursor.fetchall(), key=repr)
        return found


def _cursor(connection: Connection) -> Any:
    """The driver's own cursor: the same few statements run ten thousand times."""
    raw = connection.connection.driver_connection
    assert raw is not None
    return raw.cursor()


@cache
def _queries() -> dict[str, str]:
    queries = {}
    for table in DERIVED:
        masked = {"updated_at", "seq"} if table == "join_log" else {"updated_at"}
        columns = ", ".join(column.name for column in TABLES[table].columns if column.name not in masked)
        # when a link was decided is what the link history says, and it follows arrival
        where = " WHERE kind <> 'link'" if table == "join_log" else ""
        queries[table] = f"SELECT {columns} FROM {table}{where}"
    queries["link_history"] = (
        "SELECT account_id, uuid, to_occurrence_id, state FROM link_history h WHERE decided_at = ("
        "SELECT max(decided_at) FROM link_history l WHERE l.account_id = h.account_id AND l.uuid = h.uuid)"
    )
    return queries


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """A line per batch is right in a worker and costs a third of the time here."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))


@pytest.fixture
def stage(sqlite_url: str) -> Iterator[DatabaseStage]:
    """A SQLite database to play on."""
    database = Database(sqlite_url, durable=False)
    yield DatabaseStage(database)
    database.close()


@pytest.fixture
def postgres_stage(postgres_url: str) -> Iterator[DatabaseStage]:
    """A Postgres database to play on."""
    database = Database(postgres_url, durable=False)
    yield DatabaseStage(database)
    database.close()


@pytest.mark.parametrize("name", [*STORIES, *PEOPLE_STORIES])
def test_some_orders_of_each_short_story_leave_the_same_tables(name: str, stage: DatabaseStage) -> None:
    events = (STORIES | PEOPLE_STORIES)[name]
    assert_law(stage, events, some_orders(events, ORDERS if name in STORIES else PEOPLE_ORDERS))


def test_on_postgres_some_orders_of_each_short_story_leave_the_same_tables(postgres_stage: DatabaseStage) -> None:
    for events in STORIES.values():
        assert_law(postgres_stage, events, some_orders(events, 3))
    for events in PEOPLE_STORIES.values():
        assert_law(postgres_stage, events, some_orders(events, 1))


@settings(max_examples=15, phases=[Phase.explicit, Phase.generate])  # `assert_law` shrinks, and better
@given(
    mix=st.sampled_from(WORLDS),
    seed=st.integers(1, 12),
    reach=st.sampled_from([None, None, 3, 20]),
    luck=st.integers(0, 2**32),
)
def test_any_order_of_a_world_leaves_the_same_tables(
    long_stage: DatabaseStage, mix: str, seed: int, reach: int | None, luck: int
) -> None:
    events = world_of(mix, seed)
    drawn = random.Random(luck)
    assert_law(long_stage, events, iter([(shuffled(events, drawn, reach), drawn)]))


@pytest.fixture(scope="module")
def long_stage(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[DatabaseStage]:
    """One SQLite database for every world Hypothesis draws."""
    path = tmp_path_factory.mktemp("law") / "law.db"
    shutil.copyfile(sqlite_template, path)
    database = Database(f"sqlite:///{path}", durable=False)
    yield DatabaseStage(database)
    database.close()


def test_on_postgres_any_order_of_some_worlds_leaves_the_same_tables(postgres_stage: DatabaseStage) -> None:
    for number, mix in enumerate(WORLDS[:4]):
        luck = random.Random(number)
        events = world_of(mix, number)
        assert_law(postgres_stage, events, iter([(shuffled(events, luck, None), luck)]))


def test_several_workers_at_once_leave_the_tables_one_worker_leaves(postgres_url: str) -> None:
    database = Database(postgres_url, durable=False)
    try:
        stage = DatabaseStage(database)
        events = world_of("chaotic", 3) + world_of("connections", 4)
        expected = stage.play(events)
        stage.clear()
        keep_events(database, shuffled(events, random.Random(1), None))
        race(database, workers=3, batch_events=7)
        found = stage.tables()
        del (
            expected["link_history"],
            found["link_history"],
        )  # test_drain.py holds the link history to the decision that stands
        assert difference(expected, found) == ""
    finally:
        database.close()


def race(database: Database, *, workers: int, batch_events: int) -> None:
    """Several workers empty one inbox, each from a thread of its own, all starting at the same moment."""
    gate = threading.Barrier(workers)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            gate.wait()
            drain = Drain(database, now=later, batch_events=batch_events)
            drain.drain_all()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(workers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
