"""The front door: every answer of the design's table, through the short way and through Flask's route."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from io import BytesIO
from typing import Any

import pytest
from flask import Flask
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from joinlog.fakezoom.delivery import expected_token, validation_event
from schema.store.database import Database
from tests.conftest import settings_for
from tests.inbox_to_tables import drain, one, select
from tests.signed_requests import JSON_TYPE, PAYLOADS, SECRET, Door, Reply, encode, read_payload_file, signed_headers
from webhook.app import ShortWay, create_app
from webhook.intake import BODY_BYTES_MAX, Intake
from webhook.signature import Refusal

STARTED = read_payload_file("webinar.started")
NEW_SECRET = "the-secret-it-is-rotated-to"
NO_REDIS = "redis://127.0.0.1:1/0"  # intake does not need it


def open_app(database_url: str, **more: Any) -> Flask:
    return create_app(settings_for(database_url, NO_REDIS, zoom_webhook_secret_token=f"{SECRET},{NEW_SECRET}", **more))


def close_app(app: Flask) -> None:
    app.extensions["joinlog"]["keeper"].close()
    app.extensions["joinlog"]["doorbell"].close()
    app.extensions["joinlog"]["database"].close()
    logging.getLogger().handlers.clear()


def doors_of(app: Flask) -> dict[str, Door]:
    short_way = app.wsgi_app
    assert isinstance(short_way, ShortWay)
    return {"short way": Door(short_way), "route": Door(short_way._flask)}


@pytest.fixture
def app(database_url: str) -> Iterator[Flask]:
    made = open_app(database_url)
    yield made
    close_app(made)


@pytest.fixture
def database(app: Flask) -> Database:
    opened: Database = app.extensions["joinlog"]["database"]
    return opened


@pytest.fixture(params=["short way", "route"])
def door(request: pytest.FixtureRequest, app: Flask) -> Door:
    """Both ways to the same answer, on both databases."""
    return doors_of(app)[str(request.param)]


@pytest.fixture
def sqlite_app(sqlite_url: str) -> Iterator[Flask]:
    made = open_app(sqlite_url)
    yield made
    close_app(made)


@pytest.fixture(params=["short way", "route"])
def closed_door(request: pytest.FixtureRequest, sqlite_app: Flask) -> Iterator[Door]:
    """For what is refused: nothing may be left in the database."""
    yield doors_of(sqlite_app)[str(request.param)]
    database: Database = sqlite_app.extensions["joinlog"]["database"]
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 0}


def refusals(reason: str) -> float:
    return REGISTRY.get_sample_value("joinlog_deliveries_refused_total", {"reason": reason}) or 0.0


def assert_counted(reason: str, before: float) -> None:
    assert refusals(reason) == before + 1


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
    before = refusals("unsafe_plain_token")
    reply = closed_door.post(validation_event(f"v0:1795000000:{forged}", 1))
    assert reply.status == 401
    assert expected_token(SECRET, f"v0:1795000000:{forged}").encode() not in reply.body
    assert_counted("unsafe_plain_token", before)


@pytest.mark.parametrize("token", [None, 5, "", [], {"a": 1}])
def test_a_validation_without_a_token_is_refused(token: object, closed_door: Door) -> None:
    event = {"event": "endpoint.url_validation", "event_ts": 1, "payload": {"plainToken": token}}
    assert closed_door.post(event).status == 401


def test_a_validation_is_answered_while_the_database_is_away(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    app = open_app(sqlite_url.replace("joinlog.db", "nowhere/joinlog.db"))
    try:
        for door in doors_of(app).values():
            assert door.post(validation_event("qgg8vlvZRS6UYooatFL8Aw", 1)).status == 200
    finally:
        close_app(app)


# --- refused: one test for each reason --------------------------------------------------------------------------


def refused_as(door: Door, reason: Refusal, body: bytes, headers: dict[str, str]) -> Reply:
    before = refusals(reason.value)
    reply = door.send(body, headers)
    assert reply.status == 401
    assert reason.value in reply.body.decode()
    assert_counted(reason.value, before)
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


def test_a_signature_with_another_secret_is_401(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.MISMATCH, BODY, signed_headers(BODY, secret="wrong"))


def test_a_changed_body_is_401(closed_door: Door) -> None:
    refused_as(closed_door, Refusal.MISMATCH, BODY.replace(b"Woche 3", b"Woche 4"), signed_headers(BODY))


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_another_method_is_405_and_says_what_is_allowed(method: str, closed_door: Door) -> None:
    before = refusals("method")
    reply = closed_door.send(BODY, signed_headers(BODY), method=method)
    assert reply.status == 405
    assert reply.headers["allow"] == "POST"
    assert_counted("method", before)


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonp", "é"]
)
def test_another_content_type_is_415(content_type: str, closed_door: Door) -> None:
    before = refusals("content_type")
    reply = closed_door.send(BODY, signed_headers(BODY) | {"content-type": content_type})
    assert reply.status == 415
    assert_counted("content_type", before)


@pytest.mark.parametrize("content_type", ["application/json", "Application/JSON ; charset=UTF-8"])
def test_json_with_and_without_a_charset_is_taken(content_type: str, door: Door) -> None:
    assert door.send(BODY, signed_headers(BODY) | {"content-type": content_type}).status == 204


# --- the size of a body -----------------------------------------------------------------------------------------


class Reluctant:
    """A body that comes in small pieces and remembers how much was taken."""

    def __init__(self, body: bytes, piece_bytes: int = 1000) -> None:
        self._stream, self._piece_bytes, self.taken_bytes = BytesIO(body), piece_bytes, 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._stream.read(self._piece_bytes if size < 0 else min(size, self._piece_bytes))
        self.taken_bytes += len(chunk)
        return chunk


class Broken:
    """A body whose connection breaks."""

    def read(self, size: int = -1) -> bytes:
        raise ConnectionResetError("gone")


def padded(size: int) -> bytes:
    body = encode(STARTED)
    return body + b" " * (size - len(body))


def test_a_body_of_the_largest_size_is_kept(door: Door) -> None:
    assert door.post(padded(BODY_BYTES_MAX)).status == 204


def test_a_body_that_says_it_is_too_large_is_413_and_not_read(closed_door: Door) -> None:
    body = padded(BODY_BYTES_MAX + 1)
    stream = Reluctant(body)
    before = refusals("too_large")
    assert closed_door.send(body, signed_headers(body), stream=stream).status == 413
    assert stream.taken_bytes == 0
    assert_counted("too_large", before)


@pytest.mark.parametrize("content_length", [None, "5", "0", "-1", "x", "9" * 5000, "１"])
def test_a_body_is_never_read_further_than_one_byte_too_far(content_length: str | None, closed_door: Door) -> None:
    body = padded(3 * BODY_BYTES_MAX)
    stream = Reluctant(body)
    reply = closed_door.send(body, signed_headers(body), stream=stream, content_length=content_length)
    assert reply.status == 413
    assert stream.taken_bytes <= BODY_BYTES_MAX + 1


def test_a_chunked_body_in_small_pieces_is_kept(door: Door) -> None:
    reply = door.send(BODY, signed_headers(BODY), stream=Reluctant(BODY, 7), content_length=None)
    assert reply.status == 204


def test_a_body_that_breaks_off_is_400(closed_door: Door) -> None:
    assert closed_door.send(BODY, signed_headers(BODY), stream=Broken()).status == 400


# --- no store ---------------------------------------------------------------------------------------------------


def test_when_no_store_can_take_it_the_answer_is_503_so_that_zoom_comes_back(sqlite_url: str) -> None:
    app = open_app(sqlite_url.replace("joinlog.db", "nowhere/joinlog.db"))
    try:
        for door in doors_of(app).values():
            reply = door.post(STARTED)
            assert reply.status == 503
            assert reply.headers["retry-after"] == "5"
    finally:
        close_app(app)


def test_a_database_that_is_not_migrated_is_503(empty_database_url: str) -> None:
    app = open_app(empty_database_url)
    try:
        for door in doors_of(app).values():
            assert door.post(STARTED).status == 503
    finally:
        close_app(app)


def test_other_paths_are_not_the_webhook(sqlite_app: Flask) -> None:
    door = doors_of(sqlite_app)["short way"]
    for path in ("/webhook/", "/Webhook", "/nowhere", "/webhook%2F", ""):
        assert door.send(BODY, signed_headers(BODY), path=path).status >= 400
    database: Database = sqlite_app.extensions["joinlog"]["database"]
    assert one(database, "SELECT count(*) AS n FROM inbox_event") == {"n": 0}


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
def fuzzed(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Any) -> Iterator[dict[str, Door]]:
    """One application for everything Hypothesis thinks of."""
    path = tmp_path_factory.mktemp("fuzz") / "fuzz.db"
    path.write_bytes(sqlite_template.read_bytes())
    app = open_app(f"sqlite:///{path}", log_level="error")
    yield doors_of(app)
    close_app(app)


@settings(max_examples=150)
@given(body=bodies, headers=wire_headers, method=st.sampled_from(["POST", "POST", "POST", "GET", "\xff"]))
def test_no_bytes_from_a_stranger_give_a_500_or_are_kept(
    fuzzed: dict[str, Door], body: bytes, headers: dict[str, str], method: str
) -> None:
    answers = {door.send(body, headers, method=method).status for door in fuzzed.values()}
    assert answers <= {400, 401, 405, 413, 415}


@settings(max_examples=150)
@given(body=bodies | loose_events, tracking_id=latin_1)
def test_no_signed_bytes_give_a_500(fuzzed: dict[str, Door], body: bytes, tracking_id: str) -> None:
    for door in fuzzed.values():
        reply = door.send(body, signed_headers(body) | {"x-zm-trackingid": tracking_id})
        assert reply.status in (200, 204, 401)


@settings(max_examples=60)
@given(body=bodies | loose_events)
def test_no_signed_bytes_are_refused_by_postgres(postgres_doors: dict[str, Door], body: bytes) -> None:
    assert postgres_doors["short way"].post(body).status in (200, 204, 401)


@pytest.fixture(scope="module")
def postgres_doors(postgres: Any) -> Iterator[dict[str, Door]]:
    """The same on Postgres, which is stricter about text and numbers."""
    url = postgres.create()
    app = open_app(url, log_level="error")
    yield doors_of(app)
    close_app(app)
    postgres.drop(url)


def test_intake_shares_nothing_between_requests(sqlite_app: Flask) -> None:
    """Many threads at once, each with its own secret and body: no answer is another's."""
    door = doors_of(sqlite_app)["short way"]
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
    assert isinstance(Intake, type)
