"""When Python looks for garbage that counting references does not find."""

from __future__ import annotations

import gc

ALLOCATIONS_BETWEEN_LOOKS = 100_000  # more than a batch of 1,000 events leaves standing at once


def collect_rarely() -> None:
    """Let the cycle collector look seldom, and never again at what is there now: modules and their tables.

    Events, facts and rows have no cycles. With Python's own threshold (700) the collector walked each batch dozens of
    times, which was a quarter of the drain (measured).
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(ALLOCATIONS_BETWEEN_LOOKS, 10, 10)
