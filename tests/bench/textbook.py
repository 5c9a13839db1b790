"""What a textbook would do with a webhook: one RQ job and one commit per event, rows through SQLModel sessions.

It writes the same three rows per event as Joinlog's drain does for a join or a leave (connection, participant, line of
the join log) and marks the event done; it links nothing, reads nothing else and merges nothing, so it does less.
"""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from functools import cache
from typing import Any

from redis import Redis
from rq import Queue, SimpleWorker, Worker
from sqlalchemy import Engine, create_engine, event
from sqlmodel import Session

from schema.store.dialect import read_url
from schema.tables import Connection, InboxEvent, JoinLog, Participant


@cache
def engine() -> Engine:
    """The engine of this process, durable as a default installation is."""
    made = create_engine(read_url(os.environ["DATABASE_URL"]))
    if made.dialect.name == "sqlite":

        @event.listens_for(made, "connect")
        def prepare(connection: Any, _record: object) -> None:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=NORMAL")

    return made


def handle(payload: dict[str, Any], account_id: str = "", inbox_id: int = 0) -> None:
    """The job: one event, one transaction."""
    told = payload["payload"]["object"]
    who = told["participant"]
    at = datetime.fromtimestamp(payload["event_ts"] / 1000, UTC)
    now = datetime.now(UTC)
    is_join = payload["event"].endswith("joined")
    moment = "joined_at" if is_join else "left_at"
    key = {
        "account_id": account_id or payload["payload"]["account_id"],
        "uuid": told["uuid"],
        "connection_id": who["user_id"],
    }
    shared = {
        "meeting_id": int(told["id"]), "registrant_id": who["registrant_id"], "email": who["email"],
        "name": who["user_name"], "participant_uuid": who["participant_uuid"], "updated_at": now,
    }  # fmt: skip
    person = f"registrant:{who['registrant_id']}"
    first_seen_at = datetime(2026, 1, 1, tzinfo=UTC)  # Joinlog's key is the join; the textbook knows one stay
    stay = Participant(**key, first_seen_at=first_seen_at, person_id=person, **shared)
    setattr(stay, moment, at)
    line = JoinLog(
        account_id=key["account_id"], line_id=f"{inbox_id}/{who['user_id']}/{is_join}", seq=time.time_ns() // 1000,
        event_ts=at, kind="joined" if is_join else "left", meeting_id=int(told["id"]), uuid=told["uuid"],
        registrant_id=who["registrant_id"], connection_id=who["user_id"], name=who["user_name"], email=who["email"],
        updated_at=now,
    )  # fmt: skip
    with Session(engine()) as session:
        for row in (Connection(**key, **shared), stay, line):
            session.merge(row)
        if inbox_id:
            found = session.get(InboxEvent, (key["account_id"], inbox_id))
            if found is not None:
                found.state, found.processed_at, found.updated_at = "done", now, now
        session.commit()


WOKEN = "bench:woken"


def wake(enqueued: float, redis_url: str) -> None:
    """The job that does nothing but say how long ago it was enqueued (monotonic seconds)."""
    woken = time.monotonic() - enqueued
    with Redis.from_url(redis_url) as redis:
        redis.rpush(WOKEN, woken)


def main() -> None:
    """`python -m tests.bench.textbook forking|simple|wait QUEUE`.

    The first two work the queue empty and print how long it took; the third waits for more.
    """
    connection = Redis.from_url(os.environ["REDIS_URL"])
    queue = Queue(sys.argv[2], connection=connection)
    if sys.argv[1] == "wait":
        print("worker_started", flush=True)
        SimpleWorker([queue], connection=connection).work(logging_level="ERROR")
        return
    kind = SimpleWorker if sys.argv[1] == "simple" else Worker
    worker = kind([queue], connection=connection)
    if kind is SimpleWorker:
        engine().connect().close()  # a worker that forks connects in the child, once per job
    begun = time.perf_counter()
    worker.work(burst=True, logging_level="ERROR")
    print(time.perf_counter() - begun)


if __name__ == "__main__":
    main()
