"""Signed page links, the sessions they are exchanged for, and form tokens. Pure.

A link carries its id, a role, its expiry and perhaps one meeting or one occurrence; checking it needs no table.
`page_link` lists what was made, without the signature. Revoking one is a row of `revoked_link`. Keys are rotated by
putting a new one in front of SECRET_KEY: it signs from then on, the older ones still verify.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from itsdangerous import BadSignature, URLSafeSerializer

LINK_HOURS_DEFAULT = 8
LINK_DAYS_MAX = 366
LINK_ID_BYTES = 6
PERSON_TOKEN_CHARACTERS = 16
_DURATION = re.compile(r"([1-9][0-9]{0,5})([mhd])")
_UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


class Role(StrEnum):
    """What the holder of a link may do."""

    VIEWER = "viewer"  # sees; addresses masked
    READER = "reader"  # the same, and follows the change feed, in which addresses are whole
    OPERATOR = "operator"  # sees addresses and bodies, decides links, replays


class Refusal(StrEnum):
    """Why access is refused."""

    MISSING = "missing"
    FORGED = "forged"
    EXPIRED = "expired"
    REVOKED = "revoked"


class AccessRefused(Exception):
    """The link or session does not grant access; `reason` says why."""

    def __init__(self, reason: Refusal) -> None:
        super().__init__(reason.value)
        self.reason = reason


class Pass(NamedTuple):
    """What a valid link or session grants: which role, on which meeting or occurrence, until when."""

    link_id: str
    role: Role
    expires_at: datetime
    meeting_id: int | None = None  # only this meeting, when set
    occurrence_id: str | None = None  # only this occurrence of it, when set

    @property
    def decides(self) -> bool:
        """Whether its holder may decide, replay and see addresses and bodies."""
        return self.role is Role.OPERATOR

    @property
    def follows(self) -> bool:
        """Whether its holder may read the change feed, with everything that stands in its rows."""
        return self.role in (Role.READER, Role.OPERATOR)


def new_pass(
    role: Role, lasts: timedelta, now: datetime, meeting_id: int | None = None, occurrence_id: str | None = None
) -> Pass:
    """A pass for a new link, under a random id."""
    expires_at = datetime.fromtimestamp(int((now + lasts).timestamp()), UTC)
    return Pass(secrets.token_hex(LINK_ID_BYTES), role, expires_at, meeting_id, occurrence_id)


def link_of(base_url: str, tokens: Tokens, granted: Pass) -> str:
    """The page link of a pass: the token stands behind `#`, which browsers send to nobody."""
    return f"{base_url}/enter#{tokens.sign_link(granted)}"


class Tokens:
    """Signs and reads links, sessions and form tokens. `keys` oldest first; the last one signs."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._links = URLSafeSerializer(list(keys), salt="joinlog.link")
        self._sessions = URLSafeSerializer(list(keys), salt="joinlog.session")
        self._forms = URLSafeSerializer(list(keys), salt="joinlog.form")
        self._person_key = hashlib.sha256(b"joinlog.person:" + keys[0]).digest()

    def sign_link(self, granted: Pass) -> str:
        """The text of a link."""
        return _text(self._links.dumps(_packed(granted)))

    def read_link(self, token: str, now: datetime) -> Pass:
        """What a link grants. Raises AccessRefused."""
        return _read(self._links, token, now)

    def sign_session(self, granted: Pass) -> str:
        """The value of the cookie a link is exchanged for."""
        return _text(self._sessions.dumps(_packed(granted)))

    def read_session(self, value: str, now: datetime) -> Pass:
        """What a cookie grants. Raises AccessRefused."""
        return _read(self._sessions, value, now)

    def sign_form(self, granted: Pass) -> str:
        """The token that forms of this session must send."""
        return _text(self._forms.dumps([granted.link_id, int(granted.expires_at.timestamp())]))

    def is_own_form(self, token: str, granted: Pass) -> bool:
        """Whether a form token was made for this very session."""
        try:
            said = self._forms.loads(token)
        except BadSignature:
            return False
        return bool(said == [granted.link_id, int(granted.expires_at.timestamp())])

    def person(self, account_id: str, meeting_id: int | None, person_id: str) -> str:
        """A token for a person that a URL may hold: it reveals neither address nor name."""
        message = f"{account_id}\n{meeting_id}\n{person_id}".encode()
        digest = hmac.new(self._person_key, message, hashlib.sha256).digest()
        return base64.urlsafe_b64encode(digest).decode()[:PERSON_TOKEN_CHARACTERS]


def read_duration(text: str) -> timedelta:
    """Read `90m`, `8h` or `30d`. Raises ValueError that says what it may be."""
    found = _DURATION.fullmatch(text.strip())
    lasts = _UNITS[found[2]] * int(found[1]) if found else timedelta(0)
    if not timedelta(0) < lasts <= timedelta(days=LINK_DAYS_MAX):
        raise ValueError(f"{text!r} is no duration: write for example 90m, 8h or 30d, at most {LINK_DAYS_MAX}d")
    return lasts


def _packed(granted: Pass) -> list[Any]:
    packed = [granted.link_id, granted.role.value, int(granted.expires_at.timestamp()), granted.meeting_id]
    return packed if granted.occurrence_id is None else [*packed, granted.occurrence_id]


def _read(serializer: URLSafeSerializer, token: str, now: datetime) -> Pass:
    try:
        link_id, role, expires, meeting_id, *occurrence_id = serializer.loads(token)
        granted = Pass(str(link_id), Role(role), datetime.fromtimestamp(expires, UTC), meeting_id, *occurrence_id)
    except (BadSignature, ValueError, TypeError) as error:
        raise AccessRefused(Refusal.FORGED) from error
    if granted.expires_at <= now:
        raise AccessRefused(Refusal.EXPIRED)
    return granted


def _text(signed: str | bytes) -> str:
    return signed if isinstance(signed, str) else signed.decode()
