"""A web process serves the endpoint, the pages or both; pages are read from a standby where there is one."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest
from sqlalchemy.exc import OperationalError

from schema.migrate import migrate
from schema.settings import ConfigurationError, Settings
from schema.store.database import Database
from schema.store.dialect import run
from tests.conftest import free_port, settings_for
from tests.inbox_to_tables import one, take
from tests.page_client import TOKENS, open_site
from tests.postgres_pair import PostgresHost, wait_until_applied
from tests.processes import running
from tests.signed_requests import SECRET, encode, signed_headers
from tests.stories import Story
from tests.waiting import wait_until
from webhook.app import create_app
from webhook.tokens import Role, new_pass

w = Story()


def test_a_process_for_the_pages_has_zoom_send_again_what_was_led_astray(web_settings: Settings) -> None:
    with open_site(web_settings.model_copy(update={"web_serves": "pages"})) as site:
        body = encode(w.started(60, "run=="))
        answer = site.stranger().client.post("/webhook", data=body, headers=signed_headers(body))
        assert answer.status_code == 503
        assert one(site.database, "SELECT count(*) AS n FROM inbox_event") == {"n": 0}
        assert site.visitor().get("/meetings").status_code == 200


def test_a_process_for_the_pages_needs_no_secret_of_zooms(web_settings: Settings) -> None:
    settings = web_settings.model_copy(update={"web_serves": "pages", "zoom_webhook_secret_token": None})
    with open_site(settings) as site:
        assert site.stranger().get("/readyz").status_code == 200


def test_a_process_for_the_endpoint_has_metrics_and_health_and_says_that_it_has_no_pages(
    web_settings: Settings,
) -> None:
    with open_site(web_settings.model_copy(update={"web_serves": "webhook"})) as site:
        body = encode(w.started(60, "run=="))
        assert site.stranger().client.post("/webhook", data=body, headers=signed_headers(body)).status_code == 204
        assert site.stranger().get("/readyz").status_code == 200
        for path in ("/", "/meetings", "/enter"):
            answer = site.stranger().get(path)
            assert answer.status_code == 404
            assert "WEB_SERVES=webhook" in answer.text
        assert site.stranger().get("/metrics").status_code == 401
        token = TOKENS.sign_link(new_pass(Role.OPERATOR, timedelta(hours=1), datetime.now(UTC), None))
        answer = site.stranger().get("/metrics", Authorization=f"Bearer {token}")
        assert "joinlog_inbox_pending" in answer.text


def test_over_the_server_that_production_runs(tmp_path: Path, sqlite_url: str, redis_url: str) -> None:
    given = {"DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
    with running(tmp_path, "web", WEB_SERVES="pages", **given) as web:
        wait_until(web.is_ready, "web is ready")
        assert web.post(w.started(60, "run==")) == 503
        assert httpx2.get(f"{web.url}/meetings", trust_env=False).status_code == 401


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="web_serves"):
        settings_for("sqlite:///x.db", "redis://127.0.0.1:1/0", web_serves="feed")


def test_a_sqlite_file_has_no_standby(web_settings: Settings, sqlite_url: str) -> None:
    with pytest.raises(ConfigurationError, match="standby"):
        create_app(web_settings.model_copy(update={"database_url": sqlite_url, "database_read_url": sqlite_url}))


# --- a standby --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[PostgresHost, PostgresHost]]:
    """A migrated primary and its standby."""
    with tempfile.TemporaryDirectory(prefix="joinlog-pair-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        primary = PostgresHost(folder / "primary", "127.0.0.1", free_port())
        standby = PostgresHost(folder / "standby", "127.0.0.1", free_port())
        try:
            primary.make()
            database = Database(primary.url)
            migrate(database)
            database.close()
            standby.follow(primary)
            yield primary, standby
        finally:
            standby.stop()
            primary.stop()


def test_pages_are_read_from_a_standby_and_say_how_far_it_is_behind(
    pair: tuple[PostgresHost, PostgresHost], redis_url: str
) -> None:
    primary, standby = pair
    settings = settings_for(primary.url, redis_url, database_read_url=standby.url)
    with open_site(settings) as site:
        visitor = site.visitor()
        take(site.database, w.started(60, "run=="))
        wait_until_applied(primary, standby)
        wait_until(lambda: "Read from a standby" in visitor.get("/meetings").text, "the page says so")
        assert "which has everything" in visitor.get("/meetings").text
        with site.database.read() as connection:
            assert run(connection, "SELECT pg_is_in_recovery()") == [(True,)]
        with site.database.read_newest() as connection:
            assert run(connection, "SELECT pg_is_in_recovery()") == [(False,)]
        standby.admin("SELECT pg_wal_replay_pause()", "postgres")
        take(site.database, w.person(61, "joined", "1", 60, "run=="))
        wait_until(lambda: "s behind" in visitor.get("/meetings").text, "the page says how far it is behind")
        standby.admin("SELECT pg_wal_replay_resume()", "postgres")
        wait_until(lambda: "which has everything" in visitor.get("/meetings").text, "it has caught up")


def test_several_hosts_are_tried_until_one_takes_writes(pair: tuple[PostgresHost, PostgresHost]) -> None:
    primary, standby = pair
    hosts = f"127.0.0.1:{standby.port},127.0.0.1:{primary.port}"
    database = Database(f"postgresql://postgres@{hosts}/joinlog?target_session_attrs=read-write")
    with database.write() as connection:
        assert run(connection, "SELECT pg_is_in_recovery()") == [(False,)]
    database.close()


def test_two_standbys_are_not_enough_and_both_are_named(pair: tuple[PostgresHost, PostgresHost]) -> None:
    _, standby = pair
    hosts = f"127.0.0.1:{standby.port},localhost:{standby.port}"
    database = Database(f"postgresql://postgres@{hosts}/joinlog?target_session_attrs=read-write")
    with pytest.raises(OperationalError, match=r"127\.0\.0\.1: a standby; localhost: a standby"), database.write():
        pass
    database.close()
