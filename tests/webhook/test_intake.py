"""The endpoint: every answer of the design's table, through both doors, on both databases."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from joinlog.fakezoom.delivery import expected_token, validation_event
from schema.store.database import Database
from tests.doors import Door, InPieces, Way
from tests.inbox_to_tables import drain, one, select
from tests.signed_requests import JSON_TYPE, PAYLOADS, SECRET, Reply, encode, read_payload_file, signed_headers
from tests.webhook.conftest import DOORS, NEW_SECRET, ServedDoors, opened_route, opened_server
from webhook.intake import BODY_BYTES_MAX
from webhook.signature import Refusal

pytestmark = pytest.mark.xdist_group("served")

STARTED = read_payload_file("webinar.started")


@pytest.fixture
def database(door: Door) -> Database:
    return door.database


def assert_counted(door: Door, reason: str, before: float) -> None:
    assert door.refused(reason) == before + 1


# --- kept -------------------------------------------------------------------------------------------------------


def test_a_signed_event_is_kept_and_answered_204(door: Door, database: Database) -> None:
    reply = door.post(STARTED)
    assert (reply.status, reply.body) == (204, b"")
    row = one(database, "SELECT * FROM inbox_event")
    assert row["state"] == "pending"
    assert row["event_type"] == "webinar.started"
    assert row["meeting_id"] == 84512345678
    assert row["deliveries"] == 1
    assert row["tracking_id"] == "v=2.0;clid=aw1;rid=WEB_test"
    assert row["request_id"] == "6009d653_d487_445d_8406_42b654974899"
    assert json.loads(row["body"]) == STARTED


def test_a_repeat_is_answered_204_and_only_raises_deliveries(door: Door, database: Database) -> None:
    door.post(STARTED)
    before = one(database, "SELECT * FROM inbox_event")
    assert door.post(json.dumps(STARTED, indent=2, sort_keys=True).encode()).status == 204
    after = one(database, "SELECT * FROM inbox_event")
    assert after["deliveries"] == 2
    assert after["last_delivered_at"] > before["last_delivered_at"]
    changed = {"deliveries", "last_delivered_at"}
    assert {k: v for k, v in after.items() if k not in changed} == {k: v for k, v in before.items() if k not in changed}


def test_a_repeat_of_what_is_done_is_not_applied_again(door: Door, database: Database) -> None:
    door.post(STARTED)
    assert drain(database).done == 1
    door.post(STARTED)
    assert drain(database).total == 0
    assert one(database, "SELECT state, deliveries FROM inbox_event") == {"state": "done", "deliveries": 2}


@pytest.mark.parametrize("name", ["cut_off", "not_an_event"])
def test_a_signed_body_that_is_no_event_is_a_dead_letter_and_answered_204(
    name: str, door: Door, database: Database
) -> None:
    body = (PAYLOADS / "odd" / f"{name}.json").read_bytes()
    assert door.post(body).status == 204
    row = one(database, "SELECT * FROM inbox_event")
    assert row["state"] == "dead"
    assert row["error"]
    assert row["body"] == body.decode()
    assert row["processed_at"] is not None
    assert door.post(body).status == 204
    assert one(database, "SELECT deliveries FROM inbox_event") == {"deliveries": 2}


def test_signed_bytes_that_are_no_text_are_a_dead_letter_and_answered_204(door: Door, database: Database) -> None:
    assert door.post(b"\xff\x00\xfe").status == 204
    assert one(database, "SELECT state, body FROM inbox_event") == {"state": "dead", "body": "\\xff\\x00\\xfe"}


def test_app_deauthorized_is_kept_with_the_time_it_tells_inside(door: Door, database: Database) -> None:
    assert door.post(read_payload_file("app_deauthorized")).status == 204
    row = one(database, "SELECT * FROM inbox_event WHERE event_ts IS NOT NULL")
    assert str(row["event_ts"]).startswith("2026-04-01")
    assert "09:12:45.678" in str(row["event_ts"])


@pytest.mark.parametrize(
    ("name", "written"),
    [("escaped_emoji", "Feuerwehr 🚒 Łódź"), ("half_surrogate", "Feuerwehr � Łódź")],
)
def test_names_in_escapes_reach_the_table_intact(name: str, written: str, door: Door, database: Database) -> None:
    body = (PAYLOADS / "odd" / f"{name}.json").read_bytes()
    assert b"\\u" in body
    assert door.post(body).status == 204
    assert drain(database).done == 1
    assert one(database, "SELECT name FROM participant") == {"name": written}
    assert one(database, "SELECT topic FROM instance") == {"topic": "Röntgen für alle 🩻 – Woche 3"}


def test_names_in_raw_utf8_reach_the_table_intact(door: Door, database: Database) -> None:
    door.post(read_payload_file("webinar.participant_joined"))
    drain(database)
    assert one(database, "SELECT name FROM participant") == {"name": "Zoë O’Neill 🎻 🚒"}


def test_no_credential_reaches_the_inbox(door: Door, database: Database) -> None:
    for name in ("webinar.created", "webinar.registration_created"):
        door.post(read_payload_file(name))
    bodies = [row["body"] for row in select(database, "SELECT body FROM inbox_event")]
    assert len(bodies) == 2
    assert not any("join_url" in body or "s3cr3t" in body or "zoom.example" in body for body in bodies)


# --- endpoint.url_validation ------------------------------------------------------------------------------------


@pytest.mark.parametrize("secret", [SECRET, NEW_SECRET])
def test_a_signed_validation_is_answered_with_the_secret_that_verified_it(
    secret: str, door: Door, database: Database
) -> None:
    reply = door.post(validation_event("qgg8vlvZRS6UYooatFL8Aw", 1), secret=secret)
    assert reply.status == 200
    assert reply.headers["content-type"] == "application/json"
    assert reply.json() == {
        "plainToken": "qgg8vlvZRS6UYooatFL8Aw",
        "encryptedToken": expected_token(secret, "qgg8vlvZRS6UYooatFL8Aw"),
    }
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 0}
    door.post(validation_event("another", 2), secret=secret)
    row = one(database, "SELECT account_id, validations, secret_fingerprint FROM endpoint_validation")
    assert (row["account_id"], row["validations"]) == ("", 2)
    assert secret not in str(row)


def test_a_validation_that_is_not_signed_is_refused(closed_door: Door) -> None:
    body = encode(validation_event("qgg8vlvZRS6UYooatFL8Aw", 1))
    reply = closed_door.send(body, {"content-type": JSON_TYPE})
    assert reply.status == 401
    assert b"encryptedToken" not in reply.body


def test_the_endpoint_is_no_signing_oracle(closed_door: Door) -> None:
    forged = encode(STARTED).decode()
    before = closed_door.refused("unsafe_plain_token")
    reply = closed_door.post(validation_event(f"v0:1795000000:{forged}", 1))
    assert reply.status == 401
    assert expected_token(SECRET, f"v0:1795000000:{forged}").encode() not in reply.body
    assert_counted(closed_door, "unsafe_plain_token", before)


@pytest.mark.parametrize("token", [None, 5, "", [], {"a": 1}])
def test_a_validation_without_a_token_is_refused(token: object, closed_door: Door) -> None:
    event = {"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": token}}
    assert closed_door.post(event).status == 401


def test_a_validation_is_answered_while_the_database_is_away(door_without_store: Door) -> None:
    assert door_without_store.post(validation_event("qgg8vlvZRS6UYooatFL8Aw", 1)).status == 200


# --- refused: one test for each reason --------------------------------------------------------------------------


def refused_as(door: Door, reason: Refusal, body: bytes, headers: dict[str, str], status: int = 401) -> Reply:
    before = door.refused(reason.value)
    reply = door.send(body, headers)
    assert reply.status == status
    assert_counted(door, reason.value, before)
    return reply


BODY = encode(STARTED)


def without(*names: str) -> dict[str, str]:
    return {name: value for name, value in signed_headers(BODY).items() if name not in names}


def test_missing_signature_is_401(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.MISSING_SIGNATURE, BODY, without("x-zm-signature"))


def test_missing_timestamp_is_401(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.MISSING_TIMESTAMP, BODY, without("x-zm-request-timestamp"))


@pytest.mark.parametrize("signature", ["v0=abc", "v0=" + "é" * 64, "\xff\xfe", "v0=" + "０" * 64, "🚒", "\ud83d"])
def test_malformed_signature_is_401_also_when_it_is_not_ascii(signature: str, closed_door: Door) -> None:
    refused_as(closed_door, Refusal.MALFORMED_SIGNATURE, BODY, without() | {"x-zm-signature": signature})


@pytest.mark.parametrize("timestamp", ["soon", "1.5", "-1", "１２３", "²", "\xff", "9" * 5000, "\ud83d"])
def test_malformed_timestamp_is_401_also_when_it_is_not_ascii(timestamp: str, closed_door: Door) -> None:
    refused_as(closed_door, Refusal.MALFORMED_TIMESTAMP, BODY, without() | {"x-zm-request-timestamp": timestamp})


def test_stale_timestamp_is_401(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.STALE_TIMESTAMP, BODY, signed_headers(BODY, timestamp=1))


def test_future_timestamp_is_401(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.FUTURE_TIMESTAMP, BODY, signed_headers(BODY, timestamp=99999999999))


def test_a_signature_of_a_secret_that_is_not_set_is_503(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.UNKNOWN_SECRET, BODY, signed_headers(BODY, secret="wrong"), 503)


def test_a_changed_body_is_503(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.UNKNOWN_SECRET, BODY.replace(b"Woche 3", b"Woche 4"), signed_headers(BODY), 503)


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_another_method_is_405_and_says_what_is_allowed(method: str, closed_door: Door) -> None:
    before = closed_door.refused("method")
    reply = closed_door.send(BODY, signed_headers(BODY), method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"
    assert_counted(closed_door, "method", before)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp", "é"]
)
def test_another_content_type_is_415(content_type: str, closed_door: Door) -> None:
    before = closed_door.refused("content_type")
    reply = closed_door.send(BODY, signed_headers(BODY) | {"content-type": content_type})
    assert reply.status == 415
    assert_counted(closed_door, "content_type", before)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON ; charset=UTF-8"])
def test_json_with_and_without_a_charset_is_taken(content_type: str, door: Door) -> None:
    assert door.send(BODY, signed_headers(BODY) | {"content-type": content_type}).status == 204


# --- the size of a body -----------------------------------------------------------------------------------------


def padded(size: int) -> bytes:
    body = encode(STARTED)
    return body + b" " * (size - len(body))


def test_a_body_of_the_largest_size_is_kept(door: Door) -> None:
    assert door.post(padded(BODY_BYTES_MAX)).status == 204


@pytest.mark.parametrize("way", ["whole", "chunked"])
def test_a_body_that_is_too_large_is_413(way: Way, closed_door: Door) -> None:
    body = padded(BODY_BYTES_MAX + 1) if way == "whole" else padded(2 * BODY_BYTES_MAX)
    before = closed_door.refused("too_large")
    assert closed_door.send(body, signed_headers(body), way=way).status == 413
    assert_counted(closed_door, "too_large", before)


@pytest.mark.parametrize("stated_length", ["5", "0", "-1", "x", "9" * 5000, "１"])
def test_a_body_that_is_longer_than_it_says_is_not_kept(stated_length: str, closed_door: Door) -> None:
    body = padded(2000)
    reply = closed_door.send(body, signed_headers(body), stated_length=stated_length)
    assert reply.status in {400, 401, 413, 503}  # 400 is the server's own


@pytest.mark.parametrize("content_length", [None, "5", str(3 * BODY_BYTES_MAX), "x"])
def test_the_route_never_reads_further_than_one_byte_too_far(content_length: str | None, sqlite_url: str) -> None:
    body = padded(3 * BODY_BYTES_MAX)
    stream = InPieces(body, 1000)
    with opened_route(sqlite_url) as door:
        reply = door.wsgi.send(body, signed_headers(body), stream=stream, content_length=content_length)
    assert reply.status in {401, 413, 503}
    assert stream.taken_bytes <= BODY_BYTES_MAX + 1


def test_a_chunked_body_in_small_pieces_is_kept(door: Door) -> None:
    assert door.send(BODY, signed_headers(BODY), way="chunked").status == 204


def test_a_body_that_breaks_off_is_503(closed_door: Door) -> None:
    before = closed_door.refused("incomplete")
    assert closed_door.send(BODY, signed_headers(BODY), way="broken off").status == 503
    assert_counted(closed_door, "incomplete", before)


class Reset:
    """A body whose connection is reset."""

    def readinto(self, buffer: Any) -> int:
        raise ConnectionResetError("gone")


def test_a_body_whose_connection_is_reset_is_503(sqlite_url: str) -> None:
    with opened_route(sqlite_url) as door:
        before = door.refused("incomplete")
        assert door.wsgi.send(BODY, signed_headers(BODY), stream=Reset()).status == 503
        assert_counted(door, "incomplete", before)


# --- no store ---------------------------------------------------------------------------------------------------


def open_door(name: str, folder: Path, url: str) -> AbstractContextManager[Door]:
    """One of the doors, on the database with this URL."""
    return opened_server(folder, url) if name == "served" else opened_route(url)


@pytest.fixture(params=DOORS, scope="module")
def door_without_store(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    """A door of an application whose database cannot be reached."""
    folder = tmp_path_factory.mktemp("without")
    with open_door(request.param, folder, f"sqlite:///{folder}/nowhere/joinlog.db") as door:
        yield door


def test_when_no_store_can_take_it_the_answer_is_503_so_that_zoom_comes_back(door_without_store: Door) -> None:
    reply = door_without_store.post(STARTED)
    assert reply.status == 503
    assert reply.headers["retry-after"] == "5"


@pytest.mark.parametrize("name", DOORS)
def test_a_database_that_is_not_migrated_is_503(name: str, empty_database_url: str, tmp_path: Path) -> None:
    with open_door(name, tmp_path, empty_database_url) as door:
        assert door.post(STARTED).status == 503


@pytest.mark.parametrize("path", ["/webhook/", "/Webhook", "/nowhere", "/webhook%2F", "/%2577ebhook"])
def test_other_paths_are_not_the_webhook(path: str, closed_door: Door) -> None:
    assert closed_door.send(BODY, signed_headers(BODY), path=path).status >= 400


# --- any bytes whatever -----------------------------------------------------------------------------------------

latin_1 = st.binary(max_size=40).map(lambda raw: raw.decode("latin-1"))
wire_headers = st.fixed_dictionaries(
    {},
    optional={
        "content-type": st.sampled_from([JSON_TYPE, "application/json"]) | latin_1,
        "x-zm-signature": latin_1 | st.from_regex(r"v0=[0-9a-f]{64}", fullmatch=True),
        "x-zm-request-timestamp": latin_1 | st.integers(-5, 10**13).map(str),
        "x-zm-trackingid": latin_1,
        "content-encoding": latin_1,
        "cookie": latin_1,
        "host": latin_1,
    },
)
bodies = st.binary(max_size=120) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
loose_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
loose_events = st.fixed_dictionaries(
    {
        "event": st.sampled_from(["webinar.started", "endpoint.url_validation", "app_deauthorized"]) | loose_values,
        "event_ts": loose_values,
        "payload": loose_values
        | st.fixed_dictionaries(
            {}, optional={"account_id": loose_values, "object": loose_values, "plainToken": loose_values}
        ),
    }
).map(lambda event: json.dumps(event).encode())


@pytest.fixture(scope="module")
def fuzzed(
    request: pytest.FixtureRequest, served_doors: ServedDoors, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Door]]:
    """Both doors on SQLite, for everything Hypothesis thinks of."""
    path = tmp_path_factory.mktemp("fuzz") / "fuzz.db"
    path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
    with opened_route(f"sqlite:///{path}", log_level="error") as route:
        yield [served_doors.get("sqlite"), route]


@settings(max_examples=150)
@given(body=bodies, headers=wire_headers, method=st.sampled_from(["POST", "POST", "POST", "GET", "\xff"]))
def test_no_bytes_from_a_stranger_give_a_500_or_are_kept(
    fuzzed: list[Door], body: bytes, headers: dict[str, str], method: str
) -> None:
    answers = {door.send(body, headers, method=method).status for door in fuzzed}
    assert answers <= {400, 401, 405, 413, 415, 503}  # 400 is the server's own


@settings(max_examples=150)
@given(body=bodies | loose_events, tracking_id=latin_1)
def test_no_signed_bytes_give_a_500(fuzzed: list[Door], body: bytes, tracking_id: str) -> None:
    tracking_id = "".join(character for character in tracking_id if character.isprintable())
    for door in fuzzed:
        reply = door.send(body, signed_headers(body) | {"x-zm-trackingid": tracking_id})
        assert reply.status in (200, 204, 401)


@settings(max_examples=60)
@given(body=bodies | loose_events)
def test_no_signed_bytes_are_refused_by_postgres(served_doors: ServedDoors, body: bytes) -> None:
    """It is stricter about text and numbers."""
    assert served_doors.get("postgres").post(body).status in (200, 204, 401)


def test_requests_at_the_same_moment_share_nothing(door: Door) -> None:
    """Many at once, each with its own secret and body: no answer is another's."""
    wrong: list[str] = []

    def post(number: int) -> None:
        token = f"token{number}"
        secret = (SECRET, NEW_SECRET)[number % 2]
        reply = door.post(validation_event(token, number), secret=secret)
        if reply.status != 200 or reply.json()["encryptedToken"] != expected_token(secret, token):
            wrong.append(token)

    threads = [threading.Thread(target=post, args=(number,)) for number in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
