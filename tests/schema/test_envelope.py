"""What intake must know of a body: whose event, which one, and no credentials. It never raises."""

from __future__ import annotations

import contextlib
import json
import random
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from joinlog.fakezoom.delivery import reverse_keys
from schema.zoom.envelope import CREDENTIALS, MEETING_ID_MAX, SHORT_TEXT_CHARACTERS_MAX, UNKNOWN_ACCOUNT, read_envelope
from schema.zoom.payloads import PayloadError, read_payload
from tests.signed_requests import encode, payload_files, read_payload_file

EVENT = read_payload_file("webinar.registration_created")


def key_of(event: Any) -> str:
    return read_envelope(encode(event)).idempotency_key


def altered(path: str, value: Any) -> dict[str, Any]:
    """The event with one field changed."""
    event: dict[str, Any] = json.loads(json.dumps(EVENT))
    *parents, last = path.split(".")
    place = event
    for name in parents:
        place = place[name]
    place[last] = value
    return event


# --- the same event ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", payload_files())
def test_the_spelling_of_the_json_does_not_make_another_event(name: str) -> None:
    event = read_payload_file(name)
    spellings = [
        json.dumps(event, ensure_ascii=False),
        json.dumps(event, ensure_ascii=True),
        json.dumps(event, indent=4),
        json.dumps(event, separators=(",", ":")),
        json.dumps(event, sort_keys=True),
        json.dumps(reverse_keys(event)),
        "\r\n\t " + json.dumps(event) + " \n",
        json.dumps(event).replace("/", "\\/"),
    ]
    assert len({read_envelope(spelling.encode()).idempotency_key for spelling in spellings}) == 1


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("event", "webinar.registration_approved"),
        ("event_ts", 1772107200001),
        ("payload.account_id", "another"),
        ("payload.object.id", 84512345679),
        ("payload.object.topic", "röntgen für alle"),
        ("payload.object.registrant.id", "x"),
        ("payload.object.occurrences", []),
        ("payload.extra", None),
    ],
)
def test_another_content_is_another_event(path: str, value: Any) -> None:
    assert key_of(altered(path, value)) != key_of(EVENT)


def test_order_within_a_list_is_content() -> None:
    turned = list(reversed(EVENT["payload"]["object"]["occurrences"]))
    assert key_of(altered("payload.object.occurrences", turned)) != key_of(EVENT)


def test_overlapping_deliveries_that_differ_in_a_download_token_are_one_event() -> None:
    told = {"event": "recording.completed", "event_ts": 1772107200000, "payload": {"account_id": "a", "object": {}}}
    assert key_of(told | {"download_token": "one"}) == key_of(told | {"download_token": "two"}) == key_of(told)


def test_keys_begin_with_the_time_so_that_the_index_grows_at_its_end() -> None:
    keys = [key_of(altered("event_ts", 1772107200000 + 1000 * n)) for n in range(50)]
    assert keys == sorted(keys)


# --- what is read -----------------------------------------------------------------------------------------------


def test_account_type_time_meeting_and_instance_are_read() -> None:
    envelope = read_envelope(encode(read_payload_file("webinar.started")))
    assert envelope.account_id == "q1w2E3r4T5y6U7i8O9p0Aa"
    assert envelope.event_type == "webinar.started"
    assert envelope.event_ts == datetime(2026, 3, 19, 15, 55, 7, 572000, tzinfo=UTC)
    assert envelope.meeting_id == 84512345678
    assert envelope.uuid == "WcQ8+rT1S0mJ/9dKx2bEhg=="
    assert envelope.error is None


@pytest.mark.parametrize("id_", [84512345678, "84512345678"])
def test_the_meeting_number_is_the_same_as_number_and_as_text(id_: object) -> None:
    assert read_envelope(encode(altered("payload.object.id", id_))).meeting_id == 84512345678


