"""`joinlog inbox` and `joinlog replay`, on both databases."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from joinlog import inbox
from joinlog.command import main
from schema.states import EventState
from schema.store.database import Database
from schema.store.inbox_pages import Choice, set_pending_again
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import drain, keep_events, select
from tests.signed_requests import read_payload_file
from workers.queue import connect, open_queue


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    monkeypatch.delenv("REDIS_URL", raising=False)


def run(*arguments: str) -> Result:
    ended = CliRunner().invoke(main, arguments)
    assert ended.exit_code == 0, ended.output
    return ended


def listed(*arguments: str) -> list[str]:
    return [json.loads(line)["event_type"] for line in run("inbox", "list", "--json", *arguments).output.splitlines()]


def states(database: Database) -> dict[str | None, str]:
    return {row["event_type"]: row["state"] for row in select(database, "SELECT event_type, state FROM inbox_event")}


def fill(database: Database) -> None:
    """One event of each settled state, and one that no retry can help."""
    broken = read_payload_file("webinar.ended")
    broken["payload"]["object"].pop("uuid")
    keep_events(
        database,
        [
            read_payload_file("webinar.started"), read_payload_file("meeting.started"), broken, b"no json",
            {"event": "meeting.alert", "event_ts": 1, "payload": {"account_id": "A", "object": {"id": 7}}},
            {"event": "webinar.invented", "event_ts": 1, "payload": {"account_id": "A"}},
        ],
    )  # fmt: skip
    drain(database)


def test_events_are_listed_newest_first_by_state_type_and_meeting(database: Database) -> None:
    fill(database)
    assert listed() == [
        "webinar.invented",
        "meeting.alert",
        None,
        "webinar.ended",
        "meeting.started",
        "webinar.started",
    ]
    assert listed("--limit", "1") == ["webinar.invented"]
    assert listed("--state", "dead") == [None, "webinar.ended"]
    assert listed("--state", "unhandled", "--state", "ignored") == ["webinar.invented", "meeting.alert"]
    assert listed("--type", "webinar.started") == ["webinar.started"]
    assert listed("--meeting", "7") == ["meeting.alert"]
    assert run("inbox", "list").output.splitlines()[0].split("\t") == list(inbox.SHOWN)


def test_one_event_is_shown_with_its_body(database: Database) -> None:
    fill(database)
    (row,) = select(database, "SELECT id FROM inbox_event WHERE event_type = 'webinar.started'")
    shown = run("inbox", "show", str(row["id"])).output
    assert '"uuid"' in shown
    assert "webinar.started" in shown
    assert CliRunner().invoke(main, ["inbox", "show", "1"]).exit_code == 1


def test_replay_sets_just_the_chosen_events_pending(database: Database) -> None:
    fill(database)
    assert "1 event set pending" in run("replay").output
    assert states(database)["webinar.ended"] == "pending"
    assert states(database)[None] == "dead"  # it was no event, and will not be one
    drain(database)
    assert (
        "1 event set" in run("replay", "--state", "unhandled", "--state", "done", "--type", "webinar.invented").output
    )
    assert states(database)["webinar.invented"] == "pending"
    assert states(database)["webinar.started"] == "done"
    (row,) = select(database, "SELECT id FROM inbox_event WHERE event_type = 'meeting.alert'")
    assert "1 event set" in run("replay", "--id", str(row["id"])).output
    assert drain(database).total == 2


def test_what_was_replayed_leaves_the_tables_as_they_were(database: Database) -> None:
    fill(database)
    before = select(database, "SELECT uuid, started_at, link_state FROM instance ORDER BY uuid")
    assert "2 events set" in run("replay", "--state", "done").output
    assert drain(database).done == 2
    assert select(database, "SELECT uuid, started_at, link_state FROM instance ORDER BY uuid") == before


def test_an_event_without_a_body_stays_what_it_is(database: Database) -> None:
    fill(database)
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET body = NULL")
    assert "0 events set" in run("replay", "--state", "done").output


def test_many_events_are_replayed_in_batches_each_once(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    keep_events(
        database,
        [{"event": "webinar.new", "event_ts": at, "payload": {"account_id": "A"}} for at in range(25)],
    )
    drain(database)
    monkeypatch.setattr(inbox, "REPLAY_BATCH_EVENTS", 10)
    console = Console(file=StringIO(), force_terminal=True)
    assert inbox.set_all_pending(database, Choice([EventState.UNHANDLED]), console) == 25
    assert drain(database).unhandled == 25


def test_an_event_that_fails_again_at_once_is_not_replayed_for_ever(database: Database) -> None:
    keep_events(
        database,
        [{"event": "webinar.new", "event_ts": at, "payload": {"account_id": "A"}} for at in range(9)],
    )
    drain(database)
    counts, last_id = [], 0
    for _ in range(4):
        with database.write() as connection:
            choice = Choice([EventState.UNHANDLED])
            count, last_id = set_pending_again(connection, choice, last_id, 3, datetime.now(UTC))
        counts.append(count)
        drain(database)  # a worker is faster than the replay
    assert counts == [3, 3, 3, 0]


def test_replay_rings_for_the_worker(database: Database, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(database)
    assert "within 60 s" in run("replay").output
    drain(database)
    monkeypatch.setenv("REDIS_URL", redis_url)
    assert "applies them now" in run("replay").output
    queue = open_queue(connect(redis_url), [SIGNING_KEY.encode()])
    assert queue.count == 1
    queue.connection.close()
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1")
    drain(database)
    assert "Redis does not answer" in run("replay").output
