"""Other people's scenarios: what happens to series in life, told by hand, and what an expert says each instance was.

None of them is taken from the fake Zoom. Each is told through the inbox and the drain and read from `instance`. Times
are minutes after Monday 2 March 2026, 08:00 UTC, where the first date of most series is.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from schema.store.database import Database
from tests.inbox_to_tables import one, select, take
from tests.stories import ACCOUNT, ZERO, Json, Story, ms

DAY = 24 * 60.0
WEEK = 7 * DAY
SCHEDULED = -20_000.0
WEEKLY = {"w1": 0.0, "w2": WEEK, "w3": 2 * WEEK}
TEAM = ("host", "panelist")

Links = dict[str, tuple[str, str | None]]


def minutes_at(local: str, zone: str) -> float:
    """A wall-clock time as minutes of the story."""
    moment = datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone)).astimezone(UTC)
    return (moment - ZERO).total_seconds() / 60


def ran(
    story: Story, uuid: str, begins: float, ends: float | None, *registrants: str, missing: Iterable[str] = (),
    is_practice: bool = False,
) -> list[Json]:  # fmt: skip
    """One instance: its team and these registrants come by their own links; `missing` events never arrive."""
    told = {
        "started": [story.started(begins, uuid)],
        "joined": [story.person(begins, "joined", f"{uuid}{name}", begins, uuid) for name in TEAM]
        + [
            story.person(begins + 1, "joined", f"{uuid}{name}", begins, uuid, registrant_id=name)
            for name in registrants
        ],
        "ended": [],
    }
    if ends is not None:
        told["ended"] = [story.ended(ends, begins, uuid, **({"practice_session": True} if is_practice else {}))]
    return [event for name, events in told.items() if name not in missing for event in events]


def signed_up(story: Story, dates: dict[str, float], *names: str, at: float = SCHEDULED + 100) -> list[Json]:
    """These people register for these dates."""
    return [story.registration(at, "created", name, dates) for name in names]


def people(number: int, prefix: str = "p") -> list[str]:
    """Names of so many people."""
    return [f"{prefix}{n}" for n in range(number)]


def only(*names: str, of: dict[str, float] = WEEKLY) -> dict[str, float]:
    """Some dates of a series."""
    return {name: of[name] for name in names}


def links(database: Database) -> Links:
    """What Joinlog says of every instance: state and occurrence."""
    rows = select(database, "SELECT uuid, link_state, occurrence_id FROM instance")
    return {row["uuid"]: (row["link_state"], row["occurrence_id"]) for row in rows}


@pytest.fixture
def database(sqlite_database: Database) -> Database:
    """Stories are about decisions, not about databases: SQLite will do."""
    return sqlite_database


def tell(database: Database, *parts: list[Json] | Json) -> Links:
    """Tell it event by event, and say what Joinlog makes of it."""
    for part in parts:
        take(database, *(part if isinstance(part, list) else [part]))
    return links(database)


# --- neighbours -------------------------------------------------------------------------------------------------


def test_sessions_back_to_back_are_told_apart(database: Database) -> None:
    s, dates = Story(), {"a": 0.0, "b": 60.0}
    assert tell(database, s.created(SCHEDULED, dates), ran(s, "A", -5, 58), ran(s, "B", 59, 121)) == {
        "A": ("inferred", "a"),
        "B": ("inferred", "b"),
    }


def test_the_next_host_waits_until_the_session_before_has_overrun(database: Database) -> None:
    s, dates = Story(), {"a": 0.0, "b": 60.0}
    assert tell(database, s.created(SCHEDULED, dates), ran(s, "A", -5, 72), ran(s, "B", 73, 125)) == {
        "A": ("inferred", "a"),
        "B": ("inferred", "b"),
    }


def test_the_next_host_opens_half_an_hour_early_after_a_session_that_ended_early(database: Database) -> None:
    s, dates = Story(), {"a": 0.0, "b": 75.0}
    assert tell(database, s.created(SCHEDULED, dates), ran(s, "A", 0, 50), ran(s, "B", 52, 134)) == {
        "A": ("inferred", "a"),
        "B": ("inferred", "b"),
    }


def test_a_drop_in_the_first_of_two_sessions_is_not_the_second(database: Database) -> None:
    s, dates = Story(), {"a": 0.0, "b": 60.0}
    assert tell(
        database, s.created(SCHEDULED, dates), ran(s, "A1", -5, 30), ran(s, "A2", 32, 59), ran(s, "B", 61, 119)
    ) == {"A1": ("inferred", "a"), "A2": ("inferred", "a"), "B": ("inferred", "b")}


def test_three_sessions_a_day_each_have_their_own(database: Database) -> None:
    s, dates = Story(), {"morning": 0.0, "noon": 120.0, "afternoon": 300.0}
    assert tell(
        database, s.created(SCHEDULED, dates), ran(s, "M", -7, 63), ran(s, "N", 104, 185), ran(s, "A", 302, 355)
    ) == {"M": ("inferred", "morning"), "N": ("inferred", "noon"), "A": ("inferred", "afternoon")}


def test_a_skipped_date_does_not_shift_the_next(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "one", 2, 60), ran(s, "three", 2 * WEEK, 2 * WEEK + 55))
    assert told == {"one": ("inferred", "w1"), "three": ("inferred", "w3")}


def test_two_dates_at_the_same_time_are_ambiguous(database: Database) -> None:
    s = Story()
    moved = s.moved(-3000, {"w2": WEEK}, {"w2": 0.0})
    assert tell(database, s.created(SCHEDULED, WEEKLY), moved, ran(s, "X", 0, 60)) == {"X": ("ambiguous", None)}


def test_people_tell_two_dates_at_the_same_time_apart(database: Database) -> None:
    s, who = Story(), people(6)
    moved = s.moved(-3000, {"w2": WEEK}, {"w2": 0.0})
    assert tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), *who), moved, ran(s, "X", 0, 60, *who)
    ) == {"X": ("observed", "w2")}


# --- early, late, long ------------------------------------------------------------------------------------------


def test_opened_fifty_minutes_early_for_a_sound_check_and_left_open(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -50, 61)) == {"X": ("inferred", "w1")}


def test_opened_in_the_morning_for_the_afternoon_and_left_open(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -300, 61)) == {"X": ("inferred", "w1")}


def test_a_host_two_hours_late_is_believed_when_the_people_of_that_date_came(database: Database) -> None:
    s, who = Story(), people(5)
    assert tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who), ran(s, "X", 125, 185, *who)
    ) == {"X": ("observed", "w1")}


def test_a_room_opened_two_hours_late_with_nobody_who_tells_is_left_to_operations(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 185, 245)) == {"X": ("unscheduled", None)}


def test_held_the_next_day_without_telling_zoom_with_all_its_people(database: Database) -> None:
    s, who = Story(), people(6)
    assert tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who), ran(s, "X", DAY, DAY + 60, *who)
    ) == {"X": ("observed", "w1")}


def test_two_people_on_another_day_do_not_make_it_their_date(database: Database) -> None:
    s, who = Story(), people(2)
    assert tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who), ran(s, "X", DAY, DAY + 60, *who)
    ) == {"X": ("unscheduled", None)}


def test_people_who_come_back_the_day_after_their_date_do_not_hold_it_again(database: Database) -> None:
    s, who = Story(), people(6)
    assert tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who),
        ran(s, "held", 0, 60, *who), ran(s, "after", DAY, DAY + 30, *who),
    ) == {"held": ("observed", "w1"), "after": ("unscheduled", None)}  # fmt: skip


def test_a_room_opened_on_a_day_when_nothing_is_due(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 3 * DAY, 3 * DAY + 40)) == {
        "X": ("unscheduled", None)
    }


def test_a_room_left_open_overnight_is_the_evenings_session(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -5, 900)) == {"X": ("inferred", "w1")}


def test_a_day_long_occurrence_holds_whatever_runs_in_it(database: Database) -> None:
    s, dates = Story(), {"d1": 0.0, "d2": DAY}
    listed = s.dates(dates, duration=24 * 60, status="available")
    created = s.scheduled(SCHEDULED, "created", {"occurrences": listed, "duration": 24 * 60})
    assert tell(database, created, ran(s, "X", 600, 700), ran(s, "Y", DAY + 600, DAY + 700)) == {
        "X": ("inferred", "d1"),
        "Y": ("inferred", "d2"),
    }


def test_an_occurrence_without_a_duration_has_that_of_its_series(database: Database) -> None:
    s = Story()
    created = s.scheduled(SCHEDULED, "created", {"occurrences": s.dates(WEEKLY), "duration": 120})
    assert tell(database, created, s.live(100, "started", "X", 100, duration=120)) == {"X": ("inferred", "w1")}


# --- drops and restarts -----------------------------------------------------------------------------------------


def test_twice_restarted_is_one_occurrence(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "1", 0, 20), ran(s, "2", 22, 40), ran(s, "3", 41, 60))
    assert told == dict.fromkeys("123", ("inferred", "w1"))


def test_restarted_after_the_planned_end_it_had_overrun(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "1", -5, 70), ran(s, "2", 73, 85))
    assert told == dict.fromkeys("12", ("inferred", "w1"))


def test_dropped_half_way_and_resumed_an_hour_later_with_all_its_people(database: Database) -> None:
    s, who = Story(), people(5)
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who),
        ran(s, "1", 0, 32, *who), ran(s, "2", 90, 120, *who),
    )  # fmt: skip
    assert told == dict.fromkeys("12", ("observed", "w1"))


def test_a_debriefing_an_hour_after_the_end_is_not_the_session(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "1", -5, 60), ran(s, "2", 120, 135))
    assert told == {"1": ("inferred", "w1"), "2": ("unscheduled", None)}


def test_a_restart_across_midnight_is_the_same_occurrence(database: Database) -> None:
    s, late = Story(), {"m1": 15.5 * 60, "m2": 15.5 * 60 + WEEK}  # 23:30 UTC
    told = tell(database, s.created(SCHEDULED, late), ran(s, "1", 925, 955), ran(s, "2", 965, 989))
    assert told == dict.fromkeys("12", ("inferred", "m1"))


def test_a_session_at_midnight_opened_the_day_before(database: Database) -> None:
    s, midnight = Story(), {"m1": 16 * 60.0, "m2": 16 * 60 + DAY}
    assert tell(database, s.created(SCHEDULED, midnight), ran(s, "X", 950, 1021)) == {"X": ("inferred", "m1")}


# --- rehearsals -------------------------------------------------------------------------------------------------


def test_opened_for_three_minutes_before_is_a_try_out(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "try", -40, -37), ran(s, "real", -4, 60))
    assert told == {"try": ("unscheduled", None), "real": ("inferred", "w1")}


def test_a_flagged_rehearsal_the_day_before(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -DAY, -DAY + 30, is_practice=True))
    assert told == {"X": ("rehearsal", None)}


def test_an_unflagged_rehearsal_the_day_before(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -DAY, -DAY + 30)) == {"X": ("unscheduled", None)}


@pytest.mark.parametrize(("begins", "ends"), [(-60, -30), (-45, -20), (-30, -10)])
def test_an_unflagged_rehearsal_just_before_is_not_the_session(database: Database, begins: float, ends: float) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "try", begins, ends), ran(s, "real", -4, 60))
    assert told == {"try": ("unscheduled", None), "real": ("inferred", "w1")}


def test_a_flagged_rehearsal_in_the_last_minutes_before(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -20, -2, is_practice=True), ran(s, "Y", -1, 60))
    assert told == {"X": ("rehearsal", None), "Y": ("inferred", "w1")}


def test_the_practice_flag_comes_last_and_takes_the_link_back(database: Database) -> None:
    s = Story()
    running = ran(s, "X", -20, None)
    assert tell(database, s.created(SCHEDULED, WEEKLY), running) == {"X": ("inferred", "w1")}
    assert tell(database, s.ended(-3, -20, "X", practice_session=True)) == {"X": ("rehearsal", None)}


def test_a_registrant_let_in_early_shows_that_a_dropped_opening_was_the_session(database: Database) -> None:
    s, who = Story(), people(3)
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who),
        ran(s, "dropped", -18, -8, *who), ran(s, "again", -6, 60, *who),
    )  # fmt: skip
    assert told == {"dropped": ("observed", "w1"), "again": ("observed", "w1")}


# --- the schedule changes ---------------------------------------------------------------------------------------


def test_moved_there_and_back_again_is_held_where_it_was(database: Database) -> None:
    s = Story()
    there, back = s.moved(-3000, {"w2": WEEK}, {"w2": WEEK + 180}), s.moved(-2000, {"w2": WEEK + 180}, {"w2": WEEK})
    assert tell(database, s.created(SCHEDULED, WEEKLY), there, back, ran(s, "X", WEEK - 3, WEEK + 60)) == {
        "X": ("inferred", "w2")
    }


def test_at_the_time_it_was_moved_away_from_nothing_is_due(database: Database) -> None:
    s = Story()
    moved = s.moved(-3000, {"w2": WEEK}, {"w2": WEEK + 2 * DAY})
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), moved,
        ran(s, "old", WEEK, WEEK + 12), ran(s, "new", WEEK + 2 * DAY, WEEK + 2 * DAY + 60),
    )  # fmt: skip
    assert told == {"old": ("unscheduled", None), "new": ("inferred", "w2")}


def test_dates_that_change_places_keep_ids_that_name_each_others_time(database: Database) -> None:
    s, first, second = Story(), str(ms(0)), str(ms(DAY))
    told = tell(
        database, s.created(SCHEDULED, {first: 0.0, second: DAY}),
        s.moved(-3000, {first: 0.0}, {first: DAY + 300}), s.moved(-2900, {second: DAY}, {second: 0.0}),
        ran(s, "X", 0, 60), ran(s, "Y", DAY + 300, DAY + 360),
    )  # fmt: skip
    assert told == {"X": ("inferred", second), "Y": ("inferred", first)}


def test_moved_under_a_new_id_the_old_id_is_never_linked(database: Database) -> None:
    s = Story()
    moved = s.moved(-3000, {"w2": WEEK}, {"w2-new": WEEK + 30})
    assert tell(database, s.created(SCHEDULED, WEEKLY), moved, ran(s, "X", WEEK + 25, WEEK + 90)) == {
        "X": ("inferred", "w2-new")
    }


def test_deleted_and_recovered_is_due_again(database: Database) -> None:
    s = Story()
    gone, back = s.deleted(-3000, only("w1")), s.recovered(-2000, only("w1"))
    assert tell(database, s.created(SCHEDULED, WEEKLY), gone, back, ran(s, "X", 0, 60)) == {"X": ("inferred", "w1")}


def test_deleted_and_held_anyway_is_left_to_operations(database: Database) -> None:
    s, who = Story(), people(5)
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who), s.deleted(-3000, only("w1")),
        ran(s, "X", 0, 60, *who),
    )  # fmt: skip
    assert told == {"X": ("unscheduled", None)}


def test_deleted_after_it_was_held_it_stays_held(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 0, 60), s.deleted(200, only("w1")))
    assert told == {"X": ("inferred", "w1")}


def test_a_series_deleted_whole_is_not_due(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), s.deleted(-300), ran(s, "X", 0, 60))
    assert told == {"X": ("unscheduled", None)}


def test_a_series_edited_an_hour_before_is_held_under_its_new_ids(database: Database) -> None:
    s, new = Story(), {"n1": 30.0, "n2": WEEK + 30, "n3": 2 * WEEK + 30}
    told = tell(database, s.created(SCHEDULED, WEEKLY), s.relisted(-60, new), ran(s, "X", 25, 92))
    assert told == {"X": ("inferred", "n1")}


def test_a_series_edited_while_it_runs_does_not_rewrite_what_runs(database: Database) -> None:
    s, new = Story(), {"n2": WEEK + 30, "n3": 2 * WEEK + 30}
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -5, 60), s.relisted(30, new),
        ran(s, "Y", WEEK + 28, WEEK + 90),
    )  # fmt: skip
    assert told == {"X": ("inferred", "w1"), "Y": ("inferred", "n2")}


def test_those_who_registered_under_ids_an_edit_replaced_do_not_speak_against_the_new_ones(database: Database) -> None:
    s, who, new = Story(), people(6), {"n1": 0.0, "n2": WEEK, "n3": 2 * WEEK}
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *who), s.relisted(-3000, new),
        ran(s, "X", 0, 60, *who),
    )  # fmt: skip
    assert told == {"X": ("inferred", "n1")}


def test_the_news_of_a_move_arrives_after_the_session(database: Database) -> None:
    s = Story()
    moved = s.moved(WEEK - 3000, {"w2": WEEK}, {"w2": WEEK + 240})
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", WEEK + 236, WEEK + 300)) == {
        "X": ("unscheduled", None)
    }
    assert tell(database, moved) == {"X": ("inferred", "w2")}


def test_moved_in_the_calendar_after_it_was_held_it_was_still_held_then(database: Database) -> None:
    s = Story()
    moved = s.moved(90, {"w1": 0.0}, {"w1": DAY})
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 0, 60), moved) == {"X": ("inferred", "w1")}


# --- what never arrives -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", [("started",), ("ended",), ("joined",), ("started", "ended")])
def test_a_session_is_known_by_what_did_arrive(database: Database, missing: tuple[str, ...]) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 0, 58, missing=missing))
    assert told == {"X": ("inferred", "w1")}


def test_a_series_older_than_joinlog_is_unscheduled_until_an_edit_lists_it(database: Database) -> None:
    s = Story()
    assert tell(database, ran(s, "X", 0, 60)) == {"X": ("unscheduled", None)}
    told = tell(database, s.relisted(3000, only("w2", "w3")), ran(s, "Y", WEEK, WEEK + 60))
    assert told == {"X": ("unscheduled", None), "Y": ("inferred", "w2")}


def test_a_registration_that_mentions_the_date_is_schedule_enough(database: Database) -> None:
    s = Story()
    assert tell(database, ran(s, "X", 0, 60)) == {"X": ("unscheduled", None)}
    told = tell(database, signed_up(s, WEEKLY, "late arrival", at=-500))
    assert told == {"X": ("inferred", "w1")}


def test_the_announcement_comes_an_hour_late(database: Database) -> None:
    s = Story()
    assert tell(database, ran(s, "X", 0, 60), s.created(-30, WEEKLY)) == {"X": ("inferred", "w1")}


# --- who came ---------------------------------------------------------------------------------------------------


def test_one_person_at_the_wrong_door_against_ten(database: Database) -> None:
    s, ten = Story(), people(10)
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w1"), *ten), signed_up(s, only("w2"), "lost"),
        ran(s, "X", 0, 60, *ten, "lost"),
    )  # fmt: skip
    assert told == {"X": ("observed", "w1")}


def test_one_person_alone_at_the_wrong_door_does_not_contradict_the_schedule(database: Database) -> None:
    s = Story()
    told = tell(database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), "lost"), ran(s, "X", 0, 60, "lost"))
    assert told == {"X": ("inferred", "w1")}


def test_one_person_on_three_devices_at_the_wrong_door_is_one_person(database: Database) -> None:
    s = Story()
    devices = [s.person(n, "joined", f"device{n}", 0.0, "X", registrant_id="lost") for n in (1, 2, 3)]
    told = tell(database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), "lost"), ran(s, "X", 0, 60), devices)
    assert told == {"X": ("inferred", "w1")}


def test_everybody_at_the_wrong_door_is_a_conflict(database: Database) -> None:
    s, who = Story(), people(6)
    told = tell(database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), *who), ran(s, "X", 0, 60, *who))
    assert told == {"X": ("conflict", None)}


def test_only_those_who_came_in_vote_and_not_those_who_waited_outside(database: Database) -> None:
    s, who = Story("meeting", 8), people(6)
    waits = ("joined_waiting_room", "put_in_waiting_room", "admitted", "jbh_waiting", "jbh_joined", "left_waiting_room")
    waited = [
        s.live(n + 1, f"participant_{wait}", "X", 0, participant={"user_id": name, "registrant_id": name})
        for n, (name, wait) in enumerate(zip(who, waits, strict=True))
    ]
    told = tell(database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), *who), ran(s, "X", 0, None), waited)
    assert told == {"X": ("inferred", "w1")}
    assert tell(database, s.started(1, "X")) == told  # evidence that is read again
    came = [s.person(10, "joined", name, 0, "X") for name in who]  # by a connection that names them outside only
    assert tell(database, came) == {"X": ("conflict", None)}


def test_lists_of_those_who_registered_once_for_all_tell_nothing(database: Database) -> None:
    s, who = Story(), people(8)
    once = s.retitled(SCHEDULED + 1, "Weekly", settings={"registration_type": 1})
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), once, signed_up(s, only("w2", "w3"), *who), ran(s, "X", 0, 60, *who)
    )
    assert told == {"X": ("inferred", "w1")}


def test_those_who_named_every_date_tell_nothing(database: Database) -> None:
    s, who = Story(), people(8)
    told = tell(database, s.created(SCHEDULED, WEEKLY), signed_up(s, WEEKLY, *who), ran(s, "X", WEEK, WEEK + 60, *who))
    assert told == {"X": ("inferred", "w2")}


def test_those_who_cancelled_their_date_do_not_vote_for_it(database: Database) -> None:
    s, who = Story(), people(5)
    cancelled = [s.registration(-900, "cancelled", name, only("w2")) for name in who]
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), *who), cancelled, ran(s, "X", 0, 60, *who)
    )
    assert told == {"X": ("inferred", "w1")}


# --- daylight saving --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "days", "clock"),
    [
        ("America/New_York", ("2026-03-01", "2026-03-08", "2026-03-15"), "19:00"),
        ("America/New_York", ("2026-10-31", "2026-11-01", "2026-11-02"), "01:30"),
        ("Europe/Berlin", ("2026-03-28", "2026-03-29", "2026-03-30"), "03:15"),
        ("Europe/Berlin", ("2026-10-24", "2026-10-25", "2026-10-26"), "00:30"),
        ("Australia/Lord_Howe", ("2026-04-04", "2026-04-05", "2026-04-06"), "10:00"),
        ("Australia/Lord_Howe", ("2026-10-03", "2026-10-04", "2026-10-05"), "02:45"),
    ],
)
def test_the_clock_is_changed_between_two_dates(
    database: Database, zone: str, days: tuple[str, ...], clock: str
) -> None:
    s, dates = Story(), {day: minutes_at(f"{day}T{clock}", zone) for day in days}
    instances = [ran(s, f"on {day}", start - 9, start + 61) for day, start in dates.items()]
    told = tell(database, s.created(min(dates.values()) - 20_000, dates), *instances)
    assert told == {f"on {day}": ("inferred", day) for day in days}


def test_a_host_who_forgot_the_clock_was_changed_is_an_hour_early(database: Database) -> None:
    s, who = Story(), people(4)
    dates = {day: minutes_at(f"{day}T15:00", "Europe/Berlin") for day in ("2026-10-18", "2026-10-25")}
    start = dates["2026-10-25"] - 60
    told = tell(
        database, s.created(SCHEDULED, dates), signed_up(s, only("2026-10-25", of=dates), *who),
        ran(s, "X", start, start + 58, *who),
    )  # fmt: skip
    assert told == {"X": ("observed", "2026-10-25")}


# --- one session, or no schedule --------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "type_"), [("webinar", 5), ("meeting", 2)])
def test_a_single_session_and_a_try_out_days_before(database: Database, kind: str, type_: int) -> None:
    s = Story(kind, type_)
    told = tell(
        database, s.created(SCHEDULED, {"": 0.0}), ran(s, "try", -3 * DAY, -3 * DAY + 20), ran(s, "real", -10, 60)
    )
    assert told == {"try": ("unscheduled", None), "real": ("confirmed", "single")}


def test_a_single_session_and_a_sound_check_two_hours_before(database: Database) -> None:
    s = Story("webinar", 5)
    told = tell(database, s.created(SCHEDULED, {"": 0.0}), ran(s, "try", -120, -90), ran(s, "real", -10, 60))
    assert told == {"try": ("unscheduled", None), "real": ("confirmed", "single")}


def test_a_single_session_moved_to_another_day_is_held_there(database: Database) -> None:
    s = Story("webinar", 5)
    moved = s.changed(-3000, {"start_time": "2026-03-04T08:00:00Z"}, {"start_time": "2026-03-02T08:00:00Z"}, "all")
    told = tell(database, s.created(SCHEDULED, {"": 0.0}), moved, ran(s, "X", 2 * DAY - 5, 2 * DAY + 60))
    assert told == {"X": ("confirmed", "single")}


def test_a_single_session_dropped_and_restarted_is_confirmed_twice(database: Database) -> None:
    s = Story("webinar", 5)
    told = tell(database, s.created(SCHEDULED, {"": 0.0}), ran(s, "1", -10, 30), ran(s, "2", 33, 70))
    assert told == dict.fromkeys("12", ("confirmed", "single"))


@pytest.mark.parametrize(("kind", "type_"), [("webinar", 6), ("meeting", 3), ("meeting", 1), ("meeting", 4)])
def test_without_a_schedule_each_instance_is_its_own_occurrence(database: Database, kind: str, type_: int) -> None:
    s = Story(kind, type_)
    told = tell(database, s.created(SCHEDULED, {}), ran(s, "X", 0, 10), ran(s, "Y", 11, 60))
    assert told == {"X": ("confirmed", "X"), "Y": ("confirmed", "Y")}


def test_a_meeting_converted_to_a_webinar_keeps_its_dates(database: Database) -> None:
    before, after = Story("meeting", 8), Story("webinar", 9)
    converted = before.scheduled(-5000, "converted_to_webinar", {"type": 9})
    told = tell(
        database, before.created(SCHEDULED, WEEKLY), ran(before, "X", 0, 60), converted,
        ran(after, "Y", WEEK, WEEK + 60),
    )  # fmt: skip
    assert told == {"X": ("inferred", "w1"), "Y": ("inferred", "w2")}


def test_two_accounts_with_the_same_meeting_number_share_nothing(database: Database) -> None:
    here, there = Story(account="here"), Story(account="there")
    told = tell(
        database, here.created(SCHEDULED, {"h": 0.0}), there.created(SCHEDULED, {"t": 0.0}),
        ran(here, "X", 0, 60), ran(there, "Y", 5, 60),
    )  # fmt: skip
    assert told == {"X": ("inferred", "h"), "Y": ("inferred", "t")}


# --- whose word counts ------------------------------------------------------------------------------------------


def said(name: str, at: float, uuid: str, occurrence_id: str | None, **more: str) -> Json:
    """Joinlog's own events: an operator's word, or Zoom's answer about past instances."""
    told: Json = {"id": Story().meeting_id, "uuid": uuid, **more}
    if occurrence_id is not None:
        told["occurrence_id"] = occurrence_id
    return {"event": f"joinlog.{name}", "event_ts": ms(at), "payload": {"account_id": ACCOUNT, "object": told}}


