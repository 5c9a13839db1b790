"""Which occurrence was it? Situations as hosts make them, and what must be said about each."""

from __future__ import annotations

import json
import random
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.rows import LinkStatement
from schema.states import LINKED, NEEDS_REVIEW, LinkState
from schema.store.database import Database
from tests.core.test_schedule import stated
from tests.inbox_to_tables import one, select, take
from tests.stories import WEEK_MINUTES, Json, Story, at
from workers.core.linking import Decision, MeetingFacts, ObservedInstance, Seen, Voter, decide, link_instances

DAY = 24 * 60.0
w = Story()
FIRST, SECOND, THIRD = 60.0, 60.0 + WEEK_MINUTES, 60.0 + 2 * WEEK_MINUTES
WEEKS = {"1001": FIRST, "1002": SECOND, "1003": THIRD}
WEEKLY = (w.created(0, WEEKS),)
DAILY = (w.created(0, {f"d{n}": FIRST + n * DAY for n in range(5)}),)
SEVERAL = (w.created(0, {"morning": FIRST, "noon": FIRST + 180, "evening": FIRST + 480}),)
BACK_TO_BACK = (w.created(0, {"one": FIRST, "two": FIRST + 60, "three": FIRST + 120}),)


def meeting(*events: Json, type_: int = 9, registration_type: int | None = None) -> MeetingFacts:
    return MeetingFacts(type_, 60, registration_type, stated(*events))


def ran(began: float, ended: float | None = None, **more: object) -> ObservedInstance:
    return ObservedInstance("u", at(began), None if ended is None else at(ended), **more)  # type: ignore[arg-type]


def people(*named: str | set[str]) -> Seen:
    """One registrant for each of these: the occurrences the registration names."""
    voters = [Voter(f"r{n}", frozenset({names} if isinstance(names, str) else names)) for n, names in enumerate(named)]
    return Seen(len(voters), voters)


def said(decision: Decision) -> tuple[str | None, str]:
    return decision.occurrence_id, decision.state.value


INFERRED, OBSERVED, CONFIRMED = "inferred", "observed", "confirmed"


@pytest.mark.parametrize(
    ("events", "began", "ended", "expected"),
    [
        pytest.param(WEEKLY, FIRST, None, ("1001", INFERRED), id="on time, while it runs"),
        pytest.param(WEEKLY, SECOND, SECOND + 60, ("1002", INFERRED), id="on time, over"),
        pytest.param(WEEKLY, SECOND - 30, SECOND + 60, ("1002", INFERRED), id="half an hour early"),
        pytest.param(WEEKLY, SECOND + 25, SECOND + 70, ("1002", INFERRED), id="late"),
        pytest.param(WEEKLY, SECOND + 40, SECOND + 55, ("1002", INFERRED), id="restart after the host dropped"),
        pytest.param(WEEKLY, SECOND - 3 * DAY, None, (None, "unscheduled"), id="on a day when nothing is due"),
        pytest.param(WEEKLY, SECOND + 3 * DAY, SECOND + 3 * DAY + 60, (None, "unscheduled"), id="and over"),
        pytest.param((), FIRST, None, (None, "unscheduled"), id="no schedule known"),
        pytest.param(DAILY, FIRST + 2 * DAY, FIRST + 2 * DAY + 60, ("d2", INFERRED), id="daily"),
        pytest.param(SEVERAL, FIRST + 178, FIRST + 240, ("noon", INFERRED), id="several a day"),
        pytest.param(BACK_TO_BACK, FIRST + 58, FIRST + 120, ("two", INFERRED), id="back to back, a little early"),
        pytest.param(
            (*WEEKLY, w.moved(10, {"1002": SECOND}, {"1002": SECOND + 2 * DAY})), SECOND + 2 * DAY, None,
            ("1002", INFERRED), id="moved, and its id tells another time",
        ),
        pytest.param(
            (*WEEKLY, w.moved(10, {"1002": SECOND}, {"1002": SECOND + 2 * DAY})), SECOND, None,
            (None, "unscheduled"), id="at the time it was moved away from",
        ),
        pytest.param(
            (*WEEKLY, w.moved(10, {"1002": SECOND}, {"2002": SECOND + 120})), SECOND + 119, None,
            ("2002", INFERRED), id="moved to a new id",
        ),
        pytest.param(
            (*WEEKLY, w.moved(SECOND + 30, {"1002": SECOND}, {"1002": SECOND + 2 * DAY})), SECOND, SECOND + 60,
            ("1002", INFERRED), id="moved after it began",
        ),
        pytest.param(
            (*WEEKLY, w.deleted(SECOND + 300, {"1002": SECOND})), SECOND, SECOND + 60,
            ("1002", INFERRED), id="deleted after it was held",
        ),
        pytest.param(
            (*WEEKLY, w.deleted(20, {"1002": SECOND})), SECOND, SECOND + 60,
            (None, "unscheduled"), id="deleted before",
        ),
        pytest.param(
            (*WEEKLY, w.deleted(20, {"1002": SECOND}), w.recovered(21, {"1002": SECOND})), SECOND, SECOND + 60,
            ("1002", INFERRED), id="deleted and recovered before",
        ),
        pytest.param(
            (*WEEKLY, w.relisted(FIRST + 300, {"3002": SECOND + 60, "3003": THIRD})), SECOND + 60, None,
            ("3002", INFERRED), id="whole series edited",
        ),
        pytest.param(
            (w.registration(SECOND + 30, "created", "x", {"1002": SECOND}),), SECOND, SECOND + 60,
            ("1002", INFERRED), id="schedule learned from a registration, afterwards",
        ),
        pytest.param(
            (w.created(SECOND + 500, WEEKS),), SECOND, SECOND + 60, ("1002", INFERRED), id="schedule arrived later",
        ),
        pytest.param(WEEKLY, SECOND - 45, SECOND - 30, (None, "unscheduled"), id="a try-out before"),
    ],
)  # fmt: skip
def test_the_schedule_alone(
    events: tuple[Json, ...], began: float, ended: float | None, expected: tuple[str | None, str]
) -> None:
    assert said(decide(ran(began, ended), meeting(*events))) == expected


