"""Access to the pages: only the webhook and the two health checks answer without a signed link or its cookie.

1. A link `/enter#TOKEN` is exchanged for a cookie by posting a form, so no server sees or logs the token in a URL.
2. Every request is checked: signature, expiry, revocation; a posted form also for its form token and its origin.
3. What a role, or a link for one meeting or occurrence, does not allow is refused with 403.

A script sends the token itself: `Authorization: Bearer TOKEN`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar, cast
from urllib.parse import urlsplit

from flask import Blueprint, Flask, Response, abort, g, redirect, render_template, request

from schema.settings import Settings
from schema.store.database import Database
from schema.store.page_links import read_revoked_links
from webhook.parts import parts
from webhook.tokens import AccessRefused, Pass, Refusal, Tokens

REVOCATION_SECONDS_MAX = 1.0  # how long a revoked link may still open pages
FORM_FIELD = "form_token"
FORM_HEADER = "X-Joinlog-Form"
OPEN_ENDPOINTS = frozenset({"health.healthz", "health.readyz", "webhook", "access.enter", "access.exchange"})
OPEN_FILES = frozenset({"joinlog.css", "enter.js", "favicon.svg"})  # needed by the page that refuses access
OF_ONE_OCCURRENCE = frozenset({"live.live", "occurrence.page", "occurrence.curve", "occurrence.people_file",
                              "access.leave", "static"})  # fmt: skip
"""What a link for one occurrence opens; each of these looks which occurrence it is."""

SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})

blueprint = Blueprint("access", __name__)
View = TypeVar("View", bound=Callable[..., Any])


class Guard:
    """Decides whether a request is let in: reads links and cookies, and knows which links are revoked."""

    def __init__(self, settings: Settings, database: Database) -> None:
        self._settings = settings
        self.tokens = Tokens(settings.signing_keys)
        self.is_secure = not settings.is_loopback
        self.is_demo = settings.joinlog_demo
        # Browsers do not tell ports apart: two Joinlogs on one machine must not share a cookie.
        self.cookie = "__Host-joinlog" if self.is_secure else f"joinlog-{settings.port}"
        self.own_origins = {urlsplit(settings.base_url).netloc}
        self._database = database
        self._lock = threading.Lock()
        self._revoked: frozenset[str] = frozenset()
        self._looked_at = float("-inf")

    def admit(self, now: datetime) -> Pass:
        """What the link or cookie of this request grants. Raises AccessRefused."""
        cookie = request.cookies.get(self.cookie)
        if (token := _bearer_token()) is not None:
            granted = self.tokens.read_link(token, now)
        elif cookie:
            granted = self.tokens.read_session(cookie, now)
        else:
            raise AccessRefused(Refusal.MISSING)
        if self.is_revoked(granted.link_id):
            raise AccessRefused(Refusal.REVOKED)
        return granted

    def is_revoked(self, link_id: str) -> bool:
        """Whether a link is revoked, as it was at most REVOCATION_SECONDS_MAX ago."""
        with self._lock:
            if time.monotonic() - self._looked_at > REVOCATION_SECONDS_MAX:
                with self._database.read() as connection:
                    self._revoked = frozenset(read_revoked_links(connection))
                self._looked_at = time.monotonic()
            return link_id in self._revoked

    def is_own_origin(self, origin: str | None) -> bool:
        """Whether a form was sent from one of our own pages; browsers say so with every post."""
        if origin is None:
            return False
        try:
            return urlsplit(origin).netloc in {request.host, *self.own_origins}
        except ValueError:  # `http://[`
            return False

    def own_url(self) -> str:
        """Where browsers reach us, without a slash at the end: PUBLIC_URL, else what trusted proxies say."""
        if self._settings.public_url is None and self._settings.trusted_proxies:
            return request.host_url.rstrip("/")
        return self._settings.base_url


def guard_pages(app: Flask, guard: Guard) -> None:
    """Check every request to this application before a page is made."""
    app.register_blueprint(blueprint)

    @app.before_request
    def check() -> Response | None:
        if request.endpoint in OPEN_ENDPOINTS or _is_open_file():
            return None
        try:
            granted = guard.admit(datetime.now(UTC))
        except AccessRefused as refused:
            return _refuse(refused.reason)
        g.granted = granted
        if granted.occurrence_id is not None and request.endpoint not in OF_ONE_OCCURRENCE:
            abort(HTTPStatus.FORBIDDEN, "Your link is for one occurrence only, and this is not its page.")
        if request.method not in SAFE_METHODS and _bearer_token() is None:  # other sites cannot send it
            token = request.headers.get(FORM_HEADER) or request.form.get(FORM_FIELD) or ""
            if not guard.is_own_origin(request.headers.get("Origin")) or not guard.tokens.is_own_form(token, granted):
                abort(HTTPStatus.FORBIDDEN, "This form was not sent from a page of yours. Reload it and try again.")
        return None

    @app.context_processor
    def known_to_templates() -> dict[str, Any]:
        granted = g.get("granted")
        return {"granted": granted, "form_token": guard.tokens.sign_form(granted) if granted else ""}


def granted() -> Pass:
    """What the one who sent this request may do. Only after `check` has let them in."""
    return cast(Pass, g.granted)


def require_meeting(meeting_id: int | None) -> None:
    """Refuse with 403 when the link is for another meeting."""
    own = granted().meeting_id
    if own is not None and own != meeting_id:
        abort(HTTPStatus.FORBIDDEN, "Your link is for one meeting only, and this is another one.")


def require_occurrence(meeting_id: int, occurrence_id: str) -> None:
    """Refuse with 403 when the link is for another meeting, or for another occurrence."""
    require_meeting(meeting_id)
    own = granted().occurrence_id
    if own is not None and own != occurrence_id:
        abort(HTTPStatus.FORBIDDEN, "Your link is for one occurrence only, and this is another one.")


def operators_only(view: View) -> View:
    """Refuse viewers with 403."""

    @wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if not granted().decides:
            abort(HTTPStatus.FORBIDDEN, "Your link lets you look; deciding and replaying needs an operator's link.")
        return view(*args, **kwargs)

    return cast(View, checked)


def all_meetings_only(view: View) -> View:
    """Refuse links for one meeting with 403."""

    @wraps(view)
    def checked(*args: Any, **kwargs: Any) -> Any:
        if granted().meeting_id is not None:
            abort(HTTPStatus.FORBIDDEN, "Your link is for one meeting only; this page is about all of them.")
        return view(*args, **kwargs)

    return cast(View, checked)


@blueprint.get("/enter")
def enter() -> str:
    """The page a link leads to: it takes the token out of the address and posts it."""
    return render_template("enter.html")


@blueprint.post("/enter")
def exchange() -> Response:
    """Exchange a link for a cookie."""
    guard = parts().guard
    if not guard.is_own_origin(request.headers.get("Origin")):
        abort(HTTPStatus.FORBIDDEN, "This form was not sent from here.")
    now = datetime.now(UTC)
    token = request.form.get("token", "").strip().rpartition("#")[2]  # a whole link may be pasted
    try:
        granted = guard.tokens.read_link(token, now)
        if guard.is_revoked(granted.link_id):
            raise AccessRefused(Refusal.REVOKED)
    except AccessRefused as refused:
        return _refuse(refused.reason)
    answer = cast(Response, redirect("/", HTTPStatus.SEE_OTHER))
    answer.set_cookie(
        guard.cookie,
        guard.tokens.sign_session(granted),
        max_age=int((granted.expires_at - now).total_seconds()),
        secure=guard.is_secure,
        httponly=True,
        samesite="Lax",  # Strict would send no cookie when somebody follows a link from a chat
    )
    return answer


@blueprint.post("/leave")
def leave() -> Response:
    """Remove the cookie from this browser."""
    guard = parts().guard
    answer = cast(Response, redirect("/enter", HTTPStatus.SEE_OTHER))
    answer.delete_cookie(guard.cookie, secure=guard.is_secure, httponly=True, samesite="Lax")
    return answer


def _bearer_token() -> str | None:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else None


def _is_open_file() -> bool:
    return request.endpoint == "static" and (request.view_args or {}).get("filename") in OPEN_FILES


def _refuse(reason: Refusal) -> Response:
    """A page with status 401 that says how to get access."""
    page = render_template("refused.html", reason=reason.value)
    return Response(page, status=HTTPStatus.UNAUTHORIZED, headers={"WWW-Authenticate": "Bearer"})
