"""`joinlog doctor`: each zoom_object that can be wrong, said with its remedy."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from joinlog.command import main
from joinlog.doctor import (
    examine,
    in_words,
    look_at_address,
    look_at_alerts,
    look_at_conditions,
    look_at_inbox,
    look_at_key,
    look_at_log,
    look_at_secrets,
    look_at_validation,
)
from schema.alerts import Alert, Observed, RefusedDeliveries
from schema.settings import Settings, fingerprint
from schema.store.database import Database
from schema.store.health import InboxHealth, note_validation
from tests.conftest import SIGNING_KEY, free_port, settings_for
from tests.inbox_to_tables import keep_events
from tests.signed_requests import SECRET, read_payload_file
from workers.clock import Clock, ringing
from workers.queue import connect, leave_heartbeat, open_queue, ring

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def levels(settings: Settings) -> dict[str, str]:
    return {finding.check: finding.level for finding in examine(settings, datetime.now(UTC))}


def test_all_is_well(database: Database, database_url: str, redis_url: str) -> None:
    note_validation(database, fingerprint(SECRET.encode()), datetime.now(UTC))
    queue = open_queue(connect(redis_url), [SIGNING_KEY.encode()])
    Clock(ringing(partial(ring, queue), partial(leave_heartbeat, queue), 60)).tick()
    queue.connection.close()
    settings = settings_for(
        database_url,
        redis_url,
        public_url="https://joinlog.example.com",
        trusted_proxies=1,
        port=free_port(),
        alert_urls="json://127.0.0.1:1/x",
    )
    found = levels(settings)
    assert found.pop("web") == "warn"  # none runs here
    assert set(found.values()) == {"ok"}, found


def test_a_database_that_is_not_there_or_not_migrated_fails(empty_database_url: str) -> None:
    assert levels(settings_for(empty_database_url, "redis://127.0.0.1:1"))["migrations"] == "fail"
    assert levels(settings_for("sqlite:////nowhere/x.db", "redis://127.0.0.1:1"))["database"] == "fail"


def test_a_write_ahead_log_that_a_reader_lets_grow_is_said() -> None:
    assert list(look_at_log(50_000_000)) == []
    (finding,) = look_at_log(1_460_000_000)
    assert (finding.level, "1460 MB" in finding.says) == ("warn", True)


def test_a_database_file_that_everybody_can_read_is_said(sqlite_url: str, redis_url: str) -> None:
    path = Path(sqlite_url.removeprefix("sqlite:///"))
    path.chmod(0o640)
    assert "database file" not in levels(settings_for(sqlite_url, redis_url))
    path.chmod(0o644)
    assert levels(settings_for(sqlite_url, redis_url))["database file"] == "warn"


def test_redis_away_or_without_a_clock_fails(sqlite_url: str, redis_url: str) -> None:
    assert levels(settings_for(sqlite_url, "redis://127.0.0.1:1"))["redis"] == "fail"
    assert levels(settings_for(sqlite_url, redis_url))["clock"] == "fail"


def test_an_inbox_that_nobody_empties_fails(sqlite_database: Database, sqlite_url: str, redis_url: str) -> None:
    keep_events(sqlite_database, [read_payload_file("webinar.started")])
    found = {finding.check: finding for finding in examine(settings_for(sqlite_url, redis_url), NOW)}
    assert found["pending lag"].level == "fail"
    assert "joinlog worker" in found["pending lag"].mend


def test_events_of_unknown_types_are_worth_a_look() -> None:
    found = {finding.check: finding for finding in look_at_inbox(InboxHealth(0, None, 0, 2, NOW), NOW)}
    assert found["unhandled"].level == "warn"
    assert "joinlog replay --state unhandled" in found["unhandled"].mend


def test_each_condition_that_holds_fails_with_its_remedy() -> None:
    refused = RefusedDeliveries(NOW, NOW, 12, frozenset())
    found = {
        finding.check: finding for finding in look_at_conditions(Observed(unknown_secret=refused, dead=3), [], NOW)
    }
    assert {check: finding.level for check, finding in found.items()} == {
        "unknown secret": "fail",
        "dead letters": "fail",
    }
    assert "12 deliveries were refused" in found["unknown secret"].says
    assert "ZOOM_WEBHOOK_SECRET_TOKEN" in found["unknown secret"].mend
    (well,) = look_at_conditions(Observed(), [], NOW)
    assert well.level == "ok"


def test_that_nobody_could_be_told_fails() -> None:
    alert = Alert("dead_letters", NOW, "3 events", error="none of 1 addresses took it")
    *_, finding = look_at_conditions(Observed(), [alert], NOW)
    assert (finding.check, finding.level) == ("alerts", "fail")
    assert "joinlog alerts --test" in finding.mend


def test_outside_loopback_somebody_should_be_told() -> None:
    assert look_at_alerts(Settings()).level == "ok"
    assert look_at_alerts(Settings(public_url="https://a.example")).level == "warn"
    assert look_at_alerts(Settings(public_url="https://a.example", alert_urls="json://a")).level == "ok"


def test_zoom_validated_with_a_secret_that_is_set() -> None:
    assert look_at_validation(None, NOW).level == "warn"
    assert look_at_validation(NOW - timedelta(hours=1), NOW).level == "ok"


@pytest.mark.parametrize(
    ("settings", "level"),
    [
        ({}, "ok"),
        ({"zoom_webhook_secret_token": "x"}, "warn"),
        ({"public_url": "http://joinlog.example.com"}, "fail"),
        ({"public_url": "https://joinlog.example.com"}, "ok"),
        ({"public_url": "https://joinlog.example.com", "trusted_proxies": 1}, "ok"),
        ({"trusted_proxies": 1}, "warn"),
    ],
)
def test_the_address_is_one_that_zoom_can_reach(settings: dict[str, Any], level: str) -> None:
    assert look_at_address(Settings(**settings)).level == level


def test_secrets_and_keys() -> None:
    assert look_at_secrets(Settings()).level == "warn"
    assert look_at_secrets(Settings(public_url="https://a.example")).level == "fail"
    assert look_at_secrets(Settings(zoom_webhook_secret_token="a,b")).says == "2 set"
    assert look_at_key(Settings()).level == "ok"
    assert look_at_key(Settings(public_url="https://a.example")).level == "fail"
    assert look_at_key(Settings(secret_key="short")).level == "fail"


def test_the_exit_code_and_the_json_say_the_same_and_no_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://joe:hunter2@127.0.0.1:1/joinlog")
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    ended = CliRunner().invoke(main, ["doctor", "--json"])
    assert ended.exit_code == 1
    assert {"check": "database", "level": "fail"}.items() <= {
        finding["check"]: finding for finding in json.loads(ended.output)
    }["database"].items()
    assert "hunter2" not in ended.output
    plain = CliRunner().invoke(main, ["doctor"])
    assert plain.exit_code == 1
    assert "fail  database" in plain.output
    assert "hunter2" not in plain.output


def test_lengths_of_time() -> None:
    assert [in_words(seconds) for seconds in (-5, 90, 130, 7300, 200_000)] == ["0 s", "90 s", "2 min", "2 h", "2 d"]
