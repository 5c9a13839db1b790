"""Whatever is wrong with the surroundings is one line that says what it is and what to do about it."""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from joinlog.command import main
from joinlog.doctor import FAIL, Finding
from tests.conftest import SIGNING_KEY, PostgresServer
from tests.processes import OUR_VARIABLES, environment
from tests.signed_requests import SECRET

PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
REACHED = {"PUBLIC_URL": "https://joinlog.example.com", "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
NO_REDIS = "redis://127.0.0.1:1/0"


@pytest.fixture(autouse=True)
def _nothing_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in OUR_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)


def said(arguments: str, **variables: str) -> str:
    """The one line that a command ends with."""
    ended = CliRunner().invoke(main, arguments.split(), env=variables)
    assert ended.exit_code in (1, 2), ended.output
    assert ended.stderr.startswith("joinlog: ")
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert "looks closer" not in ended.stderr
    return ended.stderr.strip()


def found(**variables: str) -> list[Finding]:
    """What `joinlog doctor` finds."""
    ended = CliRunner().invoke(main, ["doctor", "--json"], env=variables)
    return [Finding(**one) for one in json.loads(ended.stdout)]


def failed(findings: list[Finding]) -> dict[str, Finding]:
    """What fails, by check; each said once, and none of it twice under another heading."""
    wrong = [one for one in findings if one.level == FAIL]
    assert len({one.check for one in wrong}) == len(wrong)
    texts = [one.says for one in findings if one.level != "ok"]
    assert len(set(texts)) == len(texts)
    for one in wrong:
        assert one.mend
        assert not [other for other in findings if other is not one and one.says in other.says]
    return {one.check: one for one in wrong}


# --- the environment ----------------------------------------------------------------------------------------------


def test_a_public_url_without_a_scheme_is_told_how_to_be_written() -> None:
    for command in ("up", "doctor", "web"):
        line = said(command, PUBLIC_URL="joinlog.example.com", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET)
        assert "joinlog.example.com has no scheme; write PUBLIC_URL=https://joinlog.example.com" in line


def test_a_short_secret_key_is_refused_with_the_command_that_makes_a_long_one() -> None:
    for command in ("up", "web", "access grant"):
        line = said(command, SECRET_KEY="hunter2", REDIS_URL=NO_REDIS, ZOOM_WEBHOOK_SECRET_TOKEN=SECRET)
        assert "SECRET_KEY has 7 bytes" in line
        assert "needs 16 or more" in line
        assert "secrets.token_urlsafe(32)" in line
        assert "hunter2" not in line
    wrong = failed(found(SECRET_KEY="hunter2", REDIS_URL=NO_REDIS))["secret key"]
    assert "SECRET_KEY has 7 bytes" in wrong.says
    assert "secrets.token_urlsafe(32)" in wrong.mend


def test_the_setting_that_makes_a_secret_key_necessary_is_named() -> None:
    line = said("up", **REACHED)
    assert "SECRET_KEY is not set, and others can reach the server (PUBLIC_URL=https://joinlog.example.com)." in line
    assert line.endswith("export SECRET_KEY=\"$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')\"")
    both = said("up", **REACHED, HOST="0.0.0.0")  # noqa: S104
    assert "(HOST=0.0.0.0, PUBLIC_URL=https://joinlog.example.com)" in both


def test_doctor_cuts_no_sentence_at_a_dot_and_says_nothing_twice(redis_url: str) -> None:
    wrong = failed(found(**REACHED, REDIS_URL=redis_url))
    assert wrong.keys() == {"secret key", "migrations", "clock"}
    assert wrong["secret key"].says.endswith("(PUBLIC_URL=https://joinlog.example.com).")
    assert wrong["secret key"].mend.startswith("Set it to a long random text, the same for every process: export")


# --- the database -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", ["up", "migrate", "inbox list"])
def test_a_missing_folder_of_the_database_is_named_with_the_command_that_makes_it(command: str) -> None:
    line = said(command, DATABASE_URL="sqlite:////nowhere/at.all/x.db", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET)
    assert "the folder /nowhere/at.all of DATABASE_URL=sqlite:////nowhere/at.all/x.db does not exist" in line
    assert "mkdir -p /nowhere/at.all" in line


