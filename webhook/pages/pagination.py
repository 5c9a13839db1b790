"""Older lines, page by page: the search for a page ends after SCAN_SECONDS_MAX, and the next one goes on from there."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

from schema.store.database import Database
from schema.store.join_log import Cursor, Line, read_lines_before
from webhook.pages.filters import Filters
from webhook.pages.formatting import searched_text, token_of
from webhook.pages.parameters import read_number
from webhook.tokens import Role, Tokens

PAGE_LINES = 100
SCAN_LINES = 1000  # read at once; nothing but the page itself when no filter has to look at each line
SCAN_SECONDS_MAX = 0.4


class Page(NamedTuple):
    """Lines, newest first. `next` is where older ones begin, None at the end of the log.

    `looked_at` is how many lines were read for it: a search that found less than a page may not have seen all.
    """

    lines: list[Line]
    next: Cursor | None
    looked_at: int


class Reader:
    """Reads the log for somebody: the lines that fit the filters, as far as their role may see them."""

    def __init__(self, database: Database, tokens: Tokens, role: Role, filters: Filters) -> None:
        self._database = database
        self._tokens = tokens
        self._role = role
        self._filters = filters

    def admits(self, line: Line) -> bool:
        """Whether a line fits the filters."""
        return self._filters.admits(
            line, lambda one: token_of(self._tokens, one), lambda one: searched_text(self._role, one)
        )

    def page(self, cursor: Cursor, limit: int = PAGE_LINES, seconds_max: float = SCAN_SECONDS_MAX) -> Page:
        """The next older lines that fit, as far as they are found in time."""
        deadline = time.monotonic() + seconds_max
        found: list[Line] = []
        looked_at = 0
        is_exact = not (self._filters.occurrences or self._filters.people or self._filters.words)
        step = limit if is_exact and not (self._filters.meetings and self._filters.kinds) else SCAN_LINES
        while True:
            with self._database.read() as connection:
                lines = read_lines_before(connection, cursor, step, self._filters.sought_meetings, self._filters.kinds)
            for line in lines:
                cursor = Cursor(line.seq, line.line_id)
                looked_at += 1
                if self.admits(line):
                    found.append(line)
                    if len(found) == limit:
                        return Page(found, cursor, looked_at)
            if len(lines) < step:
                return Page(found, None, looked_at)
            if time.monotonic() > deadline:
                return Page(found, cursor, looked_at)

    def all(self) -> Iterator[Line]:
        """Every line that fits, newest first, read in small transactions."""
        cursor: Cursor | None = Cursor()
        while cursor is not None:
            page = self.page(cursor, SCAN_LINES)
            yield from page.lines
            cursor = page.next


def read_cursor(text: str | None) -> Cursor:
    """A cursor from a URL; the newest line when there is none."""
    seq, separator, line_id = (text or "").partition("~")
    number = read_number(seq)
    return Cursor(number, line_id) if separator and number is not None else Cursor()
