"""Short stories whose every order must leave the same tables."""

from __future__ import annotations

from typing import Any

from tests.core import pmi_stories
from tests.stories import WEEK_MINUTES, Json, Story, ms, zoom

WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
w = Story()
m = Story("meeting", 8, 91234567890)
single = Story("webinar", 5, 95555555555)
room = Story("meeting", 3, 96666666666)


def _answer(what: str, minutes: float, **told: Any) -> Json:
    """An answer of Zoom's API about the series."""
    about = {} if what == "history_read" else {"id": w.meeting_id, "kind": "webinar"}
    payload = {"account_id": w.account, "object": about | told}
    return {"event": f"zoom.{what}", "event_ts": ms(minutes), "payload": payload}


def _who(name: str) -> Json:
    return {"registrant_id": name}


other = Story(meeting_id=84512345679)


def _waited(minute: float, name: str, **who: str) -> Json:
    return m.live(minute, f"participant_{name}", "run-1==", FIRST, participant=who)


def _audited(minute: float, lost: int, final_at: str | None = None) -> Json:
    """What Joinlog found out about an instance."""
    audit = {
        "stays_both": 3 - lost, "stays_webhook_only": 0, "stays_report_only": lost, "webhooks_expected": 8,
        "webhooks_lost": {"webinar.participant_joined": lost} if lost else {},
    }  # fmt: skip
    told = {"id": w.meeting_id, "uuid": "run-1==", "audit": audit} | ({"final_at": final_at} if final_at else {})
    payload = {"account_id": w.account, "object": told}
    return {"event": "joinlog.instance_audited", "event_ts": ms(minute), "payload": payload}