@pytest.mark.parametrize("id_", [0, -5, True, 1.5, "1.5", "", "²", "x", None, [], {}, MEETING_ID_MAX + 1, "9" * 5000])
def test_what_is_no_meeting_number_is_none(id_: object) -> None:
    envelope = read_envelope(encode(altered("payload.object.id", id_)))
    assert (envelope.meeting_id, envelope.error) == (None, None)


def test_app_deauthorized_tells_its_time_inside_the_payload_and_as_text() -> None:
    envelope = read_envelope(encode(read_payload_file("app_deauthorized")))
    assert envelope.event_ts == datetime(2026, 4, 1, 9, 12, 45, 678000, tzinfo=UTC)


@pytest.mark.parametrize("event_ts", [None, 0, -1, True, "soon", 1e300, 2**63, 253402300800000, {}, "1" * 400])
def test_an_impossible_time_is_none_and_the_event_is_kept(event_ts: object) -> None:
    envelope = read_envelope(encode(altered("event_ts", event_ts)))
    assert (envelope.event_ts, envelope.error) == (None, None)


@pytest.mark.parametrize("account_id", [None, "", 5, [], {}])
def test_an_account_that_is_not_told_is_the_unknown_one(account_id: object) -> None:
    assert read_envelope(encode(altered("payload.account_id", account_id))).account_id == UNKNOWN_ACCOUNT


def test_text_that_is_far_too_long_is_cut() -> None:
    envelope = read_envelope(encode(altered("payload.object.uuid", "u" * 10_000)))
    assert envelope.uuid is not None
    assert len(envelope.uuid) <= SHORT_TEXT_CHARACTERS_MAX
    assert len(read_envelope(encode(altered("event", "e" * 10_000))).event_type or "") <= SHORT_TEXT_CHARACTERS_MAX


# --- dead letters -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"   ",
        b"not json",
        b"[]",
        b"null",
        b'"text"',
        b"5",
        b"NaN",
        b'{"event":"webinar.started","event_ts":NaN,"payload":{}}',
        b'{"event":"webinar.started","payload":{"x":Infinity}}',
        b"{}",
        b'{"event":"webinar.started"}',
        b'{"event":"","payload":{}}',
        b'{"event":5,"payload":{}}',
        b'{"event":"webinar.started","payload":[]}',
        b'{"event":"webinar.started","payload":{}} trailing',
        b'{"event":"webinar.started","payload":{',
        b"\xff\xfe",
        b'{"event":"\xff","payload":{}}',
        b"\x00",
        b"[" * 100_000,
        b'{"event":"x","payload":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001,
    ],
)
def test_what_is_no_event_is_a_dead_letter_with_its_error(body: bytes) -> None:
    envelope = read_envelope(body)
    assert envelope.error
    assert len(envelope.error) <= SHORT_TEXT_CHARACTERS_MAX
    assert envelope.event_type is None
    envelope.body.encode()
    assert "\x00" not in envelope.body


def test_the_same_dead_letter_twice_is_one() -> None:
    assert read_envelope(b"not json").idempotency_key == read_envelope(b"not json").idempotency_key
    assert read_envelope(b"not json").idempotency_key != read_envelope(b"not json!").idempotency_key


# --- text no database can hold ----------------------------------------------------------------------------------


def named(name: str) -> bytes:
    return (
        b'{"event":"webinar.participant_joined","event_ts":1772107200000,"payload":{"account_id":"a","object":'
        b'{"id":"84512345678","uuid":"u","participant":{"user_id":"1","user_name":"' + name.encode() + b'"}}}}'
    )


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (r"Feuerwehr \uD83D\uDE92", "Feuerwehr 🚒"),
        (r"half \uD83D", "half �"),
        (r"other half \uDE92", "other half �"),
        (r"turned \uDE92\uD83D", "turned ��"),
        (r"nul \u0000 inside", "nul � inside"),
        (r"escaped \\uD83D backslash", r"escaped \uD83D backslash"),
        ("raw 🚒", "raw 🚒"),
    ],
)
def test_names_survive_and_what_no_text_can_hold_becomes_a_replacement_character(written: str, read: str) -> None:
    envelope = read_envelope(named(written))
    assert envelope.error is None
    envelope.body.encode()
    zoom_object = read_payload(envelope.body).object
    assert zoom_object is not None
    assert zoom_object.participant is not None
    assert zoom_object.participant.user_name == read


