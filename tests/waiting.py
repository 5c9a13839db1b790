"""Waiting for something to become true, by looking; never by sleeping and hoping."""

from __future__ import annotations

import time
from collections.abc import Callable

LOOK_SECONDS = 0.01
WAIT_SECONDS_MAX = 20.0


def wait_until(is_true: Callable[[], object], what: str, *, timeout_seconds: float = WAIT_SECONDS_MAX) -> None:
    """Return as soon as `is_true()` is; fail with `what` was waited for when the deadline passes."""
    deadline = time.monotonic() + timeout_seconds
    while not is_true():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_seconds:g} s for {what}")
        time.sleep(LOOK_SECONDS)
