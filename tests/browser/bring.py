"""Brings the browser that the tests drive, where this machine allows it: `make test` calls this first.

1. One that is there is used.
2. As root on a Debian or Ubuntu: its package, which needs nothing else.
3. Else Playwright's own, which needs libraries that a desktop has.

Where none of that works the tests run without: pytest's last line then says what was not tested.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence

from playwright.sync_api import sync_playwright

from tests.browser.chromium import chromium_on_path, find_chromium

SECONDS_MAX = 240


def bring() -> str | None:
    """The browser; None when it cannot be had."""
    found = chromium_on_path()
    if found is None and os.geteuid() == 0 and shutil.which("apt-get"):
        print("There is no browser here: installing Debian's chromium ...", flush=True)
        quiet = ["apt-get", "-qq", "-o", "Dpkg::Use-Pty=0"]
        if does([*quiet, "update"]) and does([*quiet, "install", "-y", "--no-install-recommends", "chromium"]):
            found = chromium_on_path()
    if found is None:
        with sync_playwright() as playwright:
            found = find_chromium(playwright)
    if found is None:
        print("There is no browser here: downloading Playwright's chromium ...", flush=True)
        if does([sys.executable, "-m", "playwright", "install", "chromium"]):
            with sync_playwright() as playwright:
                found = find_chromium(playwright)
    return found


def does(command: Sequence[str]) -> bool:
    """Whether a command ended well; what it says is not shown, for the tests go on without it."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    try:
        done = subprocess.run(command, env=environment, capture_output=True, timeout=SECONDS_MAX, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0


if __name__ == "__main__":
    if bring() is None:
        print("No browser could be had. The tests run without; the last line says what that leaves out.")
