"""The disk that holds database and logs is full: 503, never 500; whole, and going on, once there is room."""

from __future__ import annotations

import contextlib
import os
import resource
import sqlite3
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from schema.migrate import migrate
from schema.store.database import Database
from tests.conftest import RedisServer
from tests.faults.test_faults import ANSWER_SECONDS_MAX, Installation, assert_exactly_once, crowd
from tests.page_client import TOKENS
from tests.processes import NO_TLS, descendants
from tests.signed_requests import encode, signed_headers
from tests.stories import Json
from tests.waiting import wait_until
from webhook.tokens import Role, new_pass

pytestmark = [pytest.mark.faults, pytest.mark.skipif(sys.platform != "linux", reason="tmpfs and prlimit are Linux's")]

DISK = "16m"
PAGES = ("/healthz", "/readyz", "/", "/meetings", "/inbox", "/health", "/live?after=")


class Disk:
    """A folder on a disk of its own, which the test fills."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self) -> None:
        """Leave no byte free."""
        with (self.folder / "filler").open("ab", buffering=0) as filler, contextlib.suppress(OSError):
            while True:
                filler.write(b"." * 4096)

    def free(self) -> None:
        """Make room again."""
        (self.folder / "filler").unlink()


class Quota(Disk):
    """The same for whoever may not mount: the processes of the test may not make any file longer."""

    def fill(self) -> None:
        """No byte more for any of them."""
        self._limit(0)

    def free(self) -> None:
        """As much as they like."""
        self._limit(resource.RLIM_INFINITY)

    def _limit(self, size: int) -> None:
        for pid in descendants(os.getpid()):
            with contextlib.suppress(ProcessLookupError):
                resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@pytest.fixture(params=["tmpfs", "quota"])
def disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Disk]:
    """A small disk, by both ways of being full."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if request.param == "quota":
        yield Quota(folder)
        return
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "joinlog-test", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {mounted.stderr.decode().strip()}")
    try:
        yield Disk(folder)
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def post(client: httpx2.Client, url: str, event: Json) -> int:
    body = encode(event)
    return client.post(f"{url}/webhook", content=body, headers=signed_headers(body)).status_code


def test_a_disk_full_of_database_and_logs_is_503_and_recovers_by_itself(
    disk: Disk, own_redis_server: RedisServer
) -> None:
    path = disk.folder / "joinlog.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    installation = Installation(disk.folder, f"sqlite:///{path}", own_redis_server.url)
    link = TOKENS.sign_link(new_pass(Role.OPERATOR, timedelta(hours=1), datetime.now(UTC)))
    events = crowd(400)
    left = deque(events)

    def deliver(client: httpx2.Client, count: int) -> set[int]:
        """Post so many times, like Zoom again what was not taken."""
        statuses = set()
        for event in list(left)[:count]:
            statuses.add(status := post(client, installation.url, event))
            if status == 204:
                left.remove(event)
        return statuses

    try:
        installation.start("web", "worker")
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=2 * ANSWER_SECONDS_MAX) as client:
            assert deliver(client, 50) == {204}
            disk.fill()
            wait_until(lambda: 503 in deliver(client, 1), "the disk to be full")
            assert deliver(client, 100) <= {204, 503}
            for page in PAGES:
                answer = client.get(f"{installation.url}{page}", headers={"Authorization": f"Bearer {link}"})
                assert answer.status_code in (200, 503), (page, answer.status_code)
            disk.free()
            wait_until(lambda: deliver(client, 1) == {204}, "an answer of 204 once there is room")
            assert deliver(client, len(left)) <= {204, 503}  # 503: a commit that took longer than Zoom waits
            wait_until(lambda: deliver(client, len(left)) == set(), "everything to be taken", timeout_seconds=60)
        assert not left
        assert_exactly_once(database, events)
    finally:
        installation.stop()
        database.close()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
