"""One type for a row of each table, as everything but the store sees it. Pure.

A row is frozen: whoever wants another one makes it with `msgspec.structs.replace`. How a row is written down (stamps,
joins, histories as JSON text, moments as text in SQLite) is known in `schema.store.codec` and nowhere else.
`updated_at` is not part of a row: the store sets it when it writes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from operator import attrgetter
from typing import Any, NamedTuple

import msgspec

Key = tuple[Any, ...]
Stamps = Mapping[str, int]
"""When Zoom stated the value of a column, ms since 1970, by column."""


class Leave(NamedTuple):
    """A reported leave: when, in ms since 1970, and Zoom's reason, empty if it gave none."""

    left_ms: int
    reason: str


class StatusEntry(NamedTuple):
    """One stated status: when (ms since 1970), which, and for which occurrences (`*` for all)."""

    stated_ms: int
    status: str
    occurrence_ids: tuple[str, ...]


class PmiUse(NamedTuple):
    """A statement whether a meeting runs under the host's personal meeting id, and when, ms since 1970."""

    stated_ms: int
    uses_pmi: bool


class ReportedStay(NamedTuple):
    """One stay as Zoom's participant report states it, ms since 1970."""

    joined_ms: int
    left_ms: int


class Row(msgspec.Struct, frozen=True, gc=False):
    """A row of any table."""


class Meeting(Row, frozen=True, gc=False):
    """A row of `meeting`."""

    account_id: str
    meeting_id: int
    kind: str | None = None
    type: int | None = None
    topic: str | None = None
    host_id: str | None = None
    timezone: str | None = None
    scheduled_start: datetime | None = None
    duration_minutes: int | None = None
    recurrence: str | None = None
    registration_type: int | None = None
    deleted_at: datetime | None = None
    alternative_hosts: str | None = None
    pmi: int | None = None
    uses_pmi: bool | None = None
    pmi_uses: tuple[PmiUse, ...] = ()
    room_id: int | None = None
    stamps: Stamps = {}


class Occurrence(Row, frozen=True, gc=False):
    """A row of `occurrence`."""

    account_id: str
    meeting_id: int
    occurrence_id: str
    scheduled_start: datetime | None = None
    duration_minutes: int | None = None
    status: str | None = None
    original_start: datetime | None = None
    moves: int | None = None
    instances: int | None = None
    held_from: datetime | None = None
    held_until: datetime | None = None
    link_state: str | None = None
    held_milliseconds: int | None = None


class ScheduleStatement(Row, frozen=True, gc=False):
    """A row of `occurrence_history`: what one event stated about one occurrence, or (`*`) about the whole list."""

    account_id: str
    meeting_id: int
    occurrence_id: str
    statement_id: str
    source: str  # listed, changed, replaced, deleted, recovered, mentioned
    stated_at: datetime
    scheduled_start: datetime | None = None
    duration_minutes: int | None = None
    status: str | None = None


class Instance(Row, frozen=True, gc=False):
    """A row of `instance`."""

    account_id: str
    uuid: str
    meeting_id: int | None = None
    kind: str | None = None
    type: int | None = None
    topic: str | None = None
    host_id: str | None = None
    duration_minutes: int | None = None
    started_at: datetime | None = None
    started_is_inferred: bool | None = None
    ended_at: datetime | None = None
    is_practice: bool | None = None
    occurrence_id: str | None = None
    link_state: str | None = None
    link_evidence: str | None = None
    observed_start: datetime | None = None
    stated_start: datetime | None = None
    first_seen_at: datetime | None = None
    reported_start: datetime | None = None
    final_at: datetime | None = None
    reported_participants: int | None = None
    reported_absentees: int | None = None
    stays_both: int | None = None
    stays_webhook_only: int | None = None
    stays_report_only: int | None = None
    webhooks_expected: int | None = None
    webhooks_lost: int | None = None
    webhooks_lost_by_event: str | None = None
    ran_under: int | None = None
    stamps: Stamps = {}


class Registrant(Row, frozen=True, gc=False):
    """A row of `registrant`."""

    account_id: str
    meeting_id: int
    registrant_id: str
    email: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    status: str | None = None
    registered_at: datetime | None = None
    custom_questions: str | None = None
    details: str | None = None
    history: tuple[StatusEntry, ...] = ()
    stamps: Stamps = {}


class Registration(Row, frozen=True, gc=False):
    """A row of `registration`."""

    account_id: str
    meeting_id: int
    registrant_id: str
    occurrence_id: str
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None


class Connection(Row, frozen=True, gc=False):
    """A row of `connection`."""

    account_id: str
    uuid: str
    connection_id: str
    meeting_id: int | None = None
    joins: tuple[int, ...] = ()
    leaves: tuple[Leave, ...] = ()
    participant_uuid: str | None = None
    bound_to: str | None = None
    room_uuid: str | None = None
    registrant_id: str | None = None
    zoom_user_id: str | None = None
    email: str | None = None
    name: str | None = None
    role: str | None = None
    reported: tuple[ReportedStay, ...] = ()
    participant_id: str | None = None
    customer_key: str | None = None
    custom_keys: str | None = None
    phone_number: str | None = None
    bind_participant_uuid: str | None = None
    parent_user_id: str | None = None
    before_host: bool | None = None
    ran_under: int | None = None
    stamps: Stamps = {}


