"""One `joinlog up` per folder: they would share its database, its port and the file that names its Redis server."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from schema.settings import ConfigurationError

LOCK_FILE = Path(".joinlog-up")  # locked while one runs; holds its process id, and nothing once it has stopped
PID_BYTES_MAX = 20


@contextmanager
def lock_folder() -> Iterator[bool]:
    """Keep every other `joinlog up` out of this folder; yields whether the last one was killed.

    Raises ConfigurationError when one runs here. The kernel ends the lock with the process, however that ends.
    """
    try:
        descriptor = os.open(LOCK_FILE, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # a folder one cannot write to holds no files to quarrel over
        yield False
        return
    try:
        _lock(descriptor)
        was_killed = bool(os.pread(descriptor, PID_BYTES_MAX, 0))
        _note(descriptor, str(os.getpid()))
        try:
            yield was_killed
        finally:
            _note(descriptor, "")
    finally:
        os.close(descriptor)


def _lock(descriptor: int) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        pid = os.pread(descriptor, PID_BYTES_MAX, 0).decode(errors="replace") or "unknown"
        raise ConfigurationError(
            f"Joinlog runs in this folder already (process {pid}). Stop that one, or start this one in another folder."
        ) from None
    except OSError:  # a file system without locks: better one warning less than no Joinlog
        return


def _note(descriptor: int, text: str) -> None:
    with contextlib.suppress(OSError):  # the disk may be full; the lock stands without a note
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, text.encode(), 0)
