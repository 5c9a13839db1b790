"""Bodies that Zoom and others have published: what Joinlog makes of each says what the body says, field by field.

`tests/payloads/README.md` says where they are from. `tests.plain_reading` reads the same JSON by hand.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import pytest

from schema.reserved import EVERY_OCCURRENCE
from schema.zoom.envelope import CREDENTIALS, read_envelope
from schema.zoom.payloads import (
    MeetingSettings,
    ObjectPart,
    ParticipantPart,
    PayloadError,
    PayloadPart,
    RegistrantPart,
    ScheduledOccurrence,
)
from tests.plain_reading import WAITING, Occurrence, PlainReading, Said, decoded
from tests.projected_facts import ARRIVED_AT, facts_of
from tests.signed_requests import PAYLOADS
from webhook.signature import Refusal, SignatureRefused, encrypt_token, sign, verify
from workers.core.ignored import why_ignored
from workers.core.merge import Fact
from workers.core.projection import PROJECTIONS

PUBLISHED = PAYLOADS / "published"
BODIES = sorted(str(path.relative_to(PUBLISHED).with_suffix("")) for path in PUBLISHED.rglob("*.json"))

MALFORMED = {
    "zoom-docs/zoom_events.session_deleted": "the example's `event` is empty and its `event_ts` is 1",
    "zoom-skills/meeting.participant_left": "the example has neither user_id nor participant_uuid",
}
"""Examples that no real event is like. Joinlog refuses them, and keeps them as dead letters."""

NOT_WHAT_THE_FILE_SAYS = {"zoomnet/webinar.registration_denied": "webinar.registration_created"}
"""Examples filed under another event than the one they are."""

NOT_READ = {
    "payload": {"operator", "operator_id"},
    "object": {"agenda", "creation_source", "registration_url", "time_stamp", "tracking_fields"},
    "occurrences": set[str](),
    "settings": set[str](),
    "registrant": set[str](),
    "participant": {"old_role"},
}  # fmt: skip
"""Fields of projected events that the payload reader leaves out. Take off the list what it learns to read."""

READ: Mapping[str, type[msgspec.Struct]] = {
    "payload": PayloadPart, "object": ObjectPart, "occurrences": ScheduledOccurrence, "settings": MeetingSettings,
    "registrant": RegistrantPart, "participant": ParticipantPart,
}  # fmt: skip


def body_of(name: str) -> Any:
    return json.loads((PUBLISHED / f"{name}.json").read_bytes())


def is_projected(name: str) -> bool:
    return name not in MALFORMED and body_of(name)["event"] in PROJECTIONS


PROJECTED = [name for name in BODIES if is_projected(name)]


def rows_of(facts: list[Fact]) -> dict[tuple[str, tuple[Any, ...]], dict[str, Any]]:
    """What all facts together say of each row; no body here says two things of one column."""
    rows: dict[tuple[str, tuple[Any, ...]], dict[str, Any]] = {}
    for fact in facts:
        row = rows.setdefault((fact.table, fact.key[1:]), {})
        row |= {name: value for name, value in fact.values.items() if value is not None}
    return rows


def differences(said: Said, row: Mapping[str, Any]) -> set[tuple[str, str]]:
    return {(said.table, name) for name, value in said.columns.items() if decoded(row.get(name)) != value}


# --- bodies -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(set(BODIES) - {"zoom-docs/zoom_events.session_deleted"}))
def test_the_envelope_says_whose_event_it_is_and_keeps_no_credential(name: str) -> None:
    raw = (PUBLISHED / f"{name}.json").read_bytes()
    reading, envelope = PlainReading(json.loads(raw), ARRIVED_AT), read_envelope(raw)
    assert (envelope.error, envelope.event_type) == (None, reading.event)
    assert (envelope.account_id, envelope.meeting_id) == (reading.account_id, reading.meeting_id)
    assert envelope.uuid == reading.zoom_object.get("uuid")
    assert envelope.event_ts == (None if reading.event_ts_ms is None else reading.at)
    assert not re.search(r'"(join_url|password|mac_addr|ip_address|private_ip|public_ip)"', envelope.body)


@pytest.mark.parametrize("name", sorted(set(BODIES) - set(MALFORMED)))
def test_a_body_is_filed_under_its_event_and_has_one_home(name: str) -> None:
    event = body_of(name)["event"]
    filed_under = NOT_WHAT_THE_FILE_SAYS.get(name) or name.partition("/")[2]
    assert filed_under == event or filed_under.startswith(f"{event}.")
    homes = [event in PROJECTIONS, bool(why_ignored(event))]
    assert homes.count(True) == 1 or event == "endpoint.url_validation"


@pytest.mark.parametrize("name", PROJECTED)
def test_the_rows_say_what_the_body_says(name: str) -> None:
    body = body_of(name)
    rows = rows_of(facts_of(body))
    found = {
        difference
        for said in PlainReading(body, ARRIVED_AT).says()
        for difference in differences(said, rows.get((said.table, said.key), {}))
    }
    assert found == set()


@pytest.mark.parametrize("name", PROJECTED)
def test_the_history_names_the_dates_of_the_body_and_no_others(name: str) -> None:
    body = body_of(name)
    reading = PlainReading(body, ARRIVED_AT)
    stated = [fact for fact in facts_of(body) if fact.table == "occurrence_history"]
    told = {
        Occurrence(fact.key[2], fact.values.get("scheduled_start"), fact.values.get("duration_minutes"),
                   fact.values.get("status"))
        for fact in stated
    }  # fmt: skip
    assert reading.dates() <= told
    names = {date.occurrence_id for date in reading.dates()}
    assert {date.occurrence_id for date in told} <= names | reading.former_dates() | {EVERY_OCCURRENCE}
    replaced = {fact.key[2] for fact in stated if fact.values["source"] == "replaced"}
    assert replaced == reading.replaced_dates()


@pytest.mark.parametrize("name", PROJECTED)
def test_the_join_log_has_one_line_with_the_person_the_body_names(name: str) -> None:
    body = body_of(name)
    told = body["payload"].get("object") or {}
    person = told.get("participant") or told.get("registrant") or {}
    lines = [fact.values for fact in facts_of(body) if fact.table == "join_log"]
    has_line = body["event"] != "app_deauthorized" and PlainReading(body, ARRIVED_AT).name not in WAITING
    assert len(lines) == has_line
    for line in lines:
        full_name = " ".join(person[part] for part in ("first_name", "last_name") if person.get(part))
        assert line.get("name") == (person.get("user_name") or full_name or None)
        assert line.get("email") == (person.get("email") or None)


@pytest.mark.parametrize("name", MALFORMED)
def test_an_example_that_cannot_be_an_event_is_refused(name: str) -> None:
    raw = (PUBLISHED / f"{name}.json").read_bytes()
    if read_envelope(raw).error is None:
        with pytest.raises(PayloadError):
            facts_of(raw)


def fields_of(name: str) -> Iterator[tuple[str, str]]:
    """(part, field) of everything in a body that has a part of ours to be read into."""
    payload = body_of(name)["payload"]
    told = payload.get("object") or {}
    parts = {"payload": [payload], "object": [told, payload.get("old_object") or {}]}
    parts |= {part: [told.get(part) or {}] for part in ("settings", "registrant", "participant")}
    parts["occurrences"] = told.get("occurrences") or []
    for part, values in parts.items():
        yield from ((part, field) for value in values for field in value)


def test_every_field_of_a_projected_event_is_read_or_left_out_by_name() -> None:
    unread: dict[str, set[str]] = {part: set() for part in READ}
    for name in PROJECTED:
        if body_of(name)["event"] == "app_deauthorized":
            continue
        for part, field in fields_of(name):
            known = {known.name for known in msgspec.structs.fields(READ[part])}
            if field not in known | CREDENTIALS | {"old_object"}:
                unread[part].add(field)
    unread["settings"] &= {"alternative_hosts", "use_pmi", "registration_type"}
    assert unread == NOT_READ


def test_the_readme_counts_the_bodies_of_each_source() -> None:
    readme = (PAYLOADS / "README.md").read_text()
    counted = {source: int(count) for source, count in re.findall(r"^\| `([\w-]+)` \| (\d+) \|", readme, re.MULTILINE)}
    assert counted == Counter(name.partition("/")[0] for name in BODIES)


# --- signatures -------------------------------------------------------------------------------------------------

SIGNATURES = [  # secret, timestamp, body, signature; sources in tests/payloads/README.md
    ("secret-token", "1654503849", '{"event":"meeting.ended"}',
     "5747349c3398a37fb4eadee5286c982d6874631a8ba32a178096a17eec02a5dc"),
    ("zoom_webhook_secret", "1739923528", '{"event":"meeting.started","event_ts":1626230691572}',
     "71276689c37d865ee24535dab72c05883e9d083978e8d3161202634051b15404"),
    ("zoom_webhook_secret", "1739923528", "",
     "fa287c1e8d522da8aa202f0b5f5ebfbb86499f21e3e355d8de79e9b59c7ad9dc"),
    ("zoom_webhook_secret", "1739923528", "héllo, 🦀 world!",
     "acdb345ab730d87b815b7f8c6d280399029aec15304310a172224d016aa9dff5"),
]  # fmt: skip
IN_MILLISECONDS = [
    ("secret", "1697204592920", '{"foo": "bar"}', "4fbb75111d585a4c58bc193aba49b007ddd7170f9191b0286d9413c1a07a44e8"),
    ("secret", "1697204592920", '{"foo":"bar"}', "f46042d159828f787589618793a3f535b54de02da06ea660545e46c8960b70bf"),
]
"""Vectors whose timestamp is in milliseconds, which Zoom's never is: the formula agrees, the request is refused."""


