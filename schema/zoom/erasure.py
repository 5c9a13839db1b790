"""Taking personal data out of a kept body, and leaving what counts. Pure.

A body that was forgotten still says that somebody registered, joined and left: names, addresses and answers go,
Zoom's opaque ids stay, so that reports keep their counts and a rebuild gives the same tables.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from schema.zoom.payloads import read_custom_keys, read_leave_reason

ERASED = "(erased)"
NAMES = frozenset({"user_name", "first_name", "display_name", "topic", "agenda", "name"})
PERSONS_NAMES = NAMES - {"topic", "agenda"}
ADDRESSES = frozenset({"email", "registrant_email"})
"""Fields that are an address whole, whatever it looks like; in all others addresses are found in the text."""
DROPPED = frozenset(
    {
        "last_name", "address", "city", "country", "zip", "state", "phone", "industry", "org",
        "job_title",
        "purchasing_time_frame", "role_in_purchase_process", "no_of_employees", "comments", "custom_questions",
        "ip_address", "public_ip", "private_ip", "device", "location", "tracking_source",
    }
)  # fmt: skip
"""What is about a person and counts for nothing: left out of a forgotten body."""

KEYS = frozenset({"customer_key", "custom_keys", "phone_number"})
"""What may tell that two connections are one person's: each is replaced by one pseudonym wherever it stands."""

KEPT_NAMES = frozenset({"id", "uuid", "event", "event_ts", "type", "status", "timezone"})
KEPT_ENDINGS = ("_id", "_uuid", "_time", "_ts", "_type", "_status")
"""What stays of an event nobody projects: what it is about, when, and of which kind. Everything else in words goes."""

IDENTIFIER_CHARACTERS_MIN = 6
"""A shorter identifier found in a text that cannot be parsed proves nothing."""

PERSON_PARTS = frozenset({"registrant", "participant"})
PERSON_LISTS = frozenset({"registrants", "participants", "panelists"})
"""Lists of such parts, in what Zoom's API answered."""
PSEUDONYM_ENDING = "erased.invalid"
STAFF_PSEUDONYMS = "staff.erased.invalid"
"""The domain of pseudonyms of those who were staff by the domain of their address, and stay so."""

_ERASED_KEY = re.compile(r"erased-[0-9a-f]{16}")

ADDRESS = re.compile(r"[^\s<>\"';,:()\[\]]+@[^\s<>\"';,:()\[\]]*[^\s<>\"';,:()\[\].]")
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


@dataclass(frozen=True)
class Subject:
    """Whom to forget: everybody, or the person behind these identifiers.

    `connections` are (uuid, user_id or participant_uuid) pairs; `keys` are customer keys, telephone numbers and custom
    keys as `read_custom_keys` has them. Who has an address in `staff_domains` keeps a pseudonym of staff. `salt` makes
    the pseudonyms of one erasure consistent and of two unrelated; it is thrown away afterwards.
    """

    salt: bytes
    is_everybody: bool = False
    emails: frozenset[str] = frozenset()
    registrant_ids: frozenset[str] = frozenset()
    user_ids: frozenset[str] = frozenset()
    connections: frozenset[tuple[str, str]] = frozenset()
    keys: frozenset[str] = frozenset()
    staff_domains: frozenset[str] = frozenset()

    def owns(self, part: dict[str, Any], uuid: str | None) -> bool:
        """Whether a part of a body (`registrant`, `participant`) is about this person."""
        if self.is_everybody:
            return True
        email = part.get("email")
        return (
            (isinstance(email, str) and email.strip().lower() in self.emails)
            or str(part.get("registrant_id") or "") in self.registrant_ids
            or str(part.get("participant_user_id") or "") in self.user_ids
            or str(part.get("id") or "") in (self.registrant_ids | self.user_ids)
            or any((uuid, str(part.get(name))) in self.connections for name in ("user_id", "participant_uuid"))
        )

    def is_named_by(self, part: dict[str, Any]) -> bool:
        """Whether a part of a body nobody knows the shape of states an identifier of this person."""
        return self.is_everybody or any(
            value in self.registrant_ids
            or value in self.user_ids
            or value in self.keys
            or value.strip().lower() in self.emails
            for value in part.values()
            if isinstance(value, str)
        )

    def is_in(self, text: str) -> bool:
        """Whether a text that cannot be parsed mentions this person, also where it is written with escapes."""
        read = _ESCAPE.sub(lambda escape: chr(int(escape.group(1), 16)), text)
        identifiers = (self.registrant_ids | self.user_ids) | {name for _, name in self.connections}
        telling = [name for name in identifiers if len(name) >= IDENTIFIER_CHARACTERS_MIN]
        return any(email in read.lower() for email in self.emails) or any(name in read for name in telling)


def pseudonym(email: str, subject: Subject) -> str:
    """An address that stands for another one and cannot be reversed once the salt is gone; its own stays itself."""
    email = email.strip().lower()
    if email.endswith(PSEUDONYM_ENDING):
        return email
    is_staff = email.rpartition("@")[2] in subject.staff_domains
    return f"{_digest(email, subject)}@{STAFF_PSEUDONYMS if is_staff else PSEUDONYM_ENDING}"


