"""What intake must know of a body to keep it: whose event it is, which one, and a text without credentials. Pure.

Everything else about a payload is read later, by the drain, in `schema.zoom.payloads`.
"""

from __future__ import annotations

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

import msgspec

MEETING_ID_MAX = 2**63 - 1
EVENT_TS_MS_MAX = 253_402_300_799_999  # 9999-12-31T23:59:59.999Z, the last moment Python and Postgres agree on
SHORT_TEXT_CHARACTERS_MAX = 255
UNKNOWN_ACCOUNT = ""

CREDENTIALS = frozenset(
    {
        "join_url", "start_url", "password", "passcode", "encrypted_password", "h323_password", "h323_passcode",
        "pstn_password", "pin_code", "participant_pin_code", "host_key", "download_token", "download_access_token",
        "recording_play_passcode",
    }
)  # fmt: skip
"""Fields that open a door for whoever reads them. They are dropped before anything is stored."""

_CREDENTIAL_FIELD = re.compile(  # or a letter written as an escape, which may be one of a credential's name
    rb'"(?:' + "|".join(sorted(CREDENTIALS)).encode() + rb')"\s*:|\\u00[3-7]'
)
_CREDENTIAL_TEXT = re.compile(
    r'("(?:' + "|".join(sorted(CREDENTIALS)) + r')"\s*:\s*)(?:"(?:[^"\\]|\\.)*(?:"|$)|[^\s,}\]]+)', re.DOTALL
)
_FACT_ONLY = re.compile(r"\w+\.participant_(?:data|qos)")
"""Types whose bodies hold the MAC and IP addresses of people's devices: only the fact is kept."""

_UNSTORABLE = re.compile(r"[\x00\ud800-\udfff]")
_WRITTEN_OUT = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_UNSTORABLE_ESCAPE = re.compile(rb"\\u(?:0000|[dD][89a-fA-F])")


class Envelope(msgspec.Struct, frozen=True):
    """One signed body, ready to be kept. `error` is set when it can never be applied: a dead letter from the start."""

    account_id: str
    idempotency_key: str
    event_type: str | None
    event_ts: datetime | None
    meeting_id: int | None
    uuid: str | None
    body: str
    error: str | None = None
    plain_token: str | None = None  # only of `endpoint.url_validation`, which is never kept


def decode_document(body: bytes | str) -> Any:
    """Decode JSON as strictly as the fast decoder does, or as leniently as Zoom needs.

    Names cut in the middle of an emoji leave half a surrogate pair behind, and `\\u0000` is legal JSON that no
    Postgres text can hold: both become U+FFFD. Raises ValueError when it is not JSON at all, and RecursionError when
    it is nested too deeply.
    """
    raw = body.encode() if isinstance(body, str) else body
    if not _UNSTORABLE_ESCAPE.search(raw):
        return msgspec.json.decode(raw)
    return _storable(json.loads(raw))


def read_envelope(body: bytes) -> Envelope:
    """Read whose event a body holds. Never raises: what cannot be read comes back with its `error`."""
    try:
        return _read(body)
    except (ValueError, OverflowError, RecursionError) as error:  # msgspec's and Unicode's errors are ValueErrors
        return _dead(body, f"not JSON: {error}")


