"""What the views answer: one test per rule, on both databases, and the plans that make them fast."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import permutations
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, generate
from schema.own_events import link_event
from schema.reserved import EVERY_OCCURRENCE
from schema.store.database import Database
from schema.store.meetings import read_attendance
from schema.store.reports import read_links, read_occurrence_report
from schema.views import VIEWS
from tests.bench.fill import ACCOUNT as BENCH_ACCOUNT
from tests.bench.fill import BIG_MEETING, fill_reports, occurrence_of
from tests.inbox_to_tables import is_postgres, one, read_table, select, take
from tests.stories import ACCOUNT, WEEK_MINUTES, ZERO, Json, Story, at, ms
from workers.zoom.answers import event_body

FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES  # planned starts, minutes after the story's zero
WEEKS = {"1001": FIRST, "1002": SECOND}
END = FIRST + 60
LONG_FROM_NOW = FIRST + 100 * 365 * 24 * 60
w = Story()
m = Story("meeting", 8)
Row = dict[str, Any]


def reported(database: Database, occurrence: str = "1001") -> Row:
    """The row of `occurrence_report`, moments aware."""
    with database.read() as connection:
        rows = read_occurrence_report(connection, ACCOUNT, w.meeting_id, occurrence)
    assert len(rows) == 1
    return rows[0]


def numbers(database: Database, occurrence: str = "1001") -> tuple[int, int, int, int, int]:
    """registrants, attended, no-shows, walk-ins, unidentified."""
    row = reported(database, occurrence)
    return row["registrants"], row["attended"], row["no_shows"], row["walk_ins"], row["unidentified"]


def attended(database: Database, occurrence: str = "1001") -> dict[str, Row]:
    """The rows of `attendance`, by person."""
    with database.read() as connection:
        rows = [row._asdict() for row in read_attendance(connection, ACCOUNT, w.meeting_id, occurrence)]
    assert len({row["person_id"] for row in rows}) == len(rows)
    return {row["person_id"]: row for row in rows}


def minutes(database: Database, occurrence: str = "1001") -> dict[str, float]:
    """How long each person was there."""
    return {person: row["attended_minutes"] for person, row in attended(database, occurrence).items()}


def registered(name: str, minute: float = 1, **more: Any) -> Json:
    """Somebody registers for both weeks."""
    return w.registration(minute, "created", name, WEEKS, status="approved", **more)


def stay(story: Story, user: str, come: float, go: float, uuid: str = "run-1==", **who: Any) -> list[Json]:
    """One connection, from its join to its leave."""
    return [
        story.person(come, "joined", user, FIRST, uuid, **who),
        story.person(go, "left", user, FIRST, uuid, **who),
    ]


def run(*events: Json, story: Story = w, practice: bool = False) -> list[Json]:
    """The first week, held from its planned start to its planned end, and what happens in it."""
    more: Json = {"practice_session": True} if practice else {}
    return [story.created(0, WEEKS), story.started(FIRST), *events, story.ended(END, FIRST, **more)]


# --- one row per occurrence, one row per person -----------------------------------------------------------------


def test_several_instances_of_one_occurrence_add_up_to_one_row(database: Database) -> None:
    take(
        database, w.created(0, WEEKS), registered("ann"), registered("ben"), registered("cyn"), registered("dan"),
        w.started(FIRST), *stay(w, "1", 61, 80, registrant_id="ann"), *stay(w, "2", 62, 72, registrant_id="cyn"),
        w.ended(80, FIRST), w.started(85, "run-1b=="), *stay(w, "3", 86, 116, "run-1b==", registrant_id="ann"),
        *stay(w, "4", 90, 100, "run-1b==", registrant_id="ben"), w.ended(118, 85, "run-1b=="),
    )  # fmt: skip
    row = reported(database)
    assert numbers(database) == (4, 3, 1, 0, 0)
    assert (row["instances"], row["participants"], row["peak_concurrent"]) == (2, 3, 2)
    assert (row["held_from"], row["held_until"]) == (at(FIRST), at(118))
    assert minutes(database) == {"registrant:ann": 49.0, "registrant:ben": 10.0, "registrant:cyn": 10.0}
    assert row["attended_minutes"] == 69.0
    assert attended(database)["registrant:ann"]["connections"] == 2


def test_a_stay_that_overlaps_the_rejoin_in_the_restarted_instance_counts_once(database: Database) -> None:
    """A killed client: its `left` tells of a moment at which it had long rejoined, in another instance."""
    take(
        database, w.created(0, WEEKS), registered("ann"), w.started(FIRST),
        w.person(61, "joined", "1", FIRST, registrant_id="ann"), w.started(63, "run-1b=="),
        w.person(64, "joined", "9", 63, "run-1b==", registrant_id="ann"),
        w.person(66, "left", "1", FIRST, registrant_id="ann"), w.ended(67, FIRST),
        w.person(69, "left", "9", 63, "run-1b==", registrant_id="ann"), w.ended(70, 63, "run-1b=="),
    )  # fmt: skip
    assert minutes(database) == {"registrant:ann": 8.0}
    assert (reported(database)["peak_concurrent"], reported(database)["instances"]) == (1, 2)


def test_a_person_on_two_devices_is_counted_once(database: Database) -> None:
    events = [*stay(w, "1", 61, 70, registrant_id="ann"), *stay(w, "2", 65, 80, registrant_id="ann")]
    take(database, registered("ann"), *run(*events))
    assert numbers(database) == (1, 1, 0, 0, 0)
    assert minutes(database) == {"registrant:ann": 19.0}
    assert attended(database)["registrant:ann"]["connections"] == 2
    assert reported(database)["peak_concurrent"] == 1


def test_a_device_within_the_stay_of_another_adds_nothing(database: Database) -> None:
    events = [
        *stay(w, "1", 61, 90, registrant_id="ann"), *stay(w, "2", 65, 80, registrant_id="ann"),
        *stay(w, "3", 85, 95, registrant_id="ann"),
    ]  # fmt: skip
    take(database, registered("ann"), *run(*events))
    assert minutes(database) == {"registrant:ann": 34.0}
    assert reported(database)["peak_concurrent"] == 1


def test_a_rejoin_is_the_same_person(database: Database) -> None:
    events = [*stay(w, "1", 61, 70, registrant_id="ann"), *stay(w, "2", 75, 80, registrant_id="ann")]
    take(database, registered("ann"), *run(*events))
    row = attended(database)["registrant:ann"]
    assert (row["first_joined_at"], row["last_left_at"], row["is_present"]) == (at(61), at(80), False)
    assert (row["attended_minutes"], row["connections"], row["is_registered"]) == (14.0, 2, True)


def test_somebody_who_leaves_as_another_comes_does_not_raise_the_peak(database: Database) -> None:
    take(database, *run(*stay(w, "1", 61, 70), *stay(w, "2", 70, 80), *stay(w, "3", 75, 85)))
    assert reported(database)["peak_concurrent"] == 2


# --- rehearsals -------------------------------------------------------------------------------------------------


def test_a_rehearsal_counts_for_nothing(database: Database) -> None:
    take(database, registered("ann"), *run(*stay(w, "1", 61, 70, registrant_id="ann"), practice=True))
    row = reported(database)
    assert (row["registrants"], row["instances"], row["held_from"], row["link_state"]) == (1, 0, None, None)
    counted = ("attended", "no_shows", "walk_ins", "unidentified", "participants", "peak_concurrent")
    assert [row[name] for name in (*counted, "attended_minutes")] == [None] * 7
    assert attended(database) == {}
    assert one(database, "SELECT link_state FROM instance") == {"link_state": "rehearsal"}


def test_a_rehearsal_before_the_event_leaves_only_the_event(database: Database) -> None:
    take(
        database, w.created(0, WEEKS), registered("ann"), w.started(30, "try=="),
        *stay(w, "1", 31, 50, "try==", registrant_id="ann"), w.ended(50, 30, "try==", practice_session=True),
        w.started(FIRST), *stay(w, "5", 62, 64, email="gus@example.com"), w.ended(END, FIRST),
    )  # fmt: skip
    assert numbers(database) == (1, 0, 1, 1, 0)
    assert reported(database)["instances"] == 1


# --- people -----------------------------------------------------------------------------------------------------


def test_people_who_never_registered_are_walk_ins(database: Database) -> None:
    events = [
        *stay(w, "1", 61, 70, registrant_id="ann"), *stay(w, "2", 61, 70, email="Gus@Example.com"),
        *stay(w, "3", 71, 75, email="gus@example.com"), *stay(w, "4", 61, 70, participant_user_id="zoom-user"),
    ]  # fmt: skip
    take(database, registered("ann"), registered("ben"), *run(*events))
    assert numbers(database) == (2, 1, 1, 2, 0)
    flags = {person: row["is_registered"] for person, row in attended(database).items()}
    assert flags == {"registrant:ann": True, "email:gus@example.com": False, "user:zoom-user": False}


def test_a_registrant_of_another_week_is_a_walk_in(database: Database) -> None:
    second_only = w.registration(2, "created", "ben", {"1002": SECOND}, status="approved")
    take(database, registered("ann"), second_only, *run(*stay(w, "2", 61, 70, registrant_id="ben")))
    assert numbers(database) == (1, 0, 1, 1, 0)
    assert attended(database)["registrant:ben"]["is_registered"] is False


def test_people_without_an_identifier_are_counted_by_connection_and_never_merged(database: Database) -> None:
    """Two guests of one name are two people; one of them comes back, and nothing tells that it is the same."""
    same_name = {"user_name": "Kim"}
    events = [
        *stay(w, "1", 61, 70, **same_name), *stay(w, "2", 62, 71, **same_name), *stay(w, "3", 72, 80, **same_name)
    ]  # fmt: skip
    take(database, *run(*events))
    assert numbers(database) == (0, 0, 0, 0, 3)
    assert reported(database)["participants"] == 3
    assert minutes(database) == {f"connection:run-1==:{n}": t for n, t in (("1", 9.0), ("2", 9.0), ("3", 8.0))}


def test_one_connection_that_joins_twice_is_one_unidentified(database: Database) -> None:
    take(database, *run(*stay(w, "1", 61, 70), *stay(w, "1", 75, 80)))
    assert numbers(database) == (0, 0, 0, 0, 1)
    assert minutes(database) == {"connection:run-1==:1": 14.0}


@pytest.mark.parametrize("first", ["registration", "join"])
def test_an_attendee_with_a_registrants_address_is_that_registrant(database: Database, first: str) -> None:
    told = [registered("ann"), *run(*stay(w, "1", 61, 70, email="ANN@example.com"))]
    for event in told if first == "registration" else reversed(told):
        take(database, event)
    assert numbers(database) == (1, 1, 0, 0, 0)
    assert minutes(database) == {"registrant:ann": 9.0}


@pytest.mark.parametrize("first", ["registration", "join"])
def test_a_signed_in_attendee_with_a_registrants_address_is_that_registrant(database: Database, first: str) -> None:
    who = {"email": "ann@example.com", "participant_user_id": "zoom-user"}
    told = [registered("ann"), *run(*stay(w, "1", 61, 70, **who))]
    for event in told if first == "registration" else reversed(told):
        take(database, event)
    assert numbers(database) == (1, 1, 0, 0, 0)


def test_every_order_of_registration_and_joins_by_address_link_and_user_tells_the_same_people(
    database: Database,
) -> None:
    told = [
        registered("ann"),
        w.person(61, "joined", "1", FIRST, email="ann@example.com", participant_user_id="zoom-user"),
        w.person(62, "joined", "2", FIRST, participant_user_id="zoom-user"),
        w.person(63, "joined", "3", FIRST, registrant_id="ann"),
    ]
    found = set()
    for order in permutations(told):
        with database.write() as connection:
            for table in ("inbox_event", "registrant", "registration", "connection", "participant", "instance"):
                connection.exec_driver_sql(f"DELETE FROM {table}")
        for event in order:
            take(database, event)
        found.add(tuple(row["person_id"] for row in select(database, "SELECT * FROM participant ORDER BY 3")))
    assert len(found) == 1, found


@pytest.mark.parametrize("order", [1, -1])
def test_a_telephone_is_bound_to_its_person(database: Database, order: int) -> None:
    events = run(
        *stay(m, "1", 61, 70, registrant_id="ann"),
        m.person(66, "joined", "2", FIRST),
        m.person(67, "bind", "2", FIRST, bind_user_id="1"),
        m.person(80, "left", "2", FIRST),
        story=m,
    )
    for event in [registered("ann"), *events][::order]:
        take(database, event)
    assert numbers(database) == (1, 1, 0, 0, 0)
    assert minutes(database) == {"registrant:ann": 19.0}
    assert attended(database)["registrant:ann"]["connections"] == 2


@pytest.mark.parametrize("order", [1, -1])
def test_a_breakout_room_is_presence_and_never_counts_twice(database: Database, order: int) -> None:
    room = {"parent_user_id": "1", "room": "room=="}
    events = run(
        m.person(61, "joined", "1", FIRST, registrant_id="ann"),
        m.person(70, "joined_breakout_room", "9", FIRST, **room),
        m.person(80, "left_breakout_room", "9", FIRST, **room),
        m.person(90, "left", "1", FIRST),
        story=m,
    )
    for event in [registered("ann"), *events][::order]:
        take(database, event)
    row = attended(database)["registrant:ann"]
    assert numbers(database) == (1, 1, 0, 0, 0)
    assert (row["attended_minutes"], row["connections"]) == (29.0, 1)
    assert (reported(database)["participants"], reported(database)["peak_concurrent"]) == (1, 1)


# --- who is a registrant of it ----------------------------------------------------------------------------------

Steps = list[tuple[float, str, dict[str, float] | None, str]]  # minute, what, dates, status
BOTH, ONLY_SECOND, NONE = WEEKS, {"1002": SECOND}, None
REGISTRATIONS: dict[str, tuple[Steps, tuple[bool, bool]]] = {
    "for both": ([(1, "created", BOTH, "approved")], (True, True)),
    "for all, naming none": ([(1, "created", NONE, "approved")], (True, True)),
    "for the second only": ([(1, "created", ONLY_SECOND, "approved")], (False, True)),
    "while the first runs": ([(FIRST + 30, "created", BOTH, "approved")], (True, True)),
    "after the first ended": ([(END + 1, "created", BOTH, "approved")], (False, True)),
    "for all, after the first ended": ([(END + 1, "created", NONE, "approved")], (False, True)),
    "cancelled before the first began": (
        [(1, "created", BOTH, "approved"), (5, "cancelled", NONE, "")], (False, False),
    ),
    "cancelled between the two": (
        [(1, "created", BOTH, "approved"), (END + 5, "cancelled", NONE, "")], (True, False),
    ),
    "cancelled while the first ran": (
        [(1, "created", BOTH, "approved"), (FIRST + 5, "cancelled", NONE, "")], (True, False),
    ),
    "one date of two cancelled": (
        [(1, "created", BOTH, "approved"), (5, "cancelled", ONLY_SECOND, "")], (True, False),
    ),
    "cancelled and back in time": (
        [(1, "created", NONE, "approved"), (5, "cancelled", NONE, ""), (9, "created", NONE, "approved")], (True, True),
    ),
    "cancelled and back after the first": (
        [(1, "created", NONE, "approved"), (5, "cancelled", NONE, ""), (END + 9, "created", NONE, "approved")],
        (False, True),
    ),
    "pending": ([(1, "created", BOTH, "pending")], (False, False)),
    "pending, then approved": ([(1, "created", BOTH, "pending"), (9, "approved", NONE, "approved")], (True, True)),
    "pending, then denied": ([(1, "created", BOTH, "pending"), (9, "denied", NONE, "denied")], (False, False)),
    "approved, then denied": ([(1, "created", BOTH, "approved"), (9, "denied", NONE, "denied")], (False, False)),
}  # fmt: skip


def standing(database: Database, stories: dict[str, tuple[Steps, tuple[bool, bool]]]) -> dict[str, tuple[bool, bool]]:
    """For which of the two weeks, both of them held, each story's person is a registrant."""
    signups = [
        w.registration(minute, what, name, dates, **({"status": status} if status else {}))
        for name, (steps, _) in stories.items()
        for minute, what, dates, status in steps
    ]
    take(database, *run(), *signups, w.started(SECOND, "run-2=="), w.ended(SECOND + 60, SECOND, "run-2=="))
    rows = select(database, "SELECT registrant_id, occurrence_id FROM occurrence_registrant")
    found = {(row["registrant_id"], row["occurrence_id"]) for row in rows}
    assert len(found) == len(rows)
    for occurrence in WEEKS:
        counted = sum(which == occurrence for _, which in found)
        assert reported(database, occurrence)["registrants"] == counted
    return {name: ((name, "1001") in found, (name, "1002") in found) for name in stories}