@pytest.mark.parametrize(
    ("events", "began", "ended", "seen", "registration_type", "expected"),
    [
        pytest.param(WEEKLY, FIRST, None, people("1001", "1001"), 2, ("1001", OBSERVED), id="people and schedule"),
        pytest.param(WEEKLY, FIRST, None, people("1001"), 2, ("1001", OBSERVED), id="one person, and all of them"),
        pytest.param(WEEKLY, FIRST, None, people("1002"), 2, ("1001", INFERRED), id="one at the wrong door"),
        pytest.param(
            WEEKLY, FIRST, None, people("1002", *["1001"] * 10), 2, ("1001", OBSERVED), id="one against ten",
        ),
        pytest.param(
            WEEKLY, FIRST, FIRST + 60, people("1002", "1002", "1002"), 2, (None, "conflict"), id="people against it",
        ),
        pytest.param(
            WEEKLY, FIRST, None, people("1002", "1002", "1002"), 1, ("1001", INFERRED), id="registered once for all",
        ),
        pytest.param(
            WEEKLY, FIRST, None, people(set(WEEKS), set(WEEKS)), 3, ("1001", INFERRED), id="they chose every date",
        ),
        pytest.param(
            WEEKLY, SECOND + 180, SECOND + 240, people("1002", "1002", "1002"), 2, ("1002", OBSERVED),
            id="a host hours late, whom people waited for",
        ),
        pytest.param(
            WEEKLY, SECOND - 3 * DAY, None, people("1002"), 2, (None, "unscheduled"), id="one person on another day",
        ),
        pytest.param(
            BACK_TO_BACK, FIRST + 50, None, people("two", "two", "two"), 2, ("two", OBSERVED), id="votes choose",
        ),
    ],
)  # fmt: skip
def test_people_beside_the_schedule(
    events: tuple[Json, ...], began: float, ended: float | None, seen: Seen, registration_type: int,
    expected: tuple[str | None, str],
) -> None:  # fmt: skip
    found = decide(ran(began, ended), meeting(*events, registration_type=registration_type), seen)
    assert said(found) == expected


# --- words, rehearsals, one session -----------------------------------------------------------------------------

OPERATOR = LinkStatement(
    "a", "u", "operator", occurrence_id="1003", stated_at=at(999), stated_by="mara", because="the host told me"
)
ZOOM = LinkStatement("a", "u", "zoom", occurrence_id="1002", stated_at=at(998))


def test_an_operators_word_outranks_zooms_and_says_that_zoom_disagrees() -> None:
    decision = decide(ran(FIRST), meeting(*WEEKLY), people("1001", "1001"), OPERATOR, ZOOM)
    assert said(decision) == ("1003", CONFIRMED)
    assert decision.evidence["operator"]["by"] == "mara"
    assert decision.evidence["zoom"]["occurrence_id"] == "1002"


