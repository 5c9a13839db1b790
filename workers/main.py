"""What `joinlog worker` does: drains when it is rung for, and lets neither Redis nor a broken job end it.

1. Wait for the tables of this version.
2. Drain once without waiting for a ring, which may have been lost with Redis.
3. Answer rings until asked to stop. When RQ gives up, begin again at 2.
"""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from types import FrameType

import structlog
from redis.exceptions import RedisError
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus
from sqlalchemy.exc import SQLAlchemyError

from schema.gc_tuning import collect_rarely
from schema.revision import applied_revision, newest_revision
from schema.settings import Settings
from schema.store.database import Database
from workers import jobs
from workers.drain import Drain
from workers.queue import DrainWorker

PAUSE_SECONDS = 2.0  # before a worker that lost Redis tries again
MIGRATION_POLL_SECONDS = 0.5
INSIST_SECONDS = 1.5  # RQ ignores a second signal within one second
OUTAGE_LINE_SECONDS = 30.0  # of quiet make the next failure another outage

log = structlog.get_logger()


def work(settings: Settings, redis_url: str) -> None:
    """Run until SIGTERM or SIGINT, and end after the batch in progress."""
    stopping = threading.Event()
    stop_on_signals(stopping)
    collect_rarely()
    database = Database(settings.database_url, durable=False)
    drain = Drain(database, batch_events=settings.drain_batch_events, stopping=stopping)
    jobs.prepare(drain.drain_all)
    outage = Outage()
    logging.getLogger("rq.worker").addFilter(outage)
    log.info("worker_started", database=database.shown_url)
    await_migrations(database, stopping)
    while not stopping.is_set():
        try:
            drain.drain_all()
        except (SQLAlchemyError, OSError) as error:
            log.error("drain_given_up", error=type(error).__name__)
        if not stopping.is_set():
            answer_rings(redis_url, settings, stopping, outage)
            stop_on_signals(stopping)  # RQ has put handlers of its own there
            stopping.wait(PAUSE_SECONDS)
    database.close()
    log.info("worker_stopped")


def await_migrations(database: Database, stopping: threading.Event) -> None:
    """Return once the tables are those of this version: with any others every event would fail, and be dead."""
    told = ""
    while not stopping.is_set():
        try:
            with database.read() as connection:
                applied = applied_revision(connection)
            missing = "" if applied == newest_revision() else f"at {applied or 'nothing'}, not {newest_revision()}"
        except (SQLAlchemyError, OSError) as error:
            missing = f"not reachable ({type(error).__name__})"
        if not missing:
            return
        if missing != told:
            log.warning("waiting_for_database", reason=missing)
            told = missing
        stopping.wait(MIGRATION_POLL_SECONDS)


def stop_on_signals(stopping: threading.Event) -> None:
    """Until RQ installs its own handlers."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Not here: this may have interrupted a wait that holds the event's lock.
        threading.Thread(target=stopping.set).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


class Outage(logging.Filter):
    """Says once that Redis is away, whoever notices: RQ would say so every two seconds, with tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until = 0.0

    def note(self, error: BaseException | None) -> None:
        """Redis did not answer."""
        if time.monotonic() >= self._quiet_until:
            reason = "ConnectionError" if error is None else type(error).__name__
            log.warning("redis_away", error=reason, retry_seconds=PAUSE_SECONDS)
        self._quiet_until = time.monotonic() + OUTAGE_LINE_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line of RQ is logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, RedisError) and "could not connect to Redis" not in str(record.msg):
            return True
        self.note(error)
        return False


def answer_rings(redis_url: str, settings: Settings, stopping: threading.Event, outage: Outage) -> None:
    """Work until asked to stop, or until RQ gives up: over Redis, or over a job nobody can read."""
    worker = None
    try:
        worker = DrainWorker(redis_url, settings.signing_keys)
        worker.stopping = stopping
        worker.max_connection_wait_time = PAUSE_SECONDS
        threading.Thread(target=insist, args=(worker, stopping), daemon=True).start()
        worker.work(with_scheduler=False, logging_level=None)
    except StopRequested:
        stopping.set()
    except (RedisError, OSError) as error:
        outage.note(error)
    finally:
        if worker is not None and worker.pubsub_thread is not None:
            worker.pubsub_thread.stop()


def insist(worker: DrainWorker, stopping: threading.Event) -> None:
    """Ask an idle worker again that was asked to stop, for as long as it takes.

    RQ's handler raises an exception to leave whatever it interrupted, and some code swallows that, logging for one:
    a worker that is told to stop in the moment Redis goes away went on for ever.
    """
    stopping.wait()
    while True:
        time.sleep(INSIST_SECONDS)
        if worker.get_state() != WorkerStatus.BUSY:
            os.kill(os.getpid(), signal.SIGTERM)
