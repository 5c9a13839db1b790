"""`/healthz` and `/readyz` answer whatever has become of the database."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from joinlog.doctor import examine
from schema.settings import Settings
from tests.conftest import PostgresServer, settings_for
from tests.page_client import TOKENS, open_site
from tests.processes import NO_TLS, running
from tests.signed_requests import SECRET
from tests.waiting import wait_until
from webhook.tokens import Role, new_pass

pytestmark = pytest.mark.timeout(60)  # what is not bounded waits here for ever

PAGES_AT_ONCE = 6


@pytest.fixture
def settings(own_postgres: PostgresServer, redis_url: str) -> Iterator[Settings]:
    """The environment on a Postgres of its own, which goes on at the end."""
    yield settings_for(own_postgres.create(), redis_url)
    own_postgres.resume()


def test_a_postgres_that_stands_still_is_said_and_used_again_when_it_goes_on(
    settings: Settings, own_postgres: PostgresServer
) -> None:
    with open_site(settings) as site:
        visitor = site.visitor()
        assert visitor.get("/readyz").text == "ready\n"
        assert visitor.get("/meetings").status_code == 200
        own_postgres.pause()
        for _ in range(2):  # on a connection that is open, and on one that cannot be opened
            answer = visitor.get("/readyz")
            assert answer.status_code == 503
            assert "not reachable" in answer.text
            assert visitor.get("/meetings").status_code == 503
            assert visitor.get("/healthz").status_code == 200
        own_postgres.resume()
        assert visitor.get("/readyz").status_code == 200
        assert visitor.get("/meetings").status_code == 200


def test_the_doctor_tells_of_a_postgres_that_stands_still(settings: Settings, own_postgres: PostgresServer) -> None:
    own_postgres.pause()
    levels = {finding.check: finding.level for finding in examine(settings, datetime.now(UTC))}
    assert levels["database"] == "fail"


@pytest.mark.faults
def test_probes_are_answered_while_every_page_waits(
    settings: Settings, own_postgres: PostgresServer, tmp_path: Path
) -> None:
    link = TOKENS.sign_link(new_pass(Role.OPERATOR, timedelta(hours=1), datetime.now(UTC)))
    variables = {"DATABASE_URL": settings.database_url, "REDIS_URL": settings.redis_url or "", "WEB_THREADS": "1"}
    secrets = {"SECRET_KEY": "a-key-for-tests-only", "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET}
    answered = threading.Semaphore(0)
    with running(tmp_path, "web", **variables, **secrets) as web, ThreadPoolExecutor(PAGES_AT_ONCE) as threads:
        wait_until(web.is_ready, "the web process")

        def look() -> int:
            status = httpx2.get(
                f"{web.url}/meetings",
                headers={"Authorization": f"Bearer {link}"},
                timeout=50,
                trust_env=False,
                verify=NO_TLS,
            ).status_code
            answered.release()
            return status

        assert look() == 200
        answered.acquire()
        own_postgres.pause()
        pages = [threads.submit(look) for _ in range(PAGES_AT_ONCE)]
        assert answered.acquire(timeout=50)  # the first has waited its time, and the thread is with the next one
        for path, status in (("healthz", 200), ("readyz", 503)):
            assert httpx2.get(f"{web.url}/{path}", timeout=50, trust_env=False, verify=NO_TLS).status_code == status
            assert not all(page.done() for page in pages)
        assert {page.result() for page in pages} == {503}
