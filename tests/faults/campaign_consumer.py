"""A downstream system in a campaign: the mirror of docs/how-to/follow-the-feed.md, in a process that is killed, too.

    python -m tests.faults.campaign_consumer URL TOKEN FILE

Beside the copy it writes down every number it applied, in the transaction that applies it: one that came twice, or not
next, ends it with an error, which the file keeps.
"""

from __future__ import annotations

import json
import sqlite3
import sys
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from schema.store.database import Database
from schema.store.dialect import utc_text
from schema.tables import FED
from tests.inbox_to_tables import select
from tests.webhook.test_recipes import example

PAUSE_SECONDS = 0.2
WAIT_SECONDS = 2


class Watched:
    """The connection of a copy; it notes each change between the mirror's BEGIN and its COMMIT."""

    def __init__(self, copy: sqlite3.Connection) -> None:
        self._copy = copy

    def execute(self, query: str, values: Any = ()) -> Any:
        """Run a statement; with the mirror's last one also what its part reached up to."""
        if query.startswith("INSERT OR REPLACE INTO place"):
            (before,) = self._copy.execute("SELECT COALESCE(max(after), 0) FROM place").fetchone()
            if values[0] > before:
                self._copy.execute("INSERT INTO applied VALUES (?, ?)", (before, values[0]))
        return self._copy.execute(query, values)


def open_copy(path: Path) -> sqlite3.Connection:
    """The copy, with a row for each part that was applied: from after a number, up to a number."""
    copy = sqlite3.connect(path, isolation_level=None)
    copy.execute("PRAGMA journal_mode=WAL")
    copy.execute("CREATE TABLE IF NOT EXISTS applied (after INTEGER UNIQUE, until INTEGER UNIQUE)")
    return copy


def mirror() -> Callable[..., int]:
    """The function of the document."""
    names: dict[str, Any] = {}
    exec(example("follow-the-feed", "mirror"), names)  # noqa: S102 - our own document
    made: Callable[..., int] = names["mirror"]
    return made


def main(url: str, token: str, path: str) -> None:
    """Follow for ever; whatever the server or the network does is tried again."""
    follow, copy = mirror(), open_copy(Path(path))
    while True:
        try:
            follow(Watched(copy), url, token, wait=WAIT_SECONDS)
        except OSError:
            time.sleep(PAUSE_SECONDS)
        except json.JSONDecodeError:  # an answer that broke off
            time.sleep(PAUSE_SECONDS)


def reached(path: Path) -> int:
    """The number up to which a copy has followed."""
    copy = open_copy(path)
    try:
        (after,) = copy.execute("SELECT max(until) FROM applied").fetchone()
        return int(after or 0)
    finally:
        copy.close()


def what_is_wrong(path: Path, database: Database) -> list[str]:
    """How a copy differs from the tables, and what was missed, doubled or out of order on the way."""
    copy = open_copy(path)
    try:
        parts = copy.execute("SELECT after, until FROM applied ORDER BY rowid").fetchall()
        wrong = [
            f"the consumer went from {until} to {after}"
            for (_, until), (after, _) in zip([(0, 0), *parts], parts, strict=False)
            if until != after
        ]
        there = {row[0] for row in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        for table in FED:
            rows = select(database, f"SELECT * FROM {table}")
            expected = {_text(row) for row in rows}
            held: set[str] = set()
            if table in there:
                found = copy.execute(f"SELECT * FROM {table}")
                names = [column[0] for column in found.description]
                held = {_text(dict(zip(names, row, strict=True))) for row in found}
            if held != expected:
                wrong.append(
                    f"the copy of {table} misses {len(expected - held)} rows and has {len(held - expected)} more"
                )
        return wrong
    finally:
        copy.close()


def _text(row: dict[str, Any]) -> str:
    def plain(value: Any) -> Any:
        if isinstance(value, datetime):
            return utc_text(value)
        return int(value) if isinstance(value, bool) else value

    return json.dumps({name: plain(value) for name, value in sorted(row.items())})


if __name__ == "__main__":
    main(*sys.argv[1:4])
