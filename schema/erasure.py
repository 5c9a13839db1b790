"""Taking personal data out of a kept body, and leaving what counts. Pure.

A body that was forgotten still says that somebody registered, joined and left: names, addresses and answers go,
Zoom's opaque ids stay, so that reports keep their counts and a rebuild gives the same tables.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass, field
from typing import Any

from schema.payloads import read_leave_reason

ERASED = "(erased)"
NAMES = frozenset({"user_name", "first_name", "display_name", "topic", "agenda", "name"})
PERSONS_NAMES = NAMES - {"topic", "agenda"}
EMAILS = frozenset({"email", "host_email", "operator", "contact_email", "alternative_hosts", "registrant_email"})
DROPPED = frozenset(
    {
        "last_name", "address", "city", "country", "zip", "state", "phone", "phone_number", "industry", "org",
        "job_title",
        "purchasing_time_frame", "role_in_purchase_process", "no_of_employees", "comments", "custom_questions",
        "customer_key", "ip_address", "public_ip", "private_ip", "device", "location", "tracking_source",
    }
)  # fmt: skip
"""What is about a person and counts for nothing: left out of a forgotten body."""

_ADDRESS = re.compile(r"[^\s<>\"';,]+@[^\s<>\"';,]+")


@dataclass(frozen=True)
class Subject:
    """Whom to forget: everybody, or the person behind these identifiers.

    `connections` are (uuid, user_id or participant_uuid) pairs. `salt` makes the pseudonyms of one erasure
    consistent and of two unrelated; it is thrown away afterwards.
    """

    salt: bytes
    is_everybody: bool = False
    emails: frozenset[str] = frozenset()
    registrant_ids: frozenset[str] = frozenset()
    user_ids: frozenset[str] = frozenset()
    connections: frozenset[tuple[str, str]] = field(default_factory=frozenset)

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


def pseudonym(email: str, salt: bytes) -> str:
    """An address that stands for another one and cannot be reversed once the salt is gone."""
    token = hmac.new(salt, email.strip().lower().encode(), hashlib.sha256).hexdigest()[:16]
    return f"erased-{token}@erased.invalid"


def forget(document: Any, subject: Subject) -> Any:
    """The document without what is personal to the subject."""
    payload = document.get("payload") if isinstance(document, dict) else None
    thing = payload.get("object") if isinstance(payload, dict) else None
    uuid = thing.get("uuid") if isinstance(thing, dict) else None
    return _walk(document, subject, uuid if isinstance(uuid, str) else None, subject.is_everybody)


def _walk(value: Any, subject: Subject, uuid: str | None, is_theirs: bool) -> Any:
    if isinstance(value, dict):
        if is_theirs and value.get("last_name") and not value.get("first_name"):
            value = value | {"first_name": value["last_name"]}  # one name has to stay to stand for both
        if is_theirs and isinstance(value.get("leave_reason"), str):
            value = value | {"leave_reason": read_leave_reason(value["leave_reason"], value.get("user_name"))}
        return {
            name: _field(name, inner, subject, uuid, is_theirs)
            for name, inner in value.items()
            if not (is_theirs and name in DROPPED)
        }
    if isinstance(value, list):
        return [_walk(inner, subject, uuid, is_theirs) for inner in value]
    return _without_addresses(value, subject) if isinstance(value, str) else value


def _field(name: str, value: Any, subject: Subject, uuid: str | None, is_theirs: bool) -> Any:
    if isinstance(value, dict):
        return _walk(value, subject, uuid, is_theirs or (name in PERSON_PARTS and subject.owns(value, uuid)))
    if is_theirs and isinstance(value, str) and value:
        names = NAMES if subject.is_everybody else PERSONS_NAMES
        if name in names:
            return ERASED
        if name in EMAILS and "@" in value:
            return _without_addresses(value, Subject(subject.salt, is_everybody=True))
    return _walk(value, subject, uuid, is_theirs)


PERSON_PARTS = frozenset({"registrant", "participant"})


def _without_addresses(text: str, subject: Subject) -> str:
    """Text with the subject's addresses, wherever they stand in it, replaced by their pseudonyms."""
    if "@" not in text:
        return text

    def replaced(match: re.Match[str]) -> str:
        address = match.group()
        is_theirs = subject.is_everybody or address.lower() in subject.emails
        return pseudonym(address, subject.salt) if is_theirs else address

    return _ADDRESS.sub(replaced, text)
