"""Wherever a command asks for a meeting it takes every form, and says what to do with what is none."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from schema.store.database import Database
from tests.conftest import SIGNING_KEY, settings_for
from tests.inbox_to_tables import take
from tests.page_client import open_site
from tests.stories import WEEK_MINUTES, Story

FIRST = 60.0
w = Story()
NUMBER = str(w.meeting_id)
UUID = "run-1=="
FORMS = {
    "number": NUMBER,
    "with spaces": f"{NUMBER[:3]} {NUMBER[3:7]} {NUMBER[7:]}",
    "dashboard": f"{NUMBER}2026-03-02 09:00:00",
    "uuid": UUID,
}
COMMANDS = (
    ["report", "{}"], ["links", "{}"], ["audit", "{}"], ["tail", "--meeting", "{}"],
    ["inbox", "list", "--meeting", "{}"], ["replay", "--state", "dead", "--meeting", "{}"],
    ["access", "grant", "--meeting", "{}"],
)  # fmt: skip


@pytest.fixture
def told(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Database:
    """Two weeks, of which the first ran; the environment of a command on them."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", str(sqlite_database.url))
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    take(
        sqlite_database,
        w.created(0, {"1001": FIRST, "1002": FIRST + WEEK_MINUTES}),
        w.registration(1, "created", "ann", {"1001": FIRST}, status="approved", first_name="Ann", last_name="Quill"),
        w.started(FIRST),
        w.person(61, "joined", "1", FIRST, registrant_id="ann", user_name="Ann Quill"),
    )
    return sqlite_database


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_every_command_takes_every_form(told: Database, form: str) -> None:
    for command in COMMANDS:
        result = run(*(part.format(form) for part in command))
        assert result.exit_code == 0, (command, result.output)


def test_every_command_says_what_helps_with_what_names_no_meeting(told: Database) -> None:
    for command in COMMANDS:
        for nonsense in ("two words", "no-such-uuid=="):
            result = run(*(part.format(nonsense) for part in command))
            assert result.exit_code != 0, command
            assert "831 1000 0000" in " ".join(result.stderr.split()), (command, result.stderr)


@pytest.mark.parametrize("form", ["dashboard", "uuid"])
def test_a_report_of_an_instance_or_of_a_planned_start_is_of_its_occurrence(told: Database, form: str) -> None:
    found = json.loads(run("report", FORMS[form], "--format", "json").stdout)
    assert [row["occurrence_id"] for row in found["occurrences"]] == ["1001"]
    assert [one["standing"] for one in found["people"]] == ["attended"]


def test_links_of_a_uuid_are_that_instance(told: Database) -> None:
    take(told, w.started(FIRST + WEEK_MINUTES, uuid="run-2=="))
    assert len(json.loads(run("links", NUMBER, "--json").stdout)) == 2
    assert [row["uuid"] for row in json.loads(run("links", UUID, "--json").stdout)] == [UUID]


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_the_search_box_of_the_join_log_takes_every_form(told: Database, form: str) -> None:
    other = Story(meeting_id=91234567890)
    take(told, other.created(0, {"2001": FIRST}), other.started(FIRST, "elsewhere=="))
    with open_site(settings_for(str(told.url), "redis://127.0.0.1:1/0")) as site:
        found = site.visitor().get("/lines", x_joinlog_search=quote(form)).text
        assert "Ann Quill" in found
        assert "91234567890" not in found
        beside = site.visitor(meeting_id=other.meeting_id).get("/lines", x_joinlog_search=quote(form)).text
        assert "Ann Quill" not in beside