def test_zooms_word_outranks_people_and_schedule() -> None:
    assert said(decide(ran(FIRST), meeting(*WEEKLY), people("1001", "1001"), None, ZOOM)) == ("1002", CONFIRMED)


def test_a_rehearsal_is_no_occurrence_unless_an_operator_says_so() -> None:
    rehearsal = ran(FIRST - 20, FIRST - 1, is_practice=True)
    assert said(decide(rehearsal, meeting(*WEEKLY), people("1001", "1001"))) == (None, "rehearsal")
    assert said(decide(rehearsal, meeting(*WEEKLY), operator=OPERATOR)) == ("1003", CONFIRMED)


@pytest.mark.parametrize("type_", [6, 3, 1, 4])
def test_without_a_fixed_time_each_instance_is_its_own_occurrence(type_: int) -> None:
    assert said(decide(ran(5 * DAY), meeting(type_=type_))) == ("u", CONFIRMED)


@pytest.mark.parametrize("type_", [5, 2])
def test_a_single_session_is_the_one_it_can_be(type_: int) -> None:
    single = Story("webinar", type_)
    known = meeting(single.created(0, {"x": FIRST}), type_=type_)
    assert said(decide(ran(FIRST + 5), known)) == ("single", CONFIRMED)
    assert said(decide(ran(FIRST), meeting(type_=type_))) == ("single", CONFIRMED)
    assert said(decide(ran(FIRST + 9 * DAY), known)) == (None, "unscheduled")


def test_a_type_known_only_from_the_instance_counts() -> None:
    assert said(decide(ran(FIRST, type=3), MeetingFacts())) == ("u", CONFIRMED)


# --- what holds for every decision ------------------------------------------------------------------------------

DAYS = st.floats(-2 * DAY, 3 * WEEK_MINUTES, allow_nan=False)


@given(
    began=DAYS,
    length=st.none() | st.floats(0, 300),
    events=st.sampled_from([(), WEEKLY, DAILY, SEVERAL, BACK_TO_BACK]),
    votes=st.lists(st.sampled_from(["1001", "1002", "d2", "noon", "two", "gone"]), max_size=6),
    type_=st.sampled_from([None, 9, 5, 6]),
    registration_type=st.sampled_from([None, 1, 2, 3]),
    is_practice=st.booleans(),
    luck=st.randoms(use_true_random=False),
)
def test_a_decision_is_a_function_of_what_is_known(
    began: float, length: float | None, events: tuple[Json, ...], votes: list[str], type_: int | None,
    registration_type: int | None, is_practice: bool, luck: random.Random,
) -> None:  # fmt: skip
    instance = ran(began, None if length is None else began + length, is_practice=is_practice)
    facts = MeetingFacts(type_, 60, registration_type, stated(*events))
    seen = people(*votes)
    decision = decide(instance, facts, seen)
    shuffled = list(seen.voters)
    luck.shuffle(shuffled)
    assert decide(instance, facts, Seen(seen.registrants, shuffled)) == decision
    assert link_instances([instance], facts, {"u": seen}, {}, {}) == {"u": decision}
    assert (decision.occurrence_id is not None) is (decision.state in LINKED)
    assert decision.evidence["rule"]
    json.dumps(decision.evidence)
    if decision.state in NEEDS_REVIEW and events and type_ == 9:
        assert decision.evidence["reason"]
        assert "candidates" in decision.evidence or decision.state is LinkState.CONFLICT


@given(st.integers(1, 50), st.floats(-20, 50))
def test_more_instances_do_not_change_the_decision_about_one_on_time(others: int, late: float) -> None:
    """Restarts add up to one occurrence; what ran on other days says nothing."""
    instance = ran(SECOND + late)
    noise = [ObservedInstance(f"o{n}", at(SECOND + 2 * DAY + n), at(SECOND + 2 * DAY + n + 1)) for n in range(others)]
    facts = MeetingFacts(9, 60, None, stated(*WEEKLY), [instance, *noise])
    assert decide(instance, facts).occurrence_id == "1002"


