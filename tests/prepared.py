"""Commands of Joinlog in processes that have imported already: a start costs a tenth of one that begins with nothing.

They are forked from one that imports and does nothing else. All that follows is the command's: its environment, folder,
output, session, signals and end. That commands import by themselves, `tests/joinlog/test_up.py` proves, which starts
all of them as hosting services do. This module is imported by each of the processes, and imports nothing of pytest.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

COMMANDS = frozenset({"web", "worker", "clock"})

IMPORTED = (
    "pytest",  # which `spawn` would import in each of them, as the program that started them
    "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite.pysqlite",
    "schema.store.bounded_connection", "webhook.app", "workers.main", "workers.clock", "joinlog.processes",
)  # fmt: skip

forks = multiprocessing.get_context("forkserver")
forks.set_forkserver_preload(list(IMPORTED))


@cache
def _import_all() -> None:
    """Wait until the process that forks has imported: no test's patience is spent on that."""
    first = forks.Process(target=_end_well_if_imported)
    first.start()
    first.join()
    assert first.exitcode == 0, "the process that forks could not import what commands need"


def _end_well_if_imported() -> None:
    sys.exit(not sys.modules.keys() >= set(IMPORTED))


class Prepared:
    """A process that was forked to call a function; it is waited for and ended like a `subprocess.Popen`."""

    def __init__(self, function: Callable[..., object], *arguments: Any) -> None:
        _import_all()
        self._process = forks.Process(target=function, args=arguments)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    @property
    def returncode(self) -> int | None:
        """How it ended, as `poll` says."""
        return self.poll()

    def poll(self) -> int | None:
        """The exit code, or minus the number of the signal that ended it; None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The same once it has ended. Raises subprocess.TimeoutExpired."""
        self._process.join(timeout)
        code = self.poll()
        if code is None:
            assert timeout is not None
            raise subprocess.TimeoutExpired(self._process.name, timeout)
        return code

    def send_signal(self, number: int) -> None:
        """Send a signal unless it has ended."""
        if self.poll() is None:
            with suppress(ProcessLookupError):  # killed, and not told yet
                os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)


def start_command(folder: Path, output: Path, environment: Mapping[str, str], name: str) -> Prepared:
    """Start a command in this folder, in a session of its own; what it says is added to `output`."""
    return Prepared(_run_command, folder, output, dict(environment), name)


def _run_command(folder: Path, output: Path, environment: dict[str, str], name: str) -> None:
    os.setsid()
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    opened = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    for descriptor in (1, 2):
        os.dup2(opened, descriptor)
    os.close(opened)
    sys.argv = ["joinlog", name]
    from joinlog.command import main  # at home after the fork: with the environment that is the command's

    main([name], prog_name="joinlog")
