"""The web process: put together here, and served.

`run_web` is what `joinlog web` calls. Granian starts a process of its own to serve in, where `load_application` makes
everything anew: connections, threads and locks do not survive a fork.
"""

from __future__ import annotations

import os
import signal
import sys
from functools import partial
from pathlib import Path
from typing import Any

import structlog
from flask import Flask
from granian import Granian
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.log import LogLevels
from granian.server.common import AbstractServer
from werkzeug.middleware.proxy_fix import ProxyFix

from schema.gc_tuning import collect_rarely
from schema.logs import configure_logs
from schema.settings import PAGES, WEBHOOK, ConfigurationError, Settings, read_settings, without_password
from schema.signals import dies_with, rouse_main_thread
from schema.store.commit_marker import CommitMarker
from schema.store.database import STATEMENT_SECONDS_MAX, Database
from schema.store.health import note_validation
from webhook.access import Guard
from webhook.feed_tail import FeedWaiters
from webhook.group_commit import GroupCommitter
from webhook.health import blueprint as health
from webhook.intake import Endpoint
from webhook.pages import add_pages
from webhook.pages.fragments import Fragments
from webhook.pages.live import remembered_rows
from webhook.pages.tail import Changes, LogTail
from webhook.parts import Parts, parts_of
from webhook.port import require_free_port
from webhook.route import add_webhook, refuse_webhook
from webhook.server import RsgiApplication
from webhook.standby import Standby
from webhook.watch import EndpointWatch
from webhook.wsgi import WsgiBridge
from workers.notify.conditions import REFUSED_QUIET
from workers.queue import Doorbell, require_redis

FORM_BYTES_MAX = 64 * 1024
HEADER_SECONDS_MAX = 10
STOP_SECONDS_MAX = 5  # for answers in progress, each of which is out within 3 s
RESPAWN_SECONDS = 1.0
SWITCH_SECONDS = 0.0005  # Python's 5 ms are what each answer to Zoom would wait for every page that is being made

log = structlog.get_logger()


def run_web(settings: Settings) -> None:
    """Serve on HOST and PORT until SIGTERM or SIGINT. Raises ConfigurationError when the environment is not enough."""
    parts_of(create_app(settings)).close()  # so that what the environment lacks is said before a port is taken
    port = require_free_port(settings.host, settings.port)
    server = make_server("webhook.app", settings, port)
    log.info("web_listening", host=settings.host, port=port, database=without_password(settings.database_url))
    rouse_main_thread()
    server.serve(target_loader=partial(load_application, os.getpid()), wrap_loader=False)


def make_server(target: str, settings: Settings, port: int) -> AbstractServer[Any]:
    """Granian as Joinlog wants it: one process, one event loop, a deep backlog, and impatient with slow headers."""
    return Granian(
        target,
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


_THROUGH_OURS: dict[str, Any] = {"handlers": [], "propagate": True}
_GRANIAN_LOGS: dict[str, Any] = {
    "handlers": {},
    "loggers": {"_granian": _THROUGH_OURS, "granian.access": _THROUGH_OURS},
}


def load_application(server_pid: int) -> Any:
    """The RsgiApplication, in the process that answers: it is made after the fork, and ends with its server."""
    dies_with(server_pid, signal.SIGKILL)()
    sys.setswitchinterval(SWITCH_SECONDS)
    settings = read_settings()
    app = create_app(settings)
    if PAGES in settings.served:
        for template in app.jinja_env.list_templates():  # now, and not for twenty pages at once when people look
            app.jinja_env.get_template(template)
    collect_rarely()
    parts = parts_of(app)
    pages = WsgiBridge(app.wsgi_app, settings.web_threads, FeedWaiters(parts.database))
    endpoint = parts.endpoint if WEBHOOK in settings.served else None
    return RsgiApplication(pages, endpoint, on_end=parts.endpoint.close)


def create_app(settings: Settings | None = None) -> Flask:
    """The Flask application with all its parts. Raises ConfigurationError when the environment is not enough."""
    settings = settings or read_settings()
    configure_logs(settings, "web")
    parts = make_parts(settings)
    app = Flask("webhook", root_path=str(Path(__file__).parent))
    app.config.update(MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX)
    parts.install(app)
    app.register_blueprint(health)
    if WEBHOOK in settings.served:
        add_webhook(app, parts.endpoint)
    else:
        refuse_webhook(app)
    add_pages(app, parts.guard, is_all=PAGES in settings.served)
    if count := settings.trusted_proxies:  # each adds its line to these headers; what a client sent stands before them
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    return app


def make_parts(settings: Settings) -> Parts:
    """What the web process is made of. Raises ConfigurationError when the environment is not enough."""
    if not settings.zoom_secrets and WEBHOOK in settings.served:
        raise ConfigurationError(
            "ZOOM_WEBHOOK_SECRET_TOKEN is not set, so nothing Zoom sends could be verified. It is the `Secret Token` "
            "on the page `Access` (or `Features`) of your app in the Zoom Marketplace. To look around without one, "
            "run `joinlog up`, which plays a demo."
        )
    redis_url = require_redis(settings)
    database = Database(
        settings.database_url, statement_seconds=STATEMENT_SECONDS_MAX, read_url=settings.database_read_url
    )
    doorbell = Doorbell(redis_url, settings.signing_keys)
    committer = GroupCommitter(database, when_committed=doorbell.ring)
    watch = EndpointWatch(database, settings.secret_fingerprints, REFUSED_QUIET)
    marker = CommitMarker(database)
    changes = Changes(marker)
    return Parts(
        settings=settings,
        database=database,
        doorbell=doorbell,
        committer=committer,
        endpoint=Endpoint(
            secrets=settings.zoom_secrets,
            tolerance_seconds=settings.signature_tolerance_seconds,
            committer=committer,
            note_validation=partial(note_validation, database),
            watch=watch,
        ),
        watch=watch,
        guard=Guard(settings, database),
        standby=Standby(database),
        marker=marker,
        fragments=Fragments(changes),
        tail=LogTail(database, changes),
        rows=remembered_rows(),
    )
