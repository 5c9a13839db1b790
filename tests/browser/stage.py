"""The product itself, running: web process and worker on a port, with Zoom's events posted to its front door."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2

from joinlog.fakezoom import demo_world
from schema.migrate import migrate
from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import read_envelope
from tests.conftest import SIGNING_KEY, free_port
from tests.processes import START_SECONDS_MAX
from tests.signed_requests import SECRET, Event, encode, signed_headers
from tests.waiting import wait_until
from webhook.tokens import Pass, Role, Tokens, new_pass

DEMO_SEED = 7


class Stage:
    """A web process and a worker over one database and one Redis; `close` ends both."""

    def __init__(self, folder: Path, database_url: str, redis_url: str, log: Path, *, is_demo: bool = False) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.database = Database(database_url)
        migrate(self.database)
        self.tokens = Tokens([SIGNING_KEY.encode()])
        self.client = httpx2.Client(base_url=self.url, timeout=10)
        environment = {
            **{name: value for name, value in os.environ.items() if name in ("PATH", "HOME", "LANG")},
            "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET,
            "DATABASE_URL": database_url,
            "REDIS_URL": redis_url,
            "SECRET_KEY": SIGNING_KEY,
            "PORT": str(self.port),
            "PYTHONPATH": os.environ.get("JOINLOG_SOURCE") or str(Path(__file__).parent.parent.parent),
            "LOG_FORMAT": "json",
            "JOINLOG_DEMO": str(int(is_demo)),
        }
        self._log = log.open("wb")
        self._processes = [
            subprocess.Popen(
                [sys.executable, "-m", "joinlog", name],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stderr=self._log,
            )
            for name in ("web", "worker")
        ]
        wait_until(self._is_ready, "the web process to be ready", timeout_seconds=START_SECONDS_MAX)

    def _is_ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx2.TransportError:
            return False

    def post(self, *events: Event | bytes) -> None:
        """Deliver events as Zoom does, one after the other; each is kept when this returns."""
        for event in events:
            body = encode(event)
            assert self.client.post("/webhook", content=body, headers=signed_headers(body)).status_code in (200, 204)

    def keep_world(self, now: datetime, seed: int = DEMO_SEED, until: timedelta = timedelta(minutes=14)) -> None:
        """Put the demo's world into the inbox, as far as it happened `until` after its live webinar began."""
        self.keep([e.event for e in demo_world(now, seed).emissions if e.at <= now + until], timedelta(minutes=-1))
        self.settle()

    def keep(self, events: Sequence[Event], arrived: timedelta = timedelta(0)) -> None:
        """Put many events into the inbox at once, as if their deliveries had been kept in one commit; rings once."""
        kept_at = datetime.now(UTC)
        first_id = int((kept_at + arrived).timestamp() * 1_000_000)
        arrivals = [
            Arrival(first_id + n, read_envelope(encode(event)), kept_at, None) for n, event in enumerate(events)
        ]
        keep(self.database, arrivals)
        self.post(events[0])  # a repeat: it only rings for the worker

    def settle(self) -> None:
        """Wait until the worker has brought everything into the tables."""
        wait_until(lambda: self.count("SELECT count(*) FROM inbox_event WHERE state = 'pending'") == 0, "the drain")

    def count(self, query: str) -> int:
        """The one number a query finds."""
        with self.database.read() as connection:
            return int(connection.exec_driver_sql(query).scalar_one())

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """What a query finds."""
        with self.database.read() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def grant(self, role: Role = Role.OPERATOR, meeting_id: int | None = None, hours: float = 8) -> Pass:
        """A pass for a new link."""
        return new_pass(role, timedelta(hours=hours), datetime.now(UTC), meeting_id)

    def link(self, granted: Pass) -> str:
        """The link of a pass, as `joinlog access grant` prints it."""
        return f"{self.url}/enter#{self.tokens.sign_link(granted)}"

    def close(self) -> None:
        """End both processes."""
        self.client.close()
        self.database.close()
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._log.close()


def page_paths(stage: Stage) -> Iterable[tuple[str, str]]:
    """Name and path of every kind of page."""
    from schema.addresses import account_part, instance_url, meeting_url, occurrence_url

    account, meeting_id, uuid = stage.rows(
        "SELECT account_id, meeting_id, uuid FROM participant GROUP BY account_id, meeting_id, uuid "
        "ORDER BY count(*) - 1000 * count(left_at) / count(*) DESC LIMIT 1"
    )[0]
    (event_id,) = stage.rows("SELECT max(id) FROM inbox_event WHERE event_type LIKE '%participant_joined'")[0]
    yield "live", "/"
    yield "meetings", "/meetings"
    yield "meeting", meeting_url(account, meeting_id)
    (occurrence,) = stage.rows(
        f"SELECT occurrence_id FROM occurrence WHERE meeting_id = {meeting_id} AND instances > 0 ORDER BY 1 LIMIT 1"
    )[0]
    yield "occurrence", f"{occurrence_url(account, meeting_id, occurrence)}?who=all&min_minutes=20"
    yield "series", f"{meeting_url(account, meeting_id)}/series"
    yield "instance", instance_url(account, uuid)
    yield "inbox", "/inbox"
    yield "event", f"/inbox/{account_part(account)}/{event_id}"
    yield "health", "/health"
    yield "connect", "/connect"
