"""The worker, the web process and the clock alone, as a hosting service starts them."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import threading
import time
from pathlib import Path
from typing import Any, ClassVar

import pytest
from redis import Redis

from schema.store.database import Database
from tests.conftest import SIGNING_KEY, RedisServer
from tests.inbox_to_tables import keep_events, select
from tests.processes import Running, descendants, is_alive, joinlog, running
from tests.signed_requests import SECRET, read_payload_file
from tests.waiting import wait_until
from workers import jobs
from workers.queue import DRAIN_JOB, SignedJson, connect, open_queue, ring

REFUSED_JOBS = ("pickled", "unsigned", "tampered", "other", "arguments")

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("processes")]


class Trap:
    """Unpickled, it leaves a file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def __reduce__(self) -> Any:
        return os.system, (f"touch {self._path}",)


def put_job(client: Redis, name: str, **fields: Any) -> None:
    """What anybody who can write to Redis can do."""
    usual = {"created_at": "2026-01-01T00:00:00.000000Z", "origin": "joinlog", "status": "queued"}
    client.hset(f"rq:job:{name}", mapping=usual | fields)
    client.rpush("rq:queue:joinlog", name)


def settled(database: Database) -> int:
    return int(select(database, "SELECT count(*) AS n FROM inbox_event WHERE state = 'done'")[0]["n"])


def test_a_worker_runs_nothing_but_the_drain_survives_redis_and_ends_cleanly(
    sqlite_url: str, sqlite_database: Database, own_redis_server: RedisServer, tmp_path: Path
) -> None:
    keep_events(sqlite_database, [read_payload_file("webinar.started")])
    variables = {"DATABASE_URL": sqlite_url, "REDIS_URL": own_redis_server.url, "SECRET_KEY": SIGNING_KEY}
    with running(tmp_path, "worker", **variables) as worker:
        wait_until(lambda: settled(sqlite_database) == 1, "the drain at the start, without a ring")
        _a_hostile_redis_makes_it_run_nothing(own_redis_server, tmp_path, worker)
        own_redis_server.stop()
        keep_events(sqlite_database, [read_payload_file("webinar.ended")])
        worker.says("redis_away")
        own_redis_server.start()  # and what it held is gone
        wait_until(lambda: _rings(own_redis_server) and settled(sqlite_database) == 2, "an answer to a ring")
        assert worker.stop() == 0
        assert "worker_stopped" in worker.output
        assert worker.output.count("redis_away") == 1


def _a_hostile_redis_makes_it_run_nothing(server: RedisServer, folder: Path, worker: Running) -> None:
    serializer = SignedJson([SIGNING_KEY.encode()])
    good = serializer.dumps([DRAIN_JOB, None, [], {}])
    sprung = folder / "sprung"
    with Redis.from_url(server.url) as client:
        put_job(client, "pickled", data=pickle.dumps(Trap(sprung)))
        put_job(client, "unsigned", data=json.dumps([DRAIN_JOB, None, [], {}]))
        put_job(client, "tampered", data=good[:-1] + b"!")
        put_job(client, "other", data=serializer.dumps(["os.abort", None, [], {}]))
        put_job(client, "arguments", data=serializer.dumps([DRAIN_JOB, None, [f"touch {sprung}"], {}]))
        put_job(
            client, "decorated", data=good, success_callback_name="os.system", failure_callback_name="os.abort",
            stopped_callback_name="os.abort", webhooks=json.dumps([{"url": "http://127.0.0.1:9"}]),
            meta=pickle.dumps(Trap(sprung)), repeats_left="5", repeat_intervals="[1]", retries_left="3", timeout="x",
        )  # fmt: skip
        put_job(client, "unreadable", data=good, created_at="long ago")
        put_job(client, "last", data=good)
        wait_until(lambda: client.zscore("rq:finished:joinlog", "last"), "the good job behind the bad ones")
        assert {name.decode() for name in client.zrange("rq:failed:joinlog", 0, -1)} == set(REFUSED_JOBS)
        assert client.zscore("rq:finished:joinlog", "decorated")
        assert not client.exists("rq:scheduled:joinlog")
    for name in REFUSED_JOBS:
        assert worker.output.count(f"job {name}: exception raised") == 1
    assert not sprung.exists()


def _rings(server: RedisServer) -> bool:
    queue = open_queue(connect(server.url), [SIGNING_KEY.encode()])
    ring(queue)
    queue.connection.close()
    return True


