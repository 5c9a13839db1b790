"""When the record of an instance is read, and when two readings make it final."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from workers.zoom.readings import do_agree, next_reading

END = datetime(2026, 9, 1, 10, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


@pytest.mark.parametrize(
    ("read_after", "next_after"),
    [
        (None, 15 * MINUTE),
        (5 * MINUTE, 15 * MINUTE),
        (16 * MINUTE, HOUR),
        (2 * HOUR, DAY),
        (DAY, 2 * DAY),
        (6.5 * DAY, 7 * DAY),
        (7 * DAY, None),
    ],
)
def test_a_record_is_read_three_times_and_then_daily_for_a_week(
    read_after: timedelta | None, next_after: timedelta | None
) -> None:
    read_at = None if read_after is None else END + read_after
    assert next_reading(END, read_at) == (None if next_after is None else END + next_after)


@pytest.mark.parametrize(
    ("first", "last", "repeats", "is_final"),
    [
        (15 * MINUTE, HOUR, 1, True),
        (15 * MINUTE, HOUR, 0, False),  # the second one said something else
        (15 * MINUTE, 50 * MINUTE, 1, False),  # a report may still grow
        (HOUR, HOUR + MINUTE, 1, False),  # too soon one after the other
        (30 * DAY, 30 * DAY + MINUTE, 1, True),
    ],
)
def test_two_readings_that_agree_make_a_record_final(
    first: timedelta, last: timedelta, repeats: int, is_final: bool
) -> None:
    assert do_agree(END, int((END + first).timestamp() * 1000), END + last, repeats) is is_final
