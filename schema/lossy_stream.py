"""Standard output and error for processes that must not end, nor wait, because a line cannot be written.

Python's own streams raise when the disk is full or the reader is gone, keep what they could not write, and wait for a
reader that has stopped reading. For a process that answers Zoom each of these is worse than a line that is lost.
"""

from __future__ import annotations

import contextlib
import io
import os
import select
import sys
import threading
from typing import TextIO

READER_SECONDS_MAX = 0.1  # what a reader that is behind gets to make room; once lines are lost, it gets none
CHUNK_BYTES = 4096  # what a pipe, a terminal or a socket that has room at all takes without waiting
PENDING_CHARACTERS_MAX = 65_536  # of a line without an end


class LossyStream(io.TextIOBase):
    """Writes whole lines to the file behind another stream; a line that cannot be written now is lost, and counted.

    Safe to call from many threads. A stream without a file (of a test) is written to as it is; None takes nothing.
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._descriptor = _descriptor_of(stream)
        self._lock = threading.RLock()  # a signal's handler may log while it interrupts a line
        self._pending = ""
        self._is_within_line = False  # the end of a line was lost, and not its beginning
        self.lost_lines = 0  # since the last line that was written

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """How text becomes bytes."""
        return getattr(self._stream, "encoding", None) or "utf-8"

    @property
    def errors(self) -> str:  # type: ignore[override]
        """What becomes of characters that the encoding lacks."""
        return "backslashreplace"

    def fileno(self) -> int:
        """The file descriptor. Raises OSError when there is none."""
        if self._descriptor is None:
            raise io.UnsupportedOperation("fileno")
        return self._descriptor

    def isatty(self) -> bool:
        """Whether somebody reads this on a terminal."""
        return self._descriptor is not None and os.isatty(self._descriptor)

    def writable(self) -> bool:
        """It is: there is nothing that it does not take."""
        return True

    def write(self, text: str) -> int:
        """Take text; what makes a whole line is written. Never raises for what is wrong with the file."""
        with self._lock:
            self._pending += text
            whole, newline, rest = self._pending.rpartition("\n")
            if newline or len(rest) > PENDING_CHARACTERS_MAX:
                self._pending = "" if not newline else rest
                self._write(whole + newline if newline else rest)
        return len(text)

    def flush(self) -> None:
        """Write what is no whole line yet."""
        with self._lock:
            text, self._pending = self._pending, ""
            if text:
                self._write(text)

    def _write(self, text: str) -> None:
        if self._descriptor is None:
            with contextlib.suppress(OSError, ValueError):
                if self._stream is not None:
                    self._stream.write(text)
                    self._stream.flush()
            return
        start = b"\n" if self._is_within_line and self.lost_lines else b""
        data = start + text.encode(self.encoding, self.errors)
        written = self._write_bytes(self._descriptor, data)
        if written == len(data):
            self.lost_lines = 0
            self._is_within_line = not data.endswith(b"\n")
        else:
            self.lost_lines += max(1, data.count(b"\n", max(written, len(start))))
            self._is_within_line = self._is_within_line if written == 0 else data[written - 1 : written] != b"\n"

    def _write_bytes(self, descriptor: int, data: bytes) -> int:
        """How many bytes were written."""
        written = 0
        try:
            while written < len(data) and self._has_room(descriptor):
                written += os.write(descriptor, data[written : written + CHUNK_BYTES])
        except OSError:  # the disk is full, the reader is gone, the file is closed
            pass
        return written

    def _has_room(self, descriptor: int) -> bool:
        poll = select.poll()
        poll.register(descriptor, select.POLLOUT)
        return bool(poll.poll(0 if self.lost_lines else READER_SECONDS_MAX * 1000))


def _descriptor_of(stream: TextIO | None) -> int | None:
    if stream is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        stream.flush()  # from here on nothing goes through the stream's own buffer
    with contextlib.suppress(OSError, ValueError):
        return stream.fileno()
    return None


def protect_output() -> None:
    """Replace this process's standard output and error by ones that never fail, unless somebody else has replaced them.

    What Python and libraries write there goes through them, too: tracebacks, warnings, `print`.
    """
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is getattr(sys, f"__{name}__"):
            setattr(sys, name, LossyStream(stream))


def occupy_standard_descriptors() -> None:
    """Open those of the descriptors 0 to 2 that are closed, on nothing.

    Otherwise the next file that is opened gets one of these numbers, and with it what somebody writes to "standard
    error". To be called before any file is opened.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest free number is this one
