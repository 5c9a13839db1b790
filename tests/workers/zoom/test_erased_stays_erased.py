"""Who was erased does not come back with what Zoom's API tells afterwards."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, World, generate
from joinlog.fakezoom.api import LogEntry
from schema.store.api_calls import keep_without
from schema.store.database import Database
from schema.store.erased import ErasedMeanwhile, Told, leave_out
from schema.zoom.erased import CONNECTION, EMAIL, OWN_KEY, REGISTRANT, SHARED_KEY, Leaving
from tests.inbox_to_tables import drain, is_postgres, one, read_table, take
from tests.webhook.conftest import opened_route
from tests.workers.test_erase import traces
from tests.workers.zoom.test_errands import APP, HOUR, OPEN, a_worker, last_end
from tests.workers.zoom.test_sync import sync
from workers.erase import erase_account, erase_person
from workers.rebuild import rebuild

PAST = datetime(2025, 9, 1, tzinfo=UTC)  # before any erasure of these tests
ERASED_AT = datetime(2026, 1, 1, tzinfo=UTC)


def a_world(seed: int = 1) -> World:
    return generate(seed, 1, MIXES["usual"], start=PAST)


def meetings(world: World) -> list[int]:
    return [series.meeting_id for series in world.truth.series]


def somebody(world: World) -> dict[str, Any]:
    """A registrant who came, and whose name is nobody else's."""
    events = [e.event for e in world.emissions]
    came = {person.get("email") for e in events if (person := e["payload"]["object"].get("participant"))}
    registrants = [e["payload"]["object"]["registrant"] for e in events if e["event"].endswith("registration_created")]
    names = [(one["first_name"], one["last_name"]) for one in registrants]
    return next(
        one for one in registrants
        if one["email"] in came and names.count((one["first_name"], one["last_name"])) == 1 and one["last_name"]
    )  # fmt: skip


def found(database: Database, *words: str) -> list[str]:
    """Where any of these words is to be found: in the tables and, on SQLite, in the bytes of the files."""
    places = traces(database, words)
    if not is_postgres(database):
        path = Path(str(database.url.database))
        for file in path.parent.glob(f"{path.name}*"):
            held = file.read_bytes().lower()
            places += [f"{word} in {file.name}" for word in words if word.lower().encode() in held]
    return places


def test_a_person_who_was_erased_does_not_come_back_with_a_sync(database_url: str) -> None:
    world = a_world()
    person = somebody(world)
    words = (person["email"], f"{person['first_name']} {person['last_name']}")
    with opened_route(database_url) as door, ApiServer(world, 1, ApiOptions(limits=False, facts=OPEN)) as zoom:
        for emission in world.emissions:
            assert door.post(emission.event).status == 204
        drain(door.database)
        whole, zoom.now = zoom.now, PAST + timedelta(days=8)
        sync(door.database, zoom, meetings(world))
        assert found(door.database, *words) != []
        people = one(door.database, "SELECT count(*) AS n FROM participant")
        erase_person(door.database, person["email"])
        zoom.now = whole  # Zoom tells more by now, so that its answers are others
        sync(door.database, zoom, meetings(world))
        assert found(door.database, *words) == []
        assert one(door.database, "SELECT count(*) AS n FROM participant") == people
        assert rebuild(door.database, check_only=True).examples == []


def test_nor_with_the_first_sync_of_an_installation_that_knew_the_webhooks_alone(database_url: str) -> None:
    world = a_world(2)
    person = somebody(world)
    with opened_route(database_url) as door, ApiServer(world, 2, ApiOptions(limits=False, facts=OPEN)) as zoom:
        for emission in world.emissions:
            door.post(emission.event)
        drain(door.database)
        registered = one(door.database, "SELECT count(*) AS n FROM registration WHERE until IS NULL")
        erase_person(door.database, person["email"])
        sync(door.database, zoom, meetings(world))
        assert found(door.database, person["email"], f"{person['first_name']} {person['last_name']}") == []
        # who is left out of a list is not gone from it
        assert one(door.database, "SELECT count(*) AS n FROM registration WHERE until IS NULL") == registered


def test_an_account_that_was_erased_stays_without_people_and_topics(sqlite_database: Database) -> None:
    world = a_world()
    with ApiServer(world, 1, ApiOptions(limits=False, facts=OPEN)) as zoom:
        whole, zoom.now = zoom.now, zoom.now - timedelta(days=8)
        sync(sqlite_database, zoom, meetings(world))
        erase_account(sqlite_database, zoom.api.accounts[0])
        zoom.now = whole
        sync(sqlite_database, zoom, meetings(world))
    assert traces(sqlite_database, ("@example.",)) == []
    assert {row["topic"] for row in read_table(sqlite_database, "meeting")} <= {"(erased)", None}
    assert {row["name"] for row in read_table(sqlite_database, "participant")} <= {"(erased)", None}


