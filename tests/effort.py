"""How hard tests of laws try: once in the suite, many times in `make law`."""

from __future__ import annotations

import os

EFFORT = int(os.environ.get("TEST_EFFORT", "1"))
