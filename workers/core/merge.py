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

from schema.rows import KEY_COLUMNS, ROW_TYPES, Key, Row
from workers.core.staff import ROLES


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
Draft = dict[str, Any]
"""A row while facts are merged into it: column -> value, with its stamps in a dict that may be changed."""


def earliest(known: Any, stated: Any) -> Any:
    """The smaller of two."""
    return stated if stated < known else known


def latest(known: Any, stated: Any) -> Any:
    """The greater of two."""
    return stated if stated > known else known


def highest_role(known: str, stated: str) -> str:
    """A role that makes staff before one that does not: who helped to run a meeting for a while was its staff."""
    return max(known, stated, key=lambda role: (role.strip().lower() in ROLES, role))


def all_true(known: bool, stated: bool) -> bool:
    """True only while nobody says otherwise."""
    return known and stated


def union(known: tuple[Any, ...], stated: tuple[Any, ...]) -> tuple[Any, ...]:
    """Both collections as one sorted tuple without repeats."""
    return known if known == stated else tuple(sorted({*known, *stated}))


NEWEST = None  # by event_ts, then by value; needs the row's stamps

RULES: Mapping[str, Mapping[str, Combine | None]] = {
    "meeting": {
        "kind": NEWEST, "type": NEWEST, "topic": NEWEST, "host_id": NEWEST, "timezone": NEWEST,
        "scheduled_start": NEWEST, "duration_minutes": NEWEST, "recurrence": NEWEST, "registration_type": NEWEST,
        "deleted_at": NEWEST, "alternative_hosts": NEWEST, "pmi": NEWEST, "uses_pmi": NEWEST,
        "pmi_uses": union,
    },
    "occurrence_history": {
        "source": latest, "stated_at": earliest, "scheduled_start": latest, "duration_minutes": latest,
        "status": latest,
    },
    "instance": {
        "meeting_id": latest, "kind": NEWEST, "type": NEWEST, "topic": NEWEST, "host_id": NEWEST,
        "duration_minutes": NEWEST, "observed_start": earliest, "ended_at": latest, "is_practice": all_true,
        "stated_start": earliest, "first_seen_at": earliest, "reported_start": earliest,
        "final_at": earliest, "reported_participants": NEWEST, "reported_absentees": NEWEST, "stays_both": NEWEST,
        "stays_webhook_only": NEWEST, "stays_report_only": NEWEST, "webhooks_expected": NEWEST,
        "webhooks_lost": NEWEST, "webhooks_lost_by_event": NEWEST,
    },
    "registrant": {
        "email": NEWEST, "first_name": NEWEST, "last_name": NEWEST, "custom_questions": NEWEST,
        "registered_at": earliest, "history": union, "details": NEWEST,
    },
    "connection": {
        "meeting_id": latest, "joins": union, "leaves": union, "participant_uuid": NEWEST, "bound_to": NEWEST,
        "room_uuid": NEWEST, "registrant_id": NEWEST, "zoom_user_id": NEWEST, "email": NEWEST, "name": NEWEST,
        "role": highest_role, "reported": union, "participant_id": NEWEST, "customer_key": NEWEST,
        "custom_keys": NEWEST,
        "phone_number": NEWEST, "bind_participant_uuid": NEWEST, "parent_user_id": NEWEST,
        "before_host": latest,
    },
    "staff": {"role": NEWEST},
    "link_statement": {
        "meeting_id": NEWEST, "occurrence_id": NEWEST, "stated_by": NEWEST, "because": NEWEST, "stated_at": latest,
    },
    "join_log": {
        "seq": earliest, "event_ts": earliest, "kind": latest, "meeting_id": latest, "uuid": latest,
        "occurrence_id": latest, "registrant_id": latest, "connection_id": latest, "name": latest, "email": latest,
        "detail": latest,
    },
    "account_departure": {"deauthorized_at": latest},
}  # fmt: skip
"""The rule of every column that facts state. Columns of these tables that are missing here follow from others."""

NEVER_KNOWN = "join_log"
"""Its rows are each stated by one event alone: there is nothing to merge with, so nothing is read."""


def merge_fact(table: str, draft: Draft, values: Mapping[str, Any], stated_ms: int) -> None:
    """Change a draft by what a fact states."""
    rules, stamps = RULES[table], draft.get("stamps")
    for column, stated in values.items():
        if stated is None:
            continue
        combine = rules[column]
        current = draft.get(column)
        if combine is not NEWEST:
            if current is None:
                draft[column] = stated
            elif current != stated:
                draft[column] = combine(current, stated)
            continue
        assert stamps is not None
        value, known_ms = None if stated is CLEARED else stated, stamps.get(column)
        if known_ms is None or stated_ms > known_ms:
            draft[column], stamps[column] = value, stated_ms
        elif stated_ms == known_ms and value is not None and (current is None or value > current):
            draft[column] = value


def merge_facts(facts: Sequence[Fact], known: Mapping[str, Mapping[Key, Row]]) -> dict[str, dict[Key, Any]]:
    """Combine the facts of a batch with the rows that exist; returns the rows touched, by table and key.

    Rows of `known` are not changed. `facts` is a sequence, for facts are told apart by the values they hold.
    """
    drafts: dict[str, dict[Key, Draft]] = {}
    for fact in _without_repeats(facts):
        rows = drafts.setdefault(fact.table, {})
        draft = rows.get(fact.key)
        if draft is not None:
            merge_fact(fact.table, draft, fact.values, fact.stated_ms)
        elif (existing := known.get(fact.table, {}).get(fact.key)) is not None:
            draft = rows[fact.key] = msgspec.structs.asdict(existing)
            if draft.get("ran_under") is not None:  # what its events named; workers.core.rooms says whose it was
                draft["meeting_id"], draft["ran_under"] = draft["ran_under"], None
            if fact.table in STAMPED_TABLES:
                draft["stamps"] = dict(draft["stamps"])
            merge_fact(fact.table, draft, fact.values, fact.stated_ms)
        else:
            rows[fact.key] = _first_draft(fact)
    return {table: {key: ROW_TYPES[table](**draft) for key, draft in rows.items()} for table, rows in drafts.items()}


def _first_draft(fact: Fact) -> Draft:
    """A row of which nothing was known: what one fact states, which is what merging it into an empty row gives."""
    rules, stated_ms = RULES[fact.table], fact.stated_ms
    draft: Draft = dict(zip(KEY_COLUMNS[fact.table], fact.key, strict=True))
    stamps: dict[str, int] = {}
    for column, stated in fact.values.items():
        if stated is not None:
            draft[column] = stated
            if rules[column] is NEWEST:
                stamps[column] = stated_ms
                if stated is CLEARED:
                    draft[column] = None
    if fact.table in STAMPED_TABLES:
        draft["stamps"] = stamps
    return draft


STAMPED_TABLES = frozenset(table for table, rules in RULES.items() if NEWEST in rules.values())


def _without_repeats(facts: Sequence[Fact]) -> Iterable[Fact]:
    """Facts that hold the very same values of the same row, once: ten thousand people mention the same meeting.

    Of these the latest counts: every rule but "newest" ignores when a fact was stated.
    """
    stated: dict[tuple[str, Key, int], Fact] = {}
    for fact in facts:
        same = (fact.table, fact.key, id(fact.values))
        before = stated.get(same)
        if before is None or fact.stated_ms > before.stated_ms:
            stated[same] = fact
    return stated.values()