def test_the_delivery_log_does_not_bring_them_back(sqlite_database: Database) -> None:
    world = a_world()
    person = somebody(world)
    told = [e.event for e in world.emissions]
    about = [event for event in told if person["email"] in json.dumps(event)]
    take(sqlite_database, *(event for event in told if event not in about[1:]))
    with a_worker(sqlite_database, world, log_is_readable=True, log_bodies="whole") as (errands, zoom):
        erase_person(sqlite_database, person["email"])
        zoom.api.log += [LogEntry(zoom.now - HOUR, event, "", 0, f"r-{n}", f"t-{n}") for n, event in enumerate(told)]
        errands.look()
        zoom.now = last_end(world) + 12 * HOUR
        errands.look()
        assert any(APP in call.path for call in zoom.api.calls)
    assert found(sqlite_database, person["email"]) == []


def test_an_answer_that_was_asked_before_an_erasure_is_kept_as_after_it(database: Database) -> None:
    row = {"email": "jill@example.com", "join_time": "2025-09-01T10:00:00Z"}
    told = [Told({"participants": [row]}, "u")]
    left, left_out = leave_out(database, "a", told, ERASED_AT)
    assert left == [{"participants": [row]}]
    erase_person(database, "jill@example.com")
    with pytest.raises(ErasedMeanwhile):
        keep_without(database, [], left_out, ERASED_AT)
    assert leave_out(database, "a", told, ERASED_AT)[0] == [{"participants": []}]


def leaving(*erased: tuple[str, str], everybody_at: datetime | None = None) -> Leaving:
    return Leaving(dict.fromkeys(erased, ERASED_AT), everybody_at)


def test_who_comes_again_after_the_erasure_is_told_again() -> None:
    again = ERASED_AT + timedelta(days=1)
    rows = [
        {"email": "jill@example.com", "join_time": moment.isoformat(), "user_id": "1"}
        for moment in (again, ERASED_AT - timedelta(days=1))
    ]
    assert leaving((EMAIL, "jill@example.com")).left_of({"participants": rows}, "u") == {"participants": rows[:1]}
    event = {"payload": {"object": {"participant": {"email": "jill@example.com"}}}}
    assert leaving((EMAIL, "jill@example.com")).left_of(event, "u", again) == event
    assert leaving((EMAIL, "jill@example.com")).left_of(event, "u", ERASED_AT) is None


def test_an_entry_tells_that_others_are_theirs() -> None:
    rows = [
        {"user_name": "Jill", "registrant_id": "r"},
        {"user_name": "Jill", "registrant_id": "r", "email": "jill@example.com"},
        {"user_name": "Ann", "registrant_id": "s"},
    ]
    left = leaving((EMAIL, "jill@example.com"))
    assert left.left_of({"participants": rows}, "u") == {"participants": rows[2:]}
    assert set(left.learned) == {(REGISTRANT, "r")}


@pytest.mark.parametrize(
    "erased",
    [(EMAIL, "jill@example.com"), (REGISTRANT, "r"), (CONNECTION, "u 16778240"), (OWN_KEY, "k")],
)
def test_each_identifier_tells_them(erased: tuple[str, str]) -> None:
    row = {"email": "Jill@Example.com", "registrant_id": "r", "user_id": "16778240", "customer_key": "k"}
    assert leaving(erased).left_of({"participants": [row]}, "u") == {"participants": []}


def test_fields_that_name_them_are_left_out_and_state_nothing() -> None:
    told = {"id": 1, "host_email": "jill@example.com", "settings": {"alternative_hosts": "ann@x.org;Jill@example.com"}}
    assert leaving((EMAIL, "jill@example.com")).left_of(told, None) == {"id": 1, "settings": {}}
    rows = [{"email": "ann@x.org", "custom_questions": [{"title": "By", "value": "jill@example.com"}]}]
    left = leaving((EMAIL, "jill@example.com")).left_of({"registrants": rows}, None)
    assert left == {"registrants": [{"email": "ann@x.org", "custom_questions": [{"title": "By"}]}]}


def test_a_key_they_shared_is_left_out_of_the_entries_of_others() -> None:
    rows = [{"user_name": "Ann", "customer_key": "k"}, {"user_name": "Ben", "customer_key": "other"}]
    left = leaving((SHARED_KEY, "k")).left_of({"participants": rows}, "u")
    assert left == {"participants": [{"user_name": "Ann"}, {"user_name": "Ben", "customer_key": "other"}]}