def test_who_is_a_registrant(database: Database) -> None:
    """Approved, registered before it ended and not cancelled before it began."""
    assert standing(database, REGISTRATIONS) == {name: expected for name, (_, expected) in REGISTRATIONS.items()}


def test_one_date_of_a_registration_for_all_is_cancelled(database: Database) -> None:
    steps: Steps = [(1, "created", NONE, "approved"), (5, "cancelled", ONLY_SECOND, "")]
    assert standing(database, {"ann": (steps, (True, False))}) == {"ann": (True, False)}


def test_a_registration_for_an_occurrence_that_was_never_held_counts_until_its_planned_end(database: Database) -> None:
    late = [w.registration(END + n, "created", who, BOTH, status="approved") for n, who in ((-1, "ann"), (1, "ben"))]
    take(database, w.created(0, WEEKS), *late)
    assert (reported(database)["registrants"], reported(database, "1002")["registrants"]) == (1, 2)
    assert reported(database)["no_shows"] is None


def test_a_registration_just_after_the_planned_end_of_what_was_not_held_does_not_count(database: Database) -> None:
    """To the millisecond, on both databases."""
    take(database, w.created(0, WEEKS), w.registration(END + 0.5 / 60, "created", "ann", BOTH, status="approved"))
    assert reported(database)["registrants"] == 0


