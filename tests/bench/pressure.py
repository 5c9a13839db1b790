"""Beside the throughput of intake: what the store alone can do, a herd of connections, and a steady half load."""

from __future__ import annotations

import os
from time import perf_counter

from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import read_envelope
from tests.bench.events import crowd, encode, webinars
from tests.bench.load import Load, drive
from tests.bench.places import DATABASES, Places, moment_of, pin
from tests.bench.report import Report, Table, median, ms, spread
from tests.bench.sizes import Size
from tests.bench.subjects import REQUESTS_PER_SECOND_MAX, Subject, first_people, load_core, server_core

STEADY_REQUESTS_MAX = 60_000


def bare_commits(places: Places, size: Size, report: Report, rates: dict[str, float]) -> None:
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
    first = next(first_people)
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


def herd(subjects: list[Subject], size: Size, report: Report) -> None:
    """Many connections in the same instant, one request each."""
    table = Table(f"A herd of {size.herd} connections at once", ["who", "2xx", "other", "p50 ms", "p99 ms", "max ms"])
    for subject in subjects:
        runs = [
            drive(Load(subject.service.port, "herd", size.herd, first=next(first_people), core=load_core()))
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


def half_rate(subjects: list[Subject], size: Size, report: Report, rates: dict[str, float]) -> None:
    """Answers while there is room: requests come at fixed times, whatever the answers do."""
    table = Table(
        "At half the saturating rate, at fixed times", ["who", "events/s", "p50 ms", "p99 ms", "max ms", "not 2xx"],
        notes=["an answer's time counts from when its request was due"],
    )  # fmt: skip
    for subject in subjects:
        rate = rates[subject.name] / 2
        requests = min(STEADY_REQUESTS_MAX, int(rate * size.steady_seconds))
        runs = [
            drive(
                Load(
                    subject.service.port, "open", requests, per_second=rate, first=next(first_people), core=load_core()
                )
            )
            for _ in range(size.rounds)
        ]
        p99 = median([run.at(0.99) for run in runs])
        table.add(
            subject.name, f"{rate:,.0f}", ms(median([run.at(0.5) for run in runs])), ms(p99),
            ms(max(run.at(1.0) for run in runs)), sum(requests - run.good for run in runs),
        )  # fmt: skip
        report.reached(f"p99 at half the saturating rate, {subject.name}", "50 ms", f"{ms(p99)} ms", p99 <= 0.05)
    report.tables.append(table)
