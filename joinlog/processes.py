"""The processes of Joinlog, as hosting services and `joinlog up` start them: web, worker, clock, and migrate."""

from __future__ import annotations

import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from functools import partial
from types import FrameType
from typing import TYPE_CHECKING, Any

import click
import structlog
from redis.exceptions import RedisError
from sqlalchemy.exc import SQLAlchemyError

from joinlog.lifetime import Signals, dies_with
from schema.logs import configure_logs
from schema.settings import ConfigurationError, Settings, read_settings, without_password

if TYPE_CHECKING:
    from schema.store.database import Database
    from workers.clock import Duty
    from workers.queue import DrainWorker

HEADER_SECONDS_MAX = 10
STOP_SECONDS_MAX = 5  # for answers in progress, each of which is out within 3 s
RESPAWN_SECONDS = 1.0
OUTAGE_LINE_SECONDS = 30.0
INSIST_SECONDS = 1.5  # RQ ignores a second signal within one second
MIGRATION_POLL_SECONDS = 0.5
HOUR_SECONDS = 3600.0
WORKER_PAUSE_SECONDS = 2.0  # before a worker that lost Redis tries again

log = structlog.get_logger()


@click.command()
def web() -> None:
    """Take Zoom's events in and show the pages, on HOST and PORT."""
    from granian import Granian
    from granian.constants import HTTPModes, Interfaces
    from granian.http import HTTP1Settings
    from granian.log import LogLevels

    from webhook.app import create_app

    settings = read_settings()
    create_app(settings)  # here too, so that what the environment lacks is said before a port is taken
    port = require_free_port(settings.host, settings.port)
    server = Granian(
        "webhook.app:create_app",
        address=settings.host,
        port=port,
        interface=Interfaces.RSGI,
        workers=1,
        websockets=False,
        backlog=settings.web_backlog,
        backpressure=settings.web_backlog,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_SECONDS_MAX * 1000),
        log_level=LogLevels.error,
        log_dictconfig=_GRANIAN_LOGS,
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_SECONDS,
        workers_kill_timeout=STOP_SECONDS_MAX,
    )
    log.info("web_listening", host=settings.host, port=port, database=without_password(settings.database_url))
    server.serve(target_loader=partial(_load_app, os.getpid()), wrap_loader=False)


_THROUGH_OURS: dict[str, Any] = {"handlers": [], "propagate": True}
_GRANIAN_LOGS: dict[str, Any] = {
    "handlers": {},
    "loggers": {"_granian": _THROUGH_OURS, "granian.access": _THROUGH_OURS},
}


def _load_app(server_pid: int) -> Any:
    """The application, in the process that answers: engines are made after the fork, and it ends with its server."""
    from joinlog.front import Front
    from webhook.app import create_app

    dies_with(server_pid, signal.SIGKILL)()
    settings = read_settings()
    return Front(create_app(settings).wsgi_app, settings.web_threads)


def require_free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises ConfigurationError when somebody listens there.

    The server itself would share the port with whoever has it (SO_REUSEPORT), and events would go astray.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            return int(probe.getsockname()[1])
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise ConfigurationError(
                    f"Port {port} on {host} is taken, perhaps by another Joinlog. Choose another one: "
                    f"PORT={port + 1 if port < 65535 else 8000}"
                ) from None
            raise ConfigurationError(f"Cannot listen on HOST={host} PORT={port}: {error.strerror}") from None


@click.command()
def worker() -> None:
    """Bring accepted events into the tables. Several may run at once."""
    from schema.store.database import Database
    from workers import jobs
    from workers.drain import Drain

    settings = read_settings()
    configure_logs(settings, "worker")
    url = require_redis(settings)
    stopping = threading.Event()
    database = Database(settings.database_url, durable=False)
    drain = Drain(database, batch_events=settings.drain_batch_events, stopping=stopping)
    jobs.prepare(drain.empty)
    logging.getLogger("rq.worker").addFilter(OneLinePerOutage())
    log.info("worker_started", database=database.shown_url)
    _stop_on_signals(stopping)
    _await_migrations(database, stopping)
    while not stopping.is_set():
        _stop_on_signals(stopping)
        try:
            drain.empty()  # without waiting for a ring: it may have been lost with Redis
        except (SQLAlchemyError, OSError) as error:
            log.error("drain_given_up", error=type(error).__name__)
        if not stopping.is_set():
            _answer_rings(url, settings, stopping)
    database.close()
    log.info("worker_stopped")


def _await_migrations(database: Database, stopping: threading.Event) -> None:
    """Return once the tables are those of this version: with any others every event would fail, and be dead."""
    from schema.migrate import applied_revision, newest_revision

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