def test_once_registered_for_all_whatever_the_list_says_where_the_type_is_learned_late(database: Database) -> None:
    """Registration type 1: register once, attend any occurrence. Zoom states the type in an `updated`."""
    signup = w.registration(1, "created", "ann", ONLY_SECOND, status="approved")
    take(database, *run(*stay(w, "1", 61, 70, registrant_id="ann")), signup)
    assert numbers(database) == (0, 0, 0, 1, 0)
    take(database, w.retitled(3, "Weekly", settings={"registration_type": 1}))
    assert numbers(database) == (1, 1, 0, 0, 0)
    assert [row["occurrence_id"] for row in read_table(database, "registration")] == [EVERY_OCCURRENCE]


# --- presence ---------------------------------------------------------------------------------------------------


def test_a_leave_without_a_join_is_presence_of_zero_minutes(database: Database) -> None:
    take(database, registered("ann"), *run(w.person(70, "left", "1", FIRST, registrant_id="ann")))
    row = attended(database)["registrant:ann"]
    assert numbers(database) == (1, 1, 0, 0, 0)
    assert (row["first_joined_at"], row["last_left_at"], row["attended_minutes"]) == (None, at(70), 0.0)
    assert row["is_present"] is False


def test_a_join_without_a_leave_ends_with_the_instance(database: Database) -> None:
    take(database, registered("ann"), *run(w.person(70, "joined", "1", FIRST, registrant_id="ann")))
    row = attended(database)["registrant:ann"]
    assert (row["last_left_at"], row["attended_minutes"], row["is_present"]) == (at(END), 50.0, False)
    assert [stay["left_is_inferred"] for stay in read_table(database, "participant")] == [True]


