"""What a worker reads of scopes and subscriptions is kept, and Connect ticks by it without a call of its own."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from pydantic import SecretStr

from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, generate
from joinlog.fakezoom.api_endpoints import SCOPES
from schema.settings import Settings
from schema.store.api_access import ApiAccess, read_access, save_access
from schema.store.database import Database
from tests.conftest import settings_for
from tests.page_client import open_site
from workers.core.projection import PROJECTIONS
from workers.zoom.access import ASK_EVERY, AccessLook
from workers.zoom.errands import open_clients

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
WORLD = generate(1, 1, MIXES["calm"], start=datetime(2026, 9, 1, tzinfo=UTC))
USED = frozenset(name for name in PROJECTIONS if not name.startswith(("zoom.", "joinlog.")))
MISSING = "webinar:read:list_panelists:admin"


def looked(
    database: Database, *moments: datetime, secret: str = ApiOptions().client_secret, **options: Any
) -> list[int]:
    """How many accounts each look asked about."""
    given: dict[str, Any] = {"limits": False, "subscribed": tuple(USED)} | options
    asked = []
    with ApiServer(WORLD, 1, ApiOptions(**given)) as zoom:
        settings = Settings(
            zoom_account_id=zoom.api.accounts[0], zoom_client_id="fake-client", zoom_client_secret=SecretStr(secret),
            zoom_api_url=zoom.api_url, zoom_oauth_url=zoom.oauth_url,
        )  # fmt: skip
        clients = open_clients(settings, database)
        for now in moments:
            asked.append(AccessLook(database, clients, now=partial(lambda moment: moment, now)).look())
        for client in clients:
            client.http.close()
    return asked


def kept(database: Database) -> ApiAccess:
    with database.read() as connection:
        (access,) = read_access(connection).values()
    return access


def test_scopes_and_events_are_kept_and_asked_for_again_after_a_while(database: Database) -> None:
    late = NOW + ASK_EVERY
    assert looked(database, NOW, late - timedelta(seconds=1), late, scopes=frozenset(SCOPES) - {MISSING}) == [1, 0, 1]
    access = kept(database)
    assert access.scopes is not None
    assert MISSING not in access.scopes
    assert (access.events, access.error, access.read_at) == (USED, None, late)


def test_a_refused_token_is_kept_with_its_reason(database: Database) -> None:
    looked(database, NOW, secret="wrong")
    access = kept(database)
    assert (access.scopes, access.events) == (None, None)
    assert "Invalid client_id or client_secret" in str(access.error)


@pytest.mark.parametrize(
    ("access", "done", "words"),
    [
        (None, "no", "no worker has asked Zoom with them yet"),
        (ApiAccess("A", NOW, None, None, "refused <b>"), "no", "<strong>No token:</strong> refused &lt;b&gt;"),
        (ApiAccess("A", NOW, frozenset(), USED, None), "no", f'data-scope="{MISSING}" data-granted="no"'),
        (ApiAccess("A", NOW, frozenset(), USED - {"webinar.ended"}, None), "no", "not subscribed"),
        (None, "no", "Which of them the app is subscribed to is told with API credentials"),
    ],
)  # fmt: skip
def test_connect_shows_what_a_worker_found(sqlite_url: str, access: ApiAccess | None, done: str, words: str) -> None:
    more = {"zoom_account_id": "A", "zoom_client_id": "B", "zoom_client_secret": "C"}
    with open_site(settings_for(sqlite_url, "redis://127.0.0.1:1/0", **more)) as site:
        if access is not None:
            save_access(site.database, access)
        text = site.visitor().get("/connect").text
    assert words in text
    assert f'id="step-api" data-done="{done}"' in text
    if access is not None:
        assert "22 Nov 2026 10:00:00" in text


def test_connect_ticks_the_api_once_nothing_is_missing(sqlite_url: str) -> None:
    from webhook.pages.connect import SCOPES as NEEDED

    more = {"zoom_account_id": "A", "zoom_client_id": "B", "zoom_client_secret": "C"}
    with open_site(settings_for(sqlite_url, "redis://127.0.0.1:1/0", **more)) as site:
        save_access(site.database, ApiAccess("A", NOW, frozenset(NEEDED), USED, None))
        text = site.visitor().get("/connect").text
    assert 'id="step-api" data-done="yes"' in text
    assert len(re.findall(r'data-granted="yes"', text)) == len(NEEDED)
    assert "The app is subscribed to all of them." in text
    assert "not subscribed" not in text