def test_doctor_says_the_same_about_the_database_once() -> None:
    wrong = failed(found(DATABASE_URL="sqlite:////nowhere/at.all/x.db", REDIS_URL=NO_REDIS))
    assert wrong.keys() == {"database", "redis"}
    assert "the folder /nowhere/at.all" in wrong["database"].says
    assert "mkdir -p /nowhere/at.all" in wrong["database"].mend


def test_a_file_that_is_no_database_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    (tmp_path / "x.db").write_text("this is a letter to my aunt, and no database at all\n" * 99)
    assert "is no database of SQLite's" in said("migrate", DATABASE_URL="sqlite:///x.db")
    (tmp_path / "y.db").mkdir()
    assert "names a folder. Name a file in it." in said("migrate", DATABASE_URL="sqlite:///y.db")


def test_a_postgres_that_is_away_or_has_no_such_database_is_told_apart(postgres: PostgresServer) -> None:
    away = said("inbox list", DATABASE_URL="postgresql://joe:hunter2@127.0.0.1:1/joinlog")
    assert "Postgres does not answer" in away
    assert "hunter2" not in away
    assert away.endswith("Start it, or correct host and port in DATABASE_URL.")
    url = postgres.create()
    postgres.drop(url)
    name = url.partition("?")[0].rpartition("/")[2]
    assert said("inbox list", DATABASE_URL=url).endswith(f"has no database {name}. Make it: createdb {name}.")


def test_a_redis_that_is_away_is_told_with_its_setting(sqlite_url: str) -> None:
    assert "REDIS_URL" in failed(found(DATABASE_URL=sqlite_url, REDIS_URL=NO_REDIS))["redis"].mend


# --- a folder that cannot be written ------------------------------------------------------------------------------


def without_roots_rights() -> None:
    """Let a process of root be refused what its mode says, as any other user's is."""
    ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0)


@pytest.fixture
def read_only(tmp_path: Path) -> Iterator[Path]:
    """A folder that nobody may write to."""
    folder = tmp_path / "read-only"
    folder.mkdir()
    folder.chmod(0o555)
    yield folder
    folder.chmod(0o755)


def run_in(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-P", "-m", "joinlog", *arguments],
        cwd=folder, env=environment(**variables), capture_output=True, text=True, timeout=60, check=False,
        preexec_fn=without_roots_rights,
    )  # fmt: skip


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights are dropped as Linux does")
def test_up_in_a_folder_it_cannot_write_to_says_so_and_what_to_set(read_only: Path) -> None:
    ended = run_in(read_only, "up", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET)
    assert (ended.returncode, ended.stdout) == (2, "")
    (line,) = ended.stderr.splitlines()
    assert f"nothing can be written in the folder {read_only}" in line
    assert ".joinlog-key and .joinlog-redis" in line
    assert line.endswith("or set SECRET_KEY and REDIS_URL.")
    assert os.listdir(read_only) == []


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights are dropped as Linux does")
def test_doctor_in_such_a_folder_says_it_once_for_the_folder_and_once_for_the_database(read_only: Path) -> None:
    ended = run_in(read_only, "doctor", "--json")
    assert ended.returncode == 1, ended.stderr
    findings: list[dict[str, Any]] = json.loads(ended.stdout)
    wrong = failed([Finding(**one) for one in findings])
    assert wrong.keys() == {"folder", "database"}
    assert ".joinlog-key and .joinlog-redis" in wrong["folder"].says
    assert "where SQLite keeps joinlog.db" in wrong["database"].says
    assert "DATABASE_URL" in wrong["database"].mend


@pytest.mark.skipif(sys.platform != "linux", reason="root's rights are dropped as Linux does")
def test_a_page_link_cannot_be_signed_there_without_a_key(read_only: Path, sqlite_url: str) -> None:
    ended = run_in(read_only, "access", "grant")
    assert ended.returncode == 2
    assert f"no key can be kept in {read_only / '.joinlog-key'}: Permission denied." in ended.stderr
    assert "export SECRET_KEY=" in ended.stderr
    unlisted = run_in(read_only, "access", "grant", SECRET_KEY=SIGNING_KEY)
    assert (unlisted.returncode, unlisted.stdout) == (1, "")  # what the list cannot know is not handed out
    assert run_in(read_only, "access", "grant", SECRET_KEY=SIGNING_KEY, DATABASE_URL=sqlite_url).returncode == 0
