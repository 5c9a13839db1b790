"""How much of everything: `smoke` in CI, `small` in a quarter of an hour, `full` as the issue states it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """The numbers of one run; seconds are of load, not of set-up."""

    name: str
    rounds: int  # A B A B: medians are over these
    burst_seconds: float  # of one closed load
    clients: tuple[int, ...]
    herd: int  # connections at once
    steady_seconds: float  # at half the saturating rate
    peers: bool  # stripe-sync-engine and dj-stripe, which are installed for it
    batches: tuple[tuple[int, int], ...]  # batch size, events to settle
    textbook_jobs: tuple[int, int]  # forking, simple
    rates: tuple[tuple[int, float], ...]  # events per second, seconds
    storm: tuple[tuple[int, float], ...]  # people, seconds for all of them to join
    growth: tuple[int, ...]  # events in the inbox
    growth_events: int  # events of one measurement
    snapshot_events: int  # settled while a reader holds a snapshot
    people: int  # rows of `participant` behind the reports
    crowd: int  # of the largest occurrence
    viewers: int
    viewing: tuple[int, float]  # events per second, seconds
    is_halved: bool = False  # the storm on SQLite only, the viewers on Postgres only: starting processes takes longest


SIZES = {
    size.name: size
    for size in (
        Size(
            "smoke", 1, 0.3, (4,), 50, 0.5, False, ((1000, 200),), (2, 5), ((50, 1.0),),
            ((60, 1.0),), (0, 2000), 200, 2000, 3000, 500, 3, (50, 1.0), True,
        ),
        Size(
            "small", 3, 1.0, (1, 8, 64), 2000, 5.0, True, ((1, 200), (10, 1500), (100, 6000), (1000, 12_000)),
            (30, 300), ((1, 8.0), (50, 8.0), (500, 8.0)), ((2000, 12.0),), (0, 100_000), 4000, 500_000, 200_000, 10_000,
            20, (500, 8.0),
        ),
        Size(
            "full", 5, 3.0, (1, 8, 64), 2000, 15.0, True, ((1, 1000), (10, 10_000), (100, 40_000), (1000, 80_000)),
            (100, 1000), ((1, 30.0), (50, 30.0), (500, 30.0)), ((10_000, 60.0), (100_000, 300.0)),
            (0, 1_000_000, 10_000_000), 10_000, 500_000, 1_000_000, 10_000, 20, (500, 30.0),
        ),
    )
}  # fmt: skip
