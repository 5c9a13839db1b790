"""`joinlog tail --changes`: the change feed in a pipe."""

from __future__ import annotations

import json
from typing import Any

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from schema.store.database import Database
from tests.inbox_to_tables import take
from tests.stories import Story

w = Story()


@pytest.fixture
def fed(sqlite_url: str) -> str:
    database = Database(sqlite_url)
    take(database, w.created(0, {"1001": 60.0}), w.started(60), w.person(61, "joined", "1", 60))
    database.close()
    return sqlite_url


def tail(url: str, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["tail", *arguments], env={"DATABASE_URL": url})


def told(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


def test_everything_after_a_number_and_the_newest_without_one(fed: str) -> None:
    whole = told(tail(fed, "--changes", "--after", "0"))
    assert [change["seq"] for change in whole] == list(range(1, len(whole) + 1))
    assert {"meeting", "instance", "participant"} <= {change["table"] for change in whole}
    assert told(tail(fed, "--changes", "--lines", "3")) == whole[-3:]
    assert told(tail(fed, "--changes", "--lines", "5000")) == whole
    assert told(tail(fed, "--changes", "--after", str(len(whole)))) == []


def test_what_is_not_kept_is_said(fed: str) -> None:
    result = tail(fed, "--changes", "--after", "9999")
    assert result.exit_code == 1
    assert "read the tables afresh, then go on after" in result.stderr


def test_options_that_mean_nothing_together_are_refused(fed: str) -> None:
    assert tail(fed, "--after", "3").exit_code == 2
    assert tail(fed, "--changes", "--search", "ann").exit_code == 2
