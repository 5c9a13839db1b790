"""Leaving out of what Zoom's API tells whoever was erased before. Pure.

What is told of somebody is an entry: a row of a list, or the person of a webhook's body. One that is younger than the
erasure is of a person who came again, and stays; one without a time is taken to be older.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from schema.zoom.erasure import ADDRESS, PERSON_LISTS, PERSON_PARTS
from schema.zoom.payloads import read_custom_keys

DIGEST_CHARACTERS = 32
Identifier = tuple[str, str]  # its kind, and its plain text

EMAIL, REGISTRANT, USER, CONNECTION = "email", "registrant", "user", "connection"
OWN_KEY, SHARED_KEY = "key", "shared_key"  # customer keys and the like; a shared one is left out of others' entries
EVERYBODY = "everybody"  # in an account
LEARNED = frozenset({REGISTRANT, CONNECTION})
"""What of an entry that is left out is theirs alone, too: their other entries may show nothing but that."""

_TIMES = ("join_time", "create_time", "start_time")
_OF_ACCOUNT = frozenset({"topic"})


def digest(key: bytes, identifier: Identifier) -> str:
    """What is kept of an identifier: nobody reads it back, and whoever has the key can tell the identifier again."""
    text = "\0".join(identifier)
    return hmac.new(key, text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:DIGEST_CHARACTERS]


def identifiers_in(document: Any, uuid: str | None) -> set[Identifier]:
    """Every identifier of anybody in what Zoom told, also addresses within words."""
    found: set[Identifier] = set()
    for value in _walk(document):
        if isinstance(value, dict):
            found |= _identifiers(value, uuid)
        elif isinstance(value, str):
            found |= {(EMAIL, address) for address in _addresses(value)}
    return found


@dataclass
class Leaving:
    """Leaves out of a document who is in `erased` (identifier: when), or everybody, if that was erased.

    `learned` are further identifiers of those who were left out, and when they were erased.
    """

    erased: Mapping[Identifier, datetime]
    everybody_at: datetime | None = None
    learned: dict[Identifier, datetime] = field(default_factory=dict)

    def left_of(self, document: Any, uuid: str | None, told_at: datetime | None = None) -> Any:
        """The document without their entries and without fields that name them; None when it is about one of them.

        `told_at` is the time of a webhook's event.
        """
        while True:  # an entry may tell that another one is theirs
            before = len(self.learned)
            left = self._left(document, uuid, told_at)
            if len(self.learned) == before:
                return left

    def _left(self, value: Any, uuid: str | None, told_at: datetime | None) -> Any:
        if isinstance(value, list):
            return [left for inner in value if (left := self._left(inner, uuid, told_at)) is not None]
        if isinstance(value, str):
            return None if self._names_them(value) else value
        if not isinstance(value, dict):
            return value
        kept: dict[str, Any] = {}
        for name, inner in value.items():
            if name in PERSON_PARTS and isinstance(inner, dict):
                entry = self._entry(inner, uuid, told_at)
                if entry is None:
                    return None
                kept[name] = entry
            elif name in PERSON_LISTS and isinstance(inner, list):
                entries = (self._entry(row, uuid, told_at) for row in inner)
                kept[name] = [entry for entry in entries if entry is not None]
            elif name in _OF_ACCOUNT and self.everybody_at is not None:
                if (_time_of(value) or told_at or self.everybody_at) > self.everybody_at:
                    kept[name] = inner
            else:
                left = self._left(inner, uuid, told_at)
                if left is None and inner is not None and isinstance(inner, dict):
                    return None
                if left is not None or inner is None:
                    kept[name] = left
        return kept

    def _entry(self, entry: Any, uuid: str | None, told_at: datetime | None) -> Any:
        if not isinstance(entry, dict):
            return entry
        identifiers = _identifiers(entry, uuid)
        erased = {**self.erased, **self.learned}
        times = [erased[one] for one in identifiers if one in erased and one[0] != SHARED_KEY]
        times += [self.everybody_at] if self.everybody_at is not None else []
        if not times:
            left = self._left(entry, uuid, told_at)
            return left if left is None else self._without_shared_keys(left)
        said_at = _time_of(entry) or told_at
        if said_at is not None and said_at > max(times):
            return entry
        self.learned |= {one: max(times) for one in identifiers if one[0] in LEARNED and one not in erased}
        return None

    def _without_shared_keys(self, entry: dict[str, Any]) -> dict[str, Any]:
        return {
            name: value
            for name, value in entry.items()
            if not any((SHARED_KEY, text) in self.erased for text in _keys({name: value}))
        }

    def _names_them(self, text: str) -> bool:
        found = _addresses(text)
        return bool(found) and (self.everybody_at is not None or any((EMAIL, one) in self.erased for one in found))


def _walk(value: Any) -> Iterator[Any]:
    yield value
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for one in inner:
        yield from _walk(one)


def _addresses(text: str) -> list[str]:
    return [address.lower() for address in ADDRESS.findall(text)] if "@" in text else []


def _identifiers(entry: Mapping[str, Any], uuid: str | None) -> set[Identifier]:
    """What an entry shows, as `Subject.owns` reads it."""
    found = {(EMAIL, str(entry[name]).strip().lower()) for name in ("email", "registrant_email") if entry.get(name)}
    found |= {(REGISTRANT, str(entry[name])) for name in ("registrant_id", "id") if entry.get(name)}
    found |= {(USER, str(entry[name])) for name in ("participant_user_id", "id") if entry.get(name)}
    for name in ("user_id", "participant_uuid"):
        if uuid is not None and entry.get(name):
            found.add((CONNECTION, f"{uuid} {entry[name]}"))
    for text in _keys(entry):
        found |= {(OWN_KEY, text), (SHARED_KEY, text)}
    return found


def _keys(entry: Mapping[str, Any]) -> Iterator[str]:
    for name in ("customer_key", "phone_number"):
        if entry.get(name):
            yield str(entry[name])
    if (custom := read_custom_keys(entry.get("custom_keys"))) is not None:
        yield custom


def _time_of(entry: Mapping[str, Any]) -> datetime | None:
    """When what an entry tells began. Zoom's times may be malformed: then there is none."""
    for name in _TIMES:
        try:
            moment = datetime.fromisoformat(str(entry[name]))
        except (KeyError, ValueError):
            continue
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
    return None
