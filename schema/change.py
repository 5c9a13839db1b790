"""What one batch changes: the rows to write and to delete, as the store saves them. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from schema.rows import Key, Row


class Operation(StrEnum):
    """What happened to a row."""

    UPSERT = "upsert"
    DELETE = "delete"


class RowChange(NamedTuple):
    """One row that changed: its table, its primary key, and whether it is there now."""

    table: str
    key: Key
    operation: Operation


@dataclass(frozen=True, slots=True)
class Change:
    """Everything one batch changes, decided before anything is written."""

    now: datetime
    """When it was decided; the `updated_at` of every row written."""
    written: Mapping[str, Mapping[Key, Row]] = field(default_factory=dict)
    """Rows to insert or to replace, by table and key."""
    only_new: frozenset[str] = frozenset()
    """Tables of which a row that exists stays as it is."""
    deleted: Mapping[str, frozenset[Key]] = field(default_factory=dict)
    closed: Mapping[Key, datetime] = field(default_factory=dict)
    """Instances (account_id, uuid) that ended: every stay that nobody saw end, ends with them, before rows are written.

    This is one statement per instance, whatever the number of people who were still there.
    """
    known: Mapping[str, Mapping[Key, Row]] = field(default_factory=dict)
    """Rows as they were read in the same transaction, those that were: what they hold already need not be written."""
