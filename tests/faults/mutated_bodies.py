"""Signed bodies that Zoom would never send: none is answered 5xx or stalls, and both databases hold the same rows.

    python -m tests.faults.mutated_bodies [--bodies 20000] [--seed N]

Bodies of tests/payloads are changed at random, signed, and posted to a real web process, while two workers drain. A
delivery that is not answered within Zoom's 3 s counts as a stall.
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import json
import secrets
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from random import Random
from typing import Any

import httpx2
import structlog

from schema.migrate import migrate
from schema.store.database import Database
from schema.store.dialect import run
from tests.conftest import PostgresServer, RedisServer
from tests.faults.campaign_faults import Kept
from tests.faults.test_crash_points import tables
from tests.inbox_to_tables import select
from tests.signed_requests import PAYLOADS, signed_headers
from tests.waiting import wait_until
from workers.rebuild import rebuild

SENDERS = 4
ANSWER_SECONDS_MAX = 3.0
ARRIVED_AT = datetime(2026, 11, 22, 10, tzinfo=UTC)
DRAIN_SECONDS_MAX = 300.0
DEPTH = 2000
SENT_BYTES_MAX = 1_100_000  # a little more than is taken
DEPTH_OF_JSON = 100
ODD_VALUES: Sequence[Any] = (
    None, True, False, 0, -1, 1.5, 1e308, 2**31, 2**63, 2**63 - 1, -(2**63), 10**40, "", " ", "0", "null", "*",
    "\x00", "\ud800", "é" * 300, "x" * 399, "x" * 401, "x" * 5000, [], {}, [[]], [None], {"": None}, "<script>",
    "1970-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "0000-00-00T00:00:00Z", "2026-02-30T00:00:00Z",
    "../../etc/passwd", "'; DROP TABLE meeting; --",
)  # fmt: skip


def main() -> None:
    """Post them to both databases; exit code 1 when something does not hold."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bodies", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**31))
    asked = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    print(f"seed {asked.seed}, {asked.bodies:,} bodies per database", flush=True)
    bodies = list(mutated(Random(asked.seed), asked.bodies))
    wrong: list[str] = []
    found = [post_all(kind, bodies, wrong) for kind in ("sqlite", "postgres")]
    for table, rows in found[0].items():
        differing = (Counter(rows) - Counter(found[1][table])) + (Counter(found[1][table]) - Counter(rows))
        if differing:
            wrong.append(f"{table} differs in {differing.total()} rows:")
            wrong += [str(row)[:400] for row in sorted(differing)[:4]]
    print("\n".join(wrong) or "everything holds", flush=True)
    sys.exit(1 if wrong else 0)


# --- bodies -----------------------------------------------------------------------------------------------------


