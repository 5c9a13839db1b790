"""The secret is rotated in Zoom, and Joinlog learns the new one half an hour later: no event is lost."""

from __future__ import annotations

import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest

from joinlog.fakezoom import MIXES, NO_FAULTS, Pace, Rotation, Stats, generate, plan, play
from schema.store.database import Database
from tests.conftest import SIGNING_KEY, RedisServer, free_port
from tests.inbox_to_tables import select
from tests.processes import running
from tests.waiting import wait_until

pytestmark = pytest.mark.faults

OLD, NEW = "old-secret-token", "new-secret-token"
TIME_SCALE = 400.0  # retries after 0.75, 3 and 9 s instead of 5, 20 and 60 minutes


def test_a_rotated_secret_that_is_set_in_time_costs_no_event(
    sqlite_url: str, sqlite_database: Database, own_redis_server: RedisServer, tmp_path: Path
) -> None:
    world = generate(3, 1, MIXES["usual"], start=datetime(2026, 3, 2, 8, tzinfo=UTC), audience=(2, 4))
    planned = plan(world.emissions, NO_FAULTS, 3)
    moment = planned[len(planned) // 2].at
    before = sum(1 for attempt in planned if attempt.at < moment)
    port = free_port()
    variables = {
        "DATABASE_URL": sqlite_url, "REDIS_URL": own_redis_server.url, "SECRET_KEY": SIGNING_KEY, "PORT": str(port),
    }  # fmt: skip
    told: list[Stats] = []

    def deliver() -> None:
        url = f"http://127.0.0.1:{port}/webhook"
        pace = Pace(speed=None, time_scale=TIME_SCALE)
        told.append(play(planned, url=url, secret=OLD, pace=pace, rotations=[Rotation(moment, NEW)]))

    def kept() -> int:
        return int(select(sqlite_database, "SELECT count(*) AS n FROM inbox_event")[0]["n"])

    with running(tmp_path, "web", ZOOM_WEBHOOK_SECRET_TOKEN=OLD, **variables) as web:
        wait_until(web.is_ready, "the web process")
        zoom = threading.Thread(target=deliver)
        zoom.start()
        wait_until(lambda: kept() == before, "everything signed with the old secret")
        web.says("unknown_secret")
        assert web.stop() == 0
    with running(tmp_path, "web", ZOOM_WEBHOOK_SECRET_TOKEN=f"{NEW},{OLD}", **variables):
        zoom.join(60)
    (stats,) = told
    assert stats.failures["answered 503"] > 0
    assert (stats.refused, stats.given_up, stats.lost) == (0, 0, {})
    assert kept() == len({attempt.emission for attempt in planned})
