"""`joinlog report` in its three forms, for whoever reads them: eyes, spreadsheets and programs."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import openpyxl
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from joinlog.command import main
from joinlog.report import NARROW, NARROW_PERSON, OCCURRENCE_HEADINGS, PERSON_HEADINGS, table_of
from schema.store.database import Database
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import take
from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story

FIRST = 60.0
WEEKS = {"1001": FIRST, "1002": FIRST + WEEK_MINUTES}
w = Story()
HOSTILE = "=cmd|'/c calc'!A1\x1b[2J[bold]"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Callable[..., Result]:
    """`joinlog report` on this test's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    return lambda *arguments: CliRunner().invoke(main, ["report", *arguments])


def week() -> list[Json]:
    ann = {"registrant_id": "ann", "user_name": "Ann Ünal"}
    approved = {"status": "approved", "last_name": ""}
    return [
        w.created(0, WEEKS), w.registration(1, "created", "ann", WEEKS, first_name="Ann Ünal", **approved),
        w.registration(2, "created", "ben", WEEKS, first_name="Ben", **approved), w.started(FIRST),
        w.person(61, "joined", "1", FIRST, **ann), w.person(62, "joined", "2", FIRST, user_name=HOSTILE),
        w.person(70.5, "left", "1", FIRST, **ann), w.ended(72, FIRST),
    ]  # fmt: skip


