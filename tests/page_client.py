"""Visiting the pages without a browser: the real application, and somebody with a link."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from schema.settings import Settings
from tests.conftest import SIGNING_KEY
from webhook.app import create_app
from webhook.parts import parts_of
from webhook.tokens import Pass, Role, Tokens, new_pass

ORIGIN = "http://localhost"
TOKENS = Tokens([SIGNING_KEY.encode()])


@contextmanager
def open_site(settings: Settings) -> Iterator[Site]:
    """The application; what it opened is closed at the end."""
    app = create_app(settings)
    try:
        yield Site(app)
    finally:
        parts_of(app).close()


class Site:
    """The application and its visitors."""

    def __init__(self, app: Flask) -> None:
        self.app = app
        self.database = parts_of(app).database

    def stranger(self) -> Visitor:
        """Somebody without a link."""
        return Visitor(self.app.test_client())

    def visitor(self, role: Role = Role.OPERATOR, meeting_id: int | None = None, hours: float = 8) -> Visitor:
        """Somebody who opened a link."""
        visitor = self.stranger()
        visitor.granted = new_pass(role, timedelta(hours=hours), datetime.now(UTC), meeting_id)
        answer = visitor.enter(TOKENS.sign_link(visitor.granted))
        assert answer.status_code == 303, answer.text
        return visitor


class Visitor:
    """A browser without JavaScript."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client
        self.granted: Pass | None = None

    def enter(self, token: str) -> TestResponse:
        """Exchange a link's token for a cookie."""
        return self.client.post("/enter", data={"token": token}, headers={"Origin": ORIGIN})

    def get(self, path: str, **headers: str) -> TestResponse:
        """Look at a page."""
        return self.client.get(
            path, headers={name.replace("_", "-"): value for name, value in headers.items()}, buffered=True
        )

    def post(self, path: str, data: dict[str, Any] | None = None, origin: str | None = ORIGIN) -> TestResponse:
        """Send a form with the token of a page of ours."""
        token = re.search(r'data-form-token="([^"]+)"', self.get("/").text)
        assert token is not None
        return self.post_raw(path, {"form_token": token[1], **(data or {})}, origin)

    def post_raw(self, path: str, data: dict[str, Any], origin: str | None = ORIGIN) -> TestResponse:
        """Send a form as it is."""
        return self.client.post(path, data=data, headers={} if origin is None else {"Origin": origin})
