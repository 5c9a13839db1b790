"""The fake Zoom's plan of deliveries: nothing lost that should not be, copies alike, signatures that verify."""

import hashlib
import hmac
import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from joinlog.fakezoom import MIXES, NO_FAULTS, Faults, draw_open_facts, generate, lost_events, plan, sign
from joinlog.fakezoom.delivery import expected_token, serialise

EMISSIONS = generate(5, 2, MIXES["chaotic"], start=datetime(2026, 3, 2, tzinfo=UTC), audience=(6, 12)).emissions
FAULTS = st.builds(
    Faults,
    duplicates=st.floats(0, 1),
    reorder_seconds=st.floats(0, 600),
    late_left=st.floats(0, 1),
    lose_started=st.floats(0, 1),
    escapes=st.floats(0, 1),
)


@given(faults=FAULTS, seed=st.integers(0, 100))
@settings(max_examples=20, deadline=None)
def test_only_started_is_ever_lost_and_every_copy_says_the_same(faults: Faults, seed: int) -> None:
    attempts = plan(EMISSIONS, faults, seed)
    assert [a.at for a in attempts] == sorted(a.at for a in attempts)
    assert [a.number for a in attempts] == list(range(len(attempts)))
    lost = set(range(len(EMISSIONS))) - {a.emission for a in attempts}
    assert all(EMISSIONS[n].event["event"].endswith(".started") for n in lost)
    for a in attempts:
        stated = EMISSIONS[a.emission]
        assert json.loads(a.body()) == json.loads(a.body(retry=1)) == stated.event
        assert a.at >= stated.at
    assert len({a.tracking_id for a in attempts}) == len(attempts)
    assert set(Counter((a.emission, a.copy) for a in attempts).values()) == {1}


def test_without_faults_every_event_is_delivered_once_in_order() -> None:
    attempts = plan(EMISSIONS, NO_FAULTS, 1)
    assert [a.event for a in attempts] == [e.event for e in EMISSIONS]


def test_every_started_can_be_lost() -> None:
    names = {str(a.event["event"]) for a in plan(EMISSIONS, Faults(lose_started=1.0), 1)}
    assert not any(name.endswith(".started") for name in names)
    assert plan(EMISSIONS, Faults(lose=1.0), 1) == []


def test_every_event_can_be_doubled() -> None:
    attempts = plan(EMISSIONS, Faults(duplicates=1.0), 1)
    assert Counter(a.copy for a in attempts) == {0: len(EMISSIONS), 1: len(EMISSIONS)}


def test_reordering_changes_the_order() -> None:
    attempts = plan(EMISSIONS, Faults(reorder_seconds=120.0, duplicates=0.0), 1)
    assert [a.emission for a in attempts] != sorted(a.emission for a in attempts)


def test_a_late_left_comes_a_minute_or_more_late() -> None:
    late = plan(EMISSIONS, Faults(late_left=1.0, reorder_seconds=0, duplicates=0), 1)
    lefts = [a for a in late if str(a.event["event"]).endswith("participant_left")]
    assert lefts
    assert all(a.at - EMISSIONS[a.emission].at >= timedelta(seconds=60) for a in lefts)


def test_a_plan_depends_on_its_seed_only() -> None:
    assert plan(EMISSIONS, Faults(), 1) == plan(EMISSIONS, Faults(), 1)
    assert plan(EMISSIONS, Faults(), 1) != plan(EMISSIONS, Faults(), 2)


def test_a_signature_verifies_over_the_raw_bytes() -> None:
    body = serialise({"topic": "Fire 🚒"}, is_escaped=False)
    headers = sign("s3cret", 1_700_000_000, body)
    message = b"v0:1700000000:" + body
    assert headers["x-zm-request-timestamp"] == "1700000000"
    assert headers["x-zm-signature"] == "v0=" + hmac.new(b"s3cret", message, hashlib.sha256).hexdigest()


def test_non_ascii_is_written_escaped_or_raw() -> None:
    event = {"topic": "🚒", "list": [{"b": 1, "a": 2}]}
    assert serialise(event, is_escaped=True) == rb'{"topic":"\ud83d\ude92","list":[{"b":1,"a":2}]}'
    assert serialise(event, is_escaped=False) == '{"topic":"🚒","list":[{"b":1,"a":2}]}'.encode()
    assert serialise(event, is_escaped=False, reorders_keys=True) == '{"list":[{"a":2,"b":1}],"topic":"🚒"}'.encode()


def test_both_spellings_and_both_orders_occur() -> None:
    attempts = plan(EMISSIONS, Faults(), 1)
    assert {a.is_escaped for a in attempts} == {True, False}
    assert {a.retry_reorders_keys for a in attempts} == {True, False}
    assert {a.retry_is_signed_anew for a in plan(EMISSIONS, Faults(fresh_timestamp=0.5), 1)} == {True, False}


def test_whether_a_retry_is_signed_anew_or_renews_its_request_id_is_one_answer_of_a_seed() -> None:
    answers = set()
    for seed in range(12):
        attempts = plan(EMISSIONS, Faults(), seed)
        (answer,) = {(a.retry_is_signed_anew, a.retry_renews_request_id) for a in attempts}
        facts = draw_open_facts(seed)
        assert answer == (facts.retry_renews_timestamp, facts.retry_renews_request_id)
        assert {a.request_id(0) == a.request_id(1) for a in attempts} == {not facts.retry_renews_request_id}
        assert len({a.request_id() for a in attempts}) == len(attempts)
        answers.add(answer)
    assert len(answers) == 4


def test_nothing_is_delivered_before_installation_or_while_switched_off_and_the_rest_as_ever() -> None:
    quarter, half, last = (EMISSIONS[len(EMISSIONS) * n // 4].at for n in (1, 2, 3))
    faults = replace(NO_FAULTS, installed_at=quarter, off=((half, last),))
    attempts = plan(EMISSIONS, faults, 1)
    for n, stated in enumerate(EMISSIONS):
        arrives = quarter <= stated.at < half or stated.at >= last
        assert (n in {a.emission for a in attempts}) is arrives
    whys = Counter(lost.why for lost in lost_events(EMISSIONS, attempts, faults, {}))
    assert set(whys) == {"before installation", "switched off"}
    assert sum(whys.values()) + len(attempts) == len(EMISSIONS)


def test_what_is_lost_is_known_event_by_event() -> None:
    faults = replace(NO_FAULTS, lose=0.2)
    attempts = plan(EMISSIONS, faults, 1)
    failed = {attempts[0].emission: "answered 401"}
    lost = lost_events(EMISSIONS, attempts, faults, failed)
    assert {x.emission for x in lost if x.why == "never sent"} == set(range(len(EMISSIONS))) - {
        a.emission for a in attempts
    }
    assert [x.emission for x in lost if x.why == "answered 401"] == list(failed)
    assert 0.1 < len(lost) / len(EMISSIONS) < 0.3


def test_the_encrypted_token_is_zooms() -> None:
    wanted = hmac.new(b"s3cret", b"qgg8vlvZRS6UYooatFL8Aw", hashlib.sha256).hexdigest()
    assert expected_token("s3cret", "qgg8vlvZRS6UYooatFL8Aw") == wanted