def _stop_on_signals(stopping: threading.Event) -> None:
    """Until RQ installs its own handlers."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        # Not here: this may have interrupted a wait that holds the event's lock.
        threading.Thread(target=stopping.set).start()

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)


class OneLinePerOutage(logging.Filter):
    """Lets the first line of RQ about Redis being away pass, without its traceback; the others come every 2 s."""

    def __init__(self) -> None:
        super().__init__()
        self._silent_until = 0.0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line is logged."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, RedisError) and "could not connect to Redis" not in str(record.msg):
            return True
        is_first = time.monotonic() >= self._silent_until
        self._silent_until = time.monotonic() + OUTAGE_LINE_SECONDS
        record.exc_info = None
        return is_first


def _answer_rings(url: str, settings: Settings, stopping: threading.Event) -> None:
    """Work until asked to stop, or until Redis went away at a moment that RQ does not survive."""
    from rq.exceptions import StopRequested

    from workers.queue import DrainWorker

    worker = None
    try:
        worker = DrainWorker(url, settings.signing_keys)
        worker.stopping = stopping
        worker.max_connection_wait_time = WORKER_PAUSE_SECONDS
        threading.Thread(target=insist, args=(worker, stopping), daemon=True).start()
        worker.work(with_scheduler=False, logging_level=None)
        stopping.wait(WORKER_PAUSE_SECONDS)  # unless asked to stop it gave up, over a job nobody can read for example
    except StopRequested:
        stopping.set()
    except (RedisError, OSError) as error:
        log.warning("redis_away", error=type(error).__name__, retry_seconds=WORKER_PAUSE_SECONDS)
        _stop_on_signals(stopping)
        stopping.wait(WORKER_PAUSE_SECONDS)
    finally:
        if worker is not None and worker.pubsub_thread is not None:
            worker.pubsub_thread.stop()


def insist(worker: DrainWorker, stopping: threading.Event) -> None:
    """Ask an idle worker again that was asked to stop, for as long as it takes.

    RQ's handler raises an exception to leave whatever it interrupted, and some code swallows that, logging for one:
    a worker that is told to stop in the moment Redis goes away went on for ever.
    """
    from rq.worker import WorkerStatus

    stopping.wait()
    while True:
        time.sleep(INSIST_SECONDS)
        if worker.get_state() != WorkerStatus.BUSY:
            os.kill(os.getpid(), signal.SIGTERM)


@click.command()
def clock() -> None:
    """Ring the doorbell every CLOCK_SECONDS, and do what is due from time to time. One is enough."""
    from workers.clock import Clock, ringing
    from workers.queue import connect, open_queue

    settings = read_settings()
    configure_logs(settings, "clock")
    queue = open_queue(connect(require_redis(settings)), settings.signing_keys)
    ticking = Clock([*ringing(queue, settings.clock_seconds), *duties(settings)])
    with Signals() as signals:
        log.info("clock_started", every_seconds=settings.clock_seconds)
        while not signals.wait(ticking.tick()):
            pass
    log.info("clock_stopped")


def duties(settings: Settings) -> list[Duty]:
    """What the clock does besides ringing: bodies past their time go, and accounts that left."""
    from schema.store.database import Database
    from workers.clock import Duty
    from workers.retention import erase_departed, remove_bodies

    database = Database(settings.database_url)
    return [
        Duty("retention", HOUR_SECONDS, lambda: remove_bodies(database, settings.body_retention_days)),
        Duty("departures", HOUR_SECONDS, lambda: erase_departed(database, settings.deauthorized_grace_days)),
    ]


@click.command()
def migrate() -> None:
    """Bring the database to the tables of this version. Safe to run at any time, by several machines at once."""
    from schema.migrate import migrate as apply_migrations
    from schema.store.database import Database

    settings = read_settings()
    configure_logs(settings, "migrate")
    database = Database(settings.database_url)
    try:
        before, after = apply_migrations(database)
    finally:
        database.close()
    what = f"is at {after} already" if before == after else f"went from {before or 'nothing'} to {after}"
    click.echo(f"{database.shown_url} {what}")


@click.command("play-demo", hidden=True)
@click.option("--url", required=True)
def play_demo(url: str) -> None:
    """Play the fake Zoom of the demo until stopped; `joinlog up` starts this."""
    from joinlog import fakezoom

    secret = read_settings().zoom_webhook_secret_token
    assert secret is not None
    stop = threading.Event()
    _stop_on_signals(stop)
    try:
        fakezoom.play_demo(url, secret.get_secret_value(), stop)
    except fakezoom.EndpointError as error:
        click.echo(f"demo: {error}", err=True)
        sys.exit(1)


def require_redis(settings: Settings) -> str:
    """REDIS_URL. Raises ConfigurationError when it is not set."""
    if settings.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set. `joinlog up` starts a Redis server of its own.")
    return settings.redis_url