STORIES: dict[str, list[Json]] = {
    "a_record_that_becomes_final": [
        w.created(0, WEEKS),
        w.started(FIRST),
        _answer("report_read", FIRST + 80, uuid="run-1==", start_time=zoom(FIRST), participants_count=3),
        _answer("report_read", FIRST + 90, uuid="run-1==", start_time=zoom(FIRST), participants_count=4),
        _answer("absentees_read", FIRST + 95, uuid="run-1==", absentees_count=2),
        _audited(FIRST + 81, 2),
        _audited(FIRST + 91, 0, "2026-03-09T10:00:00+00:00"),
    ],
    "panelists_who_come_and_go": [
        w.created(0, WEEKS),
        _answer("meeting_read", 1, type=9, host_email="Host@example.com"),
        _answer("panelists_read", 2, panelists=[{"id": "p1", "email": "One@example.com"}, {"id": "p2"}]),
        _answer("panelists_read", 3, panelists=[{"id": "p2"}], gone=["email:one@example.com", "user:p1"]),
        _answer("panelists_read", 4, panelists=[{"id": "p1", "email": "one@example.com"}, {"id": "p2"}]),
    ],
    "an_instance_turns_out_to_be_another_meetings": [
        w.created(0, WEEKS),
        other.created(0, {"2001": FIRST}),
        w.started(FIRST),
        w.person(FIRST + 1, "joined", "1", FIRST),
        other.ended(FIRST + 60, FIRST),
    ],
    "created_moved_and_run": [
        w.created(0, WEEKS),
        w.moved(10, {"1002": SECOND}, {"1002": SECOND + 120}),
        w.started(SECOND + 118, "run-2=="),
        w.person(SECOND + 121, "joined", "1", SECOND + 118, "run-2=="),
        w.ended(SECOND + 180, SECOND + 118, "run-2=="),
    ],
    "moved_to_a_new_id_and_run_at_the_old_time": [
        w.created(0, WEEKS),
        w.moved(10, {"1002": SECOND}, {"2002": SECOND + 240}),
        w.moved(20, {"2002": SECOND + 240}, {"2002": SECOND + 300}),
        w.started(SECOND - 5, "run-2=="),
        w.started(SECOND + 299, "run-3=="),
    ],
    "moved_while_it_runs": [
        w.created(0, WEEKS),
        w.started(FIRST - 2),
        w.moved(FIRST + 5, {"1001": FIRST}, {"1001": FIRST + 2 * 1440}),
        w.ended(FIRST + 60, FIRST - 2),
        w.started(FIRST + 2 * 1440, "run-2=="),
    ],
    "deleted_recovered_and_run": [
        w.created(0, WEEKS),
        w.deleted(5, {"1001": FIRST}),
        w.recovered(7, {"1001": FIRST}),
        w.deleted(9),
        w.started(FIRST),
    ],
    "series_deleted_and_recovered": [
        w.created(0, WEEKS),
        w.deleted(5, {"1001": FIRST}),
        w.deleted(9),
        w.recovered(11),
        w.started(FIRST),
    ],
    "series_edited_after_the_first_week": [
        w.created(0, WEEKS),
        w.started(FIRST),
        w.relisted(FIRST + 200, {"3001": SECOND + 60, "3002": SECOND + WEEK_MINUTES}),
        w.started(SECOND + 59, "run-2=="),
        w.deleted(SECOND + 400),
    ],
    "edits_of_other_columns": [
        w.created(0, WEEKS),
        w.retitled(5, "Renamed"),
        w.changed(6, {"timezone": "Europe/Berlin"}, {"timezone": "UTC"}, "all"),
        w.changed(8, {"duration": 90}, {"duration": 60}, "all"),
        w.retitled(7, "Renamed again", settings={"registration_type": 2}),
    ],
    "registered_cancelled_and_back": [
        w.registration(1, "created", "ann", WEEKS, status="pending"),
        w.registration(2, "approved", "ann"),
        w.registration(3, "cancelled", "ann", {"1002": SECOND}),
        w.registration(4, "created", "ann", {"1002": SECOND}, status="approved", first_name="Anna"),
        w.registration(5, "cancelled", "ann"),
    ],
    "registered_for_all_and_one_cancelled": [
        w.registration(1, "created", "ann", status="approved"),
        w.registration(3, "cancelled", "ann", {"1002": SECOND}),
        w.registration(1, "created", "ben", {"1001": FIRST}, status="approved"),
        w.registration(2, "denied", "ben"),
        w.created(0, WEEKS),
    ],
    "votes_for_the_other_week": [
        w.created(0, WEEKS),
        w.registration(1, "created", "ann", {"1002": SECOND}, status="approved"),
        w.registration(2, "created", "ben", {"1002": SECOND}, status="approved"),
        w.started(FIRST),
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann")),
        w.person(FIRST + 2, "joined", "2", FIRST, **_who("ben")),
    ],
    "vote_cancelled_before_the_start": [
        w.registration(1, "created", "ann", {"1002": SECOND}, status="approved"),
        w.registration(2, "created", "ben", {"1002": SECOND}, status="approved"),
        w.registration(3, "cancelled", "ben", {"1002": SECOND}),
        w.person(SECOND + 1, "joined", "1", SECOND, "run-2==", **_who("ann")),
        w.person(SECOND + 2, "joined", "2", SECOND, "run-2==", **_who("ben")),
    ],
    "left_comes_late_and_twice": [
        w.person(61, "joined", "1", 60),
        w.person(70, "left", "1", 60, leave_reason="left"),
        w.person(71, "joined", "1", 60),
        w.person(90, "left", "1", 60),
        w.person(90.01, "left", "1", 60, leave_reason="killed"),
        w.ended(95, 60),
    ],
    "joined_and_never_left": [
        w.person(61, "joined", "1", 60, user_name="One"),
        w.person(62, "joined", "1", 60, user_name="Two"),
        w.ended(90, 60),
        w.ended(100, 60),
        w.person(99, "left", "2", 60),
    ],
    "left_after_the_end": [
        w.person(61, "joined", "1", 60),
        w.ended(90, 60),
        w.person(91, "left", "1", 60),
        w.person(62, "joined", "2", 60),
        w.started(60),
    ],
    "bound_telephone": [
        m.person(61, "joined", "1", 60, email="Ann@Example.com"),
        m.person(62, "joined", "2", 60, participant_uuid="P-phone"),
        m.person(63, "bind", "2", 60, bind_user_id="1", participant_uuid="P-phone"),
        m.person(64, "left", "1", 60, registrant_id="ann"),
        m.person(65, "left", "2", 60, participant_uuid="P-phone"),
    ],
    "bound_in_a_chain": [
        m.person(61, "joined", "1", 60),
        m.person(63, "bind", "3", 60, bind_participant_uuid="P-1", bind_user_id=""),
        m.person(64, "role_changed", "1", 60, new_role="co-host", registrant_id="ann"),
        m.person(64, "bind", "3", 60, bind_user_id="4"),
        m.person(65, "joined", "4", 60, participant_user_id="zoom-user"),
    ],
    "breakout_room": [
        m.person(61, "joined", "1", 60, registrant_id="ann"),
        m.person(70, "joined_breakout_room", "9", 60, parent_user_id="1", room="room=="),
        m.person(80, "left_breakout_room", "9", 60, parent_user_id="1", room="room=="),
        m.person(81, "left", "1", 60),
        m.ended(85, 60),
    ],
    "host_drops_and_restarts": [
        w.created(0, WEEKS),
        w.started(FIRST),
        w.ended(FIRST + 20, FIRST),
        w.started(FIRST + 25, "run-1b=="),
        w.ended(FIRST + 60, FIRST + 25, "run-1b=="),
    ],
    "rehearsal": [
        w.created(0, WEEKS),
        w.started(FIRST - 40),
        w.person(FIRST - 39, "joined", "1", FIRST - 40),
        w.ended(FIRST - 20, FIRST - 40, practice_session=True),
        w.ended(FIRST - 20, FIRST - 40),
    ],
    "single_session_moved": [
        single.created(0, {"x": 60}),
        single.changed(5, {"start_time": "2026-03-04T10:00:00Z"}, {"start_time": "2026-03-02T09:00:00Z"}, "all"),
        single.started(65),
        single.ended(100, 65),
        single.deleted(2000),
    ],
    "no_fixed_time": [
        room.started(60),
        room.person(61, "joined", "1", 60),
        room.started(200, "run-2=="),
        room.ended(90, 60, practice_session=True),
        room.ended(250, 200, "run-2=="),
    ],
    "kind_and_type_change": [
        w.created(0, WEEKS),
        w.scheduled(5, "converted_to_meeting", {"type": 3}),
        Story("meeting", 3).started(FIRST),
        {**Story("meeting", 3).scheduled(FIRST + 500, "converted_to_webinar", {"type": 9})},
        w.started(SECOND, "run-2=="),
    ],
    "words_about_a_link": [
        w.created(0, WEEKS),
        w.started(FIRST),
        {
            "event": "joinlog.link_set",
            "event_ts": 1772500000000,
            "payload": {
                "account_id": w.account,
                "object": {"id": w.meeting_id, "uuid": "run-1==", "occurrence_id": "1002", "by": "a", "because": "b"},
            },
        },
        {
            "event": "joinlog.link_cleared",
            "event_ts": 1772500001000,
            "payload": {"account_id": w.account, "object": {"id": w.meeting_id, "uuid": "run-1==", "by": "c"}},
        },
        {
            "event": "joinlog.past_instances_stated",
            "event_ts": 1772500000500,
            "payload": {
                "account_id": w.account,
                "object": {"id": w.meeting_id, "instances": [{"uuid": "run-1==", "occurrence_id": "1001"}]},
            },
        },
    ],
    "schedule_only_known_from_registrations": [
        w.started(FIRST),
        w.registration(1, "created", "ann", {"1001": FIRST}, status="approved"),
        w.registration(2, "created", "ben", {"1001": FIRST + 30}, status="approved"),
        w.registration(FIRST + 100, "created", "cyn", WEEKS, status="approved"),
        w.moved(30, {"1001": FIRST}, {"1001": FIRST + 45}),
    ],
    "same_moment": [
        w.created(0, WEEKS),
        w.retitled(5, "A"),
        w.retitled(5, "B"),
        w.deleted(5),
        w.moved(5, {"1001": FIRST}, {"1001": FIRST + 90}),
    ],
    "two_devices_of_one_person": [
        w.person(61, "joined", "1", 60, **_who("ann")),
        w.person(62, "joined", "2", 60, **_who("ann")),
        w.person(70, "left", "1", 60, **_who("ann")),
        w.person(80, "left", "2", 60),
        w.ended(75, 60),
    ],
    "a_restart_that_overlaps_what_it_restarts": [
        w.person(61, "joined", "1", 60, **_who("ann")),
        w.person(64, "joined", "9", 63, "run-1b==", **_who("ann")),
        w.person(66, "left", "1", 60),
        w.ended(67, 60),
        w.person(69, "left", "9", 63, "run-1b=="),
    ],
    "an_instance_whose_meeting_and_start_are_learned_late": [
        w.started(60),
        w.person(61, "joined", "1", 60, **_who("ann")),
        w.person(900, "joined", "9", 60 + 14 * 60, "run-1b==", **_who("ann")),
        w.started(60 + 11 * 60, "run-1b=="),
        w.person(1000, "left", "1", 60),
    ],
    "an_address_that_turns_out_to_be_a_registrants": [
        w.person(61, "joined", "1", 60, email="ANN@example.com"),
        w.person(62, "joined", "2", 60, **_who("ann")),
        w.registration(65, "created", "ann", status="approved"),
        w.person(70, "left", "1", 60),
        w.person(80, "left", "2", 60),
    ],
    "an_address_two_registrants_share_and_one_gives_up": [
        w.person(61, "joined", "1", 60, email="both@example.com"),
        w.registration(1, "created", "ann", status="approved", email="both@example.com"),
        w.registration(2, "created", "ben", status="approved", email="both@example.com"),
        w.registration(3, "created", "ann", status="approved", email="ann@example.com"),
        w.person(62, "joined", "2", 60, **_who("ben")),
    ],
    "a_telephone_bound_to_an_address_of_a_registrant": [
        m.person(61, "joined", "1", 60, email="ann@example.com"),
        m.person(62, "joined", "2", 60),
        m.person(63, "bind", "2", 60, bind_user_id="1"),
        m.registration(1, "created", "ann", status="approved"),
        m.person(70, "joined", "3", 60, **_who("ann")),
    ],
    "registered_once_for_all_dates": [
        w.created(0, WEEKS),
        w.retitled(1, "Weekly", settings={"registration_type": 1}),
        w.registration(2, "created", "ann", {"1001": FIRST}, status="approved"),
        w.registration(3, "cancelled", "ann", {"1001": FIRST}),
        w.retitled(4, "Weekly", settings={"registration_type": 2}),
    ],
    "restarted_before_and_after_the_planned_end": [
        w.created(0, WEEKS),
        w.started(FIRST),
        w.ended(FIRST + 58, FIRST),
        w.started(FIRST + 63, "run-1b=="),
        w.started(FIRST + 130, "run-1c=="),
    ],
    "held_though_never_planned": [
        w.started(FIRST),
        w.registration(1, "created", "ann", {"9": SECOND}, status="approved"),
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann")),
        w.live(FIRST + 2, "started", "run-1==", FIRST, occurrence_id="77"),
        w.ended(FIRST + 30, FIRST),
    ],
    "registrations_told_by_webhooks_and_by_the_api": [
        w.created(0, WEEKS),
        w.registration(1, "created", "ann", {"1001": FIRST}, status="approved"),
        _answer("meeting_read", 400, occurrences=w.dates(WEEKS, duration=60, status="available"), type=9),
        _answer(
            "registrants_read",
            401,
            occurrence_id="1001",
            registrants=[
                {"id": "ann", "email": "ann@example.com", "create_time": zoom(1), "status": "approved"},
                {"id": "bob", "email": "bob@example.com", "create_time": zoom(2), "status": "denied"},
            ],
        ),
        _answer("registrants_read", 402, occurrence_id="1001", gone=["ann"]),
    ],
    "stays_told_by_webhooks_and_by_the_report": [
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann")),
        w.person(FIRST + 5, "joined", "2", FIRST),
        w.person(FIRST + 40, "left", "3", FIRST),
        w.ended(FIRST + 60, FIRST),
        _answer(
            "participants_read",
            403,
            uuid="run-1==",
            start_time=zoom(FIRST),
            participants=[
                {"user_id": "1", "registrant_id": "ann", "join_time": zoom(FIRST + 1), "leave_time": zoom(FIRST + 21)},
                {"user_id": "2", "join_time": zoom(FIRST + 5), "leave_time": zoom(FIRST + 30)},
                {"user_id": "3", "join_time": zoom(FIRST + 6), "leave_time": zoom(FIRST + 40)},
                {"user_id": "4", "join_time": zoom(FIRST + 7), "leave_time": zoom(FIRST + 9)},
                {"user_id": "4", "join_time": zoom(FIRST + 8), "leave_time": zoom(FIRST + 10)},
                {"user_id": "5", "join_time": zoom(FIRST), "leave_time": zoom(FIRST + 1), "status": "in_waiting_room"},
            ],
        ),
    ],
    "instances_told_by_webhooks_and_by_the_api": [
        w.created(0, WEEKS),
        w.started(FIRST),
        w.ended(FIRST + 50, FIRST),
        _answer(
            "instances_read",
            404,
            instances=[
                {"uuid": "run-1==", "start_time": zoom(FIRST), "occurrence_id": "1001"},
                {"uuid": "stray==", "start_time": zoom(FIRST + 600)},
            ],
        ),
        _answer(
            "history_read",
            405,
            instances=[
                {
                    "uuid": "stray==",
                    "id": w.meeting_id,
                    "kind": "webinar",
                    "start_time": zoom(FIRST + 600),
                    "end_time": zoom(FIRST + 610),
                },
            ],
        ),
    ],
    "account_leaves": [
        {"event": "app_deauthorized", "payload": {"account_id": w.account, "event_ts": "1772500000000"}},
        {"event": "app_deauthorized", "payload": {"account_id": w.account, "event_ts": "1772600000000"}},
        w.created(0, WEEKS),
        w.started(FIRST),
    ],
} | pmi_stories.STORIES

