"""Verifying that Zoom signed a request. Pure: bytes in, the secret that verified them out.

`x-zm-signature` is `v0=` and the hex HMAC-SHA256, keyed with the app's secret token, of
`v0:{x-zm-request-timestamp}:{raw body}`; https://developers.zoom.us/docs/api/webhooks/#verify-webhook-events
The raw bytes count: JSON parsed and written again differs where names hold emoji or other non-ASCII text.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from enum import StrEnum

FUTURE_SECONDS_MAX = 300  # how far ahead of our clock Zoom's may be
TIMESTAMP_DIGITS_MAX = 12
PLAIN_TOKEN_CHARACTERS_MAX = 128

_SIGNATURE = re.compile(rb"v0=[0-9a-f]{64}")
_PLAIN_TOKEN = re.compile(rf"[A-Za-z0-9_\-+/=.]{{1,{PLAIN_TOKEN_CHARACTERS_MAX}}}")


class Refusal(StrEnum):
    """Why a request is not verified; also the label under which it is counted."""

    MISSING_SIGNATURE = "missing_signature"
    MISSING_TIMESTAMP = "missing_timestamp"
    MALFORMED_SIGNATURE = "malformed_signature"
    MALFORMED_TIMESTAMP = "malformed_timestamp"
    STALE_TIMESTAMP = "stale_timestamp"
    FUTURE_TIMESTAMP = "future_timestamp"
    UNKNOWN_SECRET = "unknown_secret"  # noqa: S105 - a reason, not a secret
    UNSAFE_PLAIN_TOKEN = "unsafe_plain_token"  # noqa: S105 - a reason, not a secret


class SignatureRefused(Exception):
    """The request is not Zoom's, or cannot be shown to be."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


def sign(secret: bytes, timestamp: bytes, body: bytes) -> bytes:
    """The signature Zoom would send for this body, `v0=` included."""
    return b"v0=" + hmac.new(secret, b"v0:" + timestamp + b":" + body, hashlib.sha256).hexdigest().encode()


def verify(
    secrets: Sequence[bytes],
    signature: bytes | None,
    timestamp: bytes | None,
    body: bytes,
    *,
    now_seconds: float,
    tolerance_seconds: int,
) -> bytes:
    """Return the one of `secrets` that signed this body. Raises SignatureRefused with its reason.

    `tolerance_seconds` has to be more than 85 minutes: Zoom's last retry comes then, and whether it carries a fresh
    timestamp is not known. A replay inside that time is harmless, because an event is kept once.
    """
    if not signature:
        raise SignatureRefused(Refusal.MISSING_SIGNATURE)
    if not timestamp:
        raise SignatureRefused(Refusal.MISSING_TIMESTAMP)
    if not timestamp.isdigit() or len(timestamp) > TIMESTAMP_DIGITS_MAX:
        raise SignatureRefused(Refusal.MALFORMED_TIMESTAMP)
    if not _SIGNATURE.fullmatch(signature):
        raise SignatureRefused(Refusal.MALFORMED_SIGNATURE)
    age_seconds = now_seconds - int(timestamp)
    if age_seconds > tolerance_seconds:
        raise SignatureRefused(Refusal.STALE_TIMESTAMP)
    if age_seconds < -FUTURE_SECONDS_MAX:
        raise SignatureRefused(Refusal.FUTURE_TIMESTAMP)
    verified = None
    for secret in secrets:  # all of them, so that the time taken does not tell which one it was
        if hmac.compare_digest(sign(secret, timestamp, body), signature):
            verified = secret
    if verified is None:
        raise SignatureRefused(Refusal.UNKNOWN_SECRET)
    return verified


def encrypt_token(secret: bytes, plain_token: str) -> str:
    """Answer `endpoint.url_validation`: hex HMAC-SHA256 of the token.

    Raises SignatureRefused when the token could be a message to sign (`v0:...`): an endpoint that answers such a
    token hands out signatures for forged events. Real tokens are 22 URL-safe characters.
    """
    if not _PLAIN_TOKEN.fullmatch(plain_token):
        raise SignatureRefused(Refusal.UNSAFE_PLAIN_TOKEN)
    return hmac.new(secret, plain_token.encode(), hashlib.sha256).hexdigest()
