"""When an instance's record is read, and when it is final. Pure."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

READ_AFTER = (timedelta(minutes=15), timedelta(hours=1), timedelta(hours=24))
"""After the end of an instance; then every day. Zoom names no bound for its reports; minutes are reported."""

READ_FOR = timedelta(days=7)
GROWS_FOR = timedelta(hours=1)  # a report read sooner after the end may lack people
AGREE_APART = timedelta(minutes=30)  # two readings of a report that may still grow


def next_reading(ended_at: datetime, read_at: datetime | None) -> datetime | None:
    """When to read the record of an instance that is not final; None when it is not read any more by itself."""
    days = (timedelta(days=day) for day in range(2, READ_FOR.days + 1))
    moments = [ended_at + after for after in (*READ_AFTER, *days)]
    return next((moment for moment in moments if read_at is None or read_at < moment), None)


def do_agree(ended_at: datetime, said_ms: int, read_at: datetime, repeats: int) -> bool:
    """Whether two readings of a report say the same at times that make it final.

    `said_ms` is when the first of them was, ms since 1970, and `read_at` when the last.
    """
    said_at = datetime.fromtimestamp(said_ms / 1000, UTC)
    is_late = said_at - ended_at >= READ_AFTER[-1]
    return repeats > 0 and read_at - ended_at >= GROWS_FOR and (is_late or read_at - said_at >= AGREE_APART)
