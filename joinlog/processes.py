"""The processes of Joinlog, as hosting services and `joinlog up` start them: web, worker, clock, and migrate."""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Any

import click
import structlog

from schema.gc_tuning import collect_rarely
from schema.logs import configure_logs
from schema.settings import ConfigurationError, Settings, read_settings, without_password
from schema.signals import Signals, dies_with

if TYPE_CHECKING:
    from workers.clock import Duty

HEADER_SECONDS_MAX = 10
STOP_SECONDS_MAX = 5  # for answers in progress, each of which is out within 3 s
RESPAWN_SECONDS = 1.0
HOUR_SECONDS = 3600.0
SWITCH_SECONDS = 0.0005  # Python's 5 ms are what each answer to Zoom would wait for every page that is being made

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
    from webhook.app import WEBHOOK_PATH, create_app
    from webhook.desk import Desk
    from webhook.server import Front

    dies_with(server_pid, signal.SIGKILL)()
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = read_settings()
    app = create_app(settings)
    for template in app.jinja_env.list_templates():  # now, and not for twenty pages at once when people look
        app.jinja_env.get_template(template)
    collect_rarely()
    parts = app.extensions["joinlog"]
    desk = Desk(parts["keeper"])
    return Front(app.wsgi_app, settings.web_threads, intake=parts["intake"], desk=desk, intake_path=WEBHOOK_PATH)


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
    from workers.main import work

    settings = read_settings()
    configure_logs(settings, "worker")
    work(settings, require_redis(settings))


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
    if os.environ.get("HONCHO_PROCESS_NAME", "").startswith("release"):
        # `honcho start` runs the release of the Procfile beside the others, and stops them all when one ends.
        click.echo("waiting beside the other processes of honcho")
        with Signals() as signals:
            while not signals.wait(HOUR_SECONDS):
                pass


@click.command("play-demo", hidden=True)
@click.option("--url", required=True)
def play_demo(url: str) -> None:
    """Play the fake Zoom of the demo until stopped; `joinlog up` starts this."""
    from joinlog import fakezoom
    from workers.main import stop_on_signals

    settings = read_settings()
    configure_logs(settings, "demo")
    secret = settings.zoom_webhook_secret_token
    assert secret is not None
    stop = threading.Event()
    stop_on_signals(stop)
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
