"""Real processes, killed and cut off in mid-stream: what was answered 2xx is in the tables, exactly once."""

from __future__ import annotations

import os
import queue
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import httpx2
import pytest

from schema.settings import Settings
from schema.store.database import Database
from tests.conftest import SIGNING_KEY, PostgresServer, RedisServer, free_port
from tests.inbox_to_tables import one, select
from tests.prepared import Prepared, start_command
from tests.processes import NO_TLS
from tests.signed_requests import SECRET, encode, signed_headers
from tests.stories import Json, Story
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

START_SECONDS_MAX = 60.0
SENDERS = 4
ANSWER_SECONDS_MAX = 3.0
PAUSE_SECONDS = 0.02


class Installation:
    """Joinlog's own processes, as a hosting service starts them, on the database and Redis of a test."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {name: value for name, value in os.environ.items() if name.lower() not in Settings.model_fields}
        self._environment = inherited | {
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET,
            "SECRET_KEY": SIGNING_KEY,
            "PORT": str(self.port),
            "DRAIN_BATCH_EVENTS": "7",  # many small transactions: more moments to die in
            "LOG_FORMAT": "json",
        }
        self._running: dict[str, Prepared] = {}

    def start(self, *names: str) -> None:
        """Start `joinlog web` and `joinlog worker`; returns when the web process would take an event."""
        for name in names:
            self._running[name] = start_command(self._folder, self._folder / f"{name}.log", self._environment, name)
        if "web" in names:
            wait_until(self._is_ready, f"{self.url}/readyz; {self.said('web')}", timeout_seconds=START_SECONDS_MAX)

    def _is_ready(self) -> bool:
        try:
            return httpx2.get(f"{self.url}/readyz", trust_env=False, verify=NO_TLS).status_code == 200
        except httpx2.HTTPError:
            return False

    def kill(self, *names: str) -> None:
        """kill -9, without a warning."""
        for name in names:
            process = self._running.pop(name)
            process.kill()
            process.wait()

    def stop(self) -> None:
        """End whatever still runs, as a hosting service would, and see it go."""
        for process in self._running.values():
            process.terminate()
        for name, process in self._running.items():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                raise AssertionError(f"{name} did not stop on SIGTERM; {self.said(name)}") from None

    def said(self, name: str) -> str:
        """The log of a process."""
        path = self._folder / f"{name}.log"
        return path.read_text(errors="replace")[-2000:] if path.exists() else "it has said nothing"


class Stream:
    """Zoom: several connections that deliver events, and come back with those that were not answered 2xx."""

    def __init__(self, url: str, events: Sequence[Json]) -> None:
        self._url = f"{url}/webhook"
        self._left: queue.SimpleQueue[Json] = queue.SimpleQueue()
        for event in events:
            self._left.put(event)
        self._size = len(events)
        self._guard = threading.Lock()
        self._halted = threading.Event()
        self.acknowledged = 0
        self.refused = 0
        self._threads = [threading.Thread(target=self._send) for _ in range(SENDERS)]

    def start(self) -> None:
        """Begin to deliver."""
        for thread in self._threads:
            thread.start()

    def _send(self) -> None:
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=ANSWER_SECONDS_MAX) as client:
            while not self._halted.is_set() and self.acknowledged < self._size:
                try:
                    event = self._left.get(timeout=PAUSE_SECONDS)
                except queue.Empty:
                    continue
                if not self._deliver(client, event):
                    self._left.put(event)
                    self._halted.wait(PAUSE_SECONDS)

    def _deliver(self, client: httpx2.Client, event: Json) -> bool:
        body = encode(event)
        try:
            is_taken = client.post(self._url, content=body, headers=signed_headers(body)).status_code == 204
        except httpx2.HTTPError:
            is_taken = False
        with self._guard:
            self.acknowledged += is_taken
            self.refused += not is_taken
        return is_taken

    def wait_for(self, share: float) -> None:
        """Return once so many of the events are acknowledged."""
        wanted = int(self._size * share)
        wait_until(lambda: self.acknowledged >= wanted, f"{wanted} acknowledged events", timeout_seconds=90)

    def halt(self) -> None:
        """Deliver no more."""
        self._halted.set()
        for thread in self._threads:
            thread.join()


def crowd(size: int) -> list[Json]:
    """So many people who join one instance."""
    story = Story()
    return [story.person(60 + n / 1000, "joined", str(n), 60) for n in range(size)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "installation"
    made.mkdir()
    return made


@pytest.fixture
def installation(folder: Path, database_url: str, own_redis_server: RedisServer) -> Iterator[Installation]:
    """Web and worker on this test's database, running."""
    made = Installation(folder, database_url, own_redis_server.url)
    try:
        made.start("web", "worker")
        yield made
    finally:
        made.stop()


