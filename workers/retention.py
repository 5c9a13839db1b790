"""What the clock removes: bodies and changes past their time, accounts that left, and a log that a reader let grow."""

from __future__ import annotations

import time
from collections.abc import Collection
from datetime import UTC, datetime, timedelta

import structlog

from schema.store.database import Database
from schema.store.erase import read_departed, remove_old_bodies
from schema.store.feed import RETENTION_BATCH_CHANGES, remove_old_changes
from schema.store.sqlite_file import LONG_READER_REMEDY, WAL_BYTES_WARN
from workers.erase import PAUSE_SECONDS, erase_account

log = structlog.get_logger()


def remove_bodies(database: Database, days: int, now: datetime | None = None) -> int:
    """Remove bodies older than `days` (0 keeps them for ever); returns how many went."""
    if days <= 0:
        return 0
    now = now or datetime.now(UTC)
    removed = 0
    while True:
        with database.write() as connection:
            count = remove_old_bodies(connection, now - timedelta(days=days), now)
        removed += count
        if not count:
            break
    if removed:
        log.info("bodies_removed", events=removed, older_than_days=days)
    return removed


def remove_changes(database: Database, days: int, now: datetime | None = None) -> int:
    """Remove the changes of the feed that are older than `days`; returns how many went."""
    before = (now or datetime.now(UTC)) - timedelta(days=days)
    removed = 0
    while True:
        with database.write() as connection:
            count = remove_old_changes(connection, before)
        removed += count
        if count < RETENTION_BATCH_CHANGES:
            break
        time.sleep(PAUSE_SECONDS)
    if removed:
        log.info("changes_removed", changes=removed, older_than_days=days)
    return removed


def erase_departed(
    database: Database, grace_days: int, now: datetime | None = None, staff_domains: Collection[str] = ()
) -> list[str]:
    """Erase the accounts that removed the app `grace_days` ago and were not heard of since; returns them."""
    now = now or datetime.now(UTC)
    with database.read() as connection:
        accounts = read_departed(connection, now - timedelta(days=grace_days))
    for account_id in accounts:
        erased = erase_account(database, account_id, staff_domains=staff_domains)
        log.info("account_erased", events=erased.bodies, rows=erased.rows)
    return accounts


def trim_log(database: Database) -> bool:
    """Cut SQLite's write-ahead log once nobody holds it, and say while somebody does; returns whether it is short."""
    is_short = database.trim_log()
    length = database.log_bytes() or 0
    if not is_short and length > WAL_BYTES_WARN:
        log.warning("reader_holds_log", megabytes=length // 1_000_000, remedy=LONG_READER_REMEDY)
    return is_short
