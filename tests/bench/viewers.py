"""Do open pages slow the intake? A storm of events, without and with viewers who poll the live fragment.

A viewer asks as the page's script does: with the cursor, panel tag and ETag of the last answer, twice a second.
"""

from __future__ import annotations

import asyncio
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx2

from tests.bench.drain import prepare
from tests.bench.load import Load, Measured, finish, start
from tests.bench.places import DATABASES, Places
from tests.bench.processes import SIGNING_KEY, joinlog, running
from tests.bench.report import Report, Table, median, ms, spread
from tests.bench.sizes import Size
from tests.bench.watch import wait_until_empty
from webhook.tokens import Role, Tokens, new_pass

POLL_SECONDS = 0.5  # EVERY_MS of webhook/static/live.js
P99_RATIO_MAX = 1.3
LAG_SECONDS_MAX = 2.0
EMPTY_SECONDS_MAX = 120.0
OPEN_SECONDS_MAX = 30.0
ROUNDS_MAX = 2
_CURSOR = re.compile(r'data-cursor="([^"]*)"')


class Viewers:
    """So many pages that are open, each polling; counts the lines they were told of."""

    def __init__(self, port: int, count: int) -> None:
        self.lags: list[float] = []
        self.answers: dict[int, int] = {}
        self._port = port
        self._count = count
        self._stopping = threading.Event()
        self._open = threading.Event()
        self._opened = 0
        self._told: dict[int, int] = {}
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()), daemon=True)

    def __enter__(self) -> Viewers:
        self._thread.start()
        if not self._open.wait(OPEN_SECONDS_MAX):
            raise RuntimeError(f"not all of {self._count} pages opened within {OPEN_SECONDS_MAX:g} s")
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join(10)

    async def _all(self) -> None:
        headers = {"Authorization": f"Bearer {self._link()}"}
        async with httpx2.AsyncClient(
            base_url=f"http://127.0.0.1:{self._port}", headers=headers, trust_env=False, timeout=10
        ) as client:
            await asyncio.gather(*(self._one(client, number) for number in range(self._count)))

    def _link(self) -> str:
        granted = new_pass(Role.VIEWER, timedelta(hours=1), datetime.now(UTC))
        return Tokens([SIGNING_KEY.encode()]).sign_link(granted)

    async def _one(self, client: httpx2.AsyncClient, number: int) -> None:
        await asyncio.sleep(number / self._count * POLL_SECONDS)
        page = await client.get("/")
        page.raise_for_status()
        found = _CURSOR.search(page.text)
        told: dict[str, Any] = {"cursor": found[1] if found else "", "panel_tag": ""}
        etag = ""
        self._opened += 1
        if self._opened == self._count:
            self._open.set()
        while not self._stopping.is_set():
            answer = await client.get(
                "/live",
                params={"after": told["cursor"], "panel": told["panel_tag"]},
                headers={"If-None-Match": etag} if etag else {},
            )
            self.answers[answer.status_code] = self.answers.get(answer.status_code, 0) + 1
            if answer.status_code == 200:
                told = answer.json()
                etag = answer.headers.get("etag", "")
                self._note_lag(told)
            await asyncio.sleep(POLL_SECONDS)

    def _note_lag(self, told: dict[str, Any]) -> None:
        """How old the oldest of the new lines is that this page has just been shown."""
        if told["lines"]:
            accepted_us = int(str(told["lines"][-1][0]).partition("~")[0])
            self.lags.append(time.time() - accepted_us / 1_000_000)


def run(places: Places, size: Size, report: Report) -> None:
    """Both databases; without and with viewers in turn."""
    rate, seconds = size.viewing
    table = Table(
        f"Viewers: {rate} events/s with {size.viewers} open pages",
        ["database", "without: p50 ms", "p99 ms", "with: p50 ms", "p99 ms", "p99 ratio", "page lag p50 s", "max s",
         "polls 200/304"],
        notes=[
            "the pages are open when the storm begins; each polls every "
            f"{POLL_SECONDS:g} s; its lag is the age of the oldest new line it shows, the wait between two polls "
            "included; of a burst it shows the newest and counts the rest",
        ],
    )  # fmt: skip
    for kind in DATABASES[1:] if size.is_halved else DATABASES:
        found: dict[bool, list[Measured]] = {False: [], True: []}
        lags: list[float] = []
        polls: dict[int, int] = {}
        people = int(rate * seconds) // 2
        with places.temporary(kind) as url:
            prepare(places, url, people, 1)
            web, worker = (joinlog(name, places.folder, url, places.redis.url) for name in ("web", "worker"))
            with running(web, worker):
                for turn in range(2 * min(ROUNDS_MAX, size.rounds)):
                    is_watched = turn % 2 == 1
                    load = Load(
                        web.port, "open", 2 * people, places=1, per_second=rate, first=(turn + 1) * people,
                        seconds_max=seconds + 5,
                    )  # fmt: skip
                    if is_watched:
                        with Viewers(web.port, size.viewers) as viewers:
                            found[True].append(finish(start(load)))
                            time.sleep(2 * POLL_SECONDS)
                        lags += viewers.lags
                        polls = {status: polls.get(status, 0) + n for status, n in viewers.answers.items()}
                    else:
                        found[False].append(finish(start(load)))
                    wait_until_empty(url, EMPTY_SECONDS_MAX)
        for runs in found.values():
            assert all(run.good == 2 * people for run in runs), [(run.answers, run.failures) for run in runs]
        ratios = [a.at(0.99) / b.at(0.99) for a, b in zip(found[True], found[False], strict=True)]
        lag = Measured(times=lags)
        table.add(
            kind,
            *(ms(median([run.at(q) for run in found[watched]])) for watched in (False, True) for q in (0.5, 0.99)),
            spread(ratios, 2), f"{lag.at(0.5):.2f}", f"{lag.at(1.0):.2f}",
            "/".join(str(polls.get(status, 0)) for status in (200, 304)),
        )  # fmt: skip
        report.reached(
            f"page with {size.viewers} viewers, {kind}", "lag under 2 s, intake's p99 1.3 times that without",
            f"lag {lag.at(1.0):.2f} s, {median(ratios):.2f} times",
            lag.at(1.0) < LAG_SECONDS_MAX and median(ratios) <= P99_RATIO_MAX,
        )  # fmt: skip
    report.tables.append(table)
