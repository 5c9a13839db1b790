"""`make cluster`: an installation over seven hosts under load, harmed in every way it has to survive.

    python -m tests.cluster [--per-second 300] [--only TEXT] [--seed N]

Hosts are network namespaces; servers, balancer, poolers and databases are real; the fake Zoom posts from outside, sends
again what was not taken and knows what was. After each scenario every event that was acknowledged has to be in the
inbox once; at the end the tables have to be what a drain without any harm makes of the same events, and what a rebuild
makes of the inbox. It ends everything it started.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import NamedTuple

import structlog
from rich.console import Console
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from schema.store.database import STATEMENT_SECONDS_MAX, Database
from schema.store.dialect import run
from schema.zoom.envelope import read_envelope
from tests.cluster.hosts import CannotBeTried, require_machine
from tests.cluster.installation import Installation
from tests.cluster.scenarios import SCENARIOS, Say
from tests.faults.campaign import look_at_inbox, look_at_tables
from tests.faults.campaign_load import Load
from tests.signed_requests import encode
from tests.waiting import wait_until

SENDERS = 12
CALM_SECONDS = 5.0
CAUGHT_UP_SECONDS = 2.0  # as far behind as an installation at work may be
CATCH_UP_SECONDS_MAX = 120.0
LOOK_SECONDS = 0.25
NOT_TRIED = "delays between the hosts (this kernel has no netem), hosts of unequal clocks, more than two cores"


class Outcome(NamedTuple):
    """What one scenario cost."""

    name: str
    acknowledged: int
    lost_or_doubled: int
    silent_seconds: float
    untaken_seconds: float
    allowed_seconds: float
    caught_up_seconds: float


def main() -> None:
    """Run it; exit code 1 when something does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--per-second", type=float, default=300.0)
    parser.add_argument("--only", default="", help="scenarios whose name contains this")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    try:
        require_machine()
    except CannotBeTried as error:
        print(f"NOT TESTED: an installation over several hosts ({error}).")
        sys.exit(0)
    begun = time.monotonic()

    def say(step: str) -> None:
        print(f"{time.monotonic() - begun:6.1f}  {step}", flush=True)

    say(f"seed {asked.seed}")
    with tempfile.TemporaryDirectory(prefix="joinlog-cluster-") as name:
        there = Installation(Path(name))
        try:
            there.start()
            say("seven hosts are ready")
            wrong = try_all(there, Random(asked.seed), asked.per_second, asked.only, say)
        except BaseException:
            for log in sorted(Path(name).rglob("*.log")):
                print(f"== {log.parent.name} {log.name}", *log.read_text(errors="replace").splitlines()[-4:], sep="\n")
            raise
        finally:
            there.close()
    say("everything it started is ended")
    print("\n".join(wrong) or "everything holds")
    print(f"NOT TESTED: {NOT_TRIED}.")
    sys.exit(1 if wrong else 0)


def try_all(there: Installation, random: Random, per_second: float, only: str, say: Say) -> list[str]:
    """Every scenario under load, then the proof; returns what does not hold."""
    database = Database(there.direct_url, statement_seconds=STATEMENT_SECONDS_MAX)
    load = Load(there.url, random, per_second, SENDERS)
    outcomes, wrong = [], list[str]()
    load.start()
    time.sleep(CALM_SECONDS)
    for name, (harm, allowed) in SCENARIOS.items():
        if only in name:
            outcomes.append(try_one(there, database, load, name, harm, allowed, say))
    say("undisturbed from here")
    load.halt(CATCH_UP_SECONDS_MAX)
    wait_until(lambda: behind_seconds(database) == 0, "nothing is pending", timeout_seconds=CATCH_UP_SECONDS_MAX)
    database.close()
    database = Database(there.direct_url)  # a rebuild takes longer than a look
    events = acknowledged(load)
    say(f"{len(events):,} events; comparing the tables with a drain without harm, and with a rebuild")
    wrong += look_at_inbox(database, "the inbox", {key: is_valid for key, (_, is_valid) in events.items()})
    wrong += look_at_tables(database, "the tables", [event for event, _ in events.values()])
    database.close()
    show(outcomes, load)
    wrong += [f"{one.name}: {one.lost_or_doubled} lost or doubled" for one in outcomes if one.lost_or_doubled]
    wrong += [
        f"{one.name}: {one.silent_seconds:.1f} s without an answer, {one.allowed_seconds:g} allowed"
        for one in outcomes
        if one.silent_seconds > one.allowed_seconds
    ]
    return wrong


def try_one(
    there: Installation,
    database: Database,
    load: Load,
    name: str,
    harm: Callable[[Installation, Say], None],
    allowed: float,
    say: Say,
) -> Outcome:
    """One scenario, and what it cost."""
    say(f"-- {name}")
    before = len(load.taken)
    load.measure_anew()
    harm(there, say)
    mended = time.monotonic()
    wait_until(
        lambda: behind_seconds(database) < CAUGHT_UP_SECONDS, "it has caught up", timeout_seconds=CATCH_UP_SECONDS_MAX
    )
    caught_up = time.monotonic() - mended
    longest = dict(load.longest_seconds)
    time.sleep(CALM_SECONDS)
    taken = dict.fromkeys(read_envelope(encode(event)).idempotency_key for event, _ in list(load.taken))
    odd = lost_or_doubled(database, set(taken))
    outcome = Outcome(name, len(load.taken) - before, odd, longest["any answer"], longest["204"], allowed, caught_up)
    say(
        f"{outcome.acknowledged:,} acknowledged, {odd} lost or doubled; at most {outcome.silent_seconds:.1f} s without "
        f"an answer, {outcome.untaken_seconds:.1f} s without a 204; caught up {caught_up:.1f} s after it was mended"
    )
    return outcome


def behind_seconds(database: Database) -> float:
    """For how long the oldest pending event has waited; 0 when nothing is pending, much when nobody answers."""
    time.sleep(LOOK_SECONDS)
    try:
        with database.read() as connection:
            query = "SELECT extract(epoch FROM now()) * 1000000 - min(id) FROM inbox_event WHERE state = 'pending'"
            ((microseconds,),) = run(connection, query)
    except SQLAlchemyError:
        return float("inf")
    return float(microseconds) / 1_000_000 if microseconds is not None else 0.0


def lost_or_doubled(database: Database, keys: set[str]) -> int:
    """Of these events those that are not in the inbox, and all that are there more than once."""
    with database.read() as connection:
        found = [key for (key,) in run(connection, "SELECT idempotency_key FROM inbox_event")]
    return len(keys - set(found)) + len(found) - len(set(found))


def acknowledged(load: Load) -> dict[str, tuple[dict[str, object], bool]]:
    """Every event that was answered 204, by its idempotency key, and whether it is valid."""
    return {read_envelope(encode(event)).idempotency_key: (event, is_valid) for event, is_valid in load.taken}


def show(outcomes: list[Outcome], load: Load) -> None:
    """The figures as a table."""
    table = Table("scenario", "acknowledged", "lost or doubled", "s without answer", "without 204", "s to catch up")
    for one in outcomes:
        table.add_row(
            one.name, f"{one.acknowledged:,}", str(one.lost_or_doubled),
            f"{one.silent_seconds:.1f} of {one.allowed_seconds:g}", f"{one.untaken_seconds:.1f}",
            f"{one.caught_up_seconds:.1f}",
        )  # fmt: skip
    Console().print(table)
    print(f"answers: {dict(load.statuses)}")


if __name__ == "__main__":
    main()