def mutated(random: Random, count: int) -> Iterator[bytes]:
    """So many bodies, most of them changed as JSON, the others as bytes."""
    originals = [path.read_bytes() for path in sorted(PAYLOADS.rglob("*.json"))]
    documents = [document for body in originals if (document := _document(body)) is not None]
    for _ in range(count):
        if random.random() < 0.2:
            yield _changed_bytes(random.choice(originals), random)
            continue
        document = copy.deepcopy(random.choice(documents))
        for _ in range(random.randint(0, 3)):
            with contextlib.suppress(IndexError, RecursionError):  # nothing left to change, or too deep to copy
                random.choice(CHANGES)(document, random)
        yield json.dumps(document, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")[:SENT_BYTES_MAX]


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except ValueError:
        return None
    return document if isinstance(document, dict) and document else None


def _place(document: Any, random: Random) -> tuple[Any, Any]:
    """A (container, key) somewhere in a document. Raises IndexError for an empty one."""
    container = document
    while True:
        key = random.choice(list(container) if isinstance(container, dict) else range(len(container)))
        inner = container[key]
        if not isinstance(inner, (dict, list)) or not inner or random.random() < 0.2:
            return container, key
        container = inner


def _replace(document: Any, random: Random) -> None:
    container, key = _place(document, random)
    container[key] = random.choice(ODD_VALUES)


def _remove(document: Any, random: Random) -> None:
    container, key = _place(document, random)
    del container[key]


def _swap(document: Any, random: Random) -> None:
    (one, a), (other, b) = _place(document, random), _place(document, random)
    one[a], other[b] = copy.deepcopy(other[b]), copy.deepcopy(one[a])


def _repeat(document: Any, random: Random) -> None:
    container, key = _place(document, random)
    container[key] = [container[key]] * random.choice((2, 2, 50, 50, 2500))


def _nest(document: Any, random: Random) -> None:
    container, key = _place(document, random)
    container[key] = json.loads("[" * DEPTH_OF_JSON + "]" * DEPTH_OF_JSON)


def _move_time(document: Any, random: Random) -> None:
    document["event_ts"] = random.choice((0, -1, 1, 10**12, 10**13, 10**18, 2**63, "2024-09-08 15:58:40", None, 1.5))


DEPTH_OF_JSON = 100
CHANGES: Sequence[Callable[[Any, Random], None]] = (
    _replace,
    _replace,
    _replace,
    _remove,
    _swap,
    _repeat,
    _nest,
    _move_time,
)


def _changed_bytes(body: bytes, random: Random) -> bytes:
    place = random.randrange(len(body))
    return random.choice((
        body[:place],
        body[:place] + bytes([random.randrange(256)]) + body[place + 1 :],
        body[:place] + body[place:] * 2,
        b"\xff\xfe" + body,
        b"[" * DEPTH + body,
        b"\xef\xbb\xbf" + body,
        body.replace(b'"', b"'"),
        b"",
    ))  # fmt: skip


# --- posting ----------------------------------------------------------------------------------------------------


def post_all(kind: str, bodies: Sequence[bytes], wrong: list[str]) -> dict[str, Any]:
    """Post every body in turn; returns the rows afterwards. What does not hold is added to `wrong`."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="joinlog-mutated-")))
        redis = RedisServer(folder)
        stack.callback(redis.stop)
        postgres = PostgresServer() if kind == "postgres" else None
        if postgres is not None:
            stack.callback(postgres.stop)
        url = postgres.create() if postgres is not None else f"sqlite:///{folder}/joinlog.db"
        database = Database(url)
        stack.callback(database.close)
        migrate(database)
        kept = Kept(folder, url, redis.url)
        kept.start()
        begun = time.monotonic()
        answers, longest = _post(kept.url, bodies)
        seconds = time.monotonic() - begun
        pending = "SELECT count(*) AS n FROM inbox_event WHERE state = 'pending'"
        wait_until(
            lambda: select(database, pending)[0]["n"] == 0, f"{kind}: 0 pending", timeout_seconds=DRAIN_SECONDS_MAX
        )
        wrong += [f"{kind}: {name} did not end" for name in kept.stop()]
        wrong += [f"{kind}: a process ended: {ended}" for ended in kept.ended]
        wrong += [
            f"{kind}: {number} times {status}"
            for status, number in answers.items()
            if not status.startswith(("2", "4"))
        ]
        wrong += [f"{kind}: rebuild finds {example}" for example in rebuild(database, check_only=True).examples[:5]]
        _as_if_arrived_at_once(database)
        inbox = select(database, "SELECT idempotency_key, state, error, deliveries FROM inbox_event")
        states = Counter(row["state"] for row in inbox)
        print(
            f"{kind}: {len(bodies):,} bodies in {seconds:.0f} s, answers {dict(answers)}, the slowest {longest:.2f} s; "
            f"{len(inbox):,} events, {dict(states)}",
            flush=True,
        )
        return {**tables(database), "inbox_event": sorted(repr(list(row.values())) for row in inbox)}


def _as_if_arrived_at_once(database: Database) -> None:
    """Leave the arrival out of the tables, which stands in for the time that a changed body lacks: it differs."""
    with database.write() as connection:
        run(connection, "UPDATE inbox_event SET received_at = ?", (ARRIVED_AT,))
    rebuild(database)


def _post(url: str, bodies: Sequence[bytes]) -> tuple[Counter[str], float]:
    """The answers, and how long the slowest took."""
    waiting: SimpleQueue[bytes] = SimpleQueue()
    for body in bodies:
        waiting.put(body)
    answers: Counter[str] = Counter()
    slowest = [0.0]
    guard = threading.Lock()

    def send() -> None:
        with httpx2.Client(trust_env=False, timeout=ANSWER_SECONDS_MAX) as client:
            while True:
                try:
                    body = waiting.get_nowait()
                except Empty:
                    return
                begun = time.monotonic()
                try:
                    status = str(client.post(f"{url}/webhook", content=body, headers=signed_headers(body)).status_code)
                except httpx2.HTTPError as error:
                    status = type(error).__name__
                with guard:
                    answers[status] += 1
                    slowest[0] = max(slowest[0], time.monotonic() - begun)

    threads = [threading.Thread(target=send) for _ in range(SENDERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, slowest[0]


if __name__ == "__main__":
    main()
