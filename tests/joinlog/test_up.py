"""`joinlog up` as people use it: real processes, started, killed and stopped."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import stat
import subprocess
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from joinlog.supervisor import Child, pause_after
from joinlog.up import settle, what_posts_there
from schema.settings import ConfigurationError, Settings
from tests.conftest import SIGNING_KEY, free_port
from tests.processes import Running, child_named, descendants, is_alive, joinlog, on_a_terminal, running
from tests.signed_requests import SECRET, read_payload_file
from tests.waiting import wait_until

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("processes")]
READY = "Ctrl-C stops everything."


def instances(folder: Path, database: str = "joinlog.db", condition: str = "1 = 1") -> int:
    with sqlite3.connect(f"file:{folder / database}?mode=ro", uri=True) as connection:
        (count,) = connection.execute(f"SELECT count(*) FROM instance WHERE {condition}").fetchone()
    connection.close()
    return int(count)


@pytest.mark.timeout(300)  # it starts `joinlog up` twice
def test_it_starts_again_what_ends_is_alone_in_its_folder_and_leaves_nothing_when_it_is_killed(tmp_path: Path) -> None:
    with running(tmp_path, "up", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET) as up:
        up.says(READY)
        assert f"{up.url}/webhook" in up.output
        assert "demo" not in up.output
        for name in ("web", "worker"):
            os.kill(child_named(up.process.pid, name), signal.SIGKILL)
        up.says("process_restarted", times=2)
        wait_until(up.is_ready, "the new web process")
        assert up.post(read_payload_file("webinar.started")) == 204
        wait_until(lambda: instances(tmp_path) == 1, "the new worker to put the instance on record")
        assert_a_second_one_says_so_and_touches_nothing(tmp_path, up)
        left = Path((tmp_path / ".joinlog-redis").read_text().removeprefix("unix://")).parent
        family = descendants(up.process.pid)
        assert len(family) == 5, family  # redis, worker, clock, web and granian's own
        up.process.kill()
        wait_until(lambda: not any(is_alive(pid) for pid in family), "the kernel to end them all")
    assert left.exists()
    with socket.socket() as late:  # one of them that has not ended yet
        late.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        late.bind(("127.0.0.1", up.port))
        late.listen()
        with running(tmp_path, "up", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, PORT=str(up.port)) as next_one:
            next_one.says("still has port")
            late.close()
            next_one.says(READY, times=2)  # both write into one file
            assert not left.exists()
            assert next_one.post(read_payload_file("webinar.ended")) == 204
            assert next_one.stop() == 0


def assert_a_second_one_says_so_and_touches_nothing(folder: Path, up: Running) -> None:
    before = {file.name: file.read_bytes() for file in folder.glob(".joinlog-*")}
    assert before.keys() == {".joinlog-key", ".joinlog-redis", ".joinlog-up"}
    second = joinlog(folder, "up", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, PORT=str(free_port()))
    assert second.returncode == 2
    assert f"runs in this folder already (process {up.process.pid})" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    assert {file.name: file.read_bytes() for file in folder.glob(".joinlog-*")} == before
    assert up.is_ready()


def test_without_a_secret_a_demo_plays_until_ctrl_c_and_the_terminal_stays_quiet(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path, "up") as up:
        up.says("  page      http")
        assert "fake Zoom posts here" in up.output
        assert "paste it" not in up.output
        assert "Ctrl-C stops everything. Enter shows the page link again." in up.lines()
        wait_until(
            lambda: instances(tmp_path, "demo.db", "link_state IS NOT NULL") >= 7,
            "the demo's instances",
            timeout_seconds=30,
        )
        told_by_zoom = "occurrence_id IS NOT NULL AND link_evidence LIKE '%stated%'"
        wait_until(
            lambda: instances(tmp_path, "demo.db", told_by_zoom) == 1, "the week of Zoom's record", timeout_seconds=30
        )
        up.says("brought to the tables")
        up.press_enter()
        up.says("  page      http", times=2)
        flowing = [line for line in up.lines() if "brought to the tables" in line]
        others = [line for line in up.lines() if line not in flowing]
        assert len(others) < 20, others
        assert not [line for line in others if "HTTP Request" in line or "batch_drained" in line]
        family = descendants(up.process.pid)
        assert up.stop(signal.SIGINT) == 0
        assert [line for pid, line in family.items() if is_alive(pid)] == []
        assert not (tmp_path / ".joinlog-redis").exists()
        assert list(tmp_path.glob("joinlog.db*")) == []  # the real one's is not touched
        assert {stat.S_IMODE(file.stat().st_mode) for file in tmp_path.glob("demo.db*")} == {0o600}


def test_a_demo_does_not_play_into_a_database_that_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"keeps a database of its own.*or unset DATABASE_URL"):
        settle(Settings(database_url="postgresql://joe:hunter2@db/joinlog"), {})


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({}, "the fake Zoom posts here"),
        ({"zoom_webhook_secret_token": SECRET}, "Zoom needs a public https address"),
        (
            {"zoom_webhook_secret_token": SECRET, "public_url": "https://a.example", "secret_key": SIGNING_KEY},
            "paste it into your Zoom app",
        ),
    ],
)
def test_the_endpoint_is_to_be_pasted_only_where_zoom_can_reach_it(
    settings: dict[str, Any], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert says in what_posts_there(settle(Settings(port=0, **settings), {}))


def test_a_taken_port_is_named_and_nothing_starts(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)  # as granian listens: it would share the port
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ended = joinlog(tmp_path, "up", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, PORT=str(taken.getsockname()[1]))
    assert ended.returncode == 2
    assert "PORT=" in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert list(tmp_path.glob("joinlog.db*")) == []


def test_given_a_postgres_and_a_redis_it_uses_them_and_shows_no_password(
    tmp_path: Path, postgres_url: str, redis_url: str
) -> None:
    given = postgres_url.replace("postgresql://postgres:@", "postgres://postgres:hunter2@", 1)
    assert "hunter2" in given
    with running(tmp_path, "up", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, DATABASE_URL=given, REDIS_URL=redis_url) as up:
        up.says(READY)
        assert up.post(read_payload_file("webinar.started")) == 204
        family = descendants(up.process.pid)
        assert len(family) == 4, family
        assert up.stop() == 0
        assert [line for pid, line in family.items() if is_alive(pid)] == []
        assert "hunter2" not in up.output
    with Redis.from_url(redis_url) as client:
        assert client.exists("joinlog:clock")


def test_a_demo_never_plays_where_others_can_reach_it() -> None:
    for settings in (Settings(HOST="0.0.0.0"), Settings(PUBLIC_URL="https://joinlog.example.com")):  # noqa: S104
        with pytest.raises(ConfigurationError, match="ZOOM_WEBHOOK_SECRET_TOKEN"):
            settle(settings, {})


def test_the_secret_of_a_demo_is_new_each_time_and_only_in_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    secrets = {settle(Settings(port=0), {}).environment["ZOOM_WEBHOOK_SECRET_TOKEN"] for _ in range(2)}
    assert len(secrets) == 2


def test_pauses_between_restarts_grow_and_have_an_end() -> None:
    assert [pause_after(failures) for failures in (1, 2, 3, 4, 100)] == [0.5, 1.0, 2.0, 4.0, 30.0]


def test_a_process_that_ran_long_starts_again_with_the_first_pause() -> None:
    child = Child("web", start=lambda: pytest.fail("too early"), failures=5, started_at=0.0)
    child.process = _ended_process()
    child.look(now=100.0)
    assert (child.failures, child.start_at) == (1, 100.5)


def _ended_process() -> subprocess.Popen[bytes]:
    process = subprocess.Popen(["true"], start_new_session=True)
    process.wait()
    return process
