"""Which requests are verified: one test for each reason not to."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.signature import (
    FUTURE_SECONDS_MAX,
    TIMESTAMP_DIGITS_MAX,
    Refusal,
    SignatureRefused,
    encrypt_token,
    sign,
    verify,
)

SECRET = b"current"
NOW = 1_795_000_000
TOLERANCE_SECONDS = 7200
BODY = '{"event":"webinar.started","name":"Zoë 🎻"}'.encode()
TIMESTAMP = b"%d" % NOW


def check(
    signature: bytes | None = None,
    timestamp: bytes | None = TIMESTAMP,
    body: bytes = BODY,
    secrets: tuple[bytes, ...] = (SECRET,),
) -> bytes:
    return verify(secrets, signature, timestamp, body, now_seconds=NOW, tolerance_seconds=TOLERANCE_SECONDS)


def why_refused(
    signature: bytes | None,
    timestamp: bytes | None = TIMESTAMP,
    body: bytes = BODY,
    secrets: tuple[bytes, ...] = (SECRET,),
) -> Refusal:
    with pytest.raises(SignatureRefused) as refused:
        check(signature, timestamp, body, secrets)
    return refused.value.reason


def test_what_zoom_signs_is_verified() -> None:
    assert check(sign(SECRET, TIMESTAMP, BODY)) == SECRET


def test_the_signature_is_zooms_formula_over_the_raw_bytes() -> None:
    digest = hmac.new(SECRET, b"v0:" + TIMESTAMP + b":" + BODY, hashlib.sha256).hexdigest()
    assert sign(SECRET, TIMESTAMP, BODY) == b"v0=" + digest.encode()


def test_missing_signature_is_refused() -> None:
    assert why_refused(None) is Refusal.MISSING_SIGNATURE
    assert why_refused(b"") is Refusal.MISSING_SIGNATURE


def test_missing_timestamp_is_refused() -> None:
    assert why_refused(sign(SECRET, b"", BODY), None) is Refusal.MISSING_TIMESTAMP
    assert why_refused(sign(SECRET, b"", BODY), b"") is Refusal.MISSING_TIMESTAMP


@pytest.mark.parametrize(
    "signature",
    [
        b"v0=",
        b"v1=" + b"0" * 64,
        b"v0=" + b"0" * 63,
        b"v0=" + b"0" * 65,
        b"v0=" + b"G" * 64,
        b" v0=" + b"0" * 64,
        b"v0=" + b"0" * 64 + b"\n",
        "v0=é".encode() + b"0" * 62,
        b"v0=" + b"\xff" * 64,
        sign(SECRET, TIMESTAMP, BODY).removeprefix(b"v0="),
        sign(SECRET, TIMESTAMP, BODY).upper(),
    ],
)
def test_malformed_signature_is_refused(signature: bytes) -> None:
    assert why_refused(signature) is Refusal.MALFORMED_SIGNATURE


@pytest.mark.parametrize(
    "timestamp",
    [
        b"soon",
        b"-1",
        b"+1795000000",
        b"1795000000.0",
        b" 1795000000",
        b"1795000000\n",
        b"1_795_000_000",
        "１７９５００００００".encode(),
        "²".encode(),
        b"\xff",
        b"9" * (TIMESTAMP_DIGITS_MAX + 1),
        b"1" * 5000,  # int() of more than 4300 digits raises
    ],
)
def test_malformed_timestamp_is_refused(timestamp: bytes) -> None:
    assert why_refused(sign(SECRET, timestamp, BODY), timestamp) is Refusal.MALFORMED_TIMESTAMP


def test_stale_timestamp_is_refused() -> None:
    stale = b"%d" % (NOW - TOLERANCE_SECONDS - 1)
    assert why_refused(sign(SECRET, stale, BODY), stale) is Refusal.STALE_TIMESTAMP


def test_a_retry_after_85_minutes_with_its_first_timestamp_is_verified() -> None:
    old = b"%d" % (NOW - 85 * 60 - 30)
    assert check(sign(SECRET, old, BODY), old) == SECRET


def test_future_timestamp_is_refused() -> None:
    early = b"%d" % (NOW + FUTURE_SECONDS_MAX + 1)
    assert why_refused(sign(SECRET, early, BODY), early) is Refusal.FUTURE_TIMESTAMP
    almost = b"%d" % (NOW + FUTURE_SECONDS_MAX)
    assert check(sign(SECRET, almost, BODY), almost) == SECRET


def test_another_secret_is_refused() -> None:
    assert why_refused(sign(b"other", TIMESTAMP, BODY)) is Refusal.UNKNOWN_SECRET


def test_another_body_is_refused() -> None:
    assert why_refused(sign(SECRET, TIMESTAMP, BODY), body=BODY + b" ") is Refusal.UNKNOWN_SECRET


def test_another_timestamp_is_refused() -> None:
    assert why_refused(sign(SECRET, TIMESTAMP, BODY), b"%d" % (NOW - 1)) is Refusal.UNKNOWN_SECRET


def test_nothing_is_verified_without_a_secret() -> None:
    assert why_refused(sign(b"", TIMESTAMP, BODY), secrets=()) is Refusal.UNKNOWN_SECRET


@pytest.mark.parametrize("signing", [b"old", b"current", b"other app"])
def test_while_a_secret_is_rotated_each_one_verifies_and_is_named(signing: bytes) -> None:
    assert check(sign(signing, TIMESTAMP, BODY), secrets=(b"old", b"current", b"other app")) == signing


@given(st.none() | st.binary(max_size=80), st.none() | st.binary(max_size=20), st.binary(max_size=80))
def test_any_bytes_are_refused_with_a_reason(signature: bytes | None, timestamp: bytes | None, body: bytes) -> None:
    assert why_refused(signature, timestamp, body) in Refusal


# --- the answer to endpoint.url_validation ----------------------------------------------------------------------


def test_a_real_token_is_encrypted_with_the_secret() -> None:
    token = "qgg8vlvZRS6UYooatFL8Aw"
    assert encrypt_token(SECRET, token) == hmac.new(SECRET, token.encode(), hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    "token",
    [
        "v0:1795000000:{}",
        f"v0:{NOW}:" + '{"event":"webinar.started"}',
        "v0:1795000000:",
        ":",
        "",
        " v0",
        "token with spaces",
        "token\n",
        '{"a":1}',
        "é" * 22,
        "a" * 129,
    ],
)
def test_a_token_that_could_be_a_message_to_sign_is_refused(token: str) -> None:
    with pytest.raises(SignatureRefused) as refused:
        encrypt_token(SECRET, token)
    assert refused.value.reason is Refusal.UNSAFE_PLAIN_TOKEN


@given(st.text(max_size=60), st.binary(max_size=40))
def test_no_answered_token_is_ever_a_signature_for_a_request(token: str, body: bytes) -> None:
    """The endpoint is no signing oracle: whatever it answers signs no `v0:timestamp:body`."""
    try:
        answer = encrypt_token(SECRET, token)
    except SignatureRefused:
        return
    assert not token.startswith("v0:")
    assert b"v0=" + answer.encode() != sign(SECRET, TIMESTAMP, body)
