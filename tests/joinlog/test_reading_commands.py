"""`joinlog meetings` and `joinlog tail`: what the pages show, for whoever sits at a terminal or writes a script."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from schema.store.database import Database
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import take
from tests.page_client import TOKENS
from tests.processes import environment
from tests.stories import ACCOUNT, Story
from webhook.pages.exports import LINE_COLUMNS

STORY, OTHER = Story(), Story(meeting_id=99)
HOSTILE = "\x1b[2Jann\tb\n"
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database: Database, database_url: str) -> Run:
    """`joinlog` on a database with a webinar that nobody can place, and another one of which nothing waits."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    take(database, OTHER.created(-9000, {"o1": 0}))
    take(
        database,
        STORY.created(-5000, {"w1": 3000, "w2": 3000 + 7 * 1440}),
        STORY.started(0),
        STORY.person(1, "joined", "1", registrant_id="ann", user_name=HOSTILE, email="ann@example.com"),
        STORY.person(2, "joined", "2", user_name="Ben"),
        STORY.person(9, "left", "2", user_name="Ben"),
        STORY.event("participant_joined", 5, {"id": STORY.meeting_id, "uuid": "odd"}),
    )
    return lambda *arguments: CliRunner().invoke(main, arguments, catch_exceptions=False)


def test_meetings_says_what_waits(run: Run) -> None:
    lines = [line.split("\t") for line in run("meetings").output.splitlines()]
    assert lines == [
        [str(STORY.meeting_id), "Weekly", "2", "1", "1 to decide, 1 dead"], ["99", "Weekly", "1", "0", "-"],
    ]  # fmt: skip
    assert [line.partition("\t")[0] for line in run("meetings", "--waiting").output.splitlines()] == [
        str(STORY.meeting_id)
    ]
    (first, _) = json.loads(run("meetings", "--json").output)
    assert (first["account_id"], first["undecided"], first["dead"]) == (ACCOUNT, 1, 1)


def tail(run: Run, *arguments: str) -> list[str]:
    """Kind and person of each line."""
    return [
        f"{line.split(chr(9))[1]} {line.split(chr(9))[2]}".strip()
        for line in run("tail", *arguments).output.splitlines()
    ]


def test_tail_shows_the_newest_last_and_no_line_is_two(run: Run) -> None:
    shown = tail(run, "--meeting", str(STORY.meeting_id))
    assert [line.partition(" ")[0] for line in shown][-3:] == ["joined", "joined", "left"]
    assert all(character not in run("tail").output for character in "\x1b\r")
    assert tail(run, "-n", "1") == ["left Ben"]
    assert tail(run, "-n", "0") == []


def test_tail_has_the_filters_of_the_page(run: Run) -> None:
    ann = TOKENS.person(ACCOUNT, STORY.meeting_id, "email:ann@example.com")
    assert tail(run, "--kind", "left") == ["left Ben"]
    assert tail(run, "--search", "BEN", "--kind", "joined") == ["joined Ben"]
    assert len(tail(run, "--person", ann, "--kind", "joined")) == 1
    assert tail(run, "--meeting", "99", "--kind", "joined") == []
    assert tail(run, "--occurrence", f"{STORY.meeting_id}/w9") == []
    assert run("tail", "--kind", "jioned").exit_code == 2


def test_tail_as_json_has_the_columns_of_the_export(run: Run) -> None:
    (line,) = map(json.loads, run("tail", "--json", "--kind", "left").output.splitlines())
    assert list(line) == list(LINE_COLUMNS)
    assert (line["name"], line["event_ts"][-1]) == ("Ben", "Z")


@pytest.mark.timeout(60)
def test_tail_follows_what_arrives(run: Run, database: Database, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "joinlog", "tail", "--follow", "-n", "1", "--kind", "joined"],
        cwd=tmp_path, env=environment(DATABASE_URL=str(database.url.render_as_string(False)), SECRET_KEY=SIGNING_KEY),
        stdout=subprocess.PIPE, text=True,
    ) as following:  # fmt: skip
        assert following.stdout is not None
        assert "Ben" in following.stdout.readline()
        take(database, STORY.person(11, "joined", "3", user_name="Cem"), STORY.person(12, "left", "3", user_name="Cem"))
        assert "Cem" in following.stdout.readline()
        following.terminate()


# --- the command line itself --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "meant"),
    [("repotr", "report"), ("meeting", "meetings"), ("tial", "tail"), ("inbox lst", "list"), ("access grnat", "grant")],
)
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(words: str, meant: str) -> None:
    ended = CliRunner().invoke(main, words.split())
    assert ended.exit_code == 2
    assert "Did you mean" in ended.stderr
    assert meant in ended.stderr.partition("Did you mean")[2]


def test_what_is_like_no_command_is_answered_with_none() -> None:
    assert "Did you mean" not in CliRunner().invoke(main, ["xyzzy"]).stderr


def test_completion_knows_the_commands() -> None:
    asked = {"_JOINLOG_COMPLETE": "bash_complete", "COMP_WORDS": "joinlog re", "COMP_CWORD": "1"}
    done = CliRunner().invoke(main, env=asked, prog_name="joinlog")
    assert {line.partition(",")[2] for line in done.output.split()} == {"report", "replay", "rebuild"}
