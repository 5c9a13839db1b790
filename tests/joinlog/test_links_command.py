"""`joinlog links`, `link-set`, `link-clear`, `link-stated`: a person's word, Zoom's word, and which counts."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from schema.store.database import Database
from tests.conftest import SIGNING_KEY
from tests.core import pmi_stories
from tests.inbox_to_tables import one, read_table, select, take
from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story
from workers.rebuild import rebuild

FIRST = 60.0
WEEKS = {"1001": FIRST, "1002": FIRST + WEEK_MINUTES}
w = Story()
MEETING = str(w.meeting_id)
ODD = "/ab+c//d=="
STRAY = "stray=="
Run = Callable[..., Result]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Run:
    """`joinlog` on this test's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    return lambda *arguments, **more: CliRunner().invoke(main, arguments, **more)


def test_a_call_under_a_personal_meeting_id_is_given_to_a_meeting_and_taken_back(run: Run, database: Database) -> None:
    late, number = "late==", str(pmi_stories.SINGLE.meeting_id)
    take(database, pmi_stories.scheduled(pmi_stories.SINGLE), *pmi_stories.ran(late, FIRST + 300, FIRST + 330))

    def meeting() -> tuple[Any, ...]:
        return tuple(one(database, "SELECT meeting_id, ran_under, occurrence_id FROM instance").values())

    by_itself = (pmi_stories.PMI, None, late)
    assert meeting() == by_itself
    assert decide(run, late, "single").exit_code != 0
    assert decide(run, late, "single", "--meeting", number).exit_code == 0
    assert meeting() == (pmi_stories.SINGLE.meeting_id, pmi_stories.PMI, "single")
    assert decide(run, late, late, "--meeting", str(pmi_stories.PMI)).exit_code == 0
    assert meeting() == by_itself
    assert decide(run, late, "single", "--meeting", number).exit_code == 0
    assert run("link-clear", late, "--because", "a slip").exit_code == 0
    assert meeting() == by_itself


def runs() -> list[Json]:
    """One instance at its time, and one on a day nothing was due."""
    return [
        w.created(0, WEEKS), w.started(FIRST, ODD), w.ended(FIRST + 60, FIRST, ODD), w.started(3 * 1440, STRAY),
        w.ended(3 * 1440 + 30, 3 * 1440, STRAY),
    ]  # fmt: skip


def decide(run: Run, uuid: str, occurrence: str, *more: str) -> Result:
    return run("link-set", uuid, occurrence, "--by", "ops", "--because", "I was there", *more)


def link(database: Database, uuid: str) -> tuple[str | None, str]:
    row = one(database, "SELECT occurrence_id, link_state FROM instance WHERE uuid = ?", (uuid,))
    return row["occurrence_id"], row["link_state"]


def stated(run: Run, occurrences: dict[str, str], name: str = "webinars") -> Result:
    """Zoom's list of past instances, on standard input."""
    answer = {name: [{"uuid": uuid, "start_time": "x", "occurrence_id": o} for uuid, o in occurrences.items()]}
    return run("link-stated", MEETING, input=json.dumps(answer))


def evidence(run: Run, uuid: str) -> Any:
    rows = json.loads(run("links", MEETING, "--json").output)
    return next(row["link_evidence"] for row in rows if row["uuid"] == uuid)


def test_links_lists_a_meeting_and_what_needs_a_decision(database: Database, run: Run) -> None:
    assert "No link needs a decision." in run("links").output
    take(database, *runs())
    whole, waiting = run("links", MEETING), run("links")
    assert (whole.exit_code, waiting.exit_code) == (0, 0)
    assert all(text in whole.output for text in (ODD, STRAY, "inferred", "unscheduled", "exactly one was due"))
    assert (STRAY in waiting.output, ODD in waiting.output) == (True, False)
    assert "1001 (0 votes)" in waiting.output
    rows = json.loads(run("links", "--json").output)
    assert [(row["uuid"], row["link_state"], row["occurrence_id"]) for row in rows] == [(STRAY, "unscheduled", None)]
    assert {item["occurrence_id"] for item in rows[0]["link_evidence"]["candidates"]} == {"1001", "1002"}


def test_moments_are_written_as_the_report_writes_them(database: Database, run: Run) -> None:
    take(database, *runs())
    (row,) = json.loads(run("links", "--json").output)
    assert row["started_at"] == "2026-03-05T08:00:00Z"


def test_a_meeting_that_has_not_run_says_so(database: Database, run: Run) -> None:
    take(database, w.created(0, WEEKS))
    assert f"Meeting {MEETING} has not run yet." in run("links", MEETING).output
    unknown = run("links", "4711")
    assert (unknown.exit_code, "Nothing is known of meeting 4711" in unknown.output) == (1, True)