class Participant(Row, frozen=True, gc=False):
    """A row of `participant`: one stay."""

    account_id: str
    uuid: str
    connection_id: str
    first_seen_at: datetime
    meeting_id: int | None = None
    joined_at: datetime | None = None
    left_at: datetime | None = None
    left_is_inferred: bool | None = None
    leave_reason: str | None = None
    registrant_id: str | None = None
    zoom_user_id: str | None = None
    participant_uuid: str | None = None
    room_uuid: str | None = None
    email: str | None = None
    name: str | None = None
    role: str | None = None
    person_id: str | None = None
    counts_from: datetime | None = None
    participant_id: str | None = None
    staff_as: str | None = None


class Staff(Row, frozen=True, gc=False):
    """A row of `staff`."""

    account_id: str
    meeting_id: int
    identifier: str
    source: str
    role: str | None = None
    stamps: Stamps = {}


class LinkStatement(Row, frozen=True, gc=False):
    """A row of `link_statement`."""

    account_id: str
    uuid: str
    source: str
    meeting_id: int | None = None
    occurrence_id: str | None = None
    stated_by: str | None = None
    because: str | None = None
    stated_at: datetime | None = None
    stamps: Stamps = {}


class LinkHistory(Row, frozen=True, gc=False):
    """A row of `link_history`: one change of a link."""

    account_id: str
    uuid: str
    decided_at: datetime
    meeting_id: int | None = None
    from_occurrence_id: str | None = None
    to_occurrence_id: str | None = None
    state: str | None = None
    evidence: str | None = None
    from_state: str | None = None
    stated_occurrence_id: str | None = None


class LogLine(Row, frozen=True, gc=False):
    """A row of `join_log`."""

    account_id: str
    line_id: str
    seq: int | None = None
    event_ts: datetime | None = None
    kind: str | None = None
    meeting_id: int | None = None
    uuid: str | None = None
    occurrence_id: str | None = None
    registrant_id: str | None = None
    connection_id: str | None = None
    name: str | None = None
    email: str | None = None
    detail: str | None = None


class AccountDeparture(Row, frozen=True, gc=False):
    """A row of `account_departure`."""

    account_id: str
    deauthorized_at: datetime | None = None
    erased_at: datetime | None = None


ROW_TYPES: Mapping[str, type[Row]] = {
    "meeting": Meeting,
    "occurrence": Occurrence,
    "occurrence_history": ScheduleStatement,
    "instance": Instance,
    "registrant": Registrant,
    "registration": Registration,
    "connection": Connection,
    "participant": Participant,
    "staff": Staff,
    "link_statement": LinkStatement,
    "link_history": LinkHistory,
    "join_log": LogLine,
    "account_departure": AccountDeparture,
}
"""The type of a row of each table that follows from the inbox, by table."""

KEY_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "meeting": ("account_id", "meeting_id"),
    "occurrence": ("account_id", "meeting_id", "occurrence_id"),
    "occurrence_history": ("account_id", "meeting_id", "occurrence_id", "statement_id"),
    "instance": ("account_id", "uuid"),
    "registrant": ("account_id", "meeting_id", "registrant_id"),
    "registration": ("account_id", "meeting_id", "registrant_id", "occurrence_id"),
    "connection": ("account_id", "uuid", "connection_id"),
    "participant": ("account_id", "uuid", "connection_id", "first_seen_at"),
    "staff": ("account_id", "meeting_id", "identifier", "source"),
    "link_statement": ("account_id", "uuid", "source"),
    "link_history": ("account_id", "uuid", "decided_at"),
    "join_log": ("account_id", "line_id"),
    "account_departure": ("account_id",),
}
"""The primary key of each of these tables."""

STAMPED: Mapping[str, tuple[str, ...]] = {
    "meeting": (
        "kind", "type", "topic", "host_id", "timezone", "scheduled_start", "duration_minutes", "recurrence",
        "registration_type", "deleted_at", "alternative_hosts", "pmi", "uses_pmi",
    ),
    "instance": (
        "kind", "type", "topic", "host_id", "duration_minutes", "reported_participants", "reported_absentees",
        "stays_both", "stays_webhook_only", "stays_report_only", "webhooks_expected", "webhooks_lost",
        "webhooks_lost_by_event",
    ),
    "registrant": ("email", "first_name", "last_name", "custom_questions", "details"),
    "connection": (
        "participant_uuid", "bound_to", "room_uuid", "registrant_id", "zoom_user_id", "email", "name",
        "participant_id", "customer_key", "custom_keys", "phone_number", "bind_participant_uuid", "parent_user_id",
    ),
    "staff": ("role",),
    "link_statement": ("meeting_id", "occurrence_id", "stated_by", "because"),
}  # fmt: skip
"""Columns of which the newest statement counts: the time of each is in the row's `stamps`."""


def key_of(table: str, row: Row) -> Key:
    """The primary key of a row, in the order of the table's key."""
    return key_getter(table)(row)


@cache
def key_getter(table: str) -> Callable[[Row], Key]:
    """A function from a row of this table to its key."""
    names = KEY_COLUMNS[table]
    if len(names) == 1:
        (name,) = names
        return lambda row: (getattr(row, name),)
    return attrgetter(*names)
