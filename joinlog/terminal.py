"""What `joinlog up` shows on a terminal: a line for what changed, seldom one for what flows, the page link at the end.

The processes log into one pipe, a JSON line each. Where nobody looks (a file, a service manager) they log as ever, and
none of this runs.
"""

from __future__ import annotations

import json
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.text import Text

FLOW_SECONDS = 10.0  # between two lines about events that were brought to the tables
READ_BYTES = 65_536
CLOSE_SECONDS_MAX = 1.0
FLOWS = "batch_drained"
EXPECTED = frozenset(
    {"web_listening", "worker_started", "worker_stopping", "worker_stopped", "clock_started", "clock_stopped"}
)
"""What every run says: that it is ready, and that it stopped, is said once for all of them."""

BESIDE = frozenset({"event", "process", "level", "timestamp", "logger"})
COLOURS = {"warning": "yellow", "error": "bold red", "critical": "bold red"}


class Terminal:
    """Reads what the processes log, and shows it; `pipe` is for them to write to. `close` shows what is left."""

    def __init__(self, console: Console, now_seconds: Callable[[], float] = time.monotonic) -> None:
        self._console = console
        self._now_seconds = now_seconds
        self._reader, self.pipe = os.pipe()
        self._events = 0
        self._told_at = float("-inf")
        self._rest = b""
        self._thread = threading.Thread(target=self._run, name="terminal", daemon=True)

    def start(self) -> None:
        """Begin to read."""
        self._thread.start()

    def close(self) -> None:
        """Show what was written last. The processes have ended by now."""
        os.close(self.pipe)
        self._thread.join(CLOSE_SECONDS_MAX)

    def show(self, line: bytes) -> None:
        """Take one line that a process wrote."""
        try:
            said = json.loads(line)
        except ValueError:
            said = None
        if not isinstance(said, dict) or "event" not in said:
            self._console.print(Text(line.decode(errors="replace")))  # a traceback, or what a library printed
        elif said["event"] == FLOWS:
            self._events += sum(said.get(name, 0) for name in ("done", "ignored", "unhandled", "dead"))
            self.tell_flow()
        elif said["event"] not in EXPECTED:
            self._console.print(in_words(said))

    def tell_flow(self) -> None:
        """Say how many events came since the last line about them, unless that is less than FLOW_SECONDS ago."""
        now = self._now_seconds()
        if self._events and now - self._told_at >= FLOW_SECONDS:
            many = f"{self._events:,} event{'' if self._events == 1 else 's'}"
            self._console.print(Text(f"{datetime.now():%H:%M:%S}  {many} brought to the tables", "dim"))  # noqa: DTZ005
            self._told_at, self._events = now, 0

    def _run(self) -> None:
        while True:
            ready, _, _ = select.select([self._reader], [], [], FLOW_SECONDS / 10)
            if not ready:
                self.tell_flow()
                continue
            data = os.read(self._reader, READ_BYTES)
            if not data:
                return
            *lines, self._rest = (self._rest + data).split(b"\n")
            for line in lines:
                self.show(line)


def in_words(said: Mapping[str, Any]) -> Text:
    """A line of a log as one line for people: when, who, what, and its values."""
    moment = datetime.fromisoformat(said["timestamp"]).astimezone() if "timestamp" in said else datetime.now()  # noqa: DTZ005
    values = "  ".join(f"{name}: {value}" for name, value in said.items() if name not in BESIDE)
    text = f"{moment:%H:%M:%S}  {said.get('process', '')}: {str(said['event']).replace('_', ' ')}  {values}"
    shown = "".join(character if character.isprintable() else " " for character in text.rstrip())
    return Text(shown, COLOURS.get(str(said.get("level")), ""))


def on_enter(act: Callable[[], None], descriptor: int = 0) -> None:
    """Call `act` whenever somebody presses Enter, as long as this process is in the foreground of a terminal."""
    signal.signal(signal.SIGTTIN, signal.SIG_IGN)  # in the background reading fails instead of stopping all of us

    def listen() -> None:
        with suppress(OSError):
            while data := os.read(descriptor, READ_BYTES):  # no stream: its lock would be held when Python ends
                if b"\n" in data:
                    act()

    threading.Thread(target=listen, name="enter", daemon=True).start()
