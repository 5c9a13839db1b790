"""Meetings with a personal meeting id, from signed POSTs to the report, in several orders, rebuilt."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.conftest import DATABASES
from tests.core.pmi_stories import OTHER, PMI, SINGLE, SMALLER, STORIES, WEEKLY
from tests.played_stories import ORDERS, Played, module_database, played

Link = tuple[int, int | None, str | None, str]  # its meeting, the number its events name where another, date, state
WHEN = SINGLE.meeting_id

LINKS: dict[str, dict[str, Link]] = {
    "pmi_an_instance_before_its_meeting": {"X": (WHEN, PMI, "single", "inferred")},
    "pmi_moved": {"X": (WHEN, PMI, "single", "inferred"), "Y": (PMI, None, "Y", "inferred")},
    "pmi_switched_off_after_the_first_week": {
        "X": (WEEKLY.meeting_id, PMI, "w1", "inferred"),
        "Y": (PMI, None, "Y", "confirmed"),
    },
    "pmi_switched_on_and_deleted": {"X": (WHEN, PMI, "single", "inferred")},
    "pmi_two_meetings_at_once": {"X": (WHEN, PMI, "single", "inferred")},
    "pmi_before_during_and_after": {
        "before": (PMI, None, "before", "inferred"),
        "X": (WHEN, PMI, "single", "inferred"),
        "after": (PMI, None, "after", "inferred"),
    },
    "pmi_an_operator_says_which": {"X": (PMI, None, "X", "confirmed")},
    "pmi_an_operator_says_another_meetings": {"X": (WHEN, PMI, "single", "confirmed")},
    "pmi_greater_than_the_number_of_its_meeting": {"X": (SMALLER.meeting_id, PMI, "single", "inferred")},
    "pmi_deleted": {"X": (PMI, None, "X", "confirmed")},
    "pmi_of_another_host": {"X": (PMI, None, "X", "confirmed")},
    "pmi_two_meetings_due": {"X": (PMI, None, None, "ambiguous")},
    "pmi_zoom_names_the_occurrence": {
        "X": (WEEKLY.meeting_id, PMI, "w2", "confirmed"),
        "Y": (PMI, None, None, "ambiguous"),
    },
}
PEOPLE = {
    "pmi_an_instance_before_its_meeting": {(WHEN, "registrant:ann", "attended", "known by address")},
    "pmi_switched_off_after_the_first_week": {
        (WEEKLY.meeting_id, "user:u1", "walk_in", "never registered"),
        (PMI, "user:u1", "walk_in", "never registered"),
    },
    "pmi_an_operator_says_which": {
        (WHEN, "registrant:ann", "registered", "registered for all"),
        (PMI, "email:ann@example.com", "walk_in", "never registered"),
    },
    "pmi_an_operator_says_another_meetings": {(WHEN, "registrant:ann", "attended", "known by address")},
}


@pytest.fixture(scope="module", params=DATABASES)
def told(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    for url in module_database(request, tmp_path_factory):
        with played(url, STORIES) as found:
            yield found


@pytest.mark.parametrize("name", STORIES)
def test_an_instance_is_of_the_meeting_it_was_scheduled_for(name: str, told: Played) -> None:
    query = "SELECT uuid, meeting_id, ran_under, occurrence_id, link_state FROM instance WHERE account_id = ?"
    for order in ORDERS:
        rows = told.rows(name, order, query)
        assert {row.pop("uuid"): tuple(row.values()) for row in rows} == LINKS[name], order


@pytest.mark.parametrize("name", PEOPLE)
def test_its_people_are_those_of_the_scheduled_meeting(name: str, told: Played) -> None:
    query = "SELECT meeting_id, person_id, standing, reason FROM occurrence_person WHERE account_id = ?"
    for order in ORDERS:
        assert {tuple(row.values()) for row in told.rows(name, order, query)} == PEOPLE[name], order


def test_the_report_of_the_scheduled_meeting_counts_it(told: Played) -> None:
    query = """SELECT meeting_id, state, instances, registrants, attended, participants FROM occurrence_report
        WHERE account_id = ?"""
    for order in ORDERS:
        rows = told.rows("pmi_an_instance_before_its_meeting", order, query)
        assert [tuple(row.values()) for row in rows] == [(WHEN, "held", 1, 1, 1, 1)], order


def test_a_date_that_an_instance_may_have_been_is_undecided(told: Played) -> None:
    query = "SELECT meeting_id, state FROM occurrence_report WHERE account_id = ?"
    for order in ORDERS:
        rows = told.rows("pmi_two_meetings_due", order, query)
        assert {row["meeting_id"]: row["state"] for row in rows} == {
            SINGLE.meeting_id: "undecided",
            OTHER.meeting_id: "undecided",
        }, order


def test_rebuilt_tables_are_the_same(told: Played) -> None:
    assert told.rows_not_as_rebuilt() == []
