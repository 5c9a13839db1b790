"""What `joinlog worker` does: drains when it is rung for, and neither Redis nor a broken job ends it.

1. Wait for the tables of this version.
2. Drain once without waiting for a ring, which may have been lost with Redis.
3. Answer rings until asked to stop. When RQ gives up, begin again at 2.
"""

from __future__ import annotations

import signal
import threading
from functools import partial
from types import FrameType

import structlog
from sqlalchemy.exc import SQLAlchemyError

from schema.gc_tuning import collect_rarely
from schema.logs import configure_logs
from schema.revision import why_unsuitable
from schema.settings import Settings
from schema.signals import rouse_main_thread
from schema.store.database import Database
from schema.store.feed import set_notifies
from workers import jobs
from workers.drain import Drain, Which
from workers.drain_loop import DrainLoop
from workers.metrics import Publisher
from workers.notify.sending import send
from workers.notify.teller import Teller
from workers.push.assembly import make_pushers, start_pushers
from workers.queue import require_redis
from workers.zoom.access import AccessLook
from workers.zoom.errands import Errands, open_clients

MIGRATION_POLL_SECONDS = 0.5

log = structlog.get_logger()


def run_worker(settings: Settings) -> None:
    """Run until SIGTERM or SIGINT, and end after the batch in progress. Raises ConfigurationError without REDIS_URL."""
    configure_logs(settings, "worker")
    stopping = threading.Event()
    rings = jobs.Answering(require_redis(settings), settings.signing_keys, stopping)
    stop_on_signals(stopping)
    rouse_main_thread()
    collect_rarely()
    database = Database(settings.database_url, durable=False)
    drain = Drain(
        database,
        which=Which.LIVE,
        batch_events=settings.drain_batch_events,
        stopping=stopping,
        staff_domains=settings.staff_domain_names,
    )
    answers = Drain(database, which=Which.ANSWERS, stopping=stopping, staff_domains=settings.staff_domain_names)
    loop, answers_loop = DrainLoop(drain, stopping), DrainLoop(answers, stopping, name="answers")
    teller = Teller(database, partial(send, settings.alert_targets), settings.health_url)
    pushers = make_pushers(settings, database)
    errands = Errands(database, open_clients(settings, database), answers.settle_answers)
    access = AccessLook(database, open_clients(settings, database))  # a client is of one thread
    jobs.prepare(loop.ring, teller.ring, errands.ring)
    log.info("worker_started", database=database.shown_url)
    await_migrations(database, stopping)
    if not stopping.is_set():
        set_notifies(database, settings.feed_notify)
    metrics = Publisher(database, "worker")
    metrics.start()
    loop.start()
    answers_loop.start()
    errands.start()
    access.start()
    if not stopping.is_set():
        start_pushers(settings, database, pushers)
    if settings.alert_targets:
        teller.start()
    while not stopping.is_set():
        rings.run()
        stop_on_signals(stopping)  # RQ has put handlers of its own there
        stopping.wait(jobs.PAUSE_SECONDS)
    errands.stop()
    access.stop()
    loop.stop()
    answers_loop.stop()
    teller.stop()
    for pusher in pushers:
        pusher.stop()
    metrics.stop()
    database.close()
    log.info("worker_stopped")


def await_migrations(database: Database, stopping: threading.Event) -> None:
    """Return once this version can work on the tables: with any others every event would fail, and be dead."""
    told = ""
    while not stopping.is_set():
        try:
            with database.read() as connection:
                missing = why_unsuitable(connection)
        except (SQLAlchemyError, OSError) as error:
            missing = f"not reachable ({type(error).__name__})"
        if missing is None:
            return
        if missing != told:
            log.warning("waiting_for_database", reason=missing)
            told = missing
        stopping.wait(MIGRATION_POLL_SECONDS)


def stop_on_signals(stopping: threading.Event) -> None:
    """Set this event at SIGTERM and SIGINT, until somebody installs other handlers."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Not here: this may have interrupted a wait that holds the event's lock.
        threading.Thread(target=stopping.set).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
