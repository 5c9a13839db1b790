"""Where chromium is, and how it is started: without a window, a network of its own, or anything remembered."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from playwright.sync_api import Playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip
HOW_TO_GET = "apt-get install chromium, or .venv/bin/playwright install --with-deps chromium"


def chromium_on_path() -> str | None:
    """JOINLOG_CHROMIUM, else the first browser on PATH; None when there is none."""
    named = os.environ.get("JOINLOG_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)


def find_chromium(playwright: Playwright) -> str | None:
    """The browser to drive: one of this machine, else the one Playwright has downloaded; None when there is none."""
    own = playwright.chromium.executable_path
    return chromium_on_path() or (own if Path(own).exists() else None)
