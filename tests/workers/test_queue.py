"""The doorbell: rings only if no drain waits, never costs a request anything, and carries nothing that could run."""

from __future__ import annotations

import pickle
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest
from itsdangerous import BadSignature
from prometheus_client import REGISTRY
from redis import Redis
from structlog.testing import capture_logs

from tests.conftest import RedisServer
from tests.waiting import wait_until
from workers import jobs, queue
from workers.jobs import DrainWorker
from workers.queue import ASK_JOB, DRAIN_JOB, QUEUE_NAME, Doorbell, SignedJson, call_teller, connect, open_queue, ring

KEYS = (b"older-key-of-this-installation", b"newest-key-of-this-installation")
PLANTED = "tests.untrusted_module"  # a module that nobody may import


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with connect(redis_url) as client:
        yield client


@pytest.fixture
def drains(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The drain of this process, which only counts."""
    counted: list[int] = []

    monkeypatch.setattr(jobs, "_rings", (lambda: counted.append(1), lambda: None, lambda: None))
    return counted


def work_off(redis_url: str, monkeypatch: pytest.MonkeyPatch, keys: tuple[bytes, ...] = KEYS) -> None:
    """Run everything that is queued, as a worker does, and return."""
    worker = DrainWorker(redis_url, keys)
    monkeypatch.setattr(worker, "_install_signal_handlers", lambda: None)
    worker.work(burst=True, logging_level="CRITICAL")
    worker.connection.close()


# --- ringing ----------------------------------------------------------------------------------------------------


def test_rings_only_when_no_drain_waits(redis: Redis) -> None:
    bell = open_queue(redis, KEYS)
    assert ring(bell)
    assert not ring(bell)
    assert bell.count == 1


def test_rings_again_once_the_waiting_drain_has_started(redis: Redis) -> None:
    bell = open_queue(redis, KEYS)
    ring(bell)
    assert redis.lpop(bell.key) is not None  # a worker took it, and may have had its last empty look
    assert ring(bell)


def test_rings_after_a_drain_that_failed_and_after_one_that_succeeded(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    bell = open_queue(redis, KEYS)

    def fail() -> int:
        raise OSError("the database is away")

    for drain in (fail, lambda: 1):
        monkeypatch.setattr(jobs, "_rings", (drain, lambda: None, lambda: None))
        assert ring(bell)
        work_off(redis_url, monkeypatch)
        assert bell.count == 0
    assert ring(bell)


def test_a_ring_makes_a_worker_drain(
    redis: Redis, redis_url: str, drains: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    ring(open_queue(redis, KEYS))
    work_off(redis_url, monkeypatch)
    assert drains == [1]


def test_a_worker_whose_drain_was_not_prepared_says_how_to_start_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "_rings", None)
    with pytest.raises(RuntimeError, match="joinlog worker"):
        jobs.drain()


def test_every_job_has_the_inbox_drained_too_because_nobody_rings_while_it_waits(
    redis: Redis, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[str] = []
    monkeypatch.setattr(jobs, "_rings", tuple(partial(heard.append, name) for name in ("drain", "tell", "ask")))
    bell = open_queue(redis, KEYS)
    call_teller(bell)
    assert not ring(bell)
    ring(bell, ASK_JOB)
    work_off(redis_url, monkeypatch)
    assert heard == ["tell", "drain", "ask", "drain"]


def test_while_redis_is_away_calling_for_a_teller_is_no_failure() -> None:
    call_teller(open_queue(connect("redis://127.0.0.1:1/0"), KEYS))


def test_a_request_never_waits_for_redis(redis_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    may_go = threading.Event()
    rung: list[str] = []

    def stuck(_queue: Any) -> bool:
        rung.append(threading.current_thread().name)
        return may_go.wait(20)

    monkeypatch.setattr(queue, "ring", stuck)
    bell = Doorbell(redis_url, KEYS)
    for _ in range(1000):
        bell.ring()  # returns although Redis does not
    wait_until(lambda: rung, "the doorbell's own thread to ring")
    may_go.set()
    bell.close()
    assert set(rung) == {"doorbell"}
    assert len(rung) <= 2


def failures() -> float:
    return REGISTRY.get_sample_value("joinlog_doorbell_failures_total") or 0.0


def test_an_outage_is_logged_once_and_counted_and_the_ring_is_made_up_for(own_redis_server: RedisServer) -> None:
    own_redis_server.stop()
    before = failures()
    with capture_logs() as lines:
        bell = Doorbell(own_redis_server.url, KEYS, pause_seconds=0.02)
        bell.ring()
        wait_until(lambda: failures() >= before + 4, "several attempts")
        own_redis_server.start()
        wait_until(lambda: bell.is_answered, "the doorbell to be back")
        with connect(own_redis_server.url) as client:
            wait_until(lambda: open_queue(client, KEYS).count == 1, "the ring that was missed")
        own_redis_server.stop()
        bell.ring()
        wait_until(lambda: not bell.is_answered, "the second outage to be noticed")
        bell.close()
    events = [line["event"] for line in lines]
    assert events == ["doorbell_silent", "doorbell_back", "doorbell_silent"]
    assert own_redis_server.url not in str(lines)


def test_while_redis_is_down_one_attempt_takes_no_longer_than_its_limit(own_redis_server: RedisServer) -> None:
    own_redis_server.stop()
    with connect(own_redis_server.url) as client:
        pool = client.connection_pool
        assert pool.connection_kwargs["socket_timeout"] == queue.REDIS_SECONDS_MAX
        assert pool.connection_kwargs["socket_connect_timeout"] == queue.REDIS_SECONDS_MAX
        attempts: list[int] = []
        connection = pool.make_connection()
        connection.retry.call_with_retry(lambda: attempts.append(1), lambda _error: None)
        with pytest.raises(OSError, match="down"):
            connection.retry.call_with_retry(lambda: _down(attempts), lambda _error: None)
        assert len(attempts) == 2  # no second try


def _down(attempts: list[int]) -> None:
    attempts.append(1)
    raise OSError("down")


def test_a_bell_that_was_never_rung_closes(redis_url: str) -> None:
    Doorbell(redis_url, KEYS).close()


# --- what a job may be ------------------------------------------------------------------------------------------


def test_what_is_queued_is_signed_json(redis: Redis) -> None:
    bell = open_queue(redis, KEYS)
    ring(bell)
    data = redis.hget(f"rq:job:{waiting_job(redis)}", "data")
    assert isinstance(data, bytes)
    data = zlib.decompress(data)
    assert DRAIN_JOB.encode() in data
    assert SignedJson(KEYS).loads(data) == SignedJson(KEYS).loads(SignedJson(KEYS).dumps([DRAIN_JOB, None, [], {}]))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b'["os.system",null,["true"],{}]',
        b'["workers.jobs.drain",null,[],{}].forged',
        pickle.dumps(("os.system", None, ("true",), {})),
        zlib.compress(pickle.dumps(("os.system", None, ("true",), {}))),
    ],
)
def test_what_these_keys_did_not_sign_is_not_read(data: bytes) -> None:
    with pytest.raises(BadSignature):
        SignedJson(KEYS).loads(data)


def test_a_key_that_was_rotated_out_still_reads_and_the_newest_signs() -> None:
    assert SignedJson(KEYS).loads(SignedJson(KEYS[:1]).dumps([1])) == [1]
    assert SignedJson(KEYS[1:]).loads(SignedJson(KEYS).dumps([1])) == [1]
    with pytest.raises(BadSignature):
        SignedJson(KEYS[:1]).loads(SignedJson(KEYS).dumps([1]))


def waiting_job(redis: Redis) -> str:
    """The id of the one job that waits."""
    (job_id,) = redis.lrange(f"rq:queue:{QUEUE_NAME}", 0, -1)
    assert isinstance(job_id, bytes)
    return job_id.decode()


def plant(redis: Redis, fields: Mapping[Any, Any]) -> None:
    """Put a job into Redis as somebody who can write to it would."""
    ring(open_queue(redis, KEYS))
    redis.hset(f"rq:job:{waiting_job(redis)}", mapping=fields)


@pytest.mark.parametrize(
    "data",
    [
        b'["tests.untrusted_module.explode",null,[],{}]',
        zlib.compress(b'["tests.untrusted_module.explode",null,[],{}]'),
        pickle.dumps(("tests.untrusted_module.explode", None, (), {})),
        SignedJson([b"another installation"]).dumps(["tests.untrusted_module.explode", None, [], {}]),
        SignedJson([b"another installation"]).dumps([DRAIN_JOB, None, [], {}]),
        SignedJson(KEYS).dumps(["tests.untrusted_module.explode", None, [], {}]),
        SignedJson(KEYS).dumps([DRAIN_JOB, None, ["argument"], {}]),
    ],
)
def test_a_planted_job_runs_nothing_and_imports_nothing(
    data: bytes, redis: Redis, redis_url: str, drains: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(redis, {"data": data})
    work_off(redis_url, monkeypatch)
    assert PLANTED not in sys.modules
    assert drains == []
    assert open_queue(redis, KEYS).count == 0


@pytest.mark.parametrize(
    "field",
    ["success_callback_name", "failure_callback_name", "stopped_callback_name", "exc_handler", "webhook_url"],
)
def test_a_callback_planted_beside_a_signed_job_is_not_looked_at(
    field: str, redis: Redis, redis_url: str, drains: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(redis, {field: "tests.untrusted_module.explode", "result_ttl": "-1", "repeats_left": "5", "timeout": "0"})
    work_off(redis_url, monkeypatch)
    assert PLANTED not in sys.modules
    assert drains == [1]


def test_after_a_planted_job_the_next_ring_is_answered(
    redis: Redis, redis_url: str, drains: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(redis, {"data": b"garbage"})
    work_off(redis_url, monkeypatch)
    ring(open_queue(redis, KEYS))
    work_off(redis_url, monkeypatch)
    assert drains == [1]
