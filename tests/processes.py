"""Joinlog's own processes, started for a test in a folder of its own, and none of them left behind."""

from __future__ import annotations

import os
import pty
import select
import signal
import ssl
import subprocess
import sys
import tty
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx2

from tests import prepared
from tests.conftest import free_port
from tests.signed_requests import SECRET, encode, signed_headers
from tests.waiting import wait_until

OUR_VARIABLES = frozenset(
    {"ZOOM_WEBHOOK_SECRET_TOKEN", "DATABASE_URL", "REDIS_URL", "SECRET_KEY", "PORT", "HOST", "PUBLIC_URL"}
)
START_SECONDS_MAX = 60.0  # four processes that import at once, on a machine that does other things as well
ROOT = Path(__file__).parent.parent
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""For clients of plain HTTP, as their `verify`: else each reads all certificates of this machine, which takes 25 ms."""


def environment(**variables: str) -> dict[str, str]:
    """The environment of a process: ours without Joinlog's settings, and these."""
    kept = {name: value for name, value in os.environ.items() if name not in OUR_VARIABLES}
    return kept | {"PYTHONPATH": str(ROOT)} | variables


def joinlog(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a command to its end."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "joinlog", *arguments],
        cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


class Running:
    """A process of Joinlog in the background."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self.port = int(variables.setdefault("PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self.output_file = folder / f"{'-'.join(arguments)}.log"
        self.process: subprocess.Popen[bytes] | prepared.Prepared
        if arguments[0] in prepared.COMMANDS:
            (name,) = arguments
            self.output_file.touch()
            self.process = prepared.start_command(folder, self.output_file, environment(**variables), name)
            return
        with self.output_file.open("ab") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "joinlog", *arguments],
                cwd=folder, env=environment(**variables), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, start_new_session=True,
            )  # fmt: skip

    @property
    def output(self) -> str:
        """What it wrote so far."""
        return self.output_file.read_text()

    def says(self, text: str, times: int = 1) -> None:
        """Wait until it wrote this."""
        wait_until(
            lambda: self.output.count(text) >= times or self.process.poll() is not None,
            f"{text!r}",
            timeout_seconds=START_SECONDS_MAX,
        )
        assert self.output.count(text) >= times, self.output

    def is_ready(self) -> bool:
        """Whether the web process says so."""
        return self._is_well("/readyz")

    def is_listening(self) -> bool:
        """Whether the web process answers, be its database there or not."""
        return self._is_well("/healthz")

    def _is_well(self, path: str) -> bool:
        try:
            return httpx2.get(f"{self.url}{path}", timeout=2, trust_env=False, verify=NO_TLS).status_code == 200
        except httpx2.HTTPError:
            return False

    def post(self, event: Any, secret: str = SECRET) -> int:
        """Deliver an event, signed; returns the status."""
        body = encode(event)
        headers = signed_headers(body, secret=secret)
        return httpx2.post(
            f"{self.url}/webhook", content=body, headers=headers, timeout=5, trust_env=False, verify=NO_TLS
        ).status_code

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask it to end; returns its exit code."""
        self.process.send_signal(number)
        return self.process.wait(30)


class OnATerminal(Running):
    """A process whose input and output are a terminal, as where somebody types."""

    def __init__(self, folder: Path, *arguments: str, **variables: str) -> None:
        self._terminal, inner = pty.openpty()
        tty.setraw(inner)  # nothing is echoed, and a line ends as it was written
        self.port = int(variables.setdefault("PORT", str(free_port())))
        self.url = f"http://127.0.0.1:{self.port}"
        self._seen = b""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "joinlog", *arguments],
            cwd=folder, env=environment(**variables, TERM="dumb", NO_COLOR="1"), stdin=inner, stdout=inner,
            stderr=inner, start_new_session=True,
        )  # fmt: skip
        os.close(inner)

    @property
    def output(self) -> str:
        """What it wrote so far."""
        while select.select([self._terminal], [], [], 0)[0]:
            try:
                data = os.read(self._terminal, 65_536)
            except OSError:  # nobody has the other end any more
                break
            self._seen += data
        return self._seen.decode()

    def lines(self) -> list[str]:
        """What it wrote so far, without empty lines."""
        return [line.rstrip() for line in self.output.splitlines() if line.strip()]

    def press_enter(self) -> None:
        """Press Enter."""
        os.write(self._terminal, b"\n")

    def close(self) -> None:
        """Close the terminal."""
        os.close(self._terminal)


@contextmanager
def on_a_terminal(folder: Path, *arguments: str, **variables: str) -> Iterator[OnATerminal]:
    """A process on a terminal for the length of a test; whatever it started is gone afterwards."""
    process = OnATerminal(folder, *arguments, **variables)
    try:
        yield process
    finally:
        end_family(process)
        process.close()


@contextmanager
def running(folder: Path, *arguments: str, **variables: str) -> Iterator[Running]:
    """A process for the length of a test; whatever it started is gone afterwards."""
    process = Running(folder, *arguments, **variables)
    try:
        yield process
    finally:
        end_family(process)


def end_family(process: Running) -> None:
    """Kill a process and all it started."""
    family = descendants(process.process.pid)
    if process.process.poll() is None:
        process.process.kill()
        process.process.wait()
    for pid in family:
        if is_alive(pid):
            with suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)


def descendants(pid: int) -> dict[int, str]:
    """The processes below this one, with their command lines."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _read(entry / "stat")):
            parents[int(entry.name)] = int(stat.rpartition(")")[2].split()[1])
    found: list[int] = [pid]
    for parent in found:
        found += [child for child, of in parents.items() if of == parent]
    return {child: _read(Path(f"/proc/{child}/cmdline")).replace("\0", " ") for child in found[1:]}


def is_alive(pid: int) -> bool:
    """Whether a process runs; a zombie does not."""
    stat = _read(Path(f"/proc/{pid}/stat"))
    return bool(stat) and stat.rpartition(")")[2].split()[0] != "Z"


def child_named(pid: int, name: str) -> int:
    """The process below this one whose command line ends with this word, and whose parent's does not."""
    return next(child for child, line in descendants(pid).items() if line.split()[-1:] == [name])


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
