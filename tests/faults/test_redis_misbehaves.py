"""A real worker beside a Redis that hangs, lies or dies: the inbox is emptied, and nothing valid is dead."""

from __future__ import annotations

import signal
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from schema.store.database import Database
from schema.store.dialect import LOCK_SPACE, run
from schema.store.inbox import claim
from tests.conftest import SIGNING_KEY, RedisServer
from tests.inbox_to_tables import drain, keep_events, one, select
from tests.processes import Running, running
from tests.signed_requests import SECRET
from tests.stories import Json, Story
from tests.waiting import wait_until
from workers.apply import buckets_of, project
from workers.queue import QUEUE_NAME, WAITING_MAX, open_queue, ring

KEYS = (SIGNING_KEY.encode(),)
QUEUE_KEY = f"rq:queue:{QUEUE_NAME}"
JUNK_IDS = 20_000
BOMB_BYTES = 2**30
w = Story()


def crowd(size: int) -> list[Json]:
    return [w.person(60 + n / 1000, "joined", str(n), 60) for n in range(size)]


def states(database: Database) -> dict[str, int]:
    rows = select(database, "SELECT state, count(*) AS n FROM inbox_event GROUP BY state")
    return {row["state"]: row["n"] for row in rows}


def worker_on(folder: Path, database_url: str, redis_url: str) -> Any:
    variables = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SIGNING_KEY}
    return running(folder, "worker", **variables, ZOOM_WEBHOOK_SECRET_TOKEN=SECRET)


@pytest.fixture
def worker(tmp_path: Path, sqlite_url: str, own_redis_server: RedisServer) -> Iterator[Running]:
    """A worker that waits for a ring."""
    url = own_redis_server.url
    with worker_on(tmp_path, sqlite_url, url) as started, Redis.from_url(url) as redis:
        wait_until(lambda: redis.keys("rq:worker:*"), "the worker to listen", timeout_seconds=60)
        yield started
        own_redis_server.resume()


def bomb() -> bytes:
    packer = zlib.compressobj(9)
    piece = bytes(2**20)
    return b"".join(packer.compress(piece) for _ in range(BOMB_BYTES // 2**20)) + packer.flush()


def junk_ids(redis: Redis) -> None:
    redis.rpush(QUEUE_KEY, *(f"junk-{n}" for n in range(JUNK_IDS)))


def wrong_type(redis: Redis) -> None:
    redis.delete(QUEUE_KEY)
    redis.set(QUEUE_KEY, "no list")


def zip_bomb(redis: Redis) -> None:
    redis.hset("rq:job:bomb", mapping={"data": bomb(), "origin": QUEUE_NAME, "status": "queued"})
    redis.rpush(QUEUE_KEY, "bomb")


@pytest.mark.parametrize("spoil", [junk_ids, wrong_type, zip_bomb])
def test_whatever_redis_holds_the_inbox_is_emptied(
    spoil: Callable[[Redis], None], worker: Running, sqlite_database: Database, own_redis_server: RedisServer
) -> None:
    with Redis.from_url(own_redis_server.url) as redis:
        spoil(redis)
    keep_events(sqlite_database, crowd(20))
    wait_until(lambda: states(sqlite_database) == {"done": 20}, "the worker to look by itself")
    assert worker.stop() == 0


def test_a_redis_that_hangs_neither_stops_the_drain_nor_the_end_of_the_worker(
    worker: Running, sqlite_database: Database, own_redis_server: RedisServer
) -> None:
    own_redis_server.pause()
    keep_events(sqlite_database, crowd(20))
    wait_until(lambda: states(sqlite_database) == {"done": 20}, "the worker to look by itself")
    assert worker.stop() == 0


def test_a_ring_removes_what_is_no_queue_of_ours(redis_url: str) -> None:
    with Redis.from_url(redis_url) as redis:
        for spoil in (junk_ids, wrong_type):
            spoil(redis)
            assert ring(open_queue(redis, KEYS))
            assert redis.llen(QUEUE_KEY) == 1
        redis.delete(QUEUE_KEY)
        redis.rpush(QUEUE_KEY, *("job" for _ in range(WAITING_MAX)))
        assert not ring(open_queue(redis, KEYS))


def test_a_redis_that_dies_as_the_worker_is_told_to_stop_makes_no_event_dead(
    tmp_path: Path, postgres_url: str, postgres_database: Database, own_redis_server: RedisServer
) -> None:
    """The signal comes while a transaction waits for a meeting that the test holds."""
    events = crowd(5)
    keep_events(postgres_database, events)
    with worker_on(tmp_path, postgres_url, own_redis_server.url) as worker:
        with postgres_database.write() as holder:
            for bucket in sorted(meeting_buckets(postgres_database)):
                run(holder, "SELECT pg_advisory_xact_lock(?, ?)", (LOCK_SPACE, bucket))
            wait_until(lambda: waits_for_a_lock(postgres_database), "the worker's transaction", timeout_seconds=60)
            with Redis.from_url(own_redis_server.url) as redis:
                wait_until(lambda: redis.keys("rq:worker:*"), "the worker to listen", timeout_seconds=60)
            own_redis_server.stop()
            worker.process.terminate()
            wait_until(lambda: not has_pending_signal(worker.process.pid), "the signal to be delivered")
        assert worker.process.wait(30) == 0
    assert states(postgres_database) == {"done": 5}
    assert drain(postgres_database).total == 0
    assert one(postgres_database, "SELECT count(*) AS n FROM participant") == {"n": 5}


def meeting_buckets(database: Database) -> set[int]:
    with database.write() as connection:
        return buckets_of(fact for event in claim(connection, 100) for fact in project(event))


def has_pending_signal(pid: int) -> bool:
    """Whether a SIGTERM was sent to a process that it has not taken yet."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    pending = next(int(line.split()[1], 16) for line in lines if line.startswith("ShdPnd"))
    return bool(pending & 1 << (signal.SIGTERM - 1))


def waits_for_a_lock(database: Database) -> bool:
    waiting = "SELECT count(*) AS n FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
    return int(one(database, waiting)["n"]) > 0