def test_an_idle_worker_that_missed_the_signal_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    class Worker:
        states: ClassVar = ["busy", "idle"]

        def get_state(self) -> str:
            return self.states.pop(0)

    class Asked(Exception):
        pass

    def kill(pid: int, number: int) -> None:
        assert (pid, number, Worker.states) == (os.getpid(), signal.SIGTERM, [])
        raise Asked

    monkeypatch.setattr(jobs, "STOP_AGAIN_SECONDS", 0.01)
    monkeypatch.setattr(os, "kill", kill)
    stopping = threading.Event()
    stopping.set()
    with pytest.raises(Asked):
        jobs.stop_idle_worker(Worker(), stopping)  # type: ignore[arg-type]


def test_a_worker_waits_for_the_tables_of_its_version(tmp_path: Path, redis_url: str) -> None:
    variables = {"DATABASE_URL": f"sqlite:///{tmp_path}/joinlog.db", "REDIS_URL": redis_url}
    with running(tmp_path, "worker", **variables) as worker:
        worker.says("waiting_for_database")
        assert worker.stop() == 0


def test_slow_clients_hold_up_nobody_and_no_process_outlives_the_other(
    tmp_path: Path, sqlite_url: str, redis_url: str
) -> None:
    variables = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
    with running(tmp_path, "web", WEB_THREADS="2", **variables) as web:
        wait_until(web.is_ready, "the web process")
        slow = [socket.create_connection(("127.0.0.1", web.port)) for _ in range(20)]
        for number, client in enumerate(slow):
            length = "Transfer-Encoding: chunked\r\n\r\n1\r\n{\r\n" if number % 2 else "Content-Length: 9\r\n\r\n{"
            client.sendall(f"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}".encode())
        began = time.monotonic()
        assert web.post(read_payload_file("webinar.started")) == 204
        assert time.monotonic() - began < 3
        assert _answer_to(web, b"x-zm-signature: \xff\xfe\r\nx-zm-request-timestamp: 1\xe9\r\n") == b"HTTP/1.1 401"
        for client in slow[:2]:
            client.settimeout(10)
            assert client.recv(12) == b"HTTP/1.1 503"
        for client in slow:
            client.close()
        (inner,) = descendants(web.process.pid)
        os.kill(inner, signal.SIGKILL)
        wait_until(lambda: inner not in descendants(web.process.pid) and web.is_ready(), "another one")
        (inner,) = descendants(web.process.pid)
        web.process.kill()
        wait_until(lambda: not is_alive(inner), "the port to be free")


def _answer_to(web: Running, headers: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", web.port), timeout=5) as client:
        head = b"POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n"
        client.sendall(head + headers + b"\r\n{}")
        return client.recv(12)


def test_under_honcho_the_release_does_not_end_and_so_ends_no_other(tmp_path: Path) -> None:
    with running(tmp_path, "migrate", HONCHO_PROCESS_NAME="release.1") as release:
        release.says("waiting beside")
        assert "went from nothing" in release.output
        assert release.stop() == 0


def test_two_web_processes_do_not_share_a_port(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        redis_url = "redis://127.0.0.1:1"
        ended = joinlog(tmp_path, "web", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, REDIS_URL=redis_url, PORT=port)
    assert ended.returncode == 2
    assert "is taken" in ended.stderr


def test_the_processes_of_the_procfile_share_the_key_of_their_folder(tmp_path: Path, redis_url: str) -> None:
    procfile = (Path(__file__).parents[2] / "Procfile").read_text().splitlines()
    commands = [line.split(": joinlog ")[1] for line in procfile]
    assert commands == ["web", "worker", "clock", "migrate"]  # honcho gives PORT itself to the first
    variables = {"REDIS_URL": redis_url, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET, "CLOCK_SECONDS": "0.2"}
    assert joinlog(tmp_path, "migrate").returncode == 0
    with running(tmp_path, "clock", **variables) as clock, running(tmp_path, "worker", **variables) as worker:
        with Redis.from_url(redis_url) as client:
            wait_until(lambda: client.zcard("rq:finished:joinlog") > 1, "the worker to answer the clock")
            assert client.zcard("rq:failed:joinlog") == 0
        worker.process.kill()  # what it was doing still sits in Redis, and the clock rings on
        worker.process.wait()
        with Redis.from_url(redis_url) as client:
            client.zadd("rq:wip:joinlog", {"lost": time.time() + 600})
            client.delete("rq:queue:joinlog")
            wait_until(lambda: client.llen("rq:queue:joinlog") == 1, "a ring for the next worker")
        assert clock.stop() == 0
