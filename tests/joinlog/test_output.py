"""`joinlog up` and all it starts, where nothing they say can be written: they go on, restart each other, and stop."""

from __future__ import annotations

import contextlib
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.conftest import SIGNING_KEY, free_port
from tests.processes import NO_TLS, START_SECONDS_MAX, descendants, environment, is_alive
from tests.signed_requests import SECRET, encode, read_payload_file, signed_headers
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("processes"), pytest.mark.timeout(300)]


def full_disk() -> int:
    """Every write fails with ENOSPC."""
    return os.open("/dev/full", os.O_WRONLY)


def reader_gone() -> int:
    """Every write fails with EPIPE."""
    reader, writer = os.pipe()
    os.close(reader)
    return writer


def reader_stopped() -> int:
    """Every write would wait for ever."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    with contextlib.suppress(BlockingIOError):
        while True:
            os.write(writer, b"." * 4096)
    os.set_blocking(writer, True)
    _held_open.append(reader)
    return writer


def closed() -> None:
    """There is no standard output and no standard error."""


ALONE = {"DATABASE_URL": "sqlite:///joinlog.db", "REDIS_URL": "redis://127.0.0.1:1/0", "SECRET_KEY": SIGNING_KEY}
_held_open: list[int] = []


@pytest.fixture(autouse=True)
def _close_readers() -> Iterator[None]:
    yield
    while _held_open:
        os.close(_held_open.pop())


def is_ready(port: int) -> bool:
    try:
        return (
            httpx2.get(f"http://127.0.0.1:{port}/readyz", timeout=3, trust_env=False, verify=NO_TLS).status_code == 200
        )
    except httpx2.HTTPError:
        return False


def instances(path: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        return int(connection.execute("SELECT count(*) FROM instance").fetchone()[0])


@contextmanager
def started(
    folder: Path, output: Callable[[], int | None], command: str, port: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A command whose output goes there; whatever it started is gone afterwards."""
    descriptor = output()
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "joinlog", command],
        cwd=folder,
        env=environment(
            PORT=str(port), ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, LOG_LEVEL="debug", **({} if command == "up" else ALONE)
        ),
        stdin=subprocess.DEVNULL,
        stdout=descriptor,
        stderr=descriptor,
        preexec_fn=None if descriptor is not None else _close_output,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        family = descendants(process.pid)
        if process.poll() is None:
            process.kill()
            process.wait()
        for pid in family:
            if is_alive(pid):
                os.kill(pid, signal.SIGKILL)
        if descriptor is not None:
            os.close(descriptor)


def deliver(port: int) -> int:
    """Post an event; returns the status."""
    body = encode(read_payload_file("webinar.started"))
    url = f"http://127.0.0.1:{port}/webhook"
    return httpx2.post(url, content=body, headers=signed_headers(body), trust_env=False, verify=NO_TLS).status_code


@pytest.mark.parametrize("output", [full_disk, reader_gone, closed])
def test_a_web_process_answers_though_no_line_can_be_written(
    output: Callable[[], int | None], tmp_path: Path, sqlite_url: str
) -> None:
    port = free_port()
    with started(tmp_path, output, "web", port) as web:
        wait_until(lambda: is_ready(port), "the web process", timeout_seconds=START_SECONDS_MAX)
        assert deliver(port) == 204
        web.send_signal(signal.SIGTERM)
        assert web.wait(30) == 0


def test_nothing_ends_because_a_line_cannot_be_written(tmp_path: Path) -> None:
    port = free_port()
    with started(tmp_path, reader_stopped, "up", port) as up:
        wait_until(
            lambda: is_ready(port) and len(children(up.pid)) == 3, "all to run", timeout_seconds=START_SECONDS_MAX
        )
        killed = children(up.pid)
        assert killed.keys() == {"web", "worker", "clock"}
        for pid in killed.values():
            os.kill(pid, signal.SIGKILL)
        wait_until(lambda: others(up.pid, killed) == 3, "three others", timeout_seconds=START_SECONDS_MAX)
        wait_until(lambda: is_ready(port), "the new web process", timeout_seconds=START_SECONDS_MAX)
        assert deliver(port) == 204
        wait_until(lambda: instances(tmp_path / "joinlog.db") == 1, "the instance", timeout_seconds=START_SECONDS_MAX)
        assert up.poll() is None
        up.send_signal(signal.SIGTERM)
        assert up.wait(30) == 0


def children(pid: int) -> dict[str, int]:
    """The processes that this one started, by name."""
    found: dict[str, int] = {}
    for child, line in descendants(pid).items():
        if (words := line.split()) and "joinlog" in words and words[-1] in ("web", "worker", "clock"):
            found.setdefault(words[-1], child)  # granian's own process is called like its parent, and comes after it
    return found


def others(pid: int, killed: dict[str, int]) -> int:
    """How many of the killed have a successor."""
    running = children(pid)
    return sum(1 for name, old in killed.items() if running.get(name, old) != old)


def _close_output() -> None:
    os.close(1)
    os.close(2)
