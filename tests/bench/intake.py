"""Signed POST -> committed -> 204: requests per second of one core, and how long an answer takes.

Whatever answers (web process, Postgres, Redis) is on one core, the load generator on the other. Nothing drains.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from time import perf_counter

from schema.envelope import read_envelope
from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from tests.bench.events import crowd, encode, webinars
from tests.bench.load import Load, Measured, What, drive
from tests.bench.peers import Peer, peers
from tests.bench.places import DATABASES, POSTGRES, SQLITE, Places, moment_of, pin
from tests.bench.processes import Service, cpu_seconds, joinlog, running
from tests.bench.report import Report, Table, median, ms, spread
from tests.bench.servers import reference
from tests.bench.sizes import Size
from tests.running import descendants

SERVER_CORE, LOAD_CORE = 0, 1
REQUESTS_PER_SECOND_MAX = 9000
STEADY_REQUESTS_MAX = 60_000

_first = count(1, 250_000)  # people of one load never meet those of another


@dataclass
class Subject:
    """Somebody to post to."""

    name: str
    service: Service
    beside: Callable[[], Iterable[int]]
    what: What = "crowd"
    path: str = "/webhook"

    def load(self, size: Size, clients: int, keep_alive: bool, seconds: float | None = None) -> Measured:
        """Post as fast as so many clients can."""
        seconds = seconds or size.burst_seconds
        before = self._cpu_seconds()
        got = drive(
            Load(
                self.service.port, "closed", requests=int(REQUESTS_PER_SECOND_MAX * seconds), path=self.path,
                what=self.what, clients=clients, keep_alive=keep_alive, seconds_max=seconds, first=next(_first),
                core=load_core(),
            )
        )  # fmt: skip
        got.cpu_seconds = self._cpu_seconds() - before
        return got

    def _cpu_seconds(self) -> float:
        """What everything that answers has worked so far: its own processes, Redis, and Postgres where it has one."""
        return sum(cpu_seconds(pid) for pid in {*self.service.family(), *self.beside()})


def server_core() -> int | None:
    """Of everything that answers; None on a machine with one core."""
    return SERVER_CORE if (os.cpu_count() or 1) > 1 else None


def load_core() -> int | None:
    """Of the generator."""
    return LOAD_CORE if (os.cpu_count() or 1) > 1 else None


@contextmanager
def all_on_one_core(places: Places) -> Iterator[None]:
    """Postgres and Redis beside the web process that uses them."""
    servers = (places.postmaster, places.redis.process.pid)
    for pid in servers:
        pin(pid, server_core())
    try:
        yield
    finally:
        for pid in servers:
            pin(pid, None)


def run(places: Places, size: Size, report: Report) -> None:
    """Every subject, side by side."""
    with all_on_one_core(places), ExitStack() as stack:
        urls = {kind: stack.enter_context(places.temporary(kind)) for kind in DATABASES}
        folder, redis = places.folder, places.redis.url
        subjects = [
            Subject(f"Joinlog, {kind}", joinlog("web", folder, urls[kind], redis, server_core()), _beside(places, kind))
            for kind in DATABASES
        ]
        for name, kind in (("bare", SQLITE), ("textbook", SQLITE), ("alone", SQLITE), ("alone", POSTGRES)):
            url = stack.enter_context(places.temporary(kind))
            service = reference(name, folder, url, redis, server_core())
            subjects.append(Subject(NAMES[name, kind], service, _beside(places, kind)))
        stack.enter_context(running(*[subject.service for subject in subjects]))
        notes: list[str] = []
        if size.peers:
            found: list[Peer]
            found, notes = peers(places, stack, server_core(), load_core())
            subjects += [
                Subject(peer.name, peer.service, _beside(places, POSTGRES), "stripe", peer.path) for peer in found
            ]
        rates = _throughput(subjects, size, report, notes)
        _store(places, size, report, rates)
        _herd(subjects[:2], size, report)
        _steady(subjects[:2], size, report, rates)


def _beside(places: Places, kind: str) -> Callable[[], Iterable[int]]:
    """The servers whose work counts as that of a web process on this database."""
    redis = places.redis.process.pid
    if kind == SQLITE:
        return lambda: [redis]
    return lambda: [redis, places.postmaster, *descendants(places.postmaster)]


NAMES = {
    ("bare", SQLITE): "(a) Flask, 204 without looking",
    ("textbook", SQLITE): "(c) Flask + rq enqueue",
    ("alone", SQLITE): "Joinlog, SQLite, no group commit",
    ("alone", POSTGRES): "Joinlog, Postgres, no group commit",
}


def _throughput(subjects: list[Subject], size: Size, report: Report, notes: list[str]) -> dict[str, float]:
    """Returns the saturating rate of each: the median at most clients, kept alive."""
    most = max(size.clients)
    found: dict[tuple[str, int, bool], list[Measured]] = {}
    for subject in subjects:  # warm-up: lazy imports, connections
        subject.load(size, 4, True, 0.3)
    for _ in range(size.rounds):
        for clients in size.clients:
            for keep_alive in (True, False):
                for subject in subjects:
                    if " no group" in subject.name and (clients != most or not keep_alive):
                        continue
                    got = subject.load(size, clients, keep_alive)
                    assert got.good == len(got.times) > 0, f"{subject.name}: {got.answers} {got.failures}"
                    found.setdefault((subject.name, clients, keep_alive), []).append(got)
    table = Table(
        "Intake: requests per second of one core",
        [
            "who",
            "clients",
            "keep-alive /s",
            "p50 ms",
            "p99 ms",
            "CPU us",
            "a connection each /s",
            "p50 ms",
            "p99 ms",
            "CPU us",
        ],
        notes=[*NOTES, *notes],
    )
    for subject in subjects:
        for clients in size.clients:
            cells: list[str] = []
            for keep_alive in (True, False):
                runs = found.get((subject.name, clients, keep_alive))
                cells += ["", "", "", ""] if not runs else [
                    spread([run.per_second for run in runs]),
                    ms(median([run.at(0.5) for run in runs])),
                    ms(median([run.at(0.99) for run in runs])),
                    f"{median([work_us(run) for run in runs]):,.0f}",
                ]  # fmt: skip
            if any(cells):
                table.add(subject.name, clients, *cells)
    report.tables.append(table)
    rates = {s.name: median([run.per_second for run in found[s.name, most, True]]) for s in subjects}
    ratios = Table(
        f"Intake: Joinlog's rate is that many times theirs, {most} clients, keep-alive, round by round",
        ["theirs", *DATABASES, *[f"{kind}, by CPU per request" for kind in DATABASES]],
    )
    for name in rates:
        pairs = {
            kind: list(zip(found[f"Joinlog, {kind}", most, True], found[name, most, True], strict=True))
            for kind in DATABASES
        }
        ratios.add(
            name,
            *(spread([a.per_second / b.per_second for a, b in pairs[kind]], 2) for kind in DATABASES),
            *(spread([work_us(b) / work_us(a) for a, b in pairs[kind]], 2) for kind in DATABASES),
        )
    report.tables.append(ratios)
    _hold(report, found, most)
    return rates


def work_us(run: Measured) -> float:
    """CPU time of everything that answers, microseconds per request: what noise of other processes does not change."""
    return max(run.cpu_seconds, 0.01) / len(run.times) * 1e6


NOTES = [
    "CPU us is the CPU time, per request, of all processes that answer: the web process, Postgres, Redis",
    "web process, Postgres and Redis share one core, the generator has the other; nothing drains; SQLite FULL and "
    "Postgres synchronous_commit=on, fsync on",
    "(a) reads the body and does nothing else; (c) verifies and enqueues, which nothing makes durable: Redis keeps "
    "nothing on disk here, and the row is still to be written",
]


def _hold(report: Report, found: dict[tuple[str, int, bool], list[Measured]], most: int) -> None:
    names = {name for name, _, _ in found}
    for kind in DATABASES:
        own = [run.per_second for run in found[f"Joinlog, {kind}", most, True]]
        for name in sorted(names):
            if not name.startswith("("):
                continue
            other = [run.per_second for run in found[name, most, True]]
            ratio = median([a / b for a, b in zip(own, other, strict=True)])
            by_work = work_us(median_run(found[name, most, True])) / work_us(
                median_run(found[f"Joinlog, {kind}", most, True])
            )
            wanted = 0.9 if name.startswith("(a)") else 1.5
            figure = f"{ratio:.2f} ({by_work:.2f} by CPU)"
            report.reached(f"intake, {kind}, to {name}", f"{wanted}", figure, ratio >= wanted)


def median_run(runs: list[Measured]) -> Measured:
    """The one whose work per request is in the middle."""
    return sorted(runs, key=work_us)[len(runs) // 2]


def _store(places: Places, size: Size, report: Report, rates: dict[str, float]) -> None:
    """(b) The same commit in a bare loop, one event at a time and in groups of 64: the limit of the store."""
    table = Table(
        "Intake: the same commit in a bare loop", ["store", "events a commit", "events/s", "Joinlog to it"], notes=[
            "on the core the web processes have; the group is as large as the clients are many",
        ],
    )  # fmt: skip
    pin(os.getpid(), server_core())
    try:
        for kind in DATABASES:
            for group in sorted({1, max(size.clients)}):
                figures = []
                for _ in range(size.rounds):
                    with places.temporary(kind) as url:
                        figures.append(_commits_per_second(url, group, size.burst_seconds))
                table.add(kind, group, spread(figures), f"{rates[f'Joinlog, {kind}'] / median(figures):.2f}")
    finally:
        pin(os.getpid(), None)
    report.tables.append(table)


def _commits_per_second(url: str, group: int, seconds: float) -> float:
    database = Database(url)
    first = next(_first)
    begin_ms = 1_800_000_000_000
    events = [
        read_envelope(encode(event))
        for event in crowd(webinars(4), int(REQUESTS_PER_SECOND_MAX * seconds) // 2, begin_ms, first)
    ]
    begun, kept = perf_counter(), 0
    while kept + group <= len(events) and perf_counter() - begun < seconds:
        ids = range(begin_ms * 1000 + kept, begin_ms * 1000 + kept + group)
        keep(database, [Arrival(n, e, moment_of(n), None) for n, e in zip(ids, events[kept:], strict=False)])
        kept += group
    rate = kept / (perf_counter() - begun)
    database.close()
    return rate


def _herd(subjects: list[Subject], size: Size, report: Report) -> None:
    table = Table(f"A herd of {size.herd} connections at once", ["who", "2xx", "other", "p50 ms", "p99 ms", "max ms"])
    for subject in subjects:
        runs = [
            drive(Load(subject.service.port, "herd", size.herd, first=next(_first), core=load_core()))
            for _ in range(size.rounds)
        ]
        worst = max(runs, key=lambda run: run.at(1.0))
        bad = sum(size.herd - run.good for run in runs)
        p99 = median([run.at(0.99) for run in runs])
        table.add(
            subject.name, sum(run.good for run in runs), bad, ms(median([run.at(0.5) for run in runs])), ms(p99),
            ms(worst.at(1.0)),
        )  # fmt: skip
        report.reached(
            f"herd of {size.herd}, {subject.name}", "all 2xx, p99 1.5 s, max 3 s",
            f"{bad} not 2xx, p99 {ms(p99)} ms, max {ms(worst.at(1.0))} ms",
            bad == 0 and p99 < 1.5 and worst.at(1.0) <= 3,
        )  # fmt: skip
    report.tables.append(table)


def _steady(subjects: list[Subject], size: Size, report: Report, rates: dict[str, float]) -> None:
    table = Table(
        "At half the saturating rate, at fixed times", ["who", "events/s", "p50 ms", "p99 ms", "max ms", "not 2xx"],
        notes=["an answer's time counts from when its request was due"],
    )  # fmt: skip
    for subject in subjects:
        rate = rates[subject.name] / 2
        requests = min(STEADY_REQUESTS_MAX, int(rate * size.steady_seconds))
        runs = [
            drive(Load(subject.service.port, "open", requests, per_second=rate, first=next(_first), core=load_core()))
            for _ in range(size.rounds)
        ]
        p99 = median([run.at(0.99) for run in runs])
        table.add(
            subject.name, f"{rate:,.0f}", ms(median([run.at(0.5) for run in runs])), ms(p99),
            ms(max(run.at(1.0) for run in runs)), sum(requests - run.good for run in runs),
        )  # fmt: skip
        report.reached(f"p99 at half the saturating rate, {subject.name}", "50 ms", f"{ms(p99)} ms", p99 <= 0.05)
    report.tables.append(table)