def test_an_instance_that_never_ended_is_still_open(database: Database) -> None:
    events = [w.created(0, WEEKS), w.started(FIRST), w.person(61, "joined", "1", FIRST, registrant_id="ann")]
    take(database, registered("ann"), *events, *stay(w, "2", 62, 70, email="gus@example.com"))
    row = attended(database)["registrant:ann"]
    assert (row["last_left_at"], row["is_present"], row["connections"]) == (None, True, 1)
    assert row["attended_minutes"] > 60 * 24  # it goes on to this day
    assert (reported(database)["held_from"], reported(database)["held_until"]) == (at(FIRST), None)
    assert (reported(database)["peak_concurrent"], numbers(database)) == (2, (1, 1, 0, 1, 0))


# --- what runs, and what a person should decide -----------------------------------------------------------------


def test_the_live_instance_says_who_is_there_now(database: Database) -> None:
    take(
        database, registered("ann"), registered("ben"), w.created(0, WEEKS), w.started(FIRST),
        w.person(61, "joined", "1", FIRST, registrant_id="ann"), w.person(62, "joined", "2", FIRST),
        w.person(62, "joined", "7", FIRST, registrant_id="ann"), *stay(w, "3", 62, 63, registrant_id="ben"),
        w.person(63, "left", "4", FIRST, email="gus@example.com"),
    )  # fmt: skip
    row = one(database, "SELECT * FROM live_instance")
    assert (row["uuid"], row["occurrence_id"], row["topic"], row["kind"]) == ("run-1==", "1001", "Weekly", "webinar")
    assert (row["present"], row["participants"], row["registrants"]) == (2, 4, 2)
    take(database, w.ended(END, FIRST))
    assert select(database, "SELECT * FROM live_instance") == []


