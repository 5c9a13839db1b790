"""A client of the fake Zoom's API for tests: asks `ZoomApi` directly, and reads lists page by page."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from joinlog.fakezoom.api import Request, Response, ZoomApi


def encoded_once(uuid: str) -> str:
    """Percent-encoded for one segment of a path."""
    return uuid.replace("%", "%25").replace("/", "%2F").replace("+", "%2B").replace("=", "%3D")


def encoded(uuid: str) -> str:
    """As a path wants a uuid: encoded twice when it begins with `/` or holds `//`."""
    once = encoded_once(uuid)
    return encoded_once(once) if uuid.startswith("/") or "//" in uuid else once


@dataclass
class Client:
    """Asks one account's API at a moment; `seconds` is the clock for tokens, pages and limits."""

    api: ZoomApi
    now: datetime
    seconds: float = 1_800_000_000.0
    account_id: str = ""
    token: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        self.account_id = self.account_id or self.api.accounts[0]

    def fetch_token(self, **change: str) -> Response:
        asked = {"grant_type": "account_credentials", "account_id": self.account_id, **change}
        pair = f"{self.api.options.client_id}:{asked.pop('secret', self.api.options.client_secret)}"
        headers = {"authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
        response = self.api.answer(Request("POST", "/oauth/token", asked, headers), self.now, self.seconds)
        self.token = response.body.get("access_token", self.token)
        return response

    def get(self, path: str, **query: str) -> Response:
        if not self.token:
            self.fetch_token()
        headers = {"authorization": f"Bearer {self.token}"}
        return self.api.answer(Request("GET", f"/v2{path}", query, headers), self.now, self.seconds)

    def read(self, path: str, **query: str) -> dict[str, Any]:
        response = self.get(path, **query)
        assert response.status == 200, response.body
        return response.body

    def rows(self, path: str, key: str, **query: str) -> list[dict[str, Any]]:
        """Every row of a list, all its pages."""
        found: list[dict[str, Any]] = []
        query = {"page_size": "300", **query}
        while True:
            body = self.read(path, **query)
            found += body[key]
            if not body.get("next_page_token"):
                return found
            query["next_page_token"] = body["next_page_token"]
