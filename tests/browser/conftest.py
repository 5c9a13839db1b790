"""One browser and one running product for all the browser tests; a fresh profile and a watchful page for each."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Dialog, Page, Route, sync_playwright

from tests import not_tested
from tests.browser.chromium import ARGUMENTS, HOW_TO_GET, find_chromium
from tests.browser.stage import Stage
from tests.conftest import RedisServer
from tests.stories import ZERO
from tests.waiting import wait_until
from webhook.tokens import Role

LIGHT: dict[str, Any] = {"viewport": {"width": 1280, "height": 800}, "locale": "en-GB", "timezone_id": "Europe/Berlin"}
WAIT_MS = 8000
PAGES = "the pages, which no browser here could show"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All browser tests run in one pytest worker, so that one browser and one product serve them."""
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """Chromium."""
    with sync_playwright() as playwright:
        chromium = find_chromium(playwright)
        if chromium is None:
            if os.environ.get("JOINLOG_REQUIRE_BROWSER"):
                pytest.fail(f"no browser: {HOW_TO_GET}")
            not_tested.skip(PAGES, HOW_TO_GET)
        launched = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield launched
        launched.close()


@pytest.fixture(scope="session")
def stage(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """The product, running, over a SQLite file and a Redis of its own."""
    folder = tmp_path_factory.mktemp("stage")
    redis = RedisServer(folder)
    running = Stage(folder, f"sqlite:///{folder / 'joinlog.db'}", redis.url, folder / "log", is_demo=True)
    yield running
    running.close()
    redis.stop()


class Eye:
    """A page that notes what must never happen: console errors, failed requests, requests that leave loopback."""

    def __init__(self, stage: Stage, context: BrowserContext) -> None:
        self.stage = stage
        self.context = context
        self.page: Page = context.new_page()
        self.page.set_default_timeout(WAIT_MS)
        self.faults: list[str] = []
        self.context.route("**/*", self._watch)
        self.page.on("console", self._heard)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("dialog", self._interrupted)

    def _heard(self, said: ConsoleMessage) -> None:
        if said.type == "error":
            self.faults.append(f"console: {said.text}")

    def _interrupted(self, dialog: Dialog) -> None:
        self.faults.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _watch(self, route: Route) -> None:
        host = urlsplit(route.request.url).hostname
        if host != "127.0.0.1":
            self.faults.append(f"left loopback: {route.request.url}")
            route.abort()
        else:
            route.continue_()

    def enter(self, role: Role = Role.OPERATOR, **granted: Any) -> Eye:
        """Have the cookie of a link of this role."""
        value = self.stage.tokens.sign_session(self.stage.grant(role, **granted))
        self.context.add_cookies([{"name": f"joinlog-{self.stage.port}", "value": value, "url": self.stage.url}])
        return self

    def go(self, path: str) -> Page:
        """Open a page."""
        self.page.goto(f"{self.stage.url}{path}")
        return self.page

    def forgive(self, part: str) -> None:
        """Faults that a test provokes itself."""
        self.faults = [fault for fault in self.faults if part not in fault]


@pytest.fixture
def eye(browser: Browser, stage: Stage) -> Iterator[Eye]:
    """A page in a fresh profile; the test fails when anything faulty was seen in it."""
    context = browser.new_context(**LIGHT)
    seen = Eye(stage, context)
    yield seen
    faults = list(seen.faults)
    context.close()
    assert faults == []


def eventually(page: Page, script: str, value: object, *, seconds: float = WAIT_MS / 1000) -> None:
    """Wait until a script's value is this one; the pages' own policy forbids Playwright's way of waiting."""
    wait_until(lambda: page.evaluate(script) == value, f"{script} to be {value}", timeout_seconds=seconds)


def now_minutes(offset: float = 0.0) -> float:
    """This moment in minutes after the zero of `tests.stories`."""
    return (datetime.now(UTC) - ZERO).total_seconds() / 60 + offset
