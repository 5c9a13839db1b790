"""Behind a pooler that hands sessions round, settings are each transaction's own and the tables come out the same."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import DBAPIError

from schema.migrate import migrate
from schema.settings import ConfigurationError
from schema.store.database import Database
from schema.store.dialect import Statement, run
from tests.inbox_to_tables import keep_events, one, read_table, take
from tests.pooler import pgbouncer
from tests.stories import WEEK_MINUTES, Story
from workers.drain import Drain
from workers.rebuild import rebuild

w = Story()
DATES = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
COMPARED = ("instance", "participant", "registration", "occurrence")
SETTINGS = "SELECT current_setting('{}') AS value"


@pytest.fixture
def pooled_url(postgres_url: str) -> Iterator[str]:
    """A migrated database through PgBouncer."""
    with (
        tempfile.TemporaryDirectory(prefix="joinlog-pgbouncer-") as folder,
        pgbouncer(postgres_url, Path(folder)) as url,
    ):
        yield url


def setting(database: Database, name: str) -> str:
    return str(one(database, SETTINGS.format(name))["value"])


def test_each_transaction_has_the_settings_of_its_own_process(pooled_url: str) -> None:
    intake, worker = Database(pooled_url, statement_seconds=2.5), Database(pooled_url, durable=False)
    for _ in range(3):  # in turn, so that they get each other's sessions
        assert setting(worker, "synchronous_commit") == "off"
        assert setting(intake, "synchronous_commit") == "on"
        assert setting(worker, "idle_in_transaction_session_timeout") == "20s"
        assert setting(intake, "idle_in_transaction_session_timeout") == "1min"
        assert setting(worker, "statement_timeout") == "0"
        assert setting(intake, "statement_timeout") == "2500ms"
        assert setting(intake, "TimeZone") == setting(worker, "TimeZone") == "UTC"
    intake.close()
    worker.close()


def test_a_statement_that_takes_too_long_is_ended_there_too(pooled_url: str) -> None:
    hurried = Database(pooled_url, statement_seconds=0.2)
    with pytest.raises(Exception, match="statement timeout"), hurried.read() as connection:
        run(connection, "SELECT pg_sleep(30)")
    hurried.close()


def test_several_workers_behind_a_pooler_leave_the_tables_that_one_leaves_without(
    pooled_url: str, postgres_database: Database, sqlite_database: Database
) -> None:
    events = [
        w.created(0, DATES),
        *(w.registration(n, "created", f"r{n}", DATES, status="approved") for n in range(1, 20)),
        *(
            w.person(start + n, name, str(n), start, f"run-{start:.0f}==", registrant_id=f"r{n}")
            for start in DATES.values()
            for n in range(1, 20)
            for name in ("joined", "left")
        ),
    ]  # fmt: skip
    take(sqlite_database, *events)
    keep_events(postgres_database, events)

    def work() -> None:
        opened = Database(pooled_url, durable=False)
        drain = Drain(opened, batch_events=7)
        while drain.step().total:
            pass
        opened.close()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert one(postgres_database, "SELECT count(*) AS n FROM inbox_event WHERE state = 'done'") == {"n": len(events)}
    for table in COMPARED:
        ours, alone = (
            [{name: value for name, value in row.items() if name != "updated_at"} for row in read_table(each, table)]
            for each in (postgres_database, sqlite_database)
        )
        assert ours == alone
        assert ours


def test_migrating_goes_through_it(pooled_url: str) -> None:
    database = Database(pooled_url)
    before, after = migrate(database)
    assert before == after
    database.close()


def test_a_rebuild_needs_a_session_of_its_own_and_says_how_to_give_it_one(pooled_url: str) -> None:
    database = Database(pooled_url)
    with pytest.raises(ConfigurationError, match="Name the server itself"):
        rebuild(database, check_only=True)
    database.close()


def be_silent(silent: Database, other: Database) -> None:
    """Hold a meeting and say nothing until another one has it, which it gets once this one has lost it."""
    with silent.write() as connection:
        silent.dialect.run_all(connection, [*silent.dialect.hold_meetings([1], (), ()), Statement("SELECT 1")])
        with other.write() as waiting:
            other.dialect.run_all(waiting, other.dialect.hold_meetings([1], (), ()))
        run(connection, "SELECT 1")


def test_a_worker_that_is_silent_in_the_middle_of_a_batch_loses_its_transaction(
    pooled_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("schema.store.engines.SILENT_SECONDS_MAX", 0.2)
    silent, other = Database(pooled_url, durable=False), Database(pooled_url)
    with pytest.raises(DBAPIError):
        be_silent(silent, other)
    silent.close()
    other.close()
