"""The one job there is."""

from __future__ import annotations

from collections.abc import Callable

_drain: Callable[[], int] | None = None


def prepare(drain_inbox: Callable[[], int]) -> None:
    """Give this worker process its drain, with the database connection made after any fork."""
    global _drain
    _drain = drain_inbox


def drain() -> int:
    """Empty the inbox; returns how many events were settled."""
    if _drain is None:
        raise RuntimeError("workers.jobs.prepare has not been called: start workers with `joinlog worker`")
    return _drain()
