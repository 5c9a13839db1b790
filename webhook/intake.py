"""`POST /webhook`, the one endpoint: what each request is answered, and which event is kept.

1. Refuse what is not a signed JSON POST with a whole body of at most BODY_BYTES_MAX.
2. Answer `endpoint.url_validation`, which is never kept.
3. Commit the event to the inbox, and answer 204; 503 when it cannot be committed in time.

`Endpoint.receive` decides, from values. The adapters only translate: `webhook.server` for the server that production
runs, `webhook.route` for any other server of Flask. Whatever is refused is counted here, under its reason, also what an
adapter could not read.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from http import HTTPStatus
from typing import NamedTuple, Protocol

import msgspec
import structlog
from prometheus_client import Counter
from sqlalchemy.exc import SQLAlchemyError

from schema.zoom.envelope import read_envelope
from webhook.group_commit import CommitFailed, Delivery, GroupCommitter
from webhook.signature import Refusal, SignatureRefused, encrypt_token, verify

WEBHOOK_PATH = "/webhook"
BODY_BYTES_MAX = 1024 * 1024
DELIVERY_ID_CHARACTERS_MAX = 128
FINGERPRINT_DIGITS = 12
TELL_SECONDS = 60.0  # between two log lines about a secret that is not set
URL_VALIDATION = "endpoint.url_validation"

ACCEPTED = Counter("joinlog_deliveries_accepted", "Signed deliveries answered 204")
VALIDATED = Counter("joinlog_url_validations", "Validations of the endpoint answered")
REFUSED = Counter("joinlog_deliveries_refused", "Requests to the endpoint that were refused", ["reason"])
NOT_KEPT = Counter("joinlog_deliveries_not_kept", "Signed deliveries answered 503 because the store did not take them")

log = structlog.get_logger()


class Headers(Protocol):
    """The headers of a request: text or None by a name in lower case; several of one name joined by commas."""

    def get(self, name: str, /) -> str | None:
        """The value, decoded as Latin-1 or UTF-8."""


class BodyFault(StrEnum):
    """Why an adapter has no whole body to hand over."""

    TOO_LARGE = "too_large"
    TOO_SLOW = "too_slow"
    INCOMPLETE = "incomplete"
    NO_ROOM = "no_room"


class Answer(NamedTuple):
    """What to send back to whoever posted."""

    status: int
    body: bytes = b""
    headers: Sequence[tuple[str, str]] = ()


class Validation(NamedTuple):
    """The answer to a signed `endpoint.url_validation`, and what is noted about it."""

    answer: Answer
    fingerprint: str  # of the secret that verified it
    received_at: datetime


_WRONG_METHOD = "method"
_WRONG_TYPE = "content_type"
_TEXT = ("Content-Type", "text/plain; charset=utf-8")
_NO_CONTENT = Answer(HTTPStatus.NO_CONTENT)
_REFUSALS: Mapping[str, tuple[HTTPStatus, str]] = {
    _WRONG_METHOD: (HTTPStatus.METHOD_NOT_ALLOWED, "Zoom posts here; nothing else does."),
    _WRONG_TYPE: (HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "Send application/json."),
    BodyFault.TOO_LARGE: (
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"The body may have {BODY_BYTES_MAX} bytes at most.",
    ),
    BodyFault.TOO_SLOW: (HTTPStatus.SERVICE_UNAVAILABLE, "The body did not arrive in time; send it again."),
    BodyFault.INCOMPLETE: (HTTPStatus.SERVICE_UNAVAILABLE, "The body ended early; send it again."),
    BodyFault.NO_ROOM: (HTTPStatus.SERVICE_UNAVAILABLE, "Too many large bodies at once; send it again."),
    **{refusal: (HTTPStatus.UNAUTHORIZED, f"Not signed by Zoom: {refusal}.") for refusal in Refusal},
    Refusal.UNKNOWN_SECRET: (
        HTTPStatus.SERVICE_UNAVAILABLE,
        "Signed with a secret that is not set here; send it again.",
    ),
}
"""What is answered to each refusal.

