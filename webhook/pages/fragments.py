"""Parts of pages that are the same for everybody, rendered once for all viewers."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

from webhook.pages.tail import Changes

FRAGMENTS_MAX = 500
FRAGMENT_SECONDS_MAX = 20.0  # curves grow even when nobody joins or leaves


class Fragment(NamedTuple):
    """HTML, and a tag that changes with it."""

    html: str
    tag: str


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.fragment: Fragment | None = None
        self.marker = ""
        self.made_at = float("-inf")


class Fragments:
    """Keeps each fragment until something is committed to the database, but at least for its `fresh_seconds`."""

    def __init__(self, changes: Changes, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._changes = changes
        self._now_seconds = now_seconds
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot] = {}

    def get(
        self,
        key: Hashable,
        render: Callable[[], str],
        fresh_seconds: float = 0.0,
        seconds_max: float = FRAGMENT_SECONDS_MAX,
    ) -> Fragment:
        """The fragment, at most `seconds_max` old. Whoever asks while it is being rendered waits for that rendering."""
        marker = self._changes.marker()
        with self._lock:
            if len(self._slots) >= FRAGMENTS_MAX and key not in self._slots:
                self._slots.clear()
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            age = self._now_seconds() - slot.made_at
            is_stale = age > seconds_max or (slot.marker != marker and age >= fresh_seconds)
            if slot.fragment is None or is_stale:
                slot.marker, slot.made_at = marker, self._now_seconds()
                html = render()
                slot.fragment = Fragment(html, hashlib.blake2s(html.encode(), digest_size=8).hexdigest())
            return slot.fragment