@pytest.mark.parametrize(("secret", "timestamp", "body", "signature"), SIGNATURES)
def test_a_published_signature_is_believed(secret: str, timestamp: str, body: str, signature: str) -> None:
    given = ([secret.encode()], b"v0=" + signature.encode(), timestamp.encode(), body.encode())
    assert verify(*given, now_seconds=int(timestamp), tolerance_seconds=300) == secret.encode()


@pytest.mark.parametrize(("secret", "timestamp", "body", "signature"), IN_MILLISECONDS)
def test_a_published_signature_in_milliseconds_is_the_formula_and_no_request_of_zooms(
    secret: str, timestamp: str, body: str, signature: str
) -> None:
    given = secret.encode(), timestamp.encode(), body.encode()
    assert sign(*given) == b"v0=" + signature.encode()
    with pytest.raises(SignatureRefused) as refused:
        verify([given[0]], sign(*given), given[1], given[2], now_seconds=int(timestamp), tolerance_seconds=300)
    assert refused.value.reason is Refusal.MALFORMED_TIMESTAMP


def test_the_published_url_validation_pair_is_ours() -> None:
    token = body_of("zoom-docs/endpoint.url_validation")["payload"]["plainToken"]
    answer = "70c1f2e2e6ca2d39297490d1f9142c7d701415ea8e6151f6562a08fa657a40ff"
    assert encrypt_token(b"secretValueTest", token) == answer


@pytest.mark.parametrize("token", ["qgg8vlvZRS6UYooatFL8Aw", "q9ibPhGeRZ6ayx5WTrXjRw", "2oXY7bAKQLCwXDMECt8m_g"])
def test_a_published_token_is_one_that_is_answered(token: str) -> None:
    assert re.fullmatch("[0-9a-f]{64}", encrypt_token(b"any", token))


def test_published_files_are_small_and_hold_one_event_each() -> None:
    for path in sorted(PUBLISHED.rglob("*.json")):
        raw = path.read_text()
        assert json.dumps(json.loads(raw), ensure_ascii=False, separators=(",", ":")) + "\n" == raw, path
