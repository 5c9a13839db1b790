"""The words on the pages: each state explained in a sentence that everybody sees, and numbers called what they are."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from schema.states import EventState, LinkState
from tests.conftest import settings_for
from tests.inbox_to_tables import take
from tests.page_client import Site, open_site
from tests.stories import ACCOUNT, WEEK_MINUTES, Story
from webhook.pages.formatting import EVENT_MEANINGS, STATE_MEANINGS

STORY = Story()
MEETING = f"/meeting/{ACCOUNT}/{STORY.meeting_id}"


@pytest.fixture(scope="module")
def site(sqlite_copy: str) -> Iterator[Site]:
    """The application, with a webinar that was held, one whose dates are to come, and one that still runs."""
    with open_site(settings_for(sqlite_copy, "redis://127.0.0.1:1/0")) as opened:
        take(
            opened.database,
            STORY.created(-5000, {"w1": 0, "w2": WEEK_MINUTES}),
            STORY.started(0),
            STORY.person(0, "joined", "1"),
            STORY.person(0, "joined", "2"),
            STORY.ended(90, 0),
            STORY.started(3000, "stray=="),
        )
        yield opened


def words(html: str) -> str:
    """What somebody reads: no markup, and nothing that only a tooltip says."""
    return " ".join(re.sub(r"<(script|style).*?</\1>|<[^>]+>", " ", html, flags=re.DOTALL).split())


def test_every_state_has_a_sentence() -> None:
    assert STATE_MEANINGS.keys() == {state.value for state in LinkState}
    assert EVENT_MEANINGS.keys() == {state.value for state in EventState}


@pytest.mark.parametrize(("path", "states"), [(MEETING, ("inferred", "unscheduled")), ("/", ("unscheduled",))])
def test_the_states_that_are_shown_are_explained_and_no_others(site: Site, path: str, states: tuple[str, ...]) -> None:
    said = words(site.visitor().get(path).text)
    explained = [state for state, meaning in STATE_MEANINGS.items() if f"{state} {meaning}" in said]
    assert sorted(explained) == sorted(states)


def test_the_inbox_explains_the_states_of_events(site: Site) -> None:
    said = words(site.visitor().get("/inbox").text)
    assert [state for state, meaning in EVENT_MEANINGS.items() if f"{state} {meaning}" not in said] == []


def test_the_time_of_all_people_together_is_called_person_hours(site: Site) -> None:
    said = words(site.visitor().get(MEETING).text)
    assert "Person-hours" in said
    assert " 3.0 " in said  # two people for an hour and a half


def test_the_log_says_in_which_order_it_is(site: Site) -> None:
    said = words(site.visitor().get("/").text)
    assert "In the order in which Joinlog learned of it" in said
    assert "Happened What Who" in said
