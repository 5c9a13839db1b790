"""Whom the intake benchmark posts to, where they run, and what their answers cost them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count

from tests.bench.load import Load, Measured, What, drive
from tests.bench.places import SQLITE, Places, pin
from tests.bench.processes import Service, cpu_seconds
from tests.bench.sizes import Size
from tests.processes import descendants

SERVER_CORE, LOAD_CORE = 0, 1
REQUESTS_PER_SECOND_MAX = 9000

first_people = count(1, 250_000)  # people of one load never meet those of another


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
                what=self.what, clients=clients, keep_alive=keep_alive, seconds_max=seconds, first=next(first_people),
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


def beside(places: Places, kind: str) -> Callable[[], Iterable[int]]:
    """The servers whose work counts as that of a web process on this database."""
    redis = places.redis.process.pid
    if kind == SQLITE:
        return lambda: [redis]
    return lambda: [redis, places.postmaster, *descendants(places.postmaster)]


def work_us(run: Measured) -> float:
    """CPU time of everything that answers, microseconds per request: what noise of other processes does not change."""
    return max(run.cpu_seconds, 0.01) / len(run.times) * 1e6


def median_run(runs: list[Measured]) -> Measured:
    """The one whose work per request is in the middle."""
    return sorted(runs, key=work_us)[len(runs) // 2]
