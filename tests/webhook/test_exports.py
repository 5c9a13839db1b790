"""Exports over the server that really serves them: whole, masked for viewers, and visibly broken when they break."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from schema.addresses import instance_url
from schema.files import ROWS_AT_ONCE
from schema.store.database import Database
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import select, take
from tests.page_client import TOKENS
from tests.processes import NO_TLS, Running, running
from tests.signed_requests import SECRET, Event
from tests.stories import ACCOUNT, Story
from tests.waiting import wait_until
from webhook.pages.exports import EXPORTS_MAX
from webhook.pages.formatting import mask_email
from webhook.pages.pagination import SCAN_LINES
from webhook.tokens import Role, new_pass

STORY = Story()
PEOPLE = 3 * ROWS_AT_ONCE + 7
ROUNDS = 5  # downloads of each reader, one after another
ASKED = 50  # times in a row for a place: long enough to make four files that nobody waits for
ADDRESSES = {f"person{number}@example.com" for number in range(PEOPLE)}
MASKED = {mask_email(address) for address in ADDRESSES}
ADDRESS = re.compile(r"person\d+@")
ATTENDANCE = f"/meeting/{ACCOUNT}/{STORY.meeting_id}/attendance"
STAYS = instance_url(ACCOUNT, "run-1==") + "/people"
LONG_NAME = "n" * 3000  # a file of them is larger than what two sockets hold for a reader who takes nothing

pytestmark = [pytest.mark.faults, pytest.mark.xdist_group("processes")]


def joins(count: int, **more: Any) -> list[Event]:
    """Each under an address of their own, and known by nothing else."""
    return [
        STORY.person(1, "joined", str(number), email=f"person{number}@example.com", **more) for number in range(count)
    ]


def fill(database: Database, events: list[Event]) -> None:
    """A webinar in which these things happen."""
    take(database, STORY.created(-90, {"w1": 0}), STORY.started(0), *events)


@contextmanager
def serving(folder: Path, database_url: str, redis_url: str) -> Iterator[Running]:
    """The web process, as `joinlog web` starts it."""
    variables = {"DATABASE_URL": database_url, "REDIS_URL": redis_url, "SECRET_KEY": SIGNING_KEY}
    with running(folder, "web", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, **variables) as web:
        wait_until(web.is_ready, "the web process")
        yield web


def link(role: Role) -> str:
    """What a script of theirs sends."""
    token = TOKENS.sign_link(new_pass(role, timedelta(hours=1), datetime.now(UTC)))
    return f"Bearer {token}"


def get(web: Running, role: Role, path: str) -> httpx2.Response:
    """Download a file. Raises httpx2.RemoteProtocolError when it breaks off."""
    return httpx2.get(web.url + path, headers={"Authorization": link(role)}, timeout=30, trust_env=False, verify=NO_TLS)


def rows_of(path: str, answer: httpx2.Response) -> list[dict[str, Any]]:
    """The rows of a downloaded file."""
    if path.endswith(".json"):
        found: list[dict[str, Any]] = json.loads(answer.text)
        return found
    return list(csv.DictReader(io.StringIO(answer.text)))


def test_viewers_and_operators_at_once_get_whole_files_and_no_viewer_an_address(
    database_url: str, database: Database, redis_url: str, tmp_path: Path
) -> None:
    fill(database, joins(PEOPLE))
    paths = (f"{ATTENDANCE}.csv", f"{ATTENDANCE}.json", f"{STAYS}.csv", f"{ATTENDANCE}.csv", f"{STAYS}.json")
    with serving(tmp_path, database_url, redis_url) as web:

        def download(role: Role) -> list[tuple[Role, str, httpx2.Response]]:
            return [(role, path, get(web, role, path)) for _ in range(ROUNDS) for path in paths]

        with ThreadPoolExecutor(EXPORTS_MAX) as readers:
            roles = [Role.VIEWER, Role.OPERATOR] * (EXPORTS_MAX // 2)
            files = [file for found in readers.map(download, roles) for file in found]
    assert len(files) == EXPORTS_MAX * ROUNDS * len(paths)
    for role, path, answer in files:
        assert answer.status_code == 200
        shown = rows_of(path, answer)
        assert len(shown) == PEOPLE, path
        expected = ADDRESSES if role is Role.OPERATOR else MASKED
        assert {row["email"] for row in shown} == expected, (role, path)
        assert {row["person_id"] for row in shown} == {f"email:{address}" for address in expected}, (role, path)
        assert bool(ADDRESS.search(answer.text)) is (role is Role.OPERATOR)


@pytest.mark.parametrize("form", ["csv", "json"])
def test_an_export_that_fails_half_way_breaks_the_connection(
    form: str, sqlite_url: str, sqlite_database: Database, redis_url: str, tmp_path: Path
) -> None:
    fill(sqlite_database, joins(SCAN_LINES + ROWS_AT_ONCE))
    with serving(tmp_path, sqlite_url, redis_url) as web:
        assert len(rows_of(f".{form}", get(web, Role.VIEWER, f"/lines.{form}"))) > SCAN_LINES + ROWS_AT_ONCE
        with sqlite_database.write() as connection:
            oldest = "(SELECT seq FROM join_log ORDER BY seq LIMIT 1)"
            connection.exec_driver_sql(f"UPDATE join_log SET event_ts = 'no moment' WHERE seq = {oldest}")
        for _ in range(2 * EXPORTS_MAX):  # and each frees its place
            with httpx2.stream(
                "GET",
                f"{web.url}/lines.{form}",
                headers={"Authorization": link(Role.VIEWER)},
                trust_env=False,
                verify=NO_TLS,
            ) as answer:
                assert answer.status_code == 200
                with pytest.raises(httpx2.RemoteProtocolError, match="incomplete"):
                    answer.read()


def test_an_export_that_fails_at_once_is_a_page_that_says_so(
    sqlite_url: str, sqlite_database: Database, redis_url: str, tmp_path: Path
) -> None:
    fill(sqlite_database, joins(1))
    with serving(tmp_path, sqlite_url, redis_url) as web:
        with sqlite_database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE join_log RENAME TO away")
        for _ in range(2 * EXPORTS_MAX):
            assert get(web, Role.VIEWER, "/lines.csv").status_code == 503
        with sqlite_database.write() as connection:
            connection.exec_driver_sql("ALTER TABLE away RENAME TO join_log")
        assert get(web, Role.VIEWER, "/lines.csv").status_code == 200


def test_an_export_waits_for_its_reader_and_ends_when_the_reader_goes(
    sqlite_url: str, sqlite_database: Database, redis_url: str, tmp_path: Path
) -> None:
    fill(sqlite_database, joins(3 * SCAN_LINES, user_name=LONG_NAME))
    assert select(sqlite_database, "SELECT max(length(name)) AS n FROM join_log") == [{"n": len(LONG_NAME)}]
    with serving(tmp_path, sqlite_url, redis_url) as web, ExitStack() as readers:
        slow = [readers.enter_context(_reader_who_takes_nothing(web)) for _ in range(EXPORTS_MAX)]
        for _ in range(ASKED):
            assert get(web, Role.OPERATOR, "/meetings.csv").status_code == 503
            assert get(web, Role.OPERATOR, "/meetings").status_code == 200  # they hold up no page
        for reader in slow:
            reader.close()
        wait_until(lambda: get(web, Role.OPERATOR, "/meetings.csv").status_code == 200, "a place")


@contextmanager
def _reader_who_takes_nothing(web: Running) -> Iterator[socket.socket]:
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.settimeout(10)
        reader.connect(("127.0.0.1", web.port))
        head = f"GET /lines.csv HTTP/1.1\r\nHost: x\r\nAuthorization: {link(Role.OPERATOR)}\r\n\r\n"
        reader.sendall(head.encode())
        assert reader.recv(12) == b"HTTP/1.1 200"
        yield reader
