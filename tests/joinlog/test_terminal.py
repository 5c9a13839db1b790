"""What a terminal shows of what the processes log: seldom a line for what flows, each line for what changed."""

from __future__ import annotations

import io
import json
import os
from typing import Any

import pytest
from rich.console import Console

from joinlog.terminal import FLOW_SECONDS, Terminal


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


class Shown:
    """A terminal, and what it shows."""

    def __init__(self) -> None:
        self.clock = Clock()
        self._text = io.StringIO()
        self.terminal = Terminal(Console(file=self._text, width=200, color_system=None), self.clock)

    def take(self, event: str, **more: Any) -> None:
        line = {"event": event, "process": "worker", "level": "info", "timestamp": "2026-11-22T10:00:00Z", **more}
        self.terminal.show(json.dumps(line).encode())

    @property
    def lines(self) -> list[str]:
        return self._text.getvalue().splitlines()


@pytest.fixture
def shown() -> Shown:
    return Shown()


def test_what_flows_is_summed_up_and_told_seldom(shown: Shown) -> None:
    for _ in range(50):
        shown.take("batch_drained", done=3, ignored=1, unhandled=0, dead=0)
    assert [line.partition("  ")[2] for line in shown.lines] == ["4 events brought to the tables"]
    shown.clock.seconds += FLOW_SECONDS
    shown.terminal.tell_flow()
    shown.terminal.tell_flow()
    assert [line.partition("  ")[2] for line in shown.lines][1:] == ["196 events brought to the tables"]


def test_what_every_run_says_is_not_repeated_and_what_changed_is_one_line(shown: Shown) -> None:
    for event in ("web_listening", "worker_started", "clock_stopped"):
        shown.take(event)
    assert shown.lines == []
    shown.take("database_away", level="warning", error="OperationalError")
    (line,) = shown.lines
    assert line.endswith("worker: database away  error: OperationalError")


def test_a_terminal_obeys_nothing_that_is_logged(shown: Shown) -> None:
    shown.take("event_dead", error="\x1b[2J[bold]\nsecond line")
    (line,) = shown.lines
    assert "\x1b" not in line
    assert "[bold]" in line


def test_what_is_no_log_line_is_shown_as_it_is(shown: Shown) -> None:
    shown.terminal.show(b"Traceback (most recent call last):")
    shown.terminal.show(b'["no", "log"]')
    assert shown.lines == ["Traceback (most recent call last):", '["no", "log"]']


def test_a_whole_line_is_shown_however_it_is_cut_and_the_last_ones_at_the_end() -> None:
    shown = Shown()
    shown.terminal.start()
    line = json.dumps({"event": "process_restarted", "process": "up", "name": "web"}).encode()
    os.write(shown.terminal.pipe, line[:10])
    os.write(shown.terminal.pipe, line[10:] + b"\n")
    shown.terminal.close()
    assert [text.partition("  ")[2] for text in shown.lines] == ["up: process restarted  name: web"]