def forget_key(text: str, subject: Subject, *, is_theirs: bool) -> str:
    """A customer key or a telephone number, or what stands for it where it is theirs or holds an address of theirs."""
    if _ERASED_KEY.fullmatch(text):
        return text
    is_told = is_theirs or subject.is_everybody or text in subject.keys or without_addresses(text, subject) != text
    return _digest(text, subject) if is_told else text


def forget_custom_keys(text: str, subject: Subject, *, is_theirs: bool) -> str:
    """The same for custom keys, as `read_custom_keys` has them."""
    if read_erased_key(text) is not None:
        return text
    forgotten = forget_key(text, subject, is_theirs=is_theirs)
    return text if forgotten == text else json.dumps([["erased", forgotten]])


def read_erased_key(text: str) -> str | None:
    """What stands for custom keys in their forgotten text; None where they were not forgotten."""
    found = _ERASED_KEY.search(text)
    return found.group() if found and text == json.dumps([["erased", found.group()]]) else None


def _digest(text: str, subject: Subject) -> str:
    return f"erased-{hmac.new(subject.salt, text.encode(), hashlib.sha256).hexdigest()[:16]}"


def without_addresses(text: str, subject: Subject) -> str:
    """Text with the subject's addresses, wherever they stand in it, replaced by their pseudonyms."""
    found = ADDRESS if subject.is_everybody else _any_of(subject.emails)
    return found.sub(lambda match: pseudonym(match.group(), subject), text)


@lru_cache(maxsize=8)
def _any_of(emails: frozenset[str]) -> re.Pattern[str]:
    """Finds these addresses, and not others that end or begin alike."""
    longest_first = sorted(emails, key=lambda email: (-len(email), email))
    either = "|".join(map(re.escape, longest_first)) or r"(?!)"
    return re.compile(rf"(?<![\w.+-])(?<!\w')(?:{either})(?![\w-]|\.\w)", re.IGNORECASE)


def forget(document: Any, subject: Subject, *, is_projected: bool = True) -> Any:
    """The document without what is personal to the subject.

    Of an event that is projected, the parts that are known to be about people lose what is personal. Of any other,
    nobody knows which parts are: a part that states the subject's identifier loses everything in words.
    """
    payload = document.get("payload") if isinstance(document, dict) else None
    zoom_object = payload.get("object") if isinstance(payload, dict) else None
    uuid = zoom_object.get("uuid") if isinstance(zoom_object, dict) else None
    walk = _Walk(subject, uuid if isinstance(uuid, str) else None, is_projected)
    return walk.forget(document, is_theirs=subject.is_everybody)


@dataclass(frozen=True)
class _Walk:
    """One way through one document."""

    subject: Subject
    uuid: str | None
    is_projected: bool

    def forget(self, value: Any, *, is_theirs: bool) -> Any:
        if isinstance(value, list):
            return [self.forget(inner, is_theirs=is_theirs) for inner in value]
        if isinstance(value, str):
            return without_addresses(value, self.subject)
        if not isinstance(value, dict):
            return value
        is_theirs = is_theirs or (not self.is_projected and self.subject.is_named_by(value))
        if is_theirs and value.get("last_name") and not value.get("first_name"):
            value = value | {"first_name": value["last_name"]}  # one name has to stay to stand for both
        if is_theirs and isinstance(value.get("leave_reason"), str):
            value = value | {"leave_reason": read_leave_reason(value["leave_reason"], value.get("user_name"))}
        return {
            name: self._key(name, inner, is_theirs) if name in KEYS else self._field(name, inner, is_theirs)
            for name, inner in value.items()
            if not (is_theirs and name in DROPPED)
        }

    def _field(self, name: str, value: Any, is_theirs: bool) -> Any:
        if isinstance(value, dict):
            is_person = name in PERSON_PARTS and self.subject.owns(value, self.uuid)
            return self.forget(value, is_theirs=is_theirs or is_person)
        if name in PERSON_LISTS and isinstance(value, list):
            return [self._person(inner, is_theirs) for inner in value]
        if not is_theirs or not value:
            return self.forget(value, is_theirs=is_theirs)
        if isinstance(value, list):
            return [self._field(name, inner, is_theirs) for inner in value]
        if isinstance(value, str):
            return self._words(name, value)
        return value

    def _key(self, name: str, value: Any, is_theirs: bool) -> Any:
        """An identifier that is personal itself."""
        if name != "custom_keys":
            text = "" if value is None else str(value)
            forgotten = forget_key(text, self.subject, is_theirs=is_theirs) if text else text
            return value if forgotten == text else forgotten
        text = read_custom_keys(value) or ""
        erased = read_erased_key(forget_custom_keys(text, self.subject, is_theirs=is_theirs)) if text else None
        if erased is None:
            return None if is_theirs and not text else value
        return [{"key": "erased", "value": erased}]

    def _person(self, value: Any, is_theirs: bool) -> Any:
        is_person = isinstance(value, dict) and self.subject.owns(value, self.uuid)
        return self.forget(value, is_theirs=is_theirs or is_person)

    def _words(self, name: str, text: str) -> str:
        """A text in a part that is theirs."""
        if name in ADDRESSES and text.strip():
            return pseudonym(text, self.subject)
        if name in (NAMES if self.subject.is_everybody else PERSONS_NAMES):
            return ERASED
        if self.is_projected or name in KEPT_NAMES or name.endswith(KEPT_ENDINGS):
            return without_addresses(text, self.subject)
        return ERASED
