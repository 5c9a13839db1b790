"""What URLs and forms say, read in one place: what no row can hold names nothing, nonsense is left out. Pure.

Whoever has a link can send anything. None of it is a reason for a 5xx, and nothing reaches a database that refuses it.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from werkzeug.routing import IntegerConverter, ValidationError

from schema.store.join_log import INT64_MAX

DIGITS_MAX = len(str(INT64_MAX))  # Python itself refuses to read numbers of thousands of digits
_NUL = "\x00"


def read_number(text: str) -> int | None:
    """A number that a row can hold, in plain digits; None for anything else."""
    if not (text.isascii() and text.isdigit() and len(text) <= DIGITS_MAX):  # `isdigit` alone admits `²`
        return None
    number = int(text)
    return number if number <= INT64_MAX else None


def read_moment(text: str | None) -> datetime | None:
    """A moment in ISO 8601 that has a zone; None for anything else, also for one that UTC cannot name."""
    try:
        moment = datetime.fromisoformat(text or "")
        return moment.astimezone(UTC) if moment.tzinfo is not None else None
    except (ValueError, OverflowError):  # 0001-01-01T00:00:00+14:00 is in the year 0
        return None


def can_be_stored(texts: Iterable[str]) -> bool:
    """Whether a row can hold these: Postgres has no text with a NUL."""
    return not any(_NUL in text for text in texts)


class NumberInPath(IntegerConverter):
    """`<int:...>` in a route: a number that no row can hold names nothing, which is 404."""

    def to_python(self, value: str) -> int:
        """The number."""
        number = read_number(value)
        if number is None:
            raise ValidationError
        return number
