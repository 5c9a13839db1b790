"""Running a coroutine in a test, whatever else the process does: a driven browser leaves a loop in the main thread."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

Result = TypeVar("Result")


def run_in_own_thread(coroutine: Coroutine[Any, Any, Result]) -> Result:
    """Run a coroutine to its end on an event loop of its own, in a thread of its own."""
    with ThreadPoolExecutor(1, thread_name_prefix="loop") as pool:
        return pool.submit(asyncio.run, coroutine).result()
