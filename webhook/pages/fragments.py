"""Parts of pages that everybody sees alike, made once for all who look."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Hashable
from typing import NamedTuple

from webhook.pages.tail import Changes

FRAGMENTS_MAX = 500
FRAGMENT_SECONDS_MAX = 20.0  # curves move on even when nobody comes or goes


class Fragment(NamedTuple):
    """HTML and a tag that differs when the HTML does."""

    html: str
    tag: str


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.fragment: Fragment | None = None
        self.marker = ""
        self.made_at = float("-inf")


class Fragments:
    """Keeps each fragment until something was committed, and for `rest_seconds` even then."""

    def __init__(self, changes: Changes, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._changes = changes
        self._now_seconds = now_seconds
        self._lock = threading.Lock()
        self._slots: dict[Hashable, _Slot] = {}

    def get(
        self,
        key: Hashable,
        render: Callable[[], str],
        rest_seconds: float = 0.0,
        seconds_max: float = FRAGMENT_SECONDS_MAX,
    ) -> Fragment:
        """The fragment, at most `seconds_max` old; many who ask at once wait for one rendering."""
        marker = self._changes.marker()
        with self._lock:
            if len(self._slots) >= FRAGMENTS_MAX and key not in self._slots:
                self._slots.clear()
            slot = self._slots.setdefault(key, _Slot())
        with slot.lock:
            age = self._now_seconds() - slot.made_at
            is_stale = age > seconds_max or (slot.marker != marker and age >= rest_seconds)
            if slot.fragment is None or is_stale:
                slot.marker, slot.made_at = marker, self._now_seconds()
                html = render()
                slot.fragment = Fragment(html, hashlib.blake2s(html.encode(), digest_size=8).hexdigest())
            return slot.fragment
