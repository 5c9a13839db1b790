"""The file of a SQLite database and its write-ahead log (WAL): how long the log is, and that nothing erased stays."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path

WAL_BYTES_WARN = 256 * 1024 * 1024
"""A log beyond this says that somebody holds a snapshot: without one it is some 4 MB."""

LONG_READER_REMEDY = "end the query or transaction that reads joinlog.db for so long; copy it with `.backup` instead"

TRUNCATE_WAIT_MILLISECONDS = 50  # while a checkpoint waits for readers, nobody writes
TRUNCATE_POLL_SECONDS = 0.02
TRUNCATE_SECONDS_MAX = 30.0
COMPACT_BYTES_MAX = 64 * 1024 * 1024  # a larger file is not rewritten in one go while intake waits
CHUNK_BYTES = 4 * 1024 * 1024


def wal_of(path: Path) -> Path:
    """Where SQLite keeps the log of this file."""
    return path.with_name(f"{path.name}-wal")


def wal_bytes(path: Path) -> int:
    """How long the log of this file is."""
    wal = wal_of(path)
    return wal.stat().st_size if wal.exists() else 0


def truncate_wal(path: Path, seconds_max: float | None = None) -> bool:
    """Bring the log into the file and leave it empty; False when a reader held it for longer than `seconds_max`, 30 s.

    Writers are kept waiting for TRUNCATE_WAIT_MILLISECONDS at a time.
    """
    deadline = time.monotonic() + (TRUNCATE_SECONDS_MAX if seconds_max is None else seconds_max)
    with closing(_open(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")  # most of it without keeping anybody waiting
        while True:
            is_busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
            if not is_busy:
                return True
            if time.monotonic() >= deadline:
                return False
            time.sleep(TRUNCATE_POLL_SECONDS)


def compact(path: Path) -> bool:
    """Rewrite a file of at most COMPACT_BYTES_MAX without its free space; False when it is larger or in use."""
    if path.stat().st_size > COMPACT_BYTES_MAX:
        return False
    try:
        with closing(_open(path)) as connection:
            connection.execute("VACUUM")
    except sqlite3.OperationalError:
        return False
    return truncate_wal(path)


def count_in_files(path: Path, words: Iterable[str]) -> int:
    """How often these words (lower case) stand in the file and in its log, in UTF-8, whatever their case there."""
    wanted = [word.encode() for word in words]
    return sum(_count(file, wanted) for file in (path, wal_of(path)) if file.exists())


def _count(path: Path, wanted: list[bytes]) -> int:
    overlap = max(map(len, wanted), default=1) - 1
    found, rest = 0, b""
    with path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            text = rest + chunk.lower()
            rest = text[len(text) - overlap :] if overlap else b""
            found += sum(text.count(word) - rest.count(word) for word in wanted)
    return found + sum(rest.count(word) for word in wanted)


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=TRUNCATE_WAIT_MILLISECONDS / 1000)
    connection.execute("PRAGMA secure_delete=ON")
    return connection