def test_an_instance_whose_start_was_never_told_is_live_all_the_same(database: Database) -> None:
    take(database, w.created(0, WEEKS), w.person(61, "joined", "1", FIRST))
    assert one(database, "SELECT uuid, present FROM live_instance") == {"uuid": "run-1==", "present": 1}


def reviewed(database: Database) -> list[tuple[str, str, str | None]]:
    rows = select(database, "SELECT * FROM needs_review ORDER BY uuid")
    return [(row["uuid"], row["link_state"], row["occurrence_id"]) for row in rows]


def test_links_that_cannot_be_said_need_review(database: Database) -> None:
    votes = [w.registration(1, "created", name, {"1002": SECOND}, status="approved") for name in ("ann", "ben")]
    people = [*stay(w, "1", 61, 70, registrant_id="ann"), *stay(w, "2", 61, 70, registrant_id="ben")]
    close = {"1001": FIRST, "1002": SECOND, "1003": SECOND + 5}
    take(
        database, w.created(0, close), *votes, w.started(FIRST), *people, w.ended(END, FIRST),
        w.started(2 * 1440, "run-x=="), w.started(SECOND, "run-y=="),
    )  # fmt: skip
    found = reviewed(database)
    assert found == [
        ("run-1==", "conflict", None), ("run-x==", "unscheduled", None), ("run-y==", "ambiguous", None),
    ]  # fmt: skip
    row = one(database, "SELECT link_evidence FROM needs_review WHERE uuid = 'run-y=='")
    assert {item["occurrence_id"] for item in json.loads(row["link_evidence"])["candidates"]} >= {"1002", "1003"}


def stated(uuid: str, occurrence_id: str, minutes: float) -> bytes:
    """Zoom's list of past instances."""
    told = {"id": w.meeting_id, "kind": "webinar", "instances": [{"uuid": uuid, "occurrence_id": occurrence_id}]}
    return event_body("zoom.instances_read", ACCOUNT, told, ms(minutes))


