"""`POST /webhook`: believe it, keep it, answer it.

1. Refuse what is not a signed JSON POST of at most BODY_BYTES_MAX.
2. Answer `endpoint.url_validation`, which is never kept.
3. Keep the event in a committed transaction.
4. Ring the doorbell, and answer 204.

The same `Intake.answer` serves the Flask route and the short way past Flask's dispatch in `webhook.app`.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from schema.zoom.envelope import read_envelope
from webhook.group_commit import CommitFailed, Delivery, GroupCommitter
from webhook.signature import SignatureRefused, encrypt_token, verify

BODY_BYTES_MAX = 1024 * 1024
TRACKING_ID_CHARACTERS_MAX = 128
FINGERPRINT_DIGITS = 12
URL_VALIDATION = "endpoint.url_validation"

ACCEPTED = Counter("joinlog_deliveries_accepted", "Signed deliveries answered 204")
VALIDATED = Counter("joinlog_url_validations", "Validations of the endpoint answered")
REFUSED = Counter("joinlog_deliveries_refused", "Deliveries not believed or not understood", ["reason"])
NOT_KEPT = Counter("joinlog_deliveries_not_kept", "Signed deliveries answered 503 because the store did not take them")

log = structlog.get_logger()


class Answer(NamedTuple):
    """What to send back to whoever posted."""

    status: str
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


NO_CONTENT = Answer("204 No Content")
_TEXT = ("Content-Type", "text/plain; charset=utf-8")


class Intake:
    """The webhook endpoint of one process."""

    def __init__(
        self,
        *,
        secrets: Sequence[bytes],
        tolerance_seconds: int,
        keeper: GroupCommitter,
        when_validated: Callable[[str, datetime], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = secrets
        self._tolerance_seconds = tolerance_seconds
        self._keeper = keeper
        self._when_validated = when_validated
        self._now = now

    def answer(self, environ: Mapping[str, Any]) -> Answer:
        """Answer one WSGI request, and return when its event is kept. Never raises for what a stranger can send."""
        refusal = check_request(environ["REQUEST_METHOD"], environ.get("CONTENT_TYPE", ""))
        if refusal is not None:
            return refusal
        try:
            body = _read_body(environ)
        except OSError:  # the connection broke, or stood still until the server lost patience
            return refuse("400 Bad Request", "incomplete", "The body ended early.")
        if body is None:
            return refuse_size()
        believed = self.believe(
            environ.get("HTTP_X_ZM_SIGNATURE"),
            environ.get("HTTP_X_ZM_REQUEST_TIMESTAMP"),
            environ.get("HTTP_X_ZM_TRACKINGID"),
            body,
        )
        return believed if isinstance(believed, Answer) else self.keep(believed)

    def believe(
        self, signature: str | None, timestamp: str | None, tracking_id: str | None, body: bytes
    ) -> Delivery | Answer:
        """What is to be kept of a POST, or the answer where nothing is: a refusal, or a validation."""
        now_seconds = self._now()
        try:
            secret = verify(
                self._secrets,
                _as_bytes(signature),
                _as_bytes(timestamp),
                body,
                now_seconds=now_seconds,
                tolerance_seconds=self._tolerance_seconds,
            )
            envelope = read_envelope(body)
            received_at = datetime.fromtimestamp(now_seconds, UTC)
            if envelope.event_type == URL_VALIDATION:
                return self._validate(envelope.plain_token, secret, received_at)
        except SignatureRefused as refused:
            return refuse("401 Unauthorized", refused.reason.value, f"Not signed by Zoom: {refused.reason.value}.")
        return Delivery(envelope, received_at, _printable(tracking_id) if tracking_id else None)

    def keep(self, delivery: Delivery) -> Answer:
        """Keep a delivery, together with those of other threads, and answer it."""
        try:
            self._keeper.keep(*delivery)
        except CommitFailed as error:
            return not_kept(error.__cause__ or error)
        return kept()

    def _validate(self, plain_token: str | None, secret: bytes, now: datetime) -> Answer:
        """https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint"""
        encrypted = encrypt_token(secret, plain_token or "")
        VALIDATED.inc()
        try:
            self._when_validated(fingerprint(secret), now)
        except (SQLAlchemyError, OSError) as error:  # Zoom's answer does not wait for our book-keeping
            log.warning("validation_not_noted", error=type(error).__name__)
        pair = msgspec.json.encode({"plainToken": plain_token, "encryptedToken": encrypted})
        return Answer("200 OK", pair, (("Content-Type", "application/json"),))


def fingerprint(secret: bytes) -> str:
    """A name for a secret that does not give it away."""
    return hashlib.sha256(secret).hexdigest()[:FINGERPRINT_DIGITS]


def check_request(method: str, content_type: str) -> Answer | None:
    """The refusal of what is not a JSON POST; None for one that is."""
    if method != "POST":
        return refuse("405 Method Not Allowed", "method", "Zoom posts here; nothing else does.", ("Allow", "POST"))
    if content_type.partition(";")[0].strip().lower() != "application/json":
        return refuse("415 Unsupported Media Type", "content_type", "Send application/json.")
    return None


def refuse_size() -> Answer:
    """The refusal of a body that is too large."""
    return refuse("413 Content Too Large", "too_large", f"The body may have {BODY_BYTES_MAX} bytes at most.")


def kept() -> Answer:
    """The answer to a delivery that is committed."""
    ACCEPTED.inc()
    return NO_CONTENT


def not_kept(error: BaseException) -> Answer:
    """The answer that makes Zoom try again."""
    NOT_KEPT.inc()
    log.error("event_not_kept", error=type(error).__name__)
    return Answer("503 Service Unavailable", b"Not kept; send it again.\n", (_TEXT, ("Retry-After", "5")))


def refuse(status: str, reason: str, text: str, *headers: tuple[str, str]) -> Answer:
    """The refusal of a request, counted under its reason."""
    REFUSED.labels(reason=reason).inc()
    return Answer(status, f"{text}\n".encode(), (_TEXT, *headers))


def _read_body(environ: Mapping[str, Any]) -> bytes | None:
    """The raw body, or None when it is larger than allowed: at most one byte more than that is ever read."""
    length = environ.get("CONTENT_LENGTH") or ""
    if length.isascii() and length.isdigit() and int(length[:20]) > BODY_BYTES_MAX:
        return None
    stream = environ["wsgi.input"]
    chunks: list[bytes] = []
    missing = BODY_BYTES_MAX + 1
    while missing > 0 and (chunk := stream.read(missing)):
        chunks.append(chunk)
        missing -= len(chunk)
    return b"".join(chunks) if missing > 0 else None


def _as_bytes(header: str | None) -> bytes | None:
    """A header as bytes. Servers hand headers over as text; what no text can hold cannot be a signature either."""
    return header.encode("utf-8", "replace") if isinstance(header, str) else None


def _printable(text: str) -> str:
    return "".join(character if 31 < ord(character) < 127 else "?" for character in text[:TRACKING_ID_CHARACTERS_MAX])
