"""The schedule as it stood at any moment, from what was stated about it."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from schema.rows import Instance, Meeting, Occurrence, ScheduleStatement
from tests.projected_facts import facts_about
from tests.stories import WEEK_MINUTES, Json, Story, at
from workers.core.merge import merge_facts
from workers.core.schedule import Planned, in_order, occurrences_of, schedule_at

w = Story()
FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
WEEKS = {"1001": FIRST, "1002": SECOND}


def stated(*events: Json) -> list[ScheduleStatement]:
    """What these events state, as the drain would keep it."""
    facts = [fact for event in events for fact in facts_about("occurrence_history", event)]
    rows = merge_facts(facts, {}).get("occurrence_history", {})
    return in_order(rows.values())


def plan(*events: Json, minutes: float | None = None) -> dict[str, Planned]:
    return schedule_at(stated(*events), None if minutes is None else at(minutes))


def starts(planned: dict[str, Planned]) -> dict[str, tuple[Any, str]]:
    return {name: (p.scheduled_start, p.status) for name, p in planned.items()}


def test_created_lists_every_date() -> None:
    assert starts(plan(w.created(0, WEEKS))) == {
        "1001": (at(FIRST), "available"),
        "1002": (at(SECOND), "available"),
    }


def test_before_it_was_stated_nothing_was_planned() -> None:
    assert plan(w.created(5, WEEKS), minutes=4) == {}


def test_a_move_keeps_the_id_and_counts() -> None:
    planned = plan(w.created(0, WEEKS), w.moved(10, {"1002": SECOND}, {"1002": SECOND + 90}))["1002"]
    assert (planned.scheduled_start, planned.original_start, planned.moves) == (at(SECOND + 90), at(SECOND), 1)


def test_the_schedule_as_it_stood_before_the_move_can_be_asked_for() -> None:
    events = (w.created(0, WEEKS), w.moved(10, {"1002": SECOND}, {"1002": SECOND + 90}))
    assert plan(*events, minutes=9)["1002"].scheduled_start == at(SECOND)
    assert plan(*events, minutes=11)["1002"].scheduled_start == at(SECOND + 90)


def test_a_move_to_a_new_id_retires_the_old_one() -> None:
    planned = plan(w.created(0, WEEKS), w.moved(10, {"1002": SECOND}, {"2002": SECOND + 90}))
    assert starts(planned)["1002"] == (at(SECOND), "retired")
    assert starts(planned)["2002"] == (at(SECOND + 90), "available")


def test_one_date_deleted_and_recovered() -> None:
    gone = plan(w.created(0, WEEKS), w.deleted(5, {"1002": SECOND}))
    assert gone["1002"].status == "deleted"
    assert gone["1001"].status == "available"
    back = plan(w.created(0, WEEKS), w.deleted(5, {"1002": SECOND}), w.recovered(6, {"1002": SECOND}))
    assert back["1002"].status == "available"


def test_a_series_deleted_and_recovered_keeps_what_was_deleted_before() -> None:
    events = (w.created(0, WEEKS), w.deleted(5, {"1002": SECOND}), w.deleted(7), w.recovered(8))
    assert starts(plan(*events[:3])) == {"1001": (at(FIRST), "deleted"), "1002": (at(SECOND), "deleted")}
    assert starts(plan(*events)) == {"1001": (at(FIRST), "available"), "1002": (at(SECOND), "deleted")}


def test_a_series_edit_retires_what_it_leaves_out_and_keeps_what_was_held() -> None:
    later = {"3002": SECOND + 30, "3003": SECOND + WEEK_MINUTES}
    planned = plan(w.created(0, WEEKS), w.relisted(FIRST + 500, later))
    assert {name: p.status for name, p in planned.items()} == {
        "1001": "available",
        "1002": "retired",
        "3002": "available",
        "3003": "available",
    }


def test_a_series_deleted_after_its_first_week_was_held_leaves_that_week_alone() -> None:
    planned = plan(w.created(0, WEEKS), w.deleted(FIRST + 500))
    assert {name: p.status for name, p in planned.items()} == {"1001": "available", "1002": "deleted"}


def test_a_registration_mentions_dates_nobody_stated() -> None:
    planned = plan(w.registration(5, "created", "ann", {"1002": SECOND}))
    assert starts(planned) == {"1002": (at(SECOND), "available")}


def test_a_mention_does_not_bring_back_a_date_that_is_gone() -> None:
    gone = (w.created(0, WEEKS), w.deleted(5, {"1002": SECOND}))
    assert plan(*gone, w.registration(6, "created", "ann", {"1002": SECOND}))["1002"].status == "deleted"


def test_a_date_that_is_mentioned_again_and_again_is_one_row() -> None:
    mentions = [w.registration(n, "created", f"p{n}", WEEKS) for n in range(20)]
    assert len(stated(*mentions)) == 2


def test_topic_and_zone_say_nothing_about_dates() -> None:
    assert stated(w.retitled(5, "Other")) == []


def rows(type_: int, *events: Json, instances: Sequence[Instance] = ()) -> dict[str, Occurrence]:
    meeting = Meeting("a", w.meeting_id, type=type_, duration_minutes=60)
    return {row.occurrence_id: row for row in occurrences_of(meeting, stated(*events), instances)}


def test_a_meeting_with_one_session_has_one_occurrence() -> None:
    single = Story("webinar", 5)
    move = single.changed(5, {"start_time": "2026-03-04T10:00:00Z"}, {"start_time": "2026-03-02T09:00:00Z"}, "all")
    found = rows(5, single.created(0, {"x": 60}), move)
    assert set(found) == {"single"}
    start = found["single"].scheduled_start
    assert start is not None
    assert (start.day, found["single"].moves) == (4, 1)
    assert set(rows(5)) == {"single"}


def test_a_meeting_without_a_fixed_time_has_what_was_held() -> None:
    ran = Instance("a", "u", occurrence_id="u", link_state="confirmed", started_at=at(1))
    rehearsal = Instance("a", "rehearsal", link_state="rehearsal", started_at=at(1))
    found = rows(3, instances=[ran, rehearsal])
    assert set(found) == {"u"}
    assert rows(3) == {}


STORY = [
    w.created(0, WEEKS),
    w.moved(10, {"1002": SECOND}, {"1002": SECOND + 90}),
    w.moved(20, {"1001": FIRST}, {"4001": FIRST + 30}),
    w.deleted(25, {"1002": SECOND + 90}),
    w.recovered(26, {"1002": SECOND + 90}),
    w.relisted(30, {"5001": FIRST + 40, "1002": SECOND}),
    w.deleted(40),
    w.recovered(41),
    w.registration(2, "created", "ann", WEEKS),
]


@given(st.permutations(STORY), st.integers(0, 50))
def test_the_order_in_which_statements_arrive_does_not_matter(order: list[Json], minutes: int) -> None:
    assert plan(*order, minutes=minutes) == plan(*STORY, minutes=minutes)


@given(st.integers(0, 2**32))
def test_what_is_stated_later_does_not_change_how_it_stood(luck: int) -> None:
    moment = random.Random(luck).uniform(0, 45)
    told = [event for event in STORY if event["event_ts"] <= at(moment).timestamp() * 1000]
    assert plan(*told, minutes=moment) == plan(*STORY, minutes=moment)