def test_an_operator_whom_zoom_contradicts_is_shown_and_one_whom_it_confirms_is_not(database: Database) -> None:
    take(database, *run())
    assert reviewed(database) == []
    by = {"by": "ops", "because": "seen it", "now": at(200)}
    take(database, link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", **by))  # type: ignore[arg-type]
    assert reviewed(database) == []
    take(database, stated("run-1==", "1001", 300))
    assert reviewed(database) == [("run-1==", "confirmed", "1002")]
    take(database, stated("run-1==", "1002", 400))
    assert reviewed(database) == []
    take(database, stated("run-1==", "1001", 500))
    take(database, link_event(ACCOUNT, w.meeting_id, "run-1==", None, by="ops", because="wrong", now=at(600)))
    assert reviewed(database) == []
    with database.read() as connection:
        links = read_links(connection, w.meeting_id, ACCOUNT)
    assert [(row["link_state"], row["occurrence_id"]) for row in links] == [("confirmed", "1001")]


# --- what became of an occurrence -------------------------------------------------------------------------------


def states(database: Database) -> dict[str, str]:
    """The state of each occurrence."""
    with database.read() as connection:
        return {row["occurrence_id"]: row["state"] for row in read_occurrence_report(connection, ACCOUNT, w.meeting_id)}


def test_a_date_is_planned_until_it_is_over_and_then_it_was_not_held(database: Database) -> None:
    take(database, w.created(0, {"1001": FIRST, "9999": LONG_FROM_NOW}))
    assert states(database) == {"1001": "not_held", "9999": "planned"}


def test_a_date_runs_and_then_it_was_held(database: Database) -> None:
    take(database, w.created(0, WEEKS), w.started(FIRST))
    assert states(database) == {"1001": "running", "1002": "not_held"}
    take(database, w.ended(END, FIRST))
    assert states(database) == {"1001": "held", "1002": "not_held"}
    take(database, w.deleted(END + 10))
    assert states(database) == {"1001": "held", "1002": "deleted"}


def test_a_date_that_an_edit_replaced_is_retired(database: Database) -> None:
    take(database, w.created(0, WEEKS), w.moved(10, WEEKS, {"1001": FIRST, "1003": SECOND + 60}))
    assert states(database) == {"1001": "not_held", "1002": "retired", "1003": "not_held"}


def test_a_date_that_a_waiting_instance_may_have_been_is_undecided_until_somebody_decides(database: Database) -> None:
    close = {"1001": FIRST, "1002": SECOND, "1003": SECOND + 5, "9999": LONG_FROM_NOW}
    take(database, w.created(0, close), w.started(FIRST), w.ended(END, FIRST), w.started(SECOND, "run-y=="))
    assert states(database) == {"1001": "held", "1002": "undecided", "1003": "undecided", "9999": "planned"}
    by = {"by": "ops", "because": "seen it", "now": at(SECOND + 60)}
    take(database, link_event(ACCOUNT, w.meeting_id, "run-y==", "1003", **by), w.ended(SECOND + 50, SECOND, "run-y=="))  # type: ignore[arg-type]
    assert states(database) == {"1001": "held", "1002": "not_held", "1003": "held", "9999": "planned"}


# --- against a second reckoning ---------------------------------------------------------------------------------


def test_a_chaotic_world_adds_up_as_a_second_reckoning_says(database: Database) -> None:
    """Every number of `occurrence_report` and `attendance`, from the tables, in Python, by brute force."""
    world = generate(7, 4, MIXES["chaotic"], start=ZERO, audience=(6, 14))
    take(database, *(emission.event for emission in world.emissions))
    tables = {name: read_table(database, name) for name in ("occurrence", "instance", "participant", "registration")}
    now = max(row["left_at"] or row["joined_at"] for row in tables["participant"]) + timedelta(days=1)
    checked = 0
    for occurrence in tables["occurrence"]:
        key = (occurrence["account_id"], occurrence["meeting_id"], occurrence["occurrence_id"])
        with database.read() as connection:
            row = read_occurrence_report(connection, *key)[0]
            people = [row._asdict() for row in read_attendance(connection, *key)]
        runs = {i["uuid"] for i in tables["instance"] if (i["account_id"], i["meeting_id"], i["occurrence_id"]) == key}
        stays = [p for p in tables["participant"] if p["account_id"] == key[0] and p["uuid"] in runs]
        mine = [r for r in tables["registration"] if (r["account_id"], r["meeting_id"]) == key[:2]]
        names = _registrants(occurrence, mine)
        came = {stay["person_id"] for stay in stays}
        of_them = {person for person in came if person.removeprefix("registrant:") in names and person[0] == "r"}
        assert row["registrants"] == len(names)
        assert row["instances"] == len(runs)
        assert {person["person_id"] for person in people} == came
        assert {person["person_id"] for person in people if person["is_registered"]} == of_them
        if runs:
            staff = {stay["person_id"] for stay in stays if stay["staff_as"] is not None} - of_them
            nobody = {person for person in came if person.startswith("connection:")} - staff
            assert (row["attended"], row["no_shows"]) == (len(of_them), len(names) - len(of_them))
            assert (row["unidentified"], row["staff"]) == (len(nobody), len(staff))
            assert row["participants"] == len(came) - len(staff)
            assert row["walk_ins"] == len(came) - len(of_them) - len(nobody) - len(staff)
        if runs and all(stay["left_at"] is not None for stay in stays):
            times = _union_minutes(stays, now)
            assert {p["person_id"]: p["attended_minutes"] for p in people} == pytest.approx(times, abs=0.011)
            assert row["attended_minutes"] == pytest.approx(sum(times.values()), abs=0.011)
            assert row["peak_concurrent"] == _peak(stays)
            checked += bool(stays)
    assert checked > 8
    with database.read() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM occurrence_report").scalar_one() == len(
            tables["occurrence"]
        )


