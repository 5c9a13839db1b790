"""`make faults`: faults at random under load on both databases, then the proof that nothing was lost or doubled.

    python -m tests.faults.campaign [--seconds 120] [--seed N] [--database sqlite|postgres|both] [--kills N]

It prints its seed and every step. It ends when the seconds are over, or after so many kills per database if that is
sooner. Then everything runs undisturbed, and it has to hold that: everything delivered was taken in the end; nothing is
pending; each event is in the inbox once; those that are valid are done and the others dead; the tables are what a drain
without faults makes of the same events, and what a rebuild makes of the inbox; a consumer of the feed, killed like the
others, has the same tables, and missed, doubled and swapped nothing on the way; every process ends when asked to.
"""

from __future__ import annotations

import argparse
import secrets
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from random import Random

import structlog

from schema.migrate import migrate
from schema.store.database import Database
from schema.store.feed import read_head
from schema.zoom.envelope import read_envelope
from tests.conftest import PostgresServer, RedisServer
from tests.faults import campaign_faults as faults
from tests.faults.campaign_consumer import reached, what_is_wrong
from tests.faults.campaign_load import Load
from tests.faults.test_crash_points import tables
from tests.inbox_to_tables import drain, keep_events, select
from tests.signed_requests import encode
from tests.waiting import wait_until
from workers.rebuild import rebuild

DISK = "1g"
PER_SECOND = 60.0  # unless --rate says otherwise
KILL_SHARE = 0.75
PAUSE_SECONDS = (0.05, 1.0)
LIVENESS_SECONDS_MAX = 180.0
KEPT_AT_ONCE = 500


def main() -> None:
    """Run the campaign; exit code 1 when something does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=120.0, help="of both databases together")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    parser.add_argument("--database", choices=("sqlite", "postgres", "both"), default="both")
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--rate", type=float, default=PER_SECOND, help="events a second")
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    kinds = ("sqlite", "postgres") if asked.database == "both" else (asked.database,)
    print(f"seed {asked.seed}: repeat with SEED={asked.seed}", flush=True)
    wrong = []
    for kind in kinds:
        wrong += campaign(kind, Random(f"{asked.seed}/{kind}"), asked.seconds / len(kinds), asked.kills, asked.rate)
    print("\n".join(wrong) or "everything holds", flush=True)
    sys.exit(1 if wrong else 0)


def campaign(kind: str, random: Random, seconds: float, kills: int, rate: float) -> list[str]:
    """One database; returns what does not hold."""
    begun = time.monotonic()
    made: Counter[str] = Counter()

    def say(step: str) -> None:
        made[step.split()[0]] += 1
        print(f"{kind} {time.monotonic() - begun:7.1f}  {step}", flush=True)

    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joinlog-faults-")))
        print(f"{kind}: logs in {folder}", flush=True)
        stage = _set_up(kind, folder, random, say, stack, rate)
        stage.load.start()
        while time.monotonic() - begun < seconds and not 0 < kills <= made["kill"]:
            fault = faults.kill if random.random() < KILL_SHARE else random.choice(faults.faults_of(stage))
            fault(stage)
            time.sleep(random.uniform(*PAUSE_SECONDS))
        say("undisturbed from here")
        return _prove(stage, kind, made, begun)


def _set_up(kind: str, folder: Path, random: Random, say: faults.Say, stack: ExitStack, rate: float) -> faults.Stage:
    redis = RedisServer(folder)
    stack.callback(redis.stop)
    disk = stack.enter_context(_small_disk(folder / "disk"))
    place = folder / "disk"  # of database and keys; logs are outside
    postgres = None
    if kind == "postgres":
        postgres = PostgresServer()
        stack.callback(postgres.stop)
    url = postgres.create() if postgres else f"sqlite:///{place}/joinlog.db"
    database = Database(url)
    migrate(database)
    database.close()
    kept = faults.Kept(place, url, redis.url)
    kept.start()
    load = Load(kept.url, random, rate)
    return faults.Stage(random, kept, load, url, redis, postgres, disk, say)


@contextmanager
def _small_disk(folder: Path) -> Iterator[Path | None]:
    """A small disk where one may be mounted; else there is none to fill."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "joinlog-faults", str(folder)]
    if sys.platform != "linux" or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        yield None
        return
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _prove(stage: faults.Stage, kind: str, made: Counter[str], begun: float) -> list[str]:
    wrong = []
    database = Database(stage.database_url)
    try:
        try:
            stage.load.halt(LIVENESS_SECONDS_MAX)
            wait_until(lambda: _states(database)["pending"] == 0, "0 pending", timeout_seconds=LIVENESS_SECONDS_MAX)
        except AssertionError as error:
            wrong.append(f"{kind}: {error}")
        try:
            wait_until(lambda: _is_followed(stage, database), "the consumer", timeout_seconds=LIVENESS_SECONDS_MAX)
        except AssertionError as error:
            wrong.append(f"{kind}: {error}")
        late = stage.kept.stop()
        wrong += [f"{kind}: {name} did not end within 30 s of SIGTERM" for name in late]
        taken = {
            read_envelope(encode(event)).idempotency_key: (event, is_valid) for event, is_valid in stage.load.taken
        }
        states = _states(database)
        wrong += look_at_inbox(database, kind, {key: valid for key, (_, valid) in taken.items()})
        wrong += look_at_tables(database, kind, [event for event, _ in taken.values()])
        wrong += [f"{kind}: {says}" for says in what_is_wrong(stage.kept.copy, database)]
    finally:
        database.close()
    ended = Counter(stage.kept.ended)
    print(
        f"{kind}: {made['kill']} kills among {sum(made.values())} steps in {time.monotonic() - begun:.0f} s; "
        f"{len(stage.load.taken):,} deliveries taken, {len(taken):,} events, {dict(states)}\n"
        f"{kind}: answers {dict(stage.load.statuses)}; longest time without "
        + ", without ".join(f"{what} {seconds:.1f} s" for what, seconds in stage.load.longest_seconds.items())
        + "".join(
            f"\n{kind}: silent from {since - begun:.1f} for {seconds:.1f} s" for since, seconds in stage.load.silences
        )
        + f"\n{kind}: ended {dict(ended)}",
        flush=True,
    )
    return wrong