PEOPLE_STORIES: dict[str, list[Json]] = {
    "who_waited_and_what_they_answered": [
        m.registration(1, "created", "ann", WEEKS, status="approved", org="Corp"),
        m.registration(2, "approved", "ann", WEEKS, org="Corporation", city="Bonn"),
        _waited(FIRST - 1, "jbh_joined", registrant_id="ann"),
        _waited(FIRST, "joined_waiting_room", user_id="1", registrant_id="ann", customer_key="k"),
        m.person(FIRST + 1, "joined", "1", FIRST, customer_key="k2"),
        m.person(FIRST + 2, "joined", "2", FIRST, customer_key="k2"),
    ],
    "registrants_of_another_date_who_wait_and_of_whom_one_comes": [
        m.created(0, WEEKS),
        m.registration(1, "created", "ann", {"1002": SECOND}, status="approved"),
        _waited(FIRST, "joined_waiting_room", user_id="1", registrant_id="ann"),
        m.started(FIRST, "run-1=="),
        m.person(FIRST + 1, "joined", "1", FIRST, "run-1=="),
        m.ended(FIRST + 50, FIRST, "run-1=="),
    ],
    "the_only_session_moved_deleted_and_back": [
        single.created(0, {"x": FIRST}),
        single.changed(3, {"start_time": zoom(FIRST + 30), "type": 5}, {}, "single"),
        single.scheduled(5, "deleted", {"start_time": zoom(FIRST + 30)}, operation="all"),
        single.scheduled(6, "recovered", {}, operation="all"),
        single.started(FIRST + 30),
    ],
    "the_only_session_deleted_whose_creation_was_never_seen": [
        single.scheduled(5, "deleted", {"start_time": zoom(FIRST)}, operation="all"),
        single.registration(2, "created", "ann", status="approved"),
        single.started(FIRST),
    ],
    "signed_in_and_back_without_the_link": [
        w.registration(1, "created", "ann", WEEKS, status="approved"),
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann"), participant_user_id="u"),
        w.person(FIRST + 9, "left", "1", FIRST, **_who("ann"), participant_user_id="u"),
        w.person(FIRST + 10, "joined", "2", FIRST, participant_user_id="u"),
        w.person(FIRST + 20, "left", "2", FIRST, participant_user_id="u"),
    ],
    "two_ids_in_one_event_and_one_of_them_in_the_next": [
        m.person(FIRST + 1, "joined", "1", FIRST, id="a", participant_user_id="b"),
        m.person(FIRST + 5, "left", "1", FIRST, id="a"),
        m.person(FIRST + 6, "joined", "2", FIRST, id="b"),
        m.person(FIRST + 7, "joined", "3", FIRST, id="a", email="gus@example.com"),
        m.person(FIRST + 8, "joined", "4", FIRST, email="gus@example.com"),
    ],
    "a_second_identifier_seen_only_on_leaving": [
        m.registration(1, "created", "ann", WEEKS, status="approved"),
        m.person(FIRST + 1, "joined", "1", FIRST, customer_key="k"),
        m.person(FIRST + 2, "joined", "2", FIRST, phone_number="4930"),
        m.person(FIRST + 8, "left", "1", FIRST, customer_key="k", phone_number="4930"),
        m.person(FIRST + 9, "left", "2", FIRST, email="ann@example.com"),
    ],
    "the_hosts_own_id_where_a_registrants_is": [
        w.registration(1, "created", "ann", WEEKS, status="approved"),
        w.person(FIRST + 1, "joined", "1", FIRST, registrant_id="h", id="h", participant_user_id="h"),
        w.person(FIRST + 2, "left", "1", FIRST, registrant_id="h", id="h", email="ann@example.com"),
        w.person(FIRST + 3, "joined", "2", FIRST, participant_user_id="h"),
    ],
    "a_link_that_no_registration_named_and_then_one_did": [
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann"), email="gus@example.com"),
        w.person(FIRST + 2, "joined", "2", FIRST, **_who("ann")),
        w.person(FIRST + 3, "joined", "3", FIRST, email="gus@example.com"),
        w.registration(FIRST + 4, "created", "ann", WEEKS, status="approved"),
        w.registration(FIRST + 5, "created", "ben", WEEKS, status="approved", email="gus@example.com"),
    ],
    "bound_before_anybody_joined": [
        m.person(FIRST + 3, "bind", "2", FIRST, bind_user_id="1", registrant_id="ann"),
        m.person(FIRST + 1, "joined", "1", FIRST, customer_key="k"),
        m.person(FIRST + 2, "joined", "5", FIRST, customer_key="k"),
        m.registration(1, "created", "ann", WEEKS, status="approved"),
        m.ended(FIRST + 60, FIRST),
    ],
    "rooms_with_one_participant_uuid_and_no_parent": [
        m.person(FIRST, "joined", "1", FIRST, participant_uuid="p"),
        m.person(FIRST + 10, "joined_breakout_room", "7", FIRST, room="r1", participant_uuid="p"),
        m.person(FIRST + 20, "left_breakout_room", "7", FIRST, room="r1", participant_uuid="p"),
        m.person(FIRST + 20, "joined", "8", FIRST, participant_uuid="p"),
        m.person(FIRST + 30, "left", "1", FIRST, participant_uuid="p", email="gus@example.com"),
    ],
    "a_chain_between_two_registrants": [
        w.registration(1, "created", "ann", WEEKS, status="approved"),
        w.registration(1, "created", "ben", WEEKS, status="approved"),
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann"), participant_user_id="u"),
        w.person(FIRST + 2, "joined", "2", FIRST, participant_user_id="u", customer_key="k"),
        w.person(FIRST + 3, "joined", "3", FIRST, customer_key="k", phone_number="1"),
        w.person(FIRST + 4, "joined", "4", FIRST, phone_number="1", email="ben@example.com"),
    ],
    "more_than_five_at_once": [
        m.person(FIRST + 0, "joined", "0", FIRST, customer_key="hall"),
        *(m.person(FIRST + n / 9, "joined", f"{n}", FIRST, customer_key="hall") for n in range(1, 5)),
        m.person(FIRST + 1, "joined", "5", FIRST, customer_key="hall"),
    ],
    "a_shared_account_of_two_registrants": [
        w.registration(1, "created", "ann", WEEKS, status="approved"),
        w.registration(1, "created", "ben", WEEKS, status="approved"),
        w.person(FIRST + 1, "joined", "1", FIRST, **_who("ann"), participant_user_id="u"),
        w.person(FIRST + 1, "joined", "2", FIRST, **_who("ben"), participant_user_id="u"),
        w.person(FIRST + 2, "joined", "3", FIRST, participant_user_id="u", email="x@example.com"),
        w.person(FIRST + 3, "joined", "4", FIRST, email="x@example.com"),
    ],
    "never_more_than_five_at_once": [
        *(m.person(FIRST + n / 9, "joined", f"{n}", FIRST, customer_key="k") for n in range(5)),
        m.person(FIRST + 1, "joined", "5", FIRST, customer_key="k"),
        m.person(FIRST + 0.9, "left", "0", FIRST, customer_key="k"),
    ],
}
"""Who was it: some of the orders of each, since there are too many to play them all."""
