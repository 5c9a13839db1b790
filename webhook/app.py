"""The web process: what it is made of, put together in one place.

`POST /webhook` takes a short way past Flask's dispatch, which costs more than all the rest of an answer. The same
function is registered as a Flask route, and a test runs against both.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flask import Flask, Response, request
from werkzeug.middleware.proxy_fix import ProxyFix

from schema.logs import configure_logs
from schema.settings import ConfigurationError, Settings, read_settings
from schema.store.database import STATEMENT_SECONDS_MAX, Database
from schema.store.health import note_validation
from webhook.group_commit import GroupCommitter
from webhook.health import blueprint as health
from webhook.intake import Answer, Intake
from webhook.pages import add_pages
from workers.queue import Doorbell

WEBHOOK_PATH = "/webhook"
FORM_BYTES_MAX = 64 * 1024

StartResponse = Callable[[str, list[tuple[str, str]]], Any]


def create_app(settings: Settings | None = None) -> Flask:
    """Put the web process together. Raises ConfigurationError when the environment does not allow it."""
    settings = settings or read_settings()
    configure_logs(settings, "web")
    if not settings.zoom_secrets:
        raise ConfigurationError(
            "ZOOM_WEBHOOK_SECRET_TOKEN is not set, so nothing Zoom sends could be verified. It is the `Secret Token` "
            "on the page `Access` (or `Features`) of your app in the Zoom Marketplace. To look around without one, "
            "run `joinlog up`, which plays a demo."
        )
    if settings.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set. `joinlog up` starts a Redis server of its own.")
    database = Database(settings.database_url, statement_seconds=STATEMENT_SECONDS_MAX)
    doorbell = Doorbell(settings.redis_url, settings.signing_keys)
    keeper = GroupCommitter(database, when_kept=doorbell.ring)
    intake = Intake(
        secrets=settings.zoom_secrets,
        tolerance_seconds=settings.signature_tolerance_seconds,
        keeper=keeper,
        when_validated=lambda fingerprint, now: note_validation(database, fingerprint, now),
    )
    app = Flask("webhook", root_path=str(Path(__file__).parent))
    app.config.update(MAX_FORM_MEMORY_SIZE=FORM_BYTES_MAX)
    app.extensions["joinlog"] = {
        "settings": settings,
        "database": database,
        "doorbell": doorbell,
        "keeper": keeper,
        "intake": intake,
    }
    app.register_blueprint(health)
    add_pages(app, settings, database)

    @app.route(
        WEBHOOK_PATH, methods=["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"], provide_automatic_options=False
    )
    def webhook() -> Response:
        answer = intake.answer(request.environ)
        return Response(answer.body or b"", status=answer.status, headers=list(answer.headers))

    if settings.trusted_proxies:  # each adds its line to these headers; what a client has sent stands before them
        count = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=count, x_proto=count, x_host=count)  # type: ignore[method-assign]
    app.wsgi_app = ShortWay(app.wsgi_app, intake)  # type: ignore[method-assign]
    return app


class ShortWay:
    """Answers the webhook before Flask looks at the request; everything else is Flask's."""

    def __init__(self, flask: Callable[[dict[str, Any], Any], Iterable[bytes]], intake: Intake) -> None:
        self._flask = flask
        self._intake = intake

    def __call__(self, environ: dict[str, Any], start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        if environ["PATH_INFO"] != WEBHOOK_PATH:
            return self._flask(environ, start_response)
        return send(self._intake.answer(environ), start_response)


def send(answer: Answer, start_response: StartResponse) -> list[bytes]:
    """Hand an answer to the server."""
    start_response(answer.status, [*answer.headers, ("Content-Length", str(len(answer.body)))])
    return [answer.body]
