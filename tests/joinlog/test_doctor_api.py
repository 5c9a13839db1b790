"""What the doctor says about Zoom's API, against the fake: what works, and each thing that is missing by its name."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import SecretStr

from joinlog.doctor_api import Told, look_at_api
from joinlog.fakezoom import MIXES, ApiOptions, ApiServer, generate
from joinlog.fakezoom.api_endpoints import SCOPES
from schema.settings import Settings
from workers.core.projection import PROJECTIONS

WORLD = generate(1, 1, MIXES["calm"], start=datetime(2026, 9, 1, tzinfo=UTC))
USED = tuple(name for name in PROJECTIONS if not name.startswith(("zoom.", "joinlog.")))


def told(secret: str = ApiOptions().client_secret, app: str | None = "app", **options: Any) -> list[Told]:
    given: dict[str, Any] = {"limits": False, "subscribed": USED, "facts": {"log_is_readable": True}} | options
    with ApiServer(WORLD, 1, ApiOptions(**given)) as zoom:
        settings = Settings(
            zoom_account_id=zoom.api.accounts[0], zoom_client_id="fake-client", zoom_client_secret=SecretStr(secret),
            zoom_app_id=app, zoom_api_url=zoom.api_url, zoom_oauth_url=zoom.oauth_url,
        )  # fmt: skip
        return list(look_at_api(settings))


def test_where_nothing_is_missing_everything_is_well() -> None:
    found = told()
    assert [one.mend for one in found] == [""] * 4
    assert "15,000 heavy calls a day" in found[0].says


def test_wrong_credentials_are_one_line_that_says_how_to_mend_them() -> None:
    (one,) = told(secret="wrong")
    assert one.is_broken
    assert "Invalid client_id or client_secret" in one.says
    assert "ZOOM_CLIENT_SECRET" in one.mend


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"scopes": frozenset(SCOPES) - {"webinar:read:list_panelists:admin"}}, "webinar:read:list_panelists:admin"),
        ({"subscribed": tuple(set(USED) - {"webinar.ended"})}, "not subscribed to webinar.ended"),
    ],
)
def test_what_is_missing_is_named(options: dict[str, Any], words: str) -> None:
    (one,) = [one for one in told(**options) if one.mend]
    assert words in one.says
    assert not one.is_broken


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"app": None}, "ZOOM_APP_ID is not set"),
        ({"facts": {"log_is_readable": False}}, "cannot be read"),
        ({}, "can be read"),
    ],
)
def test_whether_the_delivery_log_can_be_read_is_said(options: dict[str, Any], words: str) -> None:
    assert words in told(**options)[-1].says


def test_without_credentials_there_is_nothing_to_say() -> None:
    assert list(look_at_api(Settings())) == []
