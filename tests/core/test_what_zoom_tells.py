"""What events tell beside the usual, from signed POSTs to the tables: in several orders, on both databases, rebuilt."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from schema.store.health import count_only_before_host
from tests.conftest import DATABASES
from tests.inbox_to_tables import Row, drain, keep_events, select
from tests.played_stories import ORDERS, Played, module_database, played
from tests.stories import HOST, WEEK_MINUTES, Json, Story, zoom

FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
WEEKS = {"1001": FIRST, "1002": SECOND}
w, m, once = Story(), Story("meeting", 8), Story("webinar", 5)


@dataclass
class Told:
    """Events, and what a query finds afterwards; its only parameter is the account."""

    events: Sequence[Json]
    query: str
    rows: Sequence[Row]


MEETING = "SELECT topic, host_id, timezone FROM meeting WHERE account_id = ?"
KNOWN = [{"topic": "Weekly", "host_id": HOST, "timezone": "UTC"}]
SESSION = "SELECT occurrence_id, status, scheduled_start, duration_minutes FROM occurrence WHERE account_id = ?"
PERSON = "SELECT person_id, standing, reason FROM occurrence_person WHERE account_id = ? AND occurrence_id = '1001'"
ATTENDED = [{"person_id": "registrant:ann", "standing": "attended", "reason": "registered for it"}]


def waiting(minute: float, name: str, **who: Any) -> Json:
    """An event before somebody joined."""
    return m.live(minute, f"participant_{name}", "run-1==", FIRST, participant=who)


def session(start: float, status: str = "available", minutes: int = 60) -> list[Row]:
    return [{"occurrence_id": "single", "status": status, "scheduled_start": zoom(start), "duration_minutes": minutes}]


def held_with(*events: Json) -> list[Json]:
    """A first week that somebody who had registered came to, by a connection that names nobody."""
    return [
        m.created(0, WEEKS), m.registration(1, "created", "ann", {"1001": FIRST}, status="approved"), m.started(FIRST),
        m.person(FIRST + 2, "joined", "1", FIRST), m.person(FIRST + 9, "left", "1", FIRST),
        m.ended(FIRST + 60, FIRST), *events,
    ]  # fmt: skip


STORIES: dict[str, Told] = {
    "one session is moved by an edit of scope single that names no date": Told(
        [once.created(0, {"x": FIRST}),
         once.changed(5, {"start_time": zoom(SECOND), "duration": 90, "type": 5}, {"duration": 60}, "single")],
        SESSION, session(SECOND, minutes=90),
    ),
    "the type of one session is told by another event only": Told(
        [once.created(0, {"x": FIRST}),
         once.changed(5, {"start_time": zoom(SECOND)}, {"start_time": zoom(FIRST)}, "single")],
        "SELECT scheduled_start FROM meeting WHERE account_id = ?", [{"scheduled_start": zoom(SECOND)}],
    ),
    "a date of a series is not moved by an edit that names none": Told(
        [w.created(0, {"1001": FIRST}), w.changed(5, {"topic": "New"}, {"topic": "Weekly"}, "single")],
        "SELECT occurrence_id, scheduled_start FROM occurrence WHERE account_id = ?",
        [{"occurrence_id": "1001", "scheduled_start": zoom(FIRST)}],
    ),
    "one session deleted whose creation was never seen": Told(
        [once.scheduled(5, "deleted", {"start_time": zoom(FIRST)}, operation="all")], SESSION, session(FIRST, "deleted")
    ),
    "and one that is recovered": Told(
        [once.scheduled(5, "deleted", {"start_time": zoom(FIRST)}, operation="all"),
         once.scheduled(6, "recovered", {"start_time": zoom(FIRST)}, operation="all")],
        SESSION, session(FIRST),
    ),
    "one session that was held before it was deleted": Told(
        [once.scheduled(SECOND, "deleted", {"start_time": zoom(FIRST)}, operation="all")], SESSION, session(FIRST)
    ),
    "a date deleted of a meeting nobody knew": Told([w.deleted(5, {"1001": FIRST})], MEETING, KNOWN),
    "a date deleted for good": Told([w.deleted(5, {"1001": FIRST}, "permanently_deleted")], MEETING, KNOWN),
    "a date recovered": Told([w.recovered(5, {"1001": FIRST})], MEETING, KNOWN),
    "what a form asked": Told(
        [w.registration(1, "created", "ann", WEEKS, status="approved", org="Corp", job_title="Chef", phone="5550100",
                        city="Bonn", tracking_source={"id": "7", "source_name": "ad"}, no_of_employees="1-20")],
        "SELECT details FROM registrant WHERE account_id = ?",
        [{"details": json.dumps({"city": "Bonn", "job_title": "Chef", "no_of_employees": "1-20", "org": "Corp",
                                 "phone": "5550100", "tracking_source": {"id": "7", "source_name": "ad"}})}],
    ),
    "a form that answered less later keeps what it said": Told(
        [w.registration(1, "created", "ann", WEEKS, status="approved", org="Corp"),
         w.registration(2, "approved", "ann", WEEKS)],
        "SELECT details FROM registrant WHERE account_id = ?", [{"details": '{"org": "Corp"}'}],
    ),
    "an app removed, by its own time": Told(
        [{"event": "app_deauthorized", "payload": {"user_id": "u", "deauthorization_time": zoom(3),
                                                   "event_ts": "2026-03-02 09:00:00"}}],
        "SELECT deauthorized_at FROM account_departure WHERE account_id = ?", [{"deauthorized_at": zoom(3)}],
    ),
    "an app removed, by the time of the event written out": Told(
        [{"event": "app_deauthorized", "payload": {"user_id": "u", "event_ts": "2026-03-02 09:00:00"}}],
        "SELECT deauthorized_at FROM account_departure WHERE account_id = ?", [{"deauthorized_at": zoom(60)}],
    ),
    "a waiting room that names the registrant whom joined does not": Told(
        held_with(waiting(FIRST + 1, "joined_waiting_room", user_id="1", registrant_id="ann")), PERSON, ATTENDED
    ),
    "somebody admitted who shows their address in the waiting room only": Told(
        held_with(waiting(FIRST + 1, "admitted", user_id="9", participant_uuid="P-1", email="Ann@example.com")), PERSON,
        [ATTENDED[0] | {"reason": "known by another identifier"}],
    ),
    "who waited and was never let in did not come": Told(
        [m.created(0, WEEKS), m.registration(1, "created", "ann", {"1001": FIRST}, status="approved"), m.started(FIRST),
         waiting(FIRST + 1, "joined_waiting_room", user_id="1", registrant_id="ann"),
         waiting(FIRST + 5, "left_waiting_room", user_id="1", registrant_id="ann"), m.ended(FIRST + 60, FIRST)],
        PERSON, [ATTENDED[0] | {"standing": "no_show"}],
    ),
    "who came before the host and nothing else": Told(
        [m.created(0, WEEKS), waiting(FIRST - 5, "jbh_joined", id="", registrant_id="ann"),
         waiting(FIRST - 6, "jbh_waiting", id="", registrant_id="ann")],
        "SELECT connection_id FROM connection WHERE account_id = ? AND before_host",
        [{"connection_id": "before host: ann"}],
    ),
    "qualities of a line": Told(
        [m.event("participant_qos", 61, {"uuid": "run-1==", "participant": {"user_id": "1", "qos": [], "ip_address":
                                                                            "192.0.2.7", "mac_addr": "00:00:5E"}})],
        "SELECT state, uuid, substr(body, length(body) - 27) AS body FROM inbox_event WHERE account_id = ?",
        [{"state": "ignored", "uuid": "run-1==", "body": 'object":{"uuid":"run-1=="}}}'}],
    ),
    "known, and not projected": Told(
        [{"event": name, "event_ts": 1772438400000, "payload": {"object": {"id": "x"}}}
         for name in ("user.presence_status_updated", "account.updated", "zoom_events.ticket_created",
                      "meeting.rtms_started", "webinar.ai_companion_stopped", "meeting.aic_transcript_completed",
                      "app.authorization_request_created", "meeting.participant_data_summary",
                      "webinar.participant_qos_summary", "meeting.participant_data_connection_established")],
        "SELECT DISTINCT state FROM inbox_event WHERE account_id = ?", [{"state": "ignored"}],
    ),
}  # fmt: skip


@pytest.fixture(scope="module", params=DATABASES)
def stories(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Played]:
    """Every story, in every order, in one database."""
    for url in module_database(request, tmp_path_factory):
        with played(url, {name: told.events for name, told in STORIES.items()}) as stage:
            yield stage


@pytest.mark.parametrize("name", STORIES)
def test_the_tables_say_what_the_events_said(name: str, stories: Played) -> None:
    for order in ORDERS:
        found = [
            {column: _plain(value) for column, value in row.items()}
            for row in stories.rows(name, order, STORIES[name].query)
        ]
        assert found == STORIES[name].rows, order


def test_a_rebuild_finds_the_same(stories: Played) -> None:
    assert stories.rows_not_as_rebuilt() == []


def test_instances_people_came_to_before_the_host_and_nobody_joined_are_counted(stories: Played) -> None:
    """One story, in each order; and no more once somebody joined."""
    assert select(stories.database, "SELECT * FROM live_instance") == []
    with stories.database.read() as connection:
        assert count_only_before_host(connection) == len(ORDERS)
    account = stories.of("who came before the host and nothing else", ORDERS[0])
    joined = m.person(FIRST, "joined", "1", FIRST)
    keep_events(stories.database, [joined | {"payload": joined["payload"] | {"account_id": account}}])
    drain(stories.database)
    with stories.database.read() as connection:
        assert count_only_before_host(connection) == len(ORDERS) - 1


def _plain(value: Any) -> Any:
    """Moments as Zoom writes them, flags as flags."""
    if hasattr(value, "isoformat"):
        return value.isoformat()[:19] + "Z"
    if isinstance(value, str) and len(value) == 27 and value.endswith("000000Z"):
        return value[:19] + "Z"
    return value
