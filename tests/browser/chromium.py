"""Where chromium is, and how it is started: without a window, a network of its own, or anything remembered."""

from __future__ import annotations

import os
import shutil

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
]  # fmt: skip


def find_chromium() -> str | None:
    """The browser to drive: JOINLOG_CHROMIUM, else the first one on PATH; None when there is none."""
    named = os.environ.get("JOINLOG_CHROMIUM")
    return named or next((found for name in NAMES if (found := shutil.which(name))), None)
