"""How facts about one row combine, whatever order they come in. Pure.

Every column that facts state has one rule below. A rule is commutative, associative and idempotent, so any order and
any repetition of the same facts leaves the same row. "Newest" compares the time Zoom stated the fact, column by
column: an update that holds only the topic must not undo a newer time zone. Equal times are settled by the greater
value, so that even then the order of arrival says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

Row = dict[str, Any]
Key = tuple[Any, ...]


class Fact(NamedTuple):
    """What one event says about one row: its table, key, the columns it states and when Zoom stated them.

    `stated_ms` is the event's time, ms since 1970. MENTION_MS marks a passing mention: it fills a gap and never wins.
    """

    table: str
    key: Key
    values: Mapping[str, Any]
    stated_ms: int


class Cleared:
    """The value of a column that a fact states to be empty, as `recovered` does with `deleted_at`."""

    def __repr__(self) -> str:
        return "CLEARED"


CLEARED = Cleared()
MENTION_MS = 0

Combine = Callable[[Any, Any], Any]


def earliest(known: Any, stated: Any) -> Any:
    """The smaller of two."""
    return stated if stated < known else known


def latest(known: Any, stated: Any) -> Any:
    """The greater of two."""
    return stated if stated > known else known


def all_true(known: bool, stated: bool) -> bool:
    """True only while nobody says otherwise."""
    return known and stated


def union(known: str, stated: str) -> str:
    """Two JSON lists as one sorted list without repeats."""
    if known == stated:
        return known
    items = {msgspec.json.encode(item): item for item in (*msgspec.json.decode(known), *msgspec.json.decode(stated))}
    return as_union(*items.values())


def as_union(*items: Any) -> str:
    """Items as the JSON list that `union` combines."""
    return msgspec.json.encode(sorted(items)).decode()


NEWEST = None  # by event_ts, then by value; needs the row's stamps

RULES: Mapping[str, Mapping[str, Combine | None]] = {
    "meeting": {
        "kind": NEWEST, "type": NEWEST, "topic": NEWEST, "host_id": NEWEST, "timezone": NEWEST,
        "scheduled_start": NEWEST, "duration_minutes": NEWEST, "recurrence": NEWEST, "registration_type": NEWEST,
        "deleted_at": NEWEST,
    },
    "occurrence_history": {
        "source": latest, "stated_at": earliest, "scheduled_start": latest, "duration_minutes": latest,
        "status": latest,
    },
    "instance": {
        "meeting_id": latest, "kind": NEWEST, "type": NEWEST, "topic": NEWEST, "host_id": NEWEST,
        "duration_minutes": NEWEST, "observed_start": earliest, "ended_at": latest, "is_practice": all_true,
        "stated_start": earliest, "first_seen_at": earliest,
    },
    "registrant": {
        "email": NEWEST, "first_name": NEWEST, "last_name": NEWEST, "custom_questions": NEWEST,
        "registered_at": earliest, "history": union,
    },
    "connection": {
        "meeting_id": latest, "joins": union, "leaves": union, "participant_uuid": NEWEST, "bound_to": NEWEST,
        "room_uuid": NEWEST, "registrant_id": NEWEST, "zoom_user_id": NEWEST, "email": NEWEST, "name": NEWEST,
        "role": NEWEST,
    },
    "link_statement": {
        "meeting_id": latest, "occurrence_id": NEWEST, "stated_by": NEWEST, "because": NEWEST, "stated_at": latest,
    },
    "join_log": {
        "seq": earliest, "event_ts": earliest, "kind": latest, "meeting_id": latest, "uuid": latest,
        "occurrence_id": latest, "registrant_id": latest, "connection_id": latest, "name": latest, "email": latest,
        "detail": latest,
    },
    "account_departure": {"deauthorized_at": latest},
}  # fmt: skip
"""The rule of every column that facts state. Columns of these tables that are missing here follow from others."""


KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "meeting": ("account_id", "meeting_id"),
    "occurrence_history": ("account_id", "meeting_id", "occurrence_id", "statement_id"),
    "instance": ("account_id", "uuid"),
    "registrant": ("account_id", "meeting_id", "registrant_id"),
    "connection": ("account_id", "uuid", "connection_id"),
    "link_statement": ("account_id", "uuid", "source"),
    "join_log": ("account_id", "line_id"),
    "account_departure": ("account_id",),
}


def merge_fact(table: str, row: Row, values: Mapping[str, Any], stated_ms: int) -> Row:
    """Change a row by a fact, and return it.

    A row in memory carries its stamps decoded, under `stamps`: column -> ms at which Zoom stated its value.
    """
    rules, stamps = RULES[table], row["stamps"]
    for column, stated in values.items():
        if stated is None:
            continue
        combine = rules[column]
        current = row.get(column)
        if combine is not NEWEST:
            if current is None:
                row[column] = stated
            elif current != stated:
                row[column] = combine(current, stated)
            continue
        value, known_ms = None if stated is CLEARED else stated, stamps.get(column)
        if known_ms is None or stated_ms > known_ms:
            row[column], stamps[column] = value, stated_ms
        elif stated_ms == known_ms and value is not None and (current is None or value > current):
            row[column] = value
    return row


def merge_facts(facts: Sequence[Fact], known: Mapping[str, Mapping[Key, Row]]) -> dict[str, dict[Key, Row]]:
    """Combine the facts of a batch with the rows that exist; returns the rows touched, by table and key.

    Rows of `known` are not changed. `facts` is a sequence, for facts are told apart by the values they hold.
    """
    merged: dict[str, dict[Key, Row]] = {}
    for fact in _said_once(facts):
        rows = merged.setdefault(fact.table, {})
        row = rows.get(fact.key)
        if row is None and (existing := known.get(fact.table, {}).get(fact.key)) is not None:
            row = copy_row(existing)
        if row is None:
            row = dict(zip(KEY_COLUMNS[fact.table], fact.key, strict=True)) | {"stamps": {}}
        rows[fact.key] = merge_fact(fact.table, row, fact.values, fact.stated_ms)
    return merged


def _said_once(facts: Sequence[Fact]) -> Iterable[Fact]:
    """Facts that repeat the very same words of the same row, once: ten thousand people mention the same meeting.

    Of these the latest counts: every rule but "newest" ignores when they were said.
    """
    said: dict[tuple[str, Key, int], Fact] = {}
    for fact in facts:
        words = (fact.table, fact.key, id(fact.values))
        before = said.get(words)
        if before is None or fact.stated_ms > before.stated_ms:
            said[words] = fact
    return said.values()


def copy_row(row: Row) -> Row:
    """A copy whose stamps can be changed without changing the original's."""
    return row | {"stamps": dict(row["stamps"])}


def encode_stamps(row: Row) -> str | None:
    """Stamps as kept: one number when every value the row has was stated at the same time, else a JSON object."""
    stamps = row.get("stamps")
    if not stamps:
        return None
    times = set(stamps.values())
    if len(times) == 1 and all(row.get(column) is not None for column in stamps):
        return str(times.pop())
    return msgspec.json.encode(stamps, order="sorted").decode()


def decode_stamps(table: str, row: Row) -> dict[str, int]:
    """Read what `encode_stamps` wrote."""
    kept = row.get("stamps")
    if not kept:
        return {}
    stamps = msgspec.json.decode(kept)
    if isinstance(stamps, int):
        rules = RULES[table]
        return {column: stamps for column, rule in rules.items() if rule is NEWEST and row.get(column) is not None}
    return dict(stamps)