def _registrants(occurrence: Row, registrations: Sequence[Row]) -> set[str]:
    start = occurrence["held_from"] or occurrence["scheduled_start"]
    end = occurrence["held_until"]
    if occurrence["held_from"] is None and occurrence["scheduled_start"] is not None:
        end = occurrence["scheduled_start"] + timedelta(minutes=occurrence["duration_minutes"] or 60)
    standing = {}
    for row in sorted(registrations, key=lambda row: row["occurrence_id"]):  # `*` sorts first
        if row["occurrence_id"] in (EVERY_OCCURRENCE, occurrence["occurrence_id"]):
            standing[row["registrant_id"]] = row
    return {
        name
        for name, row in standing.items()
        if row["status"] != "pending"
        and row["since"] is not None
        and (end is None or row["since"] <= end)
        and not (row["until"] is not None and start is not None and row["until"] <= start)
        and not (row["until"] is not None and start is None)
    }


def _union_minutes(stays: Sequence[Row], now: datetime) -> dict[str, float]:
    intervals: dict[str, list[tuple[datetime, datetime]]] = defaultdict(list)
    for stay in stays:
        spans = intervals[stay["person_id"]]
        if stay["joined_at"] is not None:
            spans.append((stay["joined_at"], stay["left_at"] or now))
    found = {}
    for person, spans in intervals.items():
        total, reached = timedelta(0), datetime.min.replace(tzinfo=now.tzinfo)
        for start, end in sorted(spans):
            total += max(timedelta(0), end - max(start, reached))
            reached = max(reached, end)
        found[person] = total.total_seconds() / 60
    return found


def _peak(stays: Sequence[Row]) -> int:
    """Most people at once, looked at just after every join: joins and leaves of the same moment do not meet."""
    closed = [stay for stay in stays if stay["joined_at"] is not None and stay["left_at"] > stay["joined_at"]]
    return max(
        (
            len({s["person_id"] for s in closed if s["joined_at"] <= moment < s["left_at"]})
            for moment in {stay["joined_at"] for stay in closed}
        ),
        default=0,
    )


# --- the plans --------------------------------------------------------------------------------------------------

LARGE = ("participant", "registration", "instance")
SMALL = frozenset({"instance_live", "instance_review"})  # partial indexes: what runs, and what waits for a decision
ALIASES = {"p": "participant", "s": "participant", "i": "instance", "j": "instance", "r": "registration",
           "own": "registration"}  # fmt: skip
SELECTIVE = {  # what an index of a large table has to be asked with, besides account_id
    "participant": ("uuid", "person_id", "meeting_id"),
    "registration": ("meeting_id",),
    "instance": ("meeting_id", "uuid"),
}
FILTERED = "SELECT * FROM {} WHERE account_id = 'a2' AND meeting_id = 1003"


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("statistics", [False, True])
def test_on_sqlite_a_filter_reaches_an_index_in_every_view(
    sqlite_database: Database, view: str, statistics: bool
) -> None:
    """With and without ANALYZE: nobody runs it on a file they have just made."""
    if statistics:
        _fill(sqlite_database)
        with sqlite_database.write() as connection:
            connection.exec_driver_sql("ANALYZE")
    steps = [str(row["detail"]) for row in select(sqlite_database, f"EXPLAIN QUERY PLAN {FILTERED.format(view)}")]
    for step in steps:
        words = step.split()
        table = ALIASES.get(words[1] if len(words) > 1 else "")
        if table is None:
            continue
        assert words[0] == "SEARCH", "\n".join(steps)
        assert "account_id=?" in step, "\n".join(steps)
        assert any(f"{name}=?" in step for name in SELECTIVE[table]), "\n".join(steps)
    assert any(step.split()[1] in ALIASES for step in steps)