def answered(at: float, uuid: str, occurrence_id: str) -> Json:
    """Zoom's list of past instances says which occurrence it was."""
    told = {"id": Story().meeting_id, "instances": [{"uuid": uuid, "occurrence_id": occurrence_id}]}
    event = "joinlog.past_instances_stated"
    return {"event": event, "event_ts": ms(at), "payload": {"account_id": ACCOUNT, "object": told}}


def test_zooms_own_word_comes_later_and_is_final(database: Database) -> None:
    s = Story()
    assert tell(database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 0, 60)) == {"X": ("inferred", "w1")}
    assert tell(database, answered(500, "X", "w2")) == {"X": ("confirmed", "w2")}


def test_zooms_word_settles_a_conflict(database: Database) -> None:
    s, who = Story(), people(6)
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), signed_up(s, only("w2"), *who), ran(s, "X", 0, 60, *who),
        answered(500, "X", "w1"),
    )  # fmt: skip
    assert told == {"X": ("confirmed", "w1")}


def test_an_operators_word_stands_against_zooms_and_says_so(database: Database) -> None:
    s = Story()
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 0, 60),
        said("link_set", 100, "X", "w3", by="Ada", because="it was the last one, held early"), answered(500, "X", "w1"),
    )  # fmt: skip
    assert told == {"X": ("confirmed", "w3")}
    assert "Zoom says otherwise" in one(database, "SELECT link_evidence FROM instance")["link_evidence"]


def test_an_operator_who_takes_it_back_leaves_it_to_the_evidence(database: Database) -> None:
    s = Story()
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), ran(s, "X", 0, 60),
        said("link_set", 100, "X", "w3", by="Ada", because="a slip"), said("link_cleared", 200, "X", None, by="Ada"),
    )  # fmt: skip
    assert told == {"X": ("inferred", "w1")}


def test_an_operator_can_say_that_a_try_out_was_the_session(database: Database) -> None:
    s = Story()
    told = tell(
        database, s.created(SCHEDULED, WEEKLY), ran(s, "X", -20, -8, is_practice=True),
        said("link_set", 100, "X", "w1", by="Ada", because="they forgot to press Broadcast"),
    )  # fmt: skip
    assert told == {"X": ("confirmed", "w1")}
