"""While an upgrade is rolled out, processes that know earlier tables go on working on the later ones."""

from __future__ import annotations

from pathlib import Path

from schema.store.database import Database
from tests.inbox_to_tables import one
from tests.later_version import LATER_TABLES
from tests.processes import running
from tests.signed_requests import SECRET
from tests.stories import Story
from tests.waiting import wait_until

w = Story()


def in_the_tables(database: Database) -> int:
    return int(one(database, "SELECT count(*) AS n FROM participant")["n"])


def test_a_web_process_and_a_worker_go_on_through_a_migration_and_start_anew_after_it(
    tmp_path: Path, database: Database, database_url: str, redis_url: str
) -> None:
    given = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
    with running(tmp_path, "web", **given) as web, running(tmp_path, "worker", **given) as worker:
        wait_until(web.is_ready, "web is ready")
        assert web.post(w.person(60, "joined", "1", 60, "run==")) == 204
        wait_until(lambda: in_the_tables(database) == 1, "the first one is in the tables")
        with database.write() as connection:
            for statement in LATER_TABLES:
                connection.exec_driver_sql(statement)
        assert web.is_ready()
        assert web.post(w.person(61, "joined", "2", 60, "run==")) == 204
        wait_until(lambda: in_the_tables(database) == 2, "the worker goes on")
        assert worker.stop() == 0
        with running(tmp_path, "worker", **given):
            assert web.post(w.person(62, "joined", "3", 60, "run==")) == 204
            wait_until(lambda: in_the_tables(database) == 3, "a worker that starts now works, too")