@pytest.mark.parametrize("view", VIEWS)
def test_on_postgres_a_filter_reaches_an_index_in_every_view(filled_postgres: Database, view: str) -> None:
    (plan,) = select(filled_postgres, f"EXPLAIN (FORMAT JSON) {FILTERED.format(view)}")
    found = _scans(plan["QUERY PLAN"][0]["Plan"])
    assert {table for table, _ in found} & set(LARGE)
    for table, node in found:
        if table in LARGE and node.get("Index Name") not in SMALL:
            assert "Seq Scan" not in node["Node Type"], json.dumps(plan, indent=1)
            condition = node.get("Index Cond", "")
            assert "account_id" in condition, json.dumps(plan, indent=1)
            assert any(name in condition for name in SELECTIVE[table]), json.dumps(plan, indent=1)


def test_without_statistics_postgres_answers_within_the_time_a_page_has(
    postgres_url: str, postgres_database: Database
) -> None:
    """By the meeting alone it would read everybody once for each of them: 10,000 people took 111 s."""
    fill_reports(postgres_url, people=6500, crowd=6000)
    with postgres_database.write() as connection:
        connection.exec_driver_sql("DELETE FROM pg_statistic WHERE starelid >= 16384")
    for view in ("occurrence_person", "occurrence_report"):
        query = f"SELECT * FROM {view} WHERE account_id = ? AND meeting_id = ? AND occurrence_id = ?"
        assert select(postgres_database, query, (BENCH_ACCOUNT, BIG_MEETING, occurrence_of(0)))


@pytest.fixture(scope="module")
def filled_postgres(postgres: Any) -> Any:
    """A Postgres database with enough rows and statistics for the planner to have a choice."""
    url = postgres.create()
    database = Database(url)
    _fill(database)
    with database.write_one() as connection:
        connection.exec_driver_sql("ANALYZE")
    yield database
    database.close()
    postgres.drop(url)


def _fill(database: Database) -> None:
    """Two accounts with a hundred meetings of five occurrences each, in each of which thirty people were."""
    stamp = "TIMESTAMPTZ '2026-03-02 08:00:00Z'" if is_postgres(database) else "'2026-03-02T08:00:00.000000Z'"
    true = "true" if is_postgres(database) else "1"

    def numbers(name: str, most: int) -> str:
        return f"{name}(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM {name} WHERE n < {most})"

    every = "WITH RECURSIVE " + ", ".join(
        (numbers("account", 2), numbers("meeting_", 100), numbers("date_", 5), numbers("person", 30))
    )
    keys = "'a' || account.n, 1000 + meeting_.n"
    run = "'a' || account.n, 'run' || meeting_.n || '-' || date_.n"
    with database.write() as connection:
        for table, columns, values, source in (
            ("meeting", "account_id, meeting_id, topic", f"{keys}, 'Weekly'", "account, meeting_"),
            (
                "occurrence", "account_id, meeting_id, occurrence_id, scheduled_start, duration_minutes, status, "
                "instances, held_from, held_until", f"{keys}, '' || date_.n, {stamp}, 60, 'available', 1, {stamp}, "
                f"{stamp}", "account, meeting_, date_",
            ),
            (
                "instance", "account_id, uuid, meeting_id, occurrence_id, started_at, ended_at, link_state",
                f"{run}, 1000 + meeting_.n, '' || date_.n, {stamp}, {stamp}, 'inferred'", "account, meeting_, date_",
            ),
            (
                "registration", "account_id, meeting_id, registrant_id, occurrence_id, status, since",
                f"{keys}, 'r' || person.n, '' || date_.n, 'approved', {stamp}", "account, meeting_, date_, person",
            ),
            (
                "participant", "account_id, uuid, connection_id, first_seen_at, meeting_id, joined_at, left_at, "
                "left_is_inferred, registrant_id, person_id, counts_from",
                f"{run}, '' || person.n, {stamp}, 1000 + meeting_.n, {stamp}, {stamp}, {true}, 'r' || person.n, "
                f"'registrant:r' || person.n, {stamp}", "account, meeting_, date_, person",
            ),
            (
                "link_statement", "account_id, uuid, source, meeting_id, occurrence_id",
                f"{run}, 'zoom', 1000 + meeting_.n, '' || date_.n", "account, meeting_, date_",
            ),
        ):  # fmt: skip
            connection.exec_driver_sql(f"INSERT INTO {table} ({columns}) {every} SELECT {values} FROM {source}")


def _scans(node: Any) -> list[tuple[str, Any]]:
    """The scans of a plan, by table; the condition of a bitmap scan is its index scan's."""
    found: list[tuple[str, Any]] = []
    if "Relation Name" in node:
        inner = node.get("Plans", [{}])[0]
        if node["Node Type"] == "Bitmap Heap Scan":
            node = node | {"Index Cond": node.get("Recheck Cond") or inner.get("Index Cond", "")}
        found.append((node["Relation Name"], node))
    for child in node.get("Plans", ()):
        found += _scans(child)
    return found