def test_daylight_saving_shifts_do_not_shift_an_occurrence() -> None:
    """Berlin, 25 October 2026: a session at 16:00 local time is 14:00 UTC before and 15:00 UTC after."""
    before, after = 14 * 60.0, 14 * 60.0 + WEEK_MINUTES + 60
    known = meeting(w.created(0, {"summer": before, "winter": after}))
    assert said(decide(ran(before - 2), known)) == ("summer", INFERRED)
    assert said(decide(ran(after - 2), known)) == ("winter", INFERRED)
    assert timedelta(minutes=after - before) == timedelta(days=7, hours=1)


# --- in the tables ----------------------------------------------------------------------------------------------


def link_of(database: Database, uuid: str = "run-1==") -> tuple[str | None, str]:
    row = one(database, "SELECT occurrence_id, link_state FROM instance WHERE uuid = ?", [uuid])
    return row["occurrence_id"], row["link_state"]


def test_a_link_appears_with_started_hardens_with_people_and_is_final_when_zoom_says_so(database: Database) -> None:
    take(database, *WEEKLY, w.registration(1, "created", "ann", {"1001": FIRST}, status="approved"))
    take(database, w.started(FIRST))
    assert link_of(database) == ("1001", INFERRED)
    take(database, w.person(FIRST + 1, "joined", "1", FIRST, registrant_id="ann"))
    assert link_of(database) == ("1001", OBSERVED)
    words = {"id": w.meeting_id, "instances": [{"uuid": "run-1==", "occurrence_id": "1002"}]}
    payload = {"account_id": w.account, "object": words}
    take(database, {"event": "joinlog.past_instances_stated", "event_ts": 1772999999000, "payload": payload})
    assert link_of(database) == ("1002", CONFIRMED)
    diary = select(database, "SELECT from_occurrence_id, to_occurrence_id, state FROM link_history ORDER BY decided_at")
    assert [tuple(row.values()) for row in diary] == [
        (None, "1001", INFERRED), ("1001", "1001", OBSERVED), ("1001", "1002", CONFIRMED),
    ]  # fmt: skip


def test_a_link_is_made_when_the_schedule_arrives_after_the_instance(database: Database) -> None:
    take(database, w.started(SECOND))
    assert link_of(database) == (None, "unscheduled")
    take(database, *WEEKLY)
    assert link_of(database) == ("1002", INFERRED)


def test_an_instance_of_another_meeting_is_not_touched(database: Database) -> None:
    other = Story(meeting_id=99999999999)
    take(database, other.created(0, WEEKS), other.started(FIRST, "other=="), *WEEKLY)
    before = one(database, "SELECT updated_at FROM instance WHERE uuid = 'other=='")
    take(database, w.started(FIRST), w.deleted(5))
    assert one(database, "SELECT updated_at FROM instance WHERE uuid = 'other=='") == before


def test_the_same_uuid_in_two_accounts_is_two_instances(database: Database) -> None:
    other = Story(account="another account")
    take(database, *WEEKLY, w.started(FIRST), other.created(0, {"x1": FIRST}), other.started(FIRST))
    rows = select(database, "SELECT account_id, occurrence_id FROM instance ORDER BY occurrence_id")
    assert [(row["account_id"], row["occurrence_id"]) for row in rows] == [
        (w.account, "1001"), ("another account", "x1"),
    ]  # fmt: skip


# --- people who tell nothing ------------------------------------------------------------------------------------


def since(minutes: float, *named: set[str]) -> Seen:
    voters = [Voter(f"r{n}", frozenset(names), at(minutes)) for n, names in enumerate(named)]
    return Seen(len(voters), voters)


def test_people_who_named_every_date_there_was_do_not_speak_against_one_that_came_later() -> None:
    """An edit issues a new id; that nobody who had registered before names it says nothing about the others."""
    edited = w.moved(200, {"1003": THIRD}, {"1033": THIRD + 60})
    facts = meeting(w.created(0, WEEKS), edited)
    before = since(100, *[{"1001", "1002", "1003"}] * 4)
    assert said(decide(ran(SECOND), facts, before)) == ("1002", INFERRED)
    after = since(300, *[{"1002"}] * 4)
    assert said(decide(ran(SECOND), facts, after)) == ("1002", OBSERVED)


def test_people_who_all_name_the_same_two_dates_near_each_other_do_not_single_one_out() -> None:
    facts = meeting(*DAILY)
    both = {"d1", "d2"}
    assert said(decide(ran(FIRST + 2 * DAY), facts, people(*[both] * 4))) == ("d2", INFERRED)
    assert said(decide(ran(FIRST + 2 * DAY), facts, people(both, {"d2"}, {"d2"}, {"d2"}))) == ("d2", OBSERVED)
