"""Every event type, from a signed POST through the front door to a SELECT."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from schema.store.database import Database
from schema.zoom.payloads import PayloadError
from tests.conftest import settings_for
from tests.inbox_to_tables import Row, drain, select
from tests.projected_facts import facts_about, facts_of
from tests.signed_requests import Door, payload_files, read_payload_file
from tests.stories import Story
from webhook.app import create_app
from webhook.parts import parts_of
from workers.core.ignored import why_ignored
from workers.core.projection import PROJECTIONS

ZOOM_EVENT_TYPES = (Path(__file__).parent / "zoom_event_types.txt").read_text().split()
"""The names of the types Zoom publishes in the npm package @zoom/rivet, meetings/meetings.d.ts."""

OURS = {f"joinlog.{what}" for what in ("link_set", "link_cleared", "past_instances_stated", "instance_audited")} | {
    f"zoom.{what}_read"
    for what in ("meeting", "instances", "registrants", "participants", "history", "report", "absentees", "panelists")
}
UNDOCUMENTED = {"app_deauthorized"}  # Zoom describes it in prose only

MEETING = {"webinar": 84512345678, "meeting": 91287654321}
RUN = {"webinar": "WcQ8+rT1S0mJ/9dKx2bEhg==", "meeting": "//Jt5VbNQr6sYw3LzPq8aQ=="}
TOPIC = {"webinar": "Röntgen für alle 🩻 – Woche 3", "meeting": "Team retrospective"}
TYPE = {"webinar": 9, "meeting": 8}
FIRST, SECOND, THIRD = "1772726400000", "1773331200000", "1773936000000"
REGISTRANT = "iFxeBPYun6SAiWUzBcEkX"
NAME = "Zoë O’Neill 🎻 🚒"
Expected = list[tuple[str, list[Row]]]


EXPECTED_OF_ANSWERS: dict[str, Expected] = {
    "zoom.meeting_read": [
        ("SELECT kind, type, duration_minutes FROM meeting", [{"kind": "webinar", "type": 9, "duration_minutes": 60}]),
        (
            "SELECT occurrence_id, status FROM occurrence ORDER BY occurrence_id",
            [
                {"occurrence_id": "1648194360000", "status": "available"},
                {"occurrence_id": "1648538280000", "status": "deleted"},
            ],
        ),
    ],
    "zoom.instances_read": [
        (
            "SELECT uuid, occurrence_id, link_state FROM instance ORDER BY uuid",
            [
                {"uuid": "/ab+c//dAAAAiAiAiiAii==", "occurrence_id": None, "link_state": "unscheduled"},
                {"uuid": "4444AAAiAAAAAiAiAiiAii==", "occurrence_id": "1648194360000", "link_state": "confirmed"},
            ],
        )
    ],
    "zoom.registrants_read": [
        (
            "SELECT registrant_id, occurrence_id, status FROM registration ORDER BY registrant_id",
            [
                {"registrant_id": "9tboDiHUQAeOnbmudzWa5g", "occurrence_id": "1648194360000", "status": "approved"},
                {"registrant_id": "hZ4iCXnHSpOAVzyh4VQuUA", "occurrence_id": "1648194360000", "status": "cancelled"},
            ],
        )
    ],
    "zoom.participants_read": [
        (
            "SELECT connection_id, registrant_id, name, left_is_inferred FROM participant",
            [
                {
                    "connection_id": "27423744",
                    "registrant_id": "9tboDiHUQAeOnbmudzWa5g",
                    "name": "Jill Chill",
                    "left_is_inferred": False,
                }
            ],
        )
    ],
    "zoom.history_read": [
        (
            "SELECT uuid, kind, reported_participants FROM instance",
            [{"uuid": "4444AAAiAAAAAiAiAiiAii==", "kind": "webinar", "reported_participants": 15}],
        )
    ],
    "zoom.panelists_read": [
        (
            "SELECT identifier, role FROM staff ORDER BY identifier",
            [
                {"identifier": "email:former@example.com", "role": None},
                {"identifier": "email:jill.panelist@example.com", "role": "panelist"},
                {"identifier": "user:Tg2b6GhcQKKbV7nSCbDKug", "role": "panelist"},
            ],
        )
    ],
    "zoom.report_read": [
        (
            "SELECT meeting_id, reported_participants FROM instance",
            [{"meeting_id": 84512345678, "reported_participants": 15}],
        )
    ],
    "zoom.absentees_read": [("SELECT reported_absentees FROM instance", [{"reported_absentees": 11}])],
    "joinlog.instance_audited": [
        (
            "SELECT stays_both, stays_report_only, webhooks_lost, webhooks_lost_by_event FROM instance",
            [
                {
                    "stays_both": 14,
                    "stays_report_only": 1,
                    "webhooks_lost": 2,
                    "webhooks_lost_by_event": '{"webinar.participant_joined": 1, "webinar.participant_left": 1}',
                }
            ],
        )
    ],
}


def expected_of(event_type: str) -> Expected:
    """The queries to ask after this event alone, and what they must find."""
    kind, _, name = event_type.partition(".")
    if name == "converted_to_meeting":
        return [
            ("SELECT meeting_id, kind, type FROM meeting", [{"meeting_id": 84512345678, "kind": "meeting", "type": 8}])
        ]
    if name == "converted_to_webinar":
        return [
            ("SELECT meeting_id, kind, type FROM meeting", [{"meeting_id": 91287654321, "kind": "webinar", "type": 9}])
        ]
    if event_type == "app_deauthorized":
        return [
            (
                "SELECT account_id, erased_at FROM account_departure",
                [{"account_id": "q1w2E3r4T5y6U7i8O9p0Aa", "erased_at": None}],
            )
        ]
    if event_type == "joinlog.link_set":
        return [
            (
                "SELECT source, occurrence_id, stated_by, because FROM link_statement",
                [{"source": "operator", "occurrence_id": THIRD, "stated_by": "mara", "because": "the host told me"}],
            )
        ]
    if event_type == "joinlog.link_cleared":
        return [
            (
                "SELECT source, occurrence_id, because FROM link_statement",
                [{"source": "operator", "occurrence_id": None, "because": "wrong week"}],
            )
        ]
    if event_type in EXPECTED_OF_ANSWERS:
        return EXPECTED_OF_ANSWERS[event_type]
    if event_type == "joinlog.past_instances_stated":
        return [
            (
                "SELECT uuid, source, occurrence_id FROM link_statement",
                [{"uuid": RUN["webinar"], "source": "zoom", "occurrence_id": THIRD}],
            )
        ]
    expected: Expected = BY_NAME[name](kind)
    return expected


def meeting_row(kind: str) -> tuple[str, list[Row]]:
    query = "SELECT meeting_id, kind, type, topic, host_id, timezone FROM meeting"
    return query, [{"meeting_id": MEETING[kind], "kind": kind, "type": TYPE[kind], "topic": TOPIC[kind],
                    "host_id": "hS7kQ2mXTn-9vRzLw0cYdg", "timezone": "Europe/Berlin"}]  # fmt: skip


def line(kind: str, word: str, /, **more: Any) -> tuple[str, list[Row]]:
    told = {"kind": word, "meeting_id": MEETING[kind], **more}
    return f"SELECT {', '.join(told)} FROM join_log WHERE kind <> 'link'", [told]


def created(kind: str) -> Expected:
    return [
        meeting_row(kind),
        ("SELECT duration_minutes, recurrence FROM meeting", [
            {"duration_minutes": 60, "recurrence": json.dumps(
                {"end_times": 3, "repeat_interval": 1, "type": 2, "weekly_days": "5"}, sort_keys=True)}]),
        ("SELECT occurrence_id, status, duration_minutes, moves FROM occurrence ORDER BY occurrence_id", [
            {"occurrence_id": occurrence_id, "status": "available", "duration_minutes": 60, "moves": 0}
            for occurrence_id in (FIRST, SECOND, THIRD)]),
        line(kind, "scheduled"),
    ]  # fmt: skip


def updated(kind: str) -> Expected:
    return [
        ("SELECT occurrence_id, status, duration_minutes, moves FROM occurrence", [
            {"occurrence_id": SECOND, "status": "available", "duration_minutes": 45, "moves": 1}]),
        ("SELECT topic, scheduled_start, duration_minutes FROM meeting", [
            {"topic": None, "scheduled_start": None, "duration_minutes": None}]),
        line(kind, "rescheduled"),
    ]  # fmt: skip


def deleted(kind: str) -> Expected:
    return [("SELECT occurrence_id, status FROM occurrence", [{"occurrence_id": SECOND, "status": "deleted"}]),
            ("SELECT meeting_id FROM meeting WHERE deleted_at IS NOT NULL", []), line(kind, "deleted")]  # fmt: skip


def recovered(kind: str) -> Expected:
    return [("SELECT occurrence_id, status FROM occurrence", [{"occurrence_id": SECOND, "status": "available"}]),
            line(kind, "recovered")]  # fmt: skip


def permanently_deleted(kind: str) -> Expected:
    return [("SELECT meeting_id FROM meeting WHERE deleted_at IS NOT NULL", [{"meeting_id": MEETING[kind]}]),
            line(kind, "deleted")]  # fmt: skip


def registration(status: str, occurrence_ids: list[str], word: str) -> Any:
    def expected(kind: str) -> Expected:
        told = "pending" if status == "approved" and word == "registered" and kind == "meeting" else status
        return [
            ("SELECT registrant_id, email, first_name, last_name, status FROM registrant", [
                {"registrant_id": REGISTRANT, "email": "zoe.oneill@example.com", "first_name": "Zoë",
                 "last_name": "O’Neill 🎻", "status": told}]),
            ("SELECT occurrence_id, status FROM registration WHERE since IS NOT NULL ORDER BY occurrence_id", [
                {"occurrence_id": occurrence_id, "status": told} for occurrence_id in occurrence_ids]),
            line(kind, word, registrant_id=REGISTRANT, name="Zoë O’Neill 🎻", email="zoe.oneill@example.com"),
        ]  # fmt: skip

    return expected


def started(kind: str) -> Expected:
    return [
        ("SELECT uuid, meeting_id, kind, type, topic, duration_minutes, ended_at FROM instance", [
            {"uuid": RUN[kind], "meeting_id": MEETING[kind], "kind": kind, "type": TYPE[kind], "topic": TOPIC[kind],
             "duration_minutes": 60, "ended_at": None}]),
        ("SELECT uuid FROM instance WHERE NOT started_is_inferred AND started_at IS NOT NULL", [{"uuid": RUN[kind]}]),
        line(kind, "started", uuid=RUN[kind]),
    ]  # fmt: skip


def ended(kind: str) -> Expected:
    return [("SELECT uuid FROM instance WHERE ended_at IS NOT NULL AND started_is_inferred AND NOT is_practice",
             [{"uuid": RUN[kind]}]), line(kind, "ended", uuid=RUN[kind])]  # fmt: skip


def joined(kind: str) -> Expected:
    return [
        ("SELECT uuid, connection_id, meeting_id, registrant_id, zoom_user_id, participant_uuid, email, name, "
         "person_id, left_at, leave_reason FROM participant", [
            {"uuid": RUN[kind], "connection_id": "16778240", "meeting_id": MEETING[kind], "registrant_id": REGISTRANT,
             "zoom_user_id": None, "participant_uuid": "67C1A429-1476-BE1C-7324-EDCA76B69406",
             "email": "zoe.oneill@example.com", "name": NAME, "person_id": "email:zoe.oneill@example.com",
             "left_at": None, "leave_reason": None}]),
        ("SELECT uuid FROM instance WHERE started_is_inferred", [{"uuid": RUN[kind]}]),
        line(kind, "joined", uuid=RUN[kind], connection_id="16778240", name=NAME),
    ]  # fmt: skip


def left(kind: str) -> Expected:
    return [("SELECT connection_id, joined_at, leave_reason FROM participant WHERE left_at IS NOT NULL", [
                {"connection_id": "16778240", "joined_at": None,
                 "leave_reason": "connection lost"}]),
            line(kind, "left", connection_id="16778240")]  # fmt: skip


def bound(kind: str) -> Expected:
    return [("SELECT connection_id, bound_to, participant_uuid FROM connection", [
                {"connection_id": "16780288", "bound_to": "16778240",
                 "participant_uuid": "0A91C429-1476-BE1C-7324-EDCA76B69407"}]),
            ("SELECT * FROM participant", []), line(kind, "bound")]  # fmt: skip


def role_changed(kind: str) -> Expected:
    return [("SELECT connection_id, role FROM connection", [{"connection_id": "16778240", "role": "co-host"}]),
            ("SELECT * FROM participant", []), line(kind, "role", detail="co-host")]  # fmt: skip


def room(word: str) -> Any:
    def expected(kind: str) -> Expected:
        return [("SELECT connection_id, room_uuid, registrant_id FROM participant", [
                    {"connection_id": "16785408", "room_uuid": "rO0mUuIdAAAAbbbbCCCC1w==",
                     "registrant_id": REGISTRANT}]),
                ("SELECT uuid FROM instance", [{"uuid": RUN[kind]}]),
                ("SELECT bound_to FROM connection", [{"bound_to": "16778240"}]), line(kind, word)]  # fmt: skip

    return expected


def waited(kind: str) -> Expected:
    return [("SELECT connection_id, registrant_id, customer_key, email, before_host FROM connection", [
                {"connection_id": "16778240", "registrant_id": REGISTRANT, "customer_key": "349589LkJyeW",
                 "email": "zoe.oneill@example.com", "before_host": None}]),
            ("SELECT uuid FROM participant UNION ALL SELECT uuid FROM instance", []),
            ("SELECT * FROM join_log", [])]  # fmt: skip


def came_before_host(kind: str) -> Expected:
    return [("SELECT connection_id, registrant_id FROM connection WHERE before_host", [
                {"connection_id": f"before host: {REGISTRANT}", "registrant_id": REGISTRANT}]),
            ("SELECT * FROM participant", []), ("SELECT * FROM join_log", [])]  # fmt: skip


def waited_unnamed(kind: str) -> Expected:
    """It names no connection."""
    return [("SELECT * FROM connection", []), ("SELECT * FROM join_log", [])]


BY_NAME: dict[str, Any] = {
    "created": created,
    "updated": updated,
    "deleted": deleted,
    "recovered": recovered,
    "permanently_deleted": permanently_deleted,
    "registration_created": registration("approved", [SECOND, THIRD], "registered"),
    "registration_approved": registration("approved", [SECOND, THIRD], "approved"),
    "registration_denied": registration("denied", [], "denied"),
    "registration_cancelled": registration("cancelled", [], "cancelled"),
    "started": started,
    "ended": ended,
    "participant_joined": joined,
    "participant_left": left,
    "participant_bind": bound,
    "participant_role_changed": role_changed,
    "participant_joined_waiting_room": waited,
    "participant_left_waiting_room": waited,
    "participant_put_in_waiting_room": waited,
    "participant_admitted": waited,
    "participant_jbh_waiting": waited_unnamed,
    "participant_jbh_waiting_left": waited_unnamed,
    "participant_jbh_joined": came_before_host,
    "participant_joined_breakout_room": room("joined"),
    "participant_left_breakout_room": room("left"),
}


@pytest.fixture
def front_door(database_url: str) -> Iterator[tuple[Door, Database]]:
    app = create_app(settings_for(database_url, "redis://127.0.0.1:1/0"))
    parts = parts_of(app)
    yield Door(app.wsgi_app), parts.database
    parts.close()
    logging.getLogger().handlers.clear()


@pytest.mark.parametrize("event_type", payload_files())
def test_an_event_posted_through_the_front_door_is_found_by_plain_sql(
    event_type: str, front_door: tuple[Door, Database]
) -> None:
    door, database = front_door
    assert door.post(read_payload_file(event_type)).status == 204
    settled = drain(database)
    assert settled.done == 1, select(database, "SELECT error FROM inbox_event")
    for query, rows in expected_of(event_type):
        assert select(database, query) == rows


def test_every_projection_has_a_payload_file_and_every_payload_file_a_projection() -> None:
    assert set(payload_files()) == set(PROJECTIONS)
    for name in payload_files():
        assert read_payload_file(name)["event"] == name


@pytest.mark.parametrize("event_type", ZOOM_EVENT_TYPES)
def test_every_type_zoom_publishes_is_projected_or_ignored_with_a_reason(event_type: str) -> None:
    homes = [event_type in PROJECTIONS, bool(why_ignored(event_type))]
    assert homes.count(True) == 1, event_type


def test_no_projection_is_about_a_type_zoom_does_not_have() -> None:
    assert set(PROJECTIONS) - set(ZOOM_EVENT_TYPES) == OURS | UNDOCUMENTED


def test_no_projection_and_no_fact_keeps_a_credential() -> None:
    for name in payload_files():
        assert "zoom.example" not in str(facts_of(read_payload_file(name)))


def stated_of(table: str, event: Any) -> dict[str, Any]:
    """Every column an event states of one row, whatever number of facts it takes."""
    return {name: value for fact in facts_about(table, event) for name, value in fact.values.items()}


# --- shapes that are not as promised ----------------------------------------------------------------------------

w = Story()


@pytest.mark.parametrize(
    "event",
    [
        {"event": "webinar.started", "event_ts": 1, "payload": {"account_id": "a"}},
        {"event": "webinar.started", "event_ts": 1, "payload": {"account_id": "a", "object": {"uuid": "u"}}},
        {"event": "webinar.started", "event_ts": 1, "payload": {"account_id": "a", "object": {"id": "1"}}},
        {"event": "webinar.participant_joined", "event_ts": 1, "payload": {"object": {"id": "1", "uuid": "u"}}},
        {"event": "webinar.registration_created", "event_ts": 1, "payload": {"object": {"id": 1, "registrant": {}}}},
        {"event": "webinar.registration_created", "event_ts": 1, "payload": {"object": {"id": 1}}},
        w.live(1, "started", "u", 1, id="not a number"),
        w.live(1, "started", "u", 1, id=2**63),
        w.person(1, "joined", "1", join_time="yesterday"),
        w.person(1, "joined", "1", join_time="10000-01-01T00:00:00Z"),
        w.registration(1, "created", "a") | {"payload": {"object": {"id": 1, "occurrences": 5}}},
    ],
)
def test_an_event_that_lacks_what_its_type_promises_is_refused(event: Any) -> None:
    with pytest.raises(PayloadError):
        facts_of(event)


def test_an_identifier_is_the_same_as_number_and_as_text() -> None:
    numbers = facts_of(w.person(1, "joined", "16778240", registrant_id="5", participant_user_id="7"))
    event = json.loads(json.dumps(w.person(1, "joined", "16778240", registrant_id=5, participant_user_id="7")))
    event["payload"]["object"]["id"] = 84512345678
    event["payload"]["object"]["participant"]["user_id"] = 16778240
    facts = facts_of(event)
    assert [fact._replace(values={}) for fact in facts if fact.table != "join_log"] == [
        fact._replace(values={}) for fact in numbers if fact.table != "join_log"
    ]
    assert facts_about("connection", event)[0].values["registrant_id"] == "5"


def test_a_registrant_without_an_id_is_told_by_the_address() -> None:
    event = w.registration(1, "created", "Ann", id="", email=" Ann@Example.com ")
    (fact,) = facts_about("registrant", event)
    assert fact.key[2] == "email:ann@example.com"


def test_an_updated_without_a_scope_does_not_cancel_the_dates_it_does_not_name() -> None:
    event = w.moved(10, {"1": 60}, {"1": 90})
    del event["payload"]["scope"]
    assert {fact.key[2] for fact in facts_about("occurrence_history", event)} == {"1"}


def test_a_start_time_without_a_zone_is_utc_and_one_with_a_zone_is_converted() -> None:
    for text, hour in (("2026-03-02T09:00:00", 9), ("2026-03-02T09:00:00+02:00", 7), ("2026-03-02T09:00:00Z", 9)):
        assert stated_of("instance", w.live(1, "started", "u", 1, start_time=text))["stated_start"].hour == hour


def test_an_instance_started_counts_from_the_event_and_not_from_its_start_time() -> None:
    stated = stated_of("instance", w.live(65, "started", "u", 60))
    assert stated["observed_start"] > stated["stated_start"]
