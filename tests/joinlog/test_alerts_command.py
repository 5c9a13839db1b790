"""`joinlog alerts`: what holds, who was told, and whether a message arrives."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from schema.store.database import Database
from tests.inbox_to_tables import take
from tests.receiver import receiving
from tests.workers.notify.test_alerts import POISON
from workers.notify.conditions import CONDITIONS


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch, database_url: str, redis_url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("REDIS_URL", redis_url)
    monkeypatch.delenv("ALERT_URLS", raising=False)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["alerts", *arguments])


def test_every_condition_is_listed_and_what_holds_ends_with_1(database: Database) -> None:
    well = run("--json")
    assert well.exit_code == 0, well.output
    assert [row["condition"] for row in json.loads(well.output)] == [condition.name for condition in CONDITIONS]
    assert take(database, POISON).dead == 1
    ended = run()
    assert ended.exit_code == 1
    assert "fail  dead_letters" in ended.output
    assert "-> `joinlog inbox list --state dead`" in ended.output
    assert "ALERT_URLS is not set" in ended.output
    holding = [row["condition"] for row in json.loads(run("--json").output) if row["holds"]]
    assert holding == ["dead_letters"]


def test_a_test_arrives_or_says_that_it_did_not(monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("--test").exit_code == 2
    with receiving() as receiver:
        monkeypatch.setenv("ALERT_URLS", f"json://127.0.0.1:1/hunter2, {receiver.url}")
        ended = run("--test")
        assert (ended.exit_code, receiver.titles) == (0, ["Joinlog: a test"])
        receiver.status = 500
        ended = run("--test")
        assert (ended.exit_code, receiver.titles) == (1, ["Joinlog: a test"])
        assert "none of 2 addresses took it" in ended.output
        assert "hunter2" not in ended.output
