"""The processes `joinlog up` starts: started again when they end, stopped together, none left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import structlog

from schema.signals import Signals, dies_with

RESTART_FIRST_SECONDS = 0.5
RESTART_SECONDS_MAX = 30.0
STEADY_SECONDS = 60.0  # whoever ran that long starts again with the first, short pause
STOP_SECONDS_MAX = 10.0  # for the batch and the answers in progress; then the whole group is killed

log = structlog.get_logger()


def start_process(
    arguments: Sequence[str], environment: Mapping[str, str], log: int | None = None
) -> subprocess.Popen[bytes]:
    """Start a process in a group of its own, which Ctrl-C does not reach and which ends with us.

    `log` is the descriptor its standard error goes to; None: ours.
    """
    return subprocess.Popen(  # noqa: S603 - our own command line
        arguments,
        env=dict(environment),
        stdin=subprocess.DEVNULL,
        stderr=log,
        process_group=0,
        preexec_fn=dies_with(os.getpid()),
    )


def pause_after(failures: int) -> float:
    """How many seconds to wait before the next start, after so many ends in a row."""
    return float(min(RESTART_SECONDS_MAX, RESTART_FIRST_SECONDS * 2 ** (min(failures, 16) - 1)))


@dataclass
class Child:
    """One process to keep running. `start` starts it; `is_needed` False lets it end."""

    name: str
    start: Callable[[], subprocess.Popen[bytes]]
    is_needed: bool = True
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    started_at: float = 0.0
    start_at: float = 0.0

    def look(self, now: float) -> None:
        """Notice an end, and start when it is time to."""
        if self.process is not None:
            code = self.process.poll()
            if code is None:
                return
            _kill_group(self.process)  # what it may have left behind
            self.process = None
            if not self.is_needed:
                return
            pause = self._put_off(now, now - self.started_at)
            log.warning("process_ended", name=self.name, how=how_it_ended(code), restart_seconds=pause)
        elif not self.is_needed:
            return
        if now >= self.start_at:
            self._start(now)

    def _start(self, now: float) -> None:
        self.started_at = now
        try:
            self.process = self.start()
        except OSError as error:  # no memory or no process id left: that passes, and the others go on meanwhile
            pause = self._put_off(now, 0.0)
            log.error("process_not_started", name=self.name, error=error.strerror, restart_seconds=pause)
            return
        if self.failures:
            log.info("process_restarted", name=self.name, pid=self.process.pid)

    def _put_off(self, now: float, ran_seconds: float) -> float:
        """Count a failure; returns the pause until the next start, seconds."""
        self.failures = 1 if ran_seconds >= STEADY_SECONDS else self.failures + 1
        pause = pause_after(self.failures)
        self.start_at = now + pause
        return pause


def how_it_ended(code: int) -> str:
    """An exit code in words."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"


class Children:
    """All of them, in the order in which they are started; they are stopped together."""

    def __init__(self, children: Iterable[Child]) -> None:
        self._children = list(children)

    def add(self, child: Child) -> None:
        """One more, started at the next look."""
        self._children.append(child)

    def look(self) -> float:
        """Start what has to be started; returns the seconds after which to look again at the latest."""
        now = time.monotonic()
        for child in self._children:
            child.look(now)
        waiting = [child.start_at - now for child in self._children if child.process is None and child.is_needed]
        return max(0.0, min([1.0, *waiting]))

    def stop(self, signals: Signals) -> None:
        """End them all: ask, wait STOP_SECONDS_MAX, then kill their groups."""
        running = [child.process for child in self._children if child.process is not None]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(signal.SIGTERM)
        deadline = time.monotonic() + STOP_SECONDS_MAX
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(max(0.0, deadline - time.monotonic()))
        late = [child.name for child in self._children if child.process is not None and child.process.poll() is None]
        if late:
            log.warning("processes_killed", names=late, after_seconds=STOP_SECONDS_MAX)
        for process in running:
            _kill_group(process)
            process.wait()


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