def _is_followed(stage: faults.Stage, database: Database) -> bool:
    with database.read() as connection:
        return reached(stage.kept.copy) == read_head(connection)


def _states(database: Database) -> Counter[str]:
    rows = select(database, "SELECT state, count(*) AS n FROM inbox_event GROUP BY state")
    return Counter({row["state"]: row["n"] for row in rows})


def look_at_inbox(database: Database, kind: str, taken: dict[str, bool]) -> list[str]:
    """Each event that was taken is there once, done if it is valid and dead if it is not."""
    rows = select(database, "SELECT idempotency_key, state FROM inbox_event")
    kept = {row["idempotency_key"]: row["state"] for row in rows}
    lost = taken.keys() - kept.keys()
    doubled = len(rows) - len(kept)
    expected = {True: "done", False: "dead"}
    odd = Counter((valid, kept[key]) for key, valid in taken.items() if key in kept and kept[key] != expected[valid])
    found = {"lost": len(lost), "doubled": doubled, "in another state than they should be": sum(odd.values())}
    return [f"{kind}: {number} events are {what} {dict(odd)}" for what, number in found.items() if number]


def look_at_tables(database: Database, kind: str, events: list[dict[str, object]]) -> list[str]:
    """The tables are what a drain without faults makes of the same events, and what a rebuild makes of the inbox."""
    wrong = [f"{kind}: rebuild finds {example}" for example in rebuild(database, check_only=True).examples[:5]]
    with tempfile.TemporaryDirectory(prefix="joinlog-undisturbed-") as folder:
        undisturbed = Database(f"sqlite:///{folder}/undisturbed.db", durable=False)
        migrate(undisturbed)
        for place in range(0, len(events), KEPT_AT_ONCE):
            keep_events(undisturbed, events[place : place + KEPT_AT_ONCE])
        drain(undisturbed)
        expected, found = tables(undisturbed), tables(database)
        undisturbed.close()
    for table, rows in expected.items():
        different = (Counter(rows) - Counter(found[table])) + (Counter(found[table]) - Counter(rows))
        if different:
            wrong.append(f"{kind}: {table} differs from an undisturbed drain in {different.total()} rows: ")
            wrong += list(different)[:2]
    return wrong


if __name__ == "__main__":
    main()