def _read(body: bytes) -> Envelope:
    document = decode_document(body)
    if not isinstance(document, dict):
        return _dead(body, f"not an event: the body is a JSON {type(document).__name__}, not an object")
    event_type, payload = document.get("event"), document.get("payload")
    if not isinstance(event_type, str) or not event_type or not isinstance(payload, dict):
        return _dead(body, "not an event: it needs a text `event` and an object `payload`")
    if has_credentials := _CREDENTIAL_FIELD.search(body) is not None:
        document = _without_credentials(document)
        payload = document["payload"]
    zoom_object = payload.get("object")
    zoom_object = zoom_object if isinstance(zoom_object, dict) else {}
    event_ts_ms = _milliseconds(document.get("event_ts", payload.get("event_ts")))
    account_id = _short_text(payload.get("account_id")) or UNKNOWN_ACCOUNT
    plain_token = payload.get("plainToken")
    is_fact_only = _FACT_ONLY.match(event_type) is not None
    if is_fact_only:
        document = _fact_only(document, payload, zoom_object)
    return Envelope(
        account_id=account_id,
        idempotency_key=idempotency_key(account_id, event_type, event_ts_ms, payload),
        event_type=event_type[:SHORT_TEXT_CHARACTERS_MAX],
        event_ts=None if event_ts_ms is None else datetime.fromtimestamp(event_ts_ms / 1000, UTC),
        meeting_id=_meeting_id(zoom_object.get("id")),
        uuid=_short_text(zoom_object.get("uuid")),
        body=(msgspec.json.encode(document) if has_credentials or is_fact_only else body).decode(),
        plain_token=plain_token if isinstance(plain_token, str) else None,
    )


def _fact_only(document: dict[str, Any], payload: dict[str, Any], zoom_object: dict[str, Any]) -> dict[str, Any]:
    """A body without all but what it is about: of some types the rest is addresses of people's devices."""
    told = {name: zoom_object[name] for name in ("id", "uuid") if name in zoom_object}
    kept = {name: payload[name] for name in ("account_id", "event_ts") if name in payload}
    return {name: document[name] for name in ("event", "event_ts") if name in document} | {
        "payload": kept | {"object": told}
    }


def idempotency_key(account_id: str, event_type: str, event_ts_ms: int | None, payload: Any) -> str:
    """What makes two deliveries the same event: account, type, time and payload, whatever the spelling.

    The key begins with the time, so that the unique index grows at its end and stays as fast with ten million
    events as with none. Bodies carry no event id, and x-zm-trackingid belongs to one delivery.
    """
    canonical = msgspec.json.encode([account_id, event_type, event_ts_ms, payload], order="sorted")
    return f"{event_ts_ms or 0:012x}-{hashlib.sha256(canonical).hexdigest()[:40]}"


def _dead(body: bytes, error: str) -> Envelope:
    text = body.decode("utf-8", "backslashreplace").replace("\x00", "\\x00")
    return Envelope(
        account_id=UNKNOWN_ACCOUNT,
        idempotency_key=f"{0:012x}-{hashlib.sha256(body).hexdigest()[:40]}",
        event_type=None,
        event_ts=None,
        meeting_id=None,
        uuid=None,
        body=_CREDENTIAL_TEXT.sub(r'\1"[dropped]"', text),
        error=error[:SHORT_TEXT_CHARACTERS_MAX],
    )


def _without_credentials(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_credentials(inner) for name, inner in value.items() if name not in CREDENTIALS}
    if isinstance(value, list):
        return [_without_credentials(inner) for inner in value]
    return value


def _storable(value: Any) -> Any:
    if isinstance(value, str):
        return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", value)
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_storable(inner) for inner in value]
    return value


def _milliseconds(value: object) -> int | None:
    """`event_ts` is a number, but text in `app_deauthorized`: of digits, or `2024-09-08 15:58:40`, taken to be UTC."""
    if isinstance(value, str) and _WRITTEN_OUT.fullmatch(value):
        try:
            value = int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp() * 1000)
        except ValueError:
            return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(EVENT_TS_MS_MAX)):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= EVENT_TS_MS_MAX:
        return value
    return None


def _meeting_id(value: object) -> int | None:
    """The number of a meeting: a number in some events, a text in others."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= len(str(MEETING_ID_MAX)):
        value = int(value)
    if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MEETING_ID_MAX:
        return value
    return None


def _short_text(value: object) -> str | None:
    return value[:SHORT_TEXT_CHARACTERS_MAX] if isinstance(value, str) and value else None
