"""The pages: one blueprint each, and what all of them share: access, headers, error pages."""

from __future__ import annotations

from http import HTTPStatus
from itertools import chain

from flask import Flask, Response, abort, render_template, request
from sqlalchemy.exc import SQLAlchemyError
from werkzeug.exceptions import HTTPException

from webhook.access import Guard, guard_pages
from webhook.group_commit import CommitFailed
from webhook.pages import (
    connect,
    demo,
    exports,
    feed,
    health,
    inbox,
    instance,
    live,
    meeting,
    metrics,
    occurrence,
    page_links,
    series,
)
from webhook.pages.formatting import prepare_templates
from webhook.pages.parameters import NumberInPath, can_be_stored
from webhook.parts import parts

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # not `no-referrer`: browsers then hide the origin of form posts, too
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
}
STATIC_SECONDS = 3600
MODULES = (live, meeting, series, occurrence, instance, inbox, health, connect, exports, demo, page_links, feed)


NO_PAGES = "This process serves Zoom's webhook only (WEB_SERVES=webhook). The pages are served by another one."


def add_pages(app: Flask, guard: Guard, *, is_all: bool = True) -> None:
    """Add every page, and the check of access in front of them; with `is_all` False none but `/metrics`."""
    if not is_all:

        @app.before_request
        def say_that_there_are_none() -> None:
            if request.endpoint is None or request.endpoint.startswith("access."):
                abort(HTTPStatus.NOT_FOUND, NO_PAGES)

    guard_pages(app, guard)
    prepare_templates(app, guard.tokens)
    app.jinja_env.globals.update(
        row_of=live.row_of, is_demo=guard.is_demo, behind_seconds=lambda: parts().standby.behind_seconds()
    )
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = STATIC_SECONDS
    app.url_map.converters["int"] = NumberInPath
    for page in (metrics, *(MODULES if is_all else ())):
        app.register_blueprint(page.blueprint)

    @app.before_request
    def refuse_what_no_row_holds() -> None:
        if request.endpoint == "webhook":
            return  # it reads its body itself, whatever is in it
        try:
            values = [*request.args.items(multi=True), *request.form.items(multi=True)]
        except UnicodeDecodeError:
            abort(HTTPStatus.BAD_REQUEST, "The query is not UTF-8.")
        if not can_be_stored([request.path, *chain.from_iterable(values)]):
            abort(HTTPStatus.BAD_REQUEST, "No text holds a NUL character.")

    @app.after_request
    def protect(response: Response) -> Response:
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if "Cache-Control" not in response.headers:
            response.headers["Cache-Control"] = "no-store"
        return response

    @app.errorhandler(HTTPException)
    def say_what_is_wrong(error: HTTPException) -> tuple[str, int]:
        return render_template("error.html", error=error), error.code or 500

    @app.errorhandler(SQLAlchemyError)
    @app.errorhandler(CommitFailed)
    def say_that_it_is_busy(_error: Exception) -> tuple[str, int]:
        return render_template("error.html", error=None), 503