def test_json_holds_every_column_with_its_type(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    held, planned = json.loads(run(str(w.meeting_id), "--format", "json").output)["occurrences"]
    assert held == {
        "account_id": ACCOUNT, "meeting_id": w.meeting_id, "occurrence_id": "1001", "topic": "Weekly",
        "scheduled_start": "2026-03-02T09:00:00Z", "duration_minutes": 60, "status": "available", "state": "held",
        "instances": 1, "is_final": False,
        "link_state": "inferred", "held_from": "2026-03-02T09:00:00Z", "held_until": "2026-03-02T09:12:00Z",
        "registrants": 2, "attended": 1, "no_shows": 1, "walk_ins": 0, "unidentified": 1, "staff": 0,
        "participants": 2, "peak_concurrent": 2, "attended_minutes": 19.5,
    }  # fmt: skip
    assert (planned["instances"], planned["registrants"], planned["attended"], planned["no_shows"]) == (
        0,
        2,
        None,
        None,
    )


def test_json_of_one_occurrence_holds_its_people(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    document = json.loads(run(str(w.meeting_id), "--occurrence", "1001", "--format", "json").output)
    assert [row["occurrence_id"] for row in document["occurrences"]] == ["1001"]
    guest, ann, ben = document["people"]
    assert (ann["person_id"], ann["name"], ann["standing"]) == ("registrant:ann", "Ann Ünal", "attended")
    assert (ann["attended_seconds"], ben["standing"]) == (570, "no_show")
    assert (guest["person_id"], guest["name"], guest["is_present"]) == ("connection:run-1==:2", HOSTILE, False)
    assert (ann["first_joined_at"], ann["last_left_at"]) == ("2026-03-02T09:01:00Z", "2026-03-02T09:10:30Z")


def test_csv_has_a_header_and_no_formula(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    lines = list(csv.reader(run(str(w.meeting_id), "--format", "csv").output.splitlines()))
    assert lines[0] == list(OCCURRENCE_HEADINGS)
    assert [line[0] for line in lines[1:]] == ["1001", "1002"]
    text = run(str(w.meeting_id), "--occurrence", "1001", "--format", "csv").output
    people = list(csv.DictReader(text.splitlines(keepends=True)))
    assert list(people[0]) == list(PERSON_HEADINGS)
    assert [row["name"] for row in people] == [f"'{HOSTILE}", "Ann Ünal", "Ben"]
    assert [row["attended_seconds"] for row in people] == ["600.0", "570.0", "0.0"]


def test_the_table_is_for_eyes_and_obeys_no_name(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    whole = run(str(w.meeting_id)).output
    assert f"{w.meeting_id} Weekly" in whole
    assert "2026-03-02 09:00" in whole
    people = run(str(w.meeting_id), "--occurrence", "1001").output
    assert "3 people" in people
    assert "\x1b" not in people
    assert "�[2J[bold]" in people.replace("\n", "")
    assert "1002" not in people


def test_a_topic_in_the_title_is_not_obeyed_either(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week(), w.retitled(3, "Weekly\x1b[2J"))
    assert "\x1b" not in run(str(w.meeting_id)).output


def test_a_meeting_without_occurrences_says_so(database: Database, run: Callable[..., Result]) -> None:
    take(database, w.registration(1, "created", "ann", status="approved"))
    assert f"{w.meeting_id} Weekly: nothing yet." in run(str(w.meeting_id)).output.replace(
        f"{w.meeting_id}:", f"{w.meeting_id} Weekly:"
    )
    assert json.loads(run(str(w.meeting_id), "--format", "json").output) == {"occurrences": []}


@pytest.mark.parametrize("form", ["table", "csv", "json"])
def test_what_is_unknown_is_said_in_one_line(database: Database, run: Callable[..., Result], form: str) -> None:
    unknown = run("4711", "--format", form)
    assert (unknown.exit_code, "Nothing is known of meeting 4711" in unknown.output) == (1, True)
    take(database, *week())
    unknown = run(str(w.meeting_id), "--occurrence", "4711", "--format", form)
    assert (unknown.exit_code, "has no occurrence 4711" in unknown.output) == (1, True)
    unknown = run(str(w.meeting_id), "--account", "nobody", "--format", form)
    assert (unknown.exit_code, "in account nobody" in unknown.output) == (1, True)


def test_a_meeting_of_two_accounts_needs_the_account(database: Database, run: Callable[..., Result]) -> None:
    other = Story(account="Zz-other")
    take(database, *week(), other.created(0, {"9009": FIRST}))
    asked = run(str(w.meeting_id))
    assert (asked.exit_code, f"--account {ACCOUNT} or Zz-other" in asked.output) == (1, True)
    told = json.loads(run(str(w.meeting_id), "--account", "Zz-other", "--format", "json").output)
    assert [row["occurrence_id"] for row in told["occurrences"]] == ["9009"]


def people_of(run: Callable[..., Result], *arguments: str) -> list[str]:
    """Who is in the CSV of one occurrence."""
    ended = run(str(w.meeting_id), "--format", "csv", *arguments)
    assert ended.exit_code == 0, ended.output
    return [row["person_id"] for row in csv.DictReader(ended.output.splitlines(keepends=True))]


@pytest.mark.parametrize("named", ["1001", "week 1", "Week1", "2026-03-02"])
def test_an_occurrence_is_named_by_id_week_or_day(database: Database, run: Callable[..., Result], named: str) -> None:
    take(database, *week())
    assert people_of(run, "--occurrence", named, "--who", "no-shows") == ["registrant:ben"]


@pytest.mark.parametrize("named", ["week 0", "week 3", "2026-03-03", "2026-13-01", "", "weak 1"])
def test_an_occurrence_that_is_not_there_is_said_so(database: Database, run: Callable[..., Result], named: str) -> None:
    take(database, *week())
    ended = run(str(w.meeting_id), "--occurrence", named)
    assert (ended.exit_code, "has no occurrence" in ended.output) == (1, True)


def test_a_day_with_two_occurrences_asks_which(database: Database, run: Callable[..., Result]) -> None:
    take(database, w.created(0, {"1001": FIRST, "1002": FIRST + 120}))
    ended = run(str(w.meeting_id), "--occurrence", "2026-03-02")
    assert (ended.exit_code, "--occurrence 1001 or 1002" in ended.output) == (1, True)


def test_a_day_is_one_of_the_meetings_zone(database: Database, run: Callable[..., Result]) -> None:
    late = FIRST + 14 * 60 + 30  # 23:30 UTC: the next day in Berlin
    take(database, w.created(0, {"1001": late}), w.retitled(1, "Weekly", timezone="Europe/Berlin"))
    assert run(str(w.meeting_id), "--occurrence", "2026-03-03").exit_code == 0
    assert run(str(w.meeting_id), "--occurrence", "2026-03-02").exit_code == 1


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("all", ["connection:run-1==:2", "registrant:ann", "registrant:ben"]),
        ("registrants", ["registrant:ann", "registrant:ben"]),
        ("attended", ["registrant:ann"]),
        ("walk-ins", []),
        ("unidentified", ["connection:run-1==:2"]),
    ],
)
def test_who_is_asked_for(database: Database, run: Callable[..., Result], who: str, expected: list[str]) -> None:
    take(database, *week())
    assert people_of(run, "--occurrence", "week 1", "--who", who) == expected


def test_who_attended_for_too_short_is_left_out(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    asked = ("--occurrence", "week 1", "--who", "attended", "--min-minutes")
    assert people_of(run, *asked, "9.5") == ["registrant:ann"]
    assert people_of(run, *asked, "9.6") == []


def test_who_without_an_occurrence_says_what_is_missing(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    ended = run(str(w.meeting_id), "--who", "no-shows")
    assert (ended.exit_code, "Add --occurrence 'week 3'" in ended.output) == (2, True)


def test_the_workbook_holds_just_these_rows(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    ended = run(str(w.meeting_id), "--occurrence", "week 1", "--who", "attended", "--format", "xlsx")
    assert ended.exit_code == 0, ended.exception
    rows = list(openpyxl.load_workbook(io.BytesIO(ended.stdout_bytes)).active.iter_rows(values_only=True))
    assert rows[0] == tuple(PERSON_HEADINGS)
    assert [row[:2] for row in rows[1:]] == [("Ann Ünal", "ann@example.com")]
    whole = run(str(w.meeting_id), "--format", "xlsx").stdout_bytes
    assert len(list(openpyxl.load_workbook(io.BytesIO(whole)).active.iter_rows())) == 3


def test_piped_it_is_plain_and_on_a_terminal_it_fits_80_columns(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    piped = run(str(w.meeting_id)).output.splitlines()
    assert [len(line.split("\t")) for line in piped[1:]] == [len(OCCURRENCE_HEADINGS)] * 3
    rows = json.loads(run(str(w.meeting_id), "--occurrence", "week 1", "--format", "json").output)
    wide = {
        "occurrence_id": "1772440000000", "scheduled_start": "2026-03-02 09:00", "state": "undecided",
        "registrants": 10_000, "attended": 10_000, "no_shows": 1000, "walk_ins": 1000, "unidentified": 1000,
    }  # fmt: skip
    large = [{**row, **wide} for row in rows["occurrences"]]
    for found, columns, lines in ((large, NARROW, 4), (rows["people"], NARROW_PERSON, 5)):
        console = Console(width=80, file=io.StringIO(), force_terminal=False)
        console.print(table_of(found, columns, "title"))
        printed = console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        assert max(map(len, printed)) <= 80
        assert len(printed) == lines
        assert "…" not in "".join(printed)
