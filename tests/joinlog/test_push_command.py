"""`joinlog push`: how endpoints stand, trying them, going on, and telling again."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from click.testing import CliRunner, Result

from joinlog.command import main
from schema.push import endpoint_name
from schema.settings import Settings
from schema.store.database import Database
from schema.store.push import begin_endpoints, note_endpoint, read_endpoint, take_endpoint
from tests.conftest import settings_for
from tests.inbox_to_tables import take
from tests.page_client import open_site
from tests.push_receiver import PUSH_SECRET, PushReceiver, pushed_to
from tests.stories import Story
from workers.push.pusher import HELD_FOR
from workers.push.retry import RETRY_AFTER_SECONDS, refused

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture
def receiver() -> Iterator[PushReceiver]:
    with pushed_to() as opened:
        yield opened


@pytest.fixture
def off(sqlite_database: Database, receiver: PushReceiver) -> str:
    """An endpoint that took nothing for two days, and the URL of its database."""
    begin_endpoints(sqlite_database, [receiver.url], NOW)
    take(sqlite_database, Story().created(0, {"1001": 60.0}))
    endpoint = take_endpoint(sqlite_database, endpoint_name(receiver.url), "a worker", NOW, HELD_FOR)
    assert endpoint is not None
    for _ in range(1 + len(RETRY_AFTER_SECONDS)):
        endpoint = refused(endpoint, "answered 500", 500, NOW)
    assert note_endpoint(sqlite_database, endpoint, "a worker", NOW)
    return str(sqlite_database.url)


def push(url: str, *arguments: str, **more: str) -> Result:
    return CliRunner().invoke(main, ["push", *arguments], env={"DATABASE_URL": url, **more})


def test_the_list_says_how_each_stands(off: str, receiver: PushReceiver) -> None:
    result = push(off, "list", "--json")
    assert result.exit_code == 1
    (row,) = json.loads(result.stdout)
    assert (row["state"], row["failed"], row["error"]) == ("switched off", 9, "answered 500")
    assert row["behind"] > 0
    assert row["address"].endswith("/…")
    assert "/told" not in push(off, "list").stdout


def test_resume_and_replay(off: str, receiver: PushReceiver, sqlite_database: Database) -> None:
    name = endpoint_name(receiver.url)

    def endpoint() -> Any:
        with sqlite_database.read() as connection:
            return read_endpoint(connection, name)

    assert push(off, "resume", "nobody").exit_code == 1
    assert push(off, "resume").exit_code == 0
    assert (endpoint().off_at, endpoint().tries) == (None, 0)
    assert push(off, "replay", name, "--since", "2036-01-01").exit_code == 0
    assert endpoint().after > 0
    assert push(off, "replay", "--since", "2020-01-01").exit_code == 0
    assert endpoint().after == 0


def test_a_test_says_who_took_it(off: str, receiver: PushReceiver) -> None:
    settings = {"PUSH_URLS": f"{receiver.url},http://127.0.0.1:1/", "PUSH_SECRET": PUSH_SECRET}
    result = push(off, "test", **settings)
    assert result.exit_code == 1
    assert result.stdout.count("took it") == 1
    assert receiver.types == ["joinlog.test"]


def test_health_metrics_and_an_alert_tell_of_an_endpoint_that_is_off(
    off: str, receiver: PushReceiver, redis_url: str
) -> None:
    settings: Settings = settings_for(off, redis_url)
    with open_site(settings) as site:
        client = site.visitor().client
        page, metrics = client.get("/health").text, client.get("/metrics").text
    name = endpoint_name(receiver.url)
    assert f'id="h-push-{name}"' in page
    assert 'id="wrong-push_off"' in page
    assert f'joinlog_push_off{{endpoint="{name}"}} 1.0' in metrics
    assert f'joinlog_push_failed_total{{endpoint="{name}"}} 9.0' in metrics
    assert 'joinlog_condition{condition="push_off"} 1.0' in metrics
