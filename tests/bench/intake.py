"""Signed POST -> committed -> 204: requests per second of one core, and how long an answer takes.

Whatever answers (web process, Postgres, Redis) is on one core, the load generator on the other. Nothing drains.
"""

from __future__ import annotations

from contextlib import ExitStack

from tests.bench.load import Measured
from tests.bench.peers import Peer, peers
from tests.bench.places import DATABASES, POSTGRES, SQLITE, Places
from tests.bench.pressure import bare_commits, half_rate, herd
from tests.bench.processes import joinlog, running
from tests.bench.report import Report, Table, median, ms, spread
from tests.bench.servers import reference
from tests.bench.sizes import Size
from tests.bench.subjects import (
    Subject,
    all_on_one_core,
    beside,
    load_core,
    median_run,
    server_core,
    work_us,
)


def run(places: Places, size: Size, report: Report) -> None:
    """Every subject, side by side."""
    with all_on_one_core(places), ExitStack() as stack:
        urls = {kind: stack.enter_context(places.temporary(kind)) for kind in DATABASES}
        folder, redis = places.folder, places.redis.url
        subjects = [
            Subject(f"Joinlog, {kind}", joinlog("web", folder, urls[kind], redis, server_core()), beside(places, kind))
            for kind in DATABASES
        ]
        for name, kind in NAMES:
            if name == "alone" and size.rounds == 1:
                continue
            url = stack.enter_context(places.temporary(kind))
            service = reference(name, folder, url, redis, server_core())
            subjects.append(Subject(NAMES[name, kind], service, beside(places, kind)))
        stack.enter_context(running(*[subject.service for subject in subjects]))
        notes: list[str] = []
        if size.peers:
            found: list[Peer]
            found, notes = peers(places, stack, server_core(), load_core())
            subjects += [
                Subject(peer.name, peer.service, beside(places, POSTGRES), "stripe", peer.path) for peer in found
            ]
        rates = _throughput(subjects, size, report, notes)
        bare_commits(places, size, report, rates)
        herd(subjects[:2], size, report)
        half_rate(subjects[:2], size, report, rates)


NAMES = {
    ("bare", SQLITE): "(a) Flask, 204 without looking",
    ("textbook", SQLITE): "(c) Flask + rq enqueue",
    ("alone", SQLITE): "Joinlog, SQLite, no group commit",
    ("alone", POSTGRES): "Joinlog, Postgres, no group commit",
}


def _is_wanted(name: str, is_most: bool, keep_alive: bool) -> bool:
    """Not everything is measured in every way: the whole has to end within a quarter of an hour."""
    if " no group" in name:
        return is_most and keep_alive
    return keep_alive or is_most or name.startswith(("Joinlog", "(a)"))


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
                    if not _is_wanted(subject.name, clients == most, keep_alive):
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