def test_an_integer_of_any_size_is_no_error() -> None:
    for digits in (19, 20, 400, 5000):
        envelope = read_envelope(
            b'{"event":"x.y","event_ts":1,"payload":{"account_id":"a","n":' + b"9" * digits + b"}}"
        )
        envelope.body.encode()


# --- credentials ------------------------------------------------------------------------------------------------


def with_credentials(value: Any, seed: int) -> Any:
    """The same JSON with credentials put in at every level."""
    rng = random.Random(seed)
    if isinstance(value, dict):
        told = {name: with_credentials(inner, seed + 1) for name, inner in value.items()}
        return told | {rng.choice(sorted(CREDENTIALS)): rng.choice(["https://secret", {"x": "https://secret"}, ["s"]])}
    if isinstance(value, list):
        return [with_credentials(inner, seed + 2) for inner in value]
    return value


@pytest.mark.parametrize("name", payload_files())
def test_credentials_are_dropped_at_every_level_and_do_not_make_another_event(name: str) -> None:
    event = read_payload_file(name)
    clean = read_envelope(encode(event))
    loaded = read_envelope(encode(with_credentials(event, 1)))
    assert "https://secret" not in loaded.body
    assert not {f'"{credential}"' for credential in CREDENTIALS} & set(loaded.body.replace(":", " ").split())
    assert loaded.idempotency_key == clean.idempotency_key
    assert loaded.account_id == clean.account_id


@pytest.mark.parametrize(
    "body",
    [
        b'{"event":"webinar.created","payload":{"object":{"join_url":"https://zoom.example/w/1?pwd=hush","id":1}',
        b'{"join_url" : "https://zoom.example/?pwd=hush"',
        b'[{"password":"hush"}]',
        b'{"password":"hush',
        b'{"password":"hu\\"hush"',
        b'{"pin_code": 7071  ,"x":',
    ],
)
def test_credentials_are_dropped_from_dead_letters_as_well(body: bytes) -> None:
    envelope = read_envelope(body)
    assert envelope.error
    assert "hush" not in envelope.body
    assert "7071" not in envelope.body


@pytest.mark.parametrize("name", sorted(CREDENTIALS))
def test_a_credential_whose_name_is_written_with_escapes_is_dropped(name: str) -> None:
    escaped = "".join(f"\\u{ord(character):04x}" for character in name)
    body = f'{{"event":"webinar.created","event_ts":1,"payload":{{"account_id":"a","object":{{"{escaped}":"hush"}}}}}}'
    assert "hush" not in read_envelope(body.encode()).body


# --- anything ---------------------------------------------------------------------------------------------------

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["id", "uuid", "account_id", "event_ts", "object", "plainToken", "password"])
            | st.text(max_size=4),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.binary(max_size=200))
@example(b'{"event":"x","payload":{"\\ud800":"\\udfff"}}')
def test_no_bytes_make_it_raise(body: bytes) -> None:
    envelope = read_envelope(body)
    envelope.body.encode()
    assert "\x00" not in envelope.body


@settings(max_examples=200)
@given(event=json_values, event_ts=json_values, payload=json_values, escaped=st.booleans())
def test_no_json_makes_it_raise(event: Any, event_ts: Any, payload: Any, escaped: bool) -> None:
    document = {"event": event if isinstance(event, str) else "x.y", "event_ts": event_ts, "payload": payload}
    body = json.dumps(document, ensure_ascii=escaped).encode("utf-8", "surrogatepass")
    envelope = read_envelope(body)
    for text in (envelope.body, envelope.account_id, envelope.event_type or "", envelope.uuid or ""):
        assert "\x00" not in text
        text.encode()
    with contextlib.suppress(PayloadError):
        read_payload(envelope.body)
