"""The consumers and the recipes in docs/how-to, run as they stand there."""

from __future__ import annotations

import json
import random
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import HTTPServer
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from schema.store.database import Database
from schema.tables import FED
from tests.doors import ServedDoor
from tests.inbox_to_tables import drain, keep_events, read_table, select, take
from tests.page_client import TOKENS
from tests.push_receiver import PUSH_SECRET
from tests.stories import WEEK_MINUTES, Story
from webhook.tokens import Role, new_pass
from workers.erase import erase_person
from workers.push.posting import Notice, Poster

HOW_TO = Path(__file__).parents[2] / "docs" / "how-to"
w = Story()
WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}


def example(page: str, name: str) -> str:
    """A block of a page, by its name."""
    document = (HOW_TO / f"{page}.md").read_text()
    (found,) = re.findall(rf"<!-- example: {name} -->\n```\w+\n(.*?)```", document, re.DOTALL)
    return str(found)


def webinar() -> list[Any]:
    """Ann was there for 50 minutes, Bob for 10, Cid did not come, Dot had not registered."""
    events = [w.created(0, WEEKS), w.started(60)]
    for who in ("ann", "bob", "cid"):
        events.append(w.registration(1, "created", who, WEEKS, status="approved"))
    for number, (who, until) in enumerate((("ann", 110), ("bob", 70), ("", 100))):
        more = {"registrant_id": who} if who else {}
        events += [w.person(60, "joined", str(number), 60, **more), w.person(until, "left", str(number), 60, **more)]
    return [*events, w.ended(112, 60)]


# --- consumers --------------------------------------------------------------------------------------------------


@pytest.fixture
def mirror() -> Callable[..., int]:
    names: dict[str, Any] = {}
    exec(example("follow-the-feed", "mirror"), names)  # noqa: S102 - our own document
    made: Callable[..., int] = names["mirror"]
    return made


@pytest.fixture
def copy() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:", isolation_level=None)
    yield connection
    connection.close()


def mirrored(copy: sqlite3.Connection, database: Database) -> None:
    """The copy has the rows of the tables, and no other."""
    there = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in FED:
        columns = ", ".join(read_table(database, table)[0]) if read_table(database, table) else "*"
        held = copy.execute(f"SELECT {columns} FROM {table}").fetchall() if table in there else []
        assert sorted(map(repr, held)) == sorted(
            repr(tuple(row.values())) for row in select(database, f"SELECT * FROM {table}")
        ), table


def test_the_mirror_is_exact_whenever_it_is_killed(
    served: ServedDoor, mirror: Callable[..., int], copy: sqlite3.Connection
) -> None:
    token = TOKENS.sign_link(new_pass(Role.READER, timedelta(hours=1), datetime.now(UTC)))
    url = f"http://127.0.0.1:{served.port}"

    events = webinar()
    for event in events:
        take(served.database, event)
        if random.Random(event["event_ts"]).random() < 0.5:
            mirror(_Dying(copy), url, token, wait=0)
            copy.execute("ROLLBACK")
        mirror(copy, url, token, wait=0)
    mirrored(copy, served.database)
    erase_person(served.database, "ann@example.com")
    mirror(copy, url, token, wait=0)
    mirrored(copy, served.database)
    assert mirror(copy, url, token, wait=0) == 0


class _Dying:
    """A copy whose last statement, the commit, never comes."""

    def __init__(self, copy: sqlite3.Connection) -> None:
        self._copy = copy

    def execute(self, query: str, values: Any = ()) -> Any:
        return self._copy.execute("SELECT 1") if query == "COMMIT" else self._copy.execute(query, values)


def test_the_cron_job_in_plain_sql(postgres_database: Database, postgres_url: str) -> None:
    events = webinar()
    take(postgres_database, *events[:6])
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(example("follow-the-feed", "begin"))
        for event in events[6:]:
            keep_events(postgres_database, [event])
            drain(postgres_database)
            connection.execute(example("follow-the-feed", "cron"))
            rows = "SELECT * FROM {}participant ORDER BY account_id, uuid, connection_id, first_seen_at"
            assert connection.execute(rows.format("copy.")).fetchall() == connection.execute(rows.format("")).fetchall()
        (places,) = connection.execute("SELECT count(*) FROM copy.participant").fetchall()
        assert places[0] == 3


# --- recipes ----------------------------------------------------------------------------------------------------


def test_who_gets_a_certificate_and_why_not(database: Database) -> None:
    take(database, *webinar())
    rows = select(database, example("certificates", "certificates"))
    assert [(row["email"], row["outcome"]) for row in rows] == [
        ("ann@example.com", "certificate"),
        ("bob@example.com", "was there for 600 s of 2700 s"),
        ("cid@example.com", "did not come"),
    ]


def test_what_a_warehouse_loads(database: Database) -> None:
    take(database, *webinar())
    rows = select(database, example("certificates", "warehouse"))
    assert sorted(row["standing"] for row in rows) == ["attended", "attended", "no_show", "unidentified"]


def test_what_a_dashboard_charts(database: Database) -> None:
    take(database, *webinar())
    (row,) = select(database, example("certificates", "chart"))
    assert (row["registrants"], row["attended"], row["no_shows"]) == (3, 2, 1)


def test_a_dashboard_may_read_and_nothing_else(postgres_database: Database) -> None:
    take(postgres_database, *webinar())
    with postgres_database.write() as connection:
        connection.execute(text(example("certificates", "reader")))
        connection.execute(text("SET LOCAL ROLE dashboard"))
        assert connection.execute(text("SELECT count(*) FROM occurrence_report")).scalar_one() == 2
        may = connection.execute(text("SELECT has_table_privilege('inbox_event', 'SELECT')")).scalar_one()
        assert not may
        connection.execute(text("RESET ROLE"))
        connection.execute(text("DROP OWNED BY dashboard"))
        connection.execute(text("DROP ROLE dashboard"))


def test_the_receiver_tells_the_crm_once(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    take(database, *webinar())
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"SECRET": PUSH_SECRET}
    exec(example("receive-pushes", "receiver"), names)  # noqa: S102 - our own document
    told: list[Any] = []
    names["tell_crm"] = told.append
    names["Receiver"].log_message = lambda *_: None
    server = HTTPServer(("127.0.0.1", 0), names["Receiver"])
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    poster = Poster(f"http://127.0.0.1:{server.server_address[1]}/", [PUSH_SECRET])
    forger = Poster(
        f"http://127.0.0.1:{server.server_address[1]}/", ["whsec_" + "Zm9yZ2VkLXNlY3JldC1vZi10aGUtdGVzdHM="]
    )
    try:
        report = Notice(
            "msg_1", "occurrence.report", 1, json.dumps({"type": "occurrence.report", "data": {"attended": 2}})
        )
        assert [poster.post(report).status for _ in range(2)] == [204, 204]
        assert forger.post(report).status == 401
    finally:
        poster.close()
        forger.close()
        server.shutdown()
        thread.join()
        server.server_close()
        names["seen"].close()
    assert told == [{"attended": 2}]
