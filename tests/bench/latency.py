"""From the POST to the row a reader sees, and to the link, with web, worker and Redis as they run in production."""

from __future__ import annotations

import sys
import time

from redis import Redis
from rq import Queue

from tests.bench import textbook
from tests.bench.events import webinars
from tests.bench.load import STARTS_EVERY, Load, Measured, finish, is_start, start
from tests.bench.places import DATABASES, Places
from tests.bench.processes import Service, joinlog, running, settings
from tests.bench.report import Report, Table, ms
from tests.bench.sizes import Size
from tests.bench.watch import Rows, wait_until_empty

SETTLE_SECONDS_MAX = 30.0
WAKES = 60


def run(places: Places, size: Size, report: Report) -> None:
    """Both databases, every rate."""
    table = Table(
        "Latency: from the POST to what a reader sees",
        ["database", "events/s", "answer p50 ms", "p99", "row p50 ms", "row p99", "row max",
         "link p50 ms", "link p99", "link max"],
        notes=[
            "times count from when a request was due; a reader looks every millisecond, which is in the figure",
            "nine events in ten are joins, one begins an instance; the link is the one its schedule gives",
        ],
    )  # fmt: skip
    for kind in DATABASES:
        for rate, seconds in size.rates:
            _one_rate(places, kind, rate, seconds, table, report)
    wakes = _bare_wakes(places)
    table.notes.append(
        f"the limit: RQ's bare wake-up, from enqueue to the job's first line: p50 {ms(wakes.at(0.5))} ms, "
        f"p99 {ms(wakes.at(0.99))} ms, max {ms(wakes.at(1.0))} ms"
    )
    report.tables.append(table)


def _one_rate(places: Places, kind: str, rate: int, seconds: float, table: Table, report: Report) -> None:
    requests = max(STARTS_EVERY, int(rate * seconds))
    rate_of = max(rate, requests / seconds)  # at 1/s a few more, so that one of them begins an instance
    count = requests // STARTS_EVERY + 2
    with places.temporary(kind) as url:
        places.keep(url, (webinar.created() for webinar in webinars(count)))
        web, worker = (joinlog(name, places.folder, url, places.redis.url) for name in ("web", "worker"))
        with running(web, worker):
            wait_until_empty(url, SETTLE_SECONDS_MAX)
            time.sleep(0.5)
            with Rows(url) as rows:
                load = Load(web.port, "open", requests, what="mixed", per_second=rate_of, places=count)
                answers = finish(start(load))
                deadline = time.monotonic() + SETTLE_SECONDS_MAX
                starts = [number for number in range(requests) if is_start(number)]
                while len(rows.people) + len(rows.links) < requests and time.monotonic() < deadline:
                    time.sleep(0.01)
    assert answers.good == requests, (answers.answers, answers.failures)
    uuids = [webinar.uuid for webinar in webinars(count)]
    due = [answers.begun + number / rate_of for number in range(requests)]
    seen = Measured(times=[rows.people[n] - due[n] for n in range(requests) if not is_start(n)])
    linked = Measured(times=[rows.links[uuids[1 + n // STARTS_EVERY]] - due[n] for n in starts])
    table.add(
        kind, f"{rate_of:g}", ms(answers.at(0.5)), ms(answers.at(0.99)),
        *(ms(found.at(quantile)) for found in (seen, linked) for quantile in (0.5, 0.99, 1.0)),
    )  # fmt: skip
    if rate == 50:
        p50, p99 = seen.at(0.5), seen.at(0.99)
        report.reached(
            f"POST to row at 50 events/s, {kind}", "p50 10 ms, p99 60 ms", f"p50 {ms(p50)} ms, p99 {ms(p99)} ms",
            p50 <= 0.01 and p99 <= 0.06,
        )  # fmt: skip


def _bare_wakes(places: Places) -> Measured:
    """How long RQ takes to begin a job that does nothing, with a worker that waits and does not fork."""
    found = Measured(times=[])
    variables = settings("sqlite://", places.redis.url)
    command = [sys.executable, "-m", "tests.bench.textbook", "wait", "wakes"]
    service = Service("wakes", command, places.folder, variables)
    with running(service), Redis.from_url(places.redis.url) as redis:
        queue = Queue("wakes", connection=redis)
        redis.delete(textbook.WOKEN)
        for _ in range(WAKES):
            queue.enqueue(textbook.wake, time.monotonic(), places.redis.url)
            answer = redis.blpop([textbook.WOKEN], timeout=10)
            assert isinstance(answer, tuple)
            found.times.append(float(answer[1]))
            time.sleep(0.02)
    return found
