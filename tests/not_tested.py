"""What this machine could not test: said by the tests that are skipped, and once more in the last line of all."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NoReturn

import pytest

MARK = "NOT TESTED: "


def skip(what: str, how: str) -> NoReturn:
    """Skip a test: what is not tested without it, and how to get what it needs."""
    pytest.skip(f"{MARK}{what} ({how})")


def last_line(reasons: Iterable[str]) -> str | None:
    """The sentence about the tests skipped for these reasons; None when nothing is missing."""
    found = sorted({reason.partition(MARK)[2] for reason in reasons if MARK in reason})
    return f"{MARK}{'; '.join(found)}." if found else None