def test_an_operator_decides_and_takes_it_back(database: Database, run: Run) -> None:
    take(database, *runs())
    said = decide(run, STRAY, "1002")
    assert (said.exit_code, said.output) == (0, f"{STRAY}: confirmed 1002\n")
    assert link(database, STRAY) == ("1002", "confirmed")
    assert evidence(run, STRAY)["operator"]["by"] == "ops"
    assert evidence(run, STRAY)["operator"]["because"] == "I was there"
    assert "No link needs a decision." in run("links").output
    cleared = run("link-clear", STRAY, "--by", "ops", "--because", "I was wrong")
    assert (cleared.exit_code, cleared.output) == (0, f"{STRAY}: unscheduled no occurrence\n")
    lines = [row for row in read_table(database, "link_history") if row["uuid"] == STRAY]
    history = [(r["to_occurrence_id"], r["state"]) for r in sorted(lines, key=lambda row: row["decided_at"])]
    assert history[-3:] == [(None, "unscheduled"), ("1002", "confirmed"), (None, "unscheduled")]
    assert rebuild(database, check_only=True).examples == []


def test_the_last_word_of_an_operator_counts(database: Database, run: Run) -> None:
    take(database, *runs())
    for occurrence in ("1002", "1001", "1002"):
        decide(run, ODD, occurrence)
        assert link(database, ODD) == (occurrence, "confirmed")


def test_a_uuid_nobody_knows_is_refused(database: Database, run: Run) -> None:
    take(database, *runs())
    for arguments in (("link-set", "nobody==", "1001"), ("link-clear", "nobody==")):
        refused = run(*arguments, "--because", "x")
        assert (refused.exit_code, "No instance nobody== is known." in refused.output) == (1, True)
    assert select(database, "SELECT * FROM link_statement") == []


def test_an_occurrence_nobody_knows_needs_force(database: Database, run: Run) -> None:
    take(database, *runs())
    refused = decide(run, STRAY, "7777")
    assert (refused.exit_code, f"Meeting {MEETING} has no occurrence 7777." in refused.output) == (1, True)
    assert link(database, STRAY) == (None, "unscheduled")
    forced = decide(run, STRAY, "7777", "--force")
    assert (forced.exit_code, link(database, STRAY)) == (0, ("7777", "confirmed"))
    row = one(database, "SELECT status, instances FROM occurrence WHERE occurrence_id = '7777'")
    assert row == {"status": "unknown", "instances": 1}


def test_a_reason_is_required(database: Database, run: Run) -> None:
    take(database, *runs())
    refused = run("link-set", STRAY, "1001")
    assert (refused.exit_code, "--because" in refused.output) == (2, True)


def test_zoom_states_links(database: Database, run: Run) -> None:
    take(database, *runs())
    told = stated(run, {STRAY: "1002", ODD: ""})
    assert told.exit_code == 0
    assert "Zoom names the occurrence of 1 of 2 instances." in told.output
    assert link(database, STRAY) == ("1002", "confirmed")
    assert evidence(run, STRAY)["rule"] == "stated"
    assert link(database, ODD) == ("1001", "inferred")


def test_zooms_answer_for_meetings_is_read_from_a_file_too(database: Database, run: Run, tmp_path: Path) -> None:
    take(database, *runs())
    path = tmp_path / "instances.json"
    path.write_text(json.dumps({"meetings": [{"uuid": ODD, "occurrence_id": "1002"}]}))
    assert run("link-stated", MEETING, str(path)).exit_code == 0
    assert link(database, ODD) == ("1002", "confirmed")


@pytest.mark.parametrize("answer", ["", "[]", "{}", '{"webinars": 1}', '{"webinars": [1]}', '{"code": 3001}'])
def test_anything_else_is_not_taken_for_zooms_answer(database: Database, run: Run, answer: str) -> None:
    take(database, *runs())
    refused = run("link-stated", MEETING, input=answer)
    assert (refused.exit_code, "This is not that answer of Zoom" in refused.output) == (1, True)
    assert select(database, "SELECT * FROM link_statement") == []


@pytest.mark.parametrize("first", ["operator", "zoom"])
def test_an_operator_outranks_zoom_and_the_disagreement_is_shown(database: Database, run: Run, first: str) -> None:
    take(database, *runs())
    if first == "operator":
        decide(run, ODD, "1002")
        stated(run, {ODD: "1001"})
    else:
        stated(run, {ODD: "1001"})
        decide(run, ODD, "1002")
    assert link(database, ODD) == ("1002", "confirmed")
    shown = evidence(run, ODD)
    assert (shown["zoom"]["occurrence_id"], shown["reason"]) == ("1001", "an operator decided; Zoom says otherwise")
    waiting = run("links").output
    assert (ODD in waiting, "Zoom says otherwise" in waiting) == (True, True)
    run("link-clear", ODD, "--because", "Zoom was right")
    assert link(database, ODD) == ("1001", "confirmed")
    assert ODD not in run("links").output


def test_a_uuid_of_two_accounts_needs_the_account(database: Database, run: Run) -> None:
    other = Story(account="Zz-other")
    take(database, *runs(), other.created(0, WEEKS), other.started(FIRST, ODD))
    asked = decide(run, ODD, "1002")
    assert (asked.exit_code, "Several accounts know this uuid" in asked.output) == (1, True)
    said = decide(run, ODD, "1002", "--account", "Zz-other")
    assert said.exit_code == 0, said.output
    links = {row["account_id"]: row["occurrence_id"] for row in read_table(database, "instance") if row["uuid"] == ODD}
    assert links == {ACCOUNT: "1001", "Zz-other": "1002"}
    assert (run("links", MEETING).exit_code, run("links", MEETING, "--account", ACCOUNT).exit_code) == (1, 0)
