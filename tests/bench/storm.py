"""Everybody comes within a minute and goes within a minute: nothing lost, nothing late, and what it takes in memory."""

from __future__ import annotations

import time

from tests.bench.drain import prepare
from tests.bench.load import Load, finish, start
from tests.bench.places import DATABASES, Places
from tests.bench.processes import joinlog, resident_mib, running
from tests.bench.report import Report, Table, ms
from tests.bench.sizes import Size
from tests.bench.watch import Lag, asking, wait_until_empty

EMPTY_SECONDS_MAX = 300.0
WEB_MIB_MAX, WORKER_MIB_MAX = 90, 130
LAG_SECONDS_MAX, ANSWER_SECONDS_MAX = 5.0, 1.0


def run(places: Places, size: Size, report: Report) -> None:
    """Both databases, every storm."""
    table = Table(
        "Storm: everybody joins one webinar, then everybody leaves",
        ["database", "people", "within s", "not 2xx", "p50 ms", "p99 ms", "max ms", "longest lag s", "empty after s",
         "web MiB", "worker MiB", "clock MiB", "Redis MiB"],
        notes=[
            "everybody is registered, one in three for particular dates; nothing lost means as many rows as people, "
            "every one of them with a beginning and an end, and no dead letter",
            "the lag is the age of the oldest event that is not in the tables, looked up every 50 ms; memory is "
            "resident, at the end; granian's supervisor is counted in brackets",
        ],
    )  # fmt: skip
    for people, seconds in size.storm:
        for kind in DATABASES[:1] if size.is_halved else DATABASES:
            _one_storm(places, kind, people, seconds, table, report)
    report.tables.append(table)


def _one_storm(places: Places, kind: str, people: int, seconds: float, table: Table, report: Report) -> None:
    with places.temporary(kind) as url:
        prepare(places, url, people, 1)
        web, worker, clock = (joinlog(n, places.folder, url, places.redis.url) for n in ("web", "worker", "clock"))
        with running(web, worker, clock):
            wait_until_empty(url, EMPTY_SECONDS_MAX)
            time.sleep(0.5)
            load = Load(
                web.port, "open", 2 * people, places=1, per_second=people / seconds, seconds_max=2 * seconds + 10
            )
            with Lag(url) as lag:
                got = finish(start(load))
                empty_after = wait_until_empty(url, EMPTY_SECONDS_MAX)
            answering = max(web.family(), key=resident_mib)
            memory = {"web": resident_mib(answering), "worker": worker.resident_mib(), "clock": clock.resident_mib()}
            supervisor = sum(resident_mib(pid) for pid in web.family() if pid != answering)
            redis = resident_mib(places.redis.process.pid)
        lost = _lost(url, people)
    bad = 2 * people - got.good
    table.add(
        kind, f"{people:,}", f"{seconds:g}", f"{bad}, {lost} lost", ms(got.at(0.5)), ms(got.at(0.99)), ms(got.at(1.0)),
        f"{lag.longest_seconds:.2f}", f"{empty_after:.2f}", f"{memory['web']:.0f} (+{supervisor:.0f})",
        f"{memory['worker']:.0f}", f"{memory['clock']:.0f}", f"{redis:.0f}",
    )  # fmt: skip
    name = f"storm of {people:,}, {kind}"
    report.reached(f"{name}: slowest answer", "1 s", f"{ms(got.at(1.0))} ms", got.at(1.0) <= ANSWER_SECONDS_MAX)
    report.reached(
        name, "nothing lost, lag under 5 s", f"{bad} not 2xx, {lost} lost, lag {lag.longest_seconds:.2f} s",
        not bad and not lost and lag.longest_seconds < LAG_SECONDS_MAX,
    )  # fmt: skip
    report.reached(
        f"{name}: memory", f"web {WEB_MIB_MAX} MiB, worker {WORKER_MIB_MAX} MiB",
        f"web {memory['web']:.0f} MiB, worker {memory['worker']:.0f} MiB",
        memory["web"] <= WEB_MIB_MAX and memory["worker"] <= WORKER_MIB_MAX,
    )  # fmt: skip


def _lost(url: str, people: int) -> int:
    """People whose stay is not in the table from end to end, and events that are dead."""
    with asking(url) as ask:
        whole = "SELECT count(*) FROM participant WHERE joined_at IS NOT NULL AND left_at IS NOT NULL"
        stays = int(ask(whole, ())[0][0])
        dead = int(ask("SELECT count(*) FROM inbox_event WHERE state = 'dead'", ())[0][0])
    return people - stays + dead