Zoom tries again after a 5xx only: 4xx is for what cannot be genuine. A well-formed, fresh signature of a secret that is
not set may be genuine, after the secret was rotated; 503 leaves 85 minutes to set the new one.
https://developers.zoom.us/docs/api/webhooks/ ("Unsuccessful delivery")
"""


class Endpoint:
    """The webhook endpoint of one process. `note_validation` is called with a secret's fingerprint and the time."""

    def __init__(
        self,
        *,
        secrets: Sequence[bytes],
        tolerance_seconds: int,
        committer: GroupCommitter,
        note_validation: Callable[[str, datetime], None],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._secrets = secrets
        self._tolerance_seconds = tolerance_seconds
        self._committer = committer
        self._note_validation = note_validation
        self._now = now
        self._told_at = float("-inf")

    def receive(self, method: str, headers: Headers, body: bytes | BodyFault) -> Answer | Delivery | Validation:
        """What becomes of a request: an event to keep, or an answer where there is none. Never raises."""
        wrong = check_request(method, headers) or (body if isinstance(body, BodyFault) else None)
        if wrong is not None:
            return _refuse(wrong)
        assert isinstance(body, bytes)
        try:
            return self.verify_delivery(headers, body)
        except SignatureRefused as refused:
            if refused.reason is Refusal.UNKNOWN_SECRET:
                self._tell_unknown_secret()
            return _refuse(refused.reason)

    def verify_delivery(self, headers: Headers, body: bytes) -> Delivery | Validation:
        """The event a signed body holds. Raises SignatureRefused when Zoom did not sign it."""
        now_seconds = self._now()
        secret = verify(
            self._secrets,
            _as_bytes(headers.get("x-zm-signature")),
            _as_bytes(headers.get("x-zm-request-timestamp")),
            body,
            now_seconds=now_seconds,
            tolerance_seconds=self._tolerance_seconds,
        )
        envelope = read_envelope(body)
        received_at = datetime.fromtimestamp(now_seconds, UTC)
        if envelope.event_type == URL_VALIDATION:
            return Validation(answer_validation(secret, envelope.plain_token), fingerprint(secret), received_at)
        return Delivery(
            envelope,
            received_at,
            _printable(headers.get("x-zm-trackingid")),
            _printable(headers.get("x-zm-request-id")),
        )

    def answer(self, method: str, headers: Headers, body: bytes | BodyFault) -> Answer:
        """Answer a request, and return when its event is committed."""
        received = self.receive(method, headers, body)
        if isinstance(received, Answer):
            return received
        if isinstance(received, Validation):
            return self._note(received)
        try:
            self._committer.commit(received)
        except CommitFailed as error:
            return _not_kept(error)
        return _kept()

    async def answer_async(self, method: str, headers: Headers, body: bytes | BodyFault) -> Answer:
        """`answer` for an event loop: no thread is held while the event waits for its commit."""
        received = self.receive(method, headers, body)
        if isinstance(received, Answer):
            return received
        if isinstance(received, Validation):  # rare, and noted in the database: a thread's work
            return await asyncio.get_running_loop().run_in_executor(None, self._note, received)
        try:
            await self._committer.commit_async(received)
        except CommitFailed as error:
            return _not_kept(error)
        return _kept()

    def close(self) -> None:
        """Commit what waits, and take no more."""
        self._committer.close()

    def _tell_unknown_secret(self) -> None:
        """A line in the log, seldom: forged deliveries may come by the thousand."""
        now_seconds = self._now()
        if now_seconds - self._told_at >= TELL_SECONDS:
            self._told_at = now_seconds
            log.warning(
                "unknown_secret", answered=503, remedy="set ZOOM_WEBHOOK_SECRET_TOKEN to the app's Secret Token"
            )

    def _note(self, validation: Validation) -> Answer:
        VALIDATED.inc()
        try:
            self._note_validation(validation.fingerprint, validation.received_at)
        except (SQLAlchemyError, OSError) as error:  # Zoom's answer does not depend on what we note
            log.warning("validation_not_noted", error=type(error).__name__)
        return validation.answer


def check_request(method: str, headers: Headers) -> str | None:
    """Why this is not a JSON POST; None for one that is."""
    if method != "POST":
        return _WRONG_METHOD
    if (headers.get("content-type") or "").partition(";")[0].strip().lower() != "application/json":
        return _WRONG_TYPE
    return None


def read_length(headers: Headers) -> int | BodyFault | None:
    """How many bytes the body has: None when that is not stated, a fault when it is too many."""
    stated = headers.get("content-length") or ""
    if not (stated.isascii() and stated.isdigit()):
        return None
    length = int(stated[:20])
    return length if length <= BODY_BYTES_MAX else BodyFault.TOO_LARGE


def refusal_of(reason: str) -> Answer:
    """The answer to what is refused for this reason."""
    status, text = _REFUSALS[reason]
    more = (("Allow", "POST"),) if status is HTTPStatus.METHOD_NOT_ALLOWED else ()
    return Answer(status, f"{text}\n".encode(), (_TEXT, *more))


def answer_validation(secret: bytes, plain_token: str | None) -> Answer:
    """https://developers.zoom.us/docs/api/webhooks/#validate-your-webhook-endpoint

    Raises SignatureRefused when the token is none that may be signed.
    """
    pair = {"plainToken": plain_token, "encryptedToken": encrypt_token(secret, plain_token or "")}
    return Answer(HTTPStatus.OK, msgspec.json.encode(pair), (("Content-Type", "application/json"),))


def fingerprint(secret: bytes) -> str:
    """A name for a secret that does not give it away."""
    return hashlib.sha256(secret).hexdigest()[:FINGERPRINT_DIGITS]


def _refuse(reason: str) -> Answer:
    """The refusal of a request to the endpoint: the one place where they are counted."""
    REFUSED.labels(reason=str(reason)).inc()
    return refusal_of(reason)


def _kept() -> Answer:
    ACCEPTED.inc()
    return _NO_CONTENT


def _not_kept(failure: CommitFailed) -> Answer:
    """The answer that makes Zoom send it again."""
    NOT_KEPT.inc()
    log.error("event_not_kept", error=type(failure.__cause__ or failure).__name__)
    return Answer(HTTPStatus.SERVICE_UNAVAILABLE, b"Not kept; send it again.\n", (_TEXT, ("Retry-After", "5")))


def _as_bytes(header: str | None) -> bytes | None:
    """A header as bytes. Servers hand headers over as text; what no text can hold cannot be a signature either."""
    return header.encode("utf-8", "replace") if isinstance(header, str) else None


def _printable(text: str | None) -> str | None:
    """A header that names a delivery, fit for a log; None when there is none."""
    if not text:
        return None
    return "".join(character if 31 < ord(character) < 127 else "?" for character in text[:DELIVERY_ID_CHARACTERS_MAX])