def assert_exactly_once(database: Database, events: Sequence[Json]) -> None:
    """Everything that was answered 2xx is in the tables, once; waits until nothing is pending."""
    size = len(events)

    def is_settled() -> bool:
        states = select(database, "SELECT state, count(*) AS n FROM inbox_event GROUP BY state")
        return [(row["state"], row["n"]) for row in states] == [("done", size)]

    wait_until(is_settled, f"{size} done events", timeout_seconds=60)
    assert one(database, "SELECT count(*) AS n FROM join_log WHERE kind = 'joined'") == {"n": size}
    stays = select(database, "SELECT connection_id, joined_at FROM participant")
    assert len(stays) == size
    assert {row["connection_id"] for row in stays} == {str(n) for n in range(size)}


def test_kill_9_of_web_and_worker_in_mid_stream_loses_nothing_and_doubles_nothing(
    installation: Installation, database: Database
) -> None:
    events = crowd(600)
    stream = Stream(installation.url, events)
    stream.start()
    try:
        stream.wait_for(0.2)
        installation.kill("worker")
        stream.wait_for(0.35)
        installation.start("worker")
        installation.kill("web")
        installation.start("web")
        stream.wait_for(0.7)
        installation.kill("web", "worker")
        installation.start("web", "worker")
        stream.wait_for(1)
    finally:
        stream.halt()
    assert stream.refused > 0, "the stream never noticed that somebody was killed"
    assert_exactly_once(database, events)


def test_redis_stopped_and_started_in_mid_stream_costs_no_answer_and_no_event(
    folder: Path, sqlite_url: str, own_redis_server: RedisServer
) -> None:
    events = crowd(400)
    installation = Installation(folder, sqlite_url, own_redis_server.url)
    database = Database(sqlite_url)
    try:
        installation.start("web", "worker")
        stream = Stream(installation.url, events)
        stream.start()
        try:
            stream.wait_for(0.2)
            own_redis_server.stop()
            stream.wait_for(0.6)
            own_redis_server.start()
            stream.wait_for(1)
        finally:
            stream.halt()
        assert stream.refused == 0
        assert_exactly_once(database, events)
    finally:
        installation.stop()
        database.close()


def test_postgres_restarted_in_mid_stream_is_503_for_a_while_and_loses_nothing(
    folder: Path, own_postgres: PostgresServer, own_redis_server: RedisServer
) -> None:
    events = crowd(400)
    url = own_postgres.create()
    installation = Installation(folder, url, own_redis_server.url)
    try:
        installation.start("web", "worker")
        stream = Stream(installation.url, events)
        stream.start()
        try:
            stream.wait_for(0.3)
            own_postgres.restart()
            stream.wait_for(1)
        finally:
            stream.halt()
        database = Database(url)
        try:
            assert_exactly_once(database, events)
        finally:
            database.close()
    finally:
        installation.stop()


def test_the_real_server_answers_chunked_oversized_and_broken_bodies(folder: Path, sqlite_url: str) -> None:
    """Over a socket, with a database of its own: the same answers as in test_intake."""
    installation = Installation(folder, sqlite_url, "redis://127.0.0.1:1/0")
    body = encode(crowd(1)[0])
    url = f"{installation.url}/webhook"
    try:
        installation.start("web")
        with httpx2.Client(trust_env=False, verify=NO_TLS, timeout=10) as client:
            pieces = (body[place : place + 100] for place in range(0, len(body), 100))
            assert client.post(url, content=pieces, headers=signed_headers(body)).status_code == 204
            assert client.post(url, content=body, headers=signed_headers(body, secret="wrong")).status_code == 503
            assert client.get(url).status_code == 405
            large = body + b" " * (1024 * 1024)
            assert client.post(url, content=large, headers=signed_headers(large)).status_code == 413
            odd = {
                b"x-zm-signature": "v0=é".encode(),
                b"x-zm-request-timestamp": b"\xff",
                b"content-type": b"application/json",
            }
            assert client.post(url, content=body, headers=odd).status_code == 401
            assert client.get(f"{installation.url}/healthz").status_code == 200
    finally:
        installation.stop()
