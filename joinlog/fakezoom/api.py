"""Zoom's REST API as a function from request to response: token, scopes, limits, pages, and a log of calls. Pure.

`now` is the world's time (what has happened); `seconds` is the caller's clock in epoch seconds (tokens, pages, limits).
"""

from __future__ import annotations

import base64
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from joinlog.fakezoom.api_endpoints import (
    ENDPOINTS,
    HEAVY,
    LIGHT,
    MEDIUM,
    SCOPES,
    ApiError,
    Endpoint,
    Listing,
    Question,
)
from joinlog.fakezoom.api_endpoints import LogEntry as LogEntry
from joinlog.fakezoom.api_records import Records, chance
from joinlog.fakezoom.delivery import Attempt, Faults, why_not_delivered
from joinlog.fakezoom.events import Emission, Json
from joinlog.fakezoom.identifiers import request_id
from joinlog.fakezoom.open_facts import draw_open_facts
from joinlog.fakezoom.world import World

TOKEN_SECONDS = 3600.0
PAGE_TOKEN_SECONDS = 900.0
PAGES_PER_SWEEP = 256  # how often page tokens that expired are let go
PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX = 30, 300
PER_SECOND = {  # calls of an account in one second, by plan and tier
    "free": {LIGHT: 4, MEDIUM: 2, HEAVY: 1},
    "pro": {LIGHT: 30, MEDIUM: 20, HEAVY: 10},
    "business": {LIGHT: 80, MEDIUM: 60, HEAVY: 40},
}
HEAVY_PER_DAY = {"free": 6_000, "pro": 30_000, "business": 60_000}
OAUTH_PATH, API_PATH = "/oauth/token", "/v2"
PERCENT = re.compile("%([0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request: `path` still percent-encoded and without its query, header names in lower case."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    form: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Response:
    """What is answered; status 0 closes the connection without an answer."""

    status: int
    body: Json
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Call:
    """One request as it was answered. `endpoint` is the path with `{}` for the id; `tier` is `token` for tokens.

    `code` is Zoom's own in the body, None where there was none; `seconds` is the caller's clock.
    """

    number: int
    seconds: float
    account_id: str
    method: str
    path: str
    query: Mapping[str, str]
    endpoint: str
    tier: str
    status: int
    code: int | None


@dataclass(frozen=True, slots=True)
class ApiOptions:
    """How the API behaves where that is settable; what is unknown about Zoom is in `facts`, over those of the seed.

    `scopes` None grants all. `spent_share` is what other apps of the account use of every limit; `heavy_per_day` None
    is the plan's. `server_errors` is the share of calls answered with 500.
    """

    client_id: str = "fake-client"
    client_secret: str = "fake-secret"  # noqa: S105 - the fake's own
    plan: str = "pro"
    limits: bool = True
    spent_share: float = 0.0
    heavy_per_day: int | None = None
    scopes: frozenset[str] | None = None
    has_webinar_plan: bool = True
    server_errors: float = 0.0
    token_seconds: float = TOKEN_SECONDS
    page_token_seconds: float = PAGE_TOKEN_SECONDS
    subscribed: tuple[str, ...] | None = None
    webhook_url: str = "http://127.0.0.1:8000/webhook"
    api_url: str = "https://api.zoom.us"
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Token:
    account_id: str
    scopes: frozenset[str]
    until: float


@dataclass(slots=True)
class _Page:
    key: object
    listing: Listing
    first: int
    until: float


class ZoomApi:
    """The API over one world. Not thread-safe: whoever serves it answers one request at a time.

    `intercept`, when set, is asked first, with the request and its number (1 is the first call); what it returns is
    the answer, unless None.
    """

    def __init__(self, world: World, seed: int = 1, options: ApiOptions | None = None) -> None:
        self.options, self.seed = options or ApiOptions(), seed
        self.facts = draw_open_facts(seed, self.options.facts)
        self.records = Records(world.histories, seed, self.facts)
        self.calls: list[Call] = []
        self.log: list[LogEntry] = []
        self.intercept: Callable[[Request, int], Response | None] | None = None
        self._events = tuple(sorted({str(e.event["event"]) for e in world.emissions}))
        self._tokens: dict[str, _Token] = {}
        self._pages: dict[str, _Page] = {}
        self._spent: Counter[tuple[str, str, int]] = Counter()
        self._issued = 0

    # --- what a test asks

    @property
    def accounts(self) -> list[str]:
        """The account ids of the world, in order of their first series."""
        return list(self.records.by_account)

    def calls_by_tier(self) -> Counter[str]:
        """How many calls there were of each tier: light, medium, heavy, token, and `unknown` for no endpoint."""
        return Counter(call.tier for call in self.calls)

    def stated_links(self, now: datetime) -> dict[str, str]:
        """Instance uuid -> occurrence id, for every link that Zoom's lists of past instances state at a moment."""
        stated = {}
        for account_id, meeting_id in self.records.held_under:
            for held in self.records.past_instances(account_id, meeting_id, now):
                occurrence_id = self.records.stated_occurrence_id(held)
                if occurrence_id is not None:
                    stated[held.instance.uuid] = occurrence_id
        return stated

    def end_tokens(self) -> None:
        """Make every access token invalid."""
        self._tokens.clear()

    def end_pages(self) -> None:
        """Make every page token invalid."""
        self._pages.clear()

    # --- the delivery log

    def log_try(self, attempt: Attempt, retry: int, at: datetime, failure: str) -> None:
        """Take one try of a delivery into the delivery log; `failure` is empty when the endpoint took it."""
        self.log.append(
            LogEntry(
                at, attempt.event, failure, retry, attempt.request_id(retry), request_id(f"trace/{attempt.tracking_id}")
            )
        )

    def log_plan(self, emissions: Sequence[Emission], attempts: Iterable[Attempt], faults: Faults) -> None:
        """Fill the delivery log as if every planned delivery had arrived, and those never sent had failed."""
        arrived = set()
        for attempt in attempts:
            arrived.add(attempt.emission)
            self.log_try(attempt, 0, attempt.at, "")
        if self.facts.log_names_lost:
            for n, emission in enumerate(emissions):
                if n not in arrived and not why_not_delivered(emission.at, faults):
                    ids = request_id(f"{self.seed}/lost/{n}"), request_id(f"trace/{self.seed}/lost/{n}")
                    self.log.append(LogEntry(emission.at, emission.event, "connection_timeout", 0, *ids))

    # --- answering

    def answer(self, request: Request, now: datetime, seconds: float) -> Response:
        """Answer one request, and note it in `calls`."""
        number = len(self.calls) + 1
        endpoint, target = find_endpoint(request.path)
        token = self._tokens.get(request.headers.get("authorization", "").removeprefix("Bearer ").strip())
        account_id = token.account_id if token is not None else ""
        tier = endpoint.tier if endpoint is not None else "unknown"
        response = self.intercept(request, number) if self.intercept is not None else None
        if request.path.rstrip("/").endswith(OAUTH_PATH):
            tier, account_id = "token", request.query.get("account_id") or request.form.get("account_id", "")
            response = response or self._issue_token(request, account_id, seconds)
        if response is None:
            try:
                response = self._answer_api(request, endpoint, target, token, now, seconds)
            except ApiError as failure:
                response = Response(failure.status, {"code": failure.code, "message": failure.message})
        self.calls.append(
            Call(number, seconds, account_id, request.method, request.path, dict(request.query),
                 endpoint.path if endpoint is not None else "", tier, response.status, response.body.get("code"))
        )  # fmt: skip
        return response

    def _issue_token(self, request: Request, account_id: str, seconds: float) -> Response:
        """`POST /oauth/token`. https://developers.zoom.us/docs/internal-apps/s2s-oauth/"""
        options = self.options
        pair = f"{options.client_id}:{options.client_secret}".encode()
        wanted = "Basic " + base64.b64encode(pair).decode()
        if request.method != "POST":
            return Response(405, {"reason": "method not allowed", "error": "invalid_request"})
        if request.headers.get("authorization") != wanted:
            body = {"reason": "Invalid client_id or client_secret", "error": "invalid_client"}
            return Response(self.facts.wrong_secret_status, body)
        if (request.query.get("grant_type") or request.form.get("grant_type")) != "account_credentials":
            return Response(400, {"reason": "unsupported grant type", "error": "unsupported_grant_type"})
        if account_id not in self.records.by_account:
            return Response(400, {"reason": "Bad Request", "error": "invalid_request"})
        if self.facts.token_ends_previous:
            self._tokens = {text: t for text, t in self._tokens.items() if t.account_id != account_id}
        self._issued += 1
        text = f"fake-token-{self._issued}-{request_id(f'{self.seed}/token/{self._issued}')}"
        scopes = frozenset(SCOPES) if options.scopes is None else options.scopes
        self._tokens[text] = _Token(account_id, scopes, seconds + options.token_seconds)
        return Response(
            200,
            {
                "access_token": text,
                "token_type": "bearer",
                "expires_in": int(options.token_seconds),
                "scope": " ".join(sorted(scopes)),
                "api_url": options.api_url,
            },
        )

    def _answer_api(
        self, request: Request, endpoint: Endpoint | None, target: str, token: _Token | None, now: datetime,
        seconds: float,
    ) -> Response:  # fmt: skip
        """Everything between a token and an answer: its life, scope, limits, plan, and pages."""
        if token is None or token.until <= seconds:
            raise ApiError(401, self.facts.dead_token_code, "Invalid access token.")
        if endpoint is None or request.method != "GET":
            raise ApiError(404, 2300, "This API endpoint is not recognized.")
        headers = self._spend(token.account_id, endpoint.tier, seconds)
        if isinstance(headers, Response):
            return headers
        if self.options.server_errors and chance(self.seed, len(self.calls), "500") < self.options.server_errors:
            return Response(500, {"code": 500, "message": "Internal Server Error"}, headers)
        if endpoint.scope not in token.scopes:
            message = f"Invalid access token, does not contain scopes: [{endpoint.scope}]."
            raise ApiError(self.facts.scope_error_status, self.facts.scope_error_code, message)
        if (endpoint.product == "webinar" and not self.options.has_webinar_plan) or (
            endpoint.business_only and self.options.plan != "business"
        ):
            raise ApiError(400, 200, f"No permission: the account's plan does not include {endpoint.path}.")
        question = Question(
            self.records, token.account_id, target, request.query, now, self.log,
            self._events if self.options.subscribed is None else self.options.subscribed, self.options.webhook_url,
        )  # fmt: skip
        if request.query.get("next_page_token"):
            return Response(200, self._next_page(request, token, seconds), headers)
        answered = endpoint.answer(question)
        if isinstance(answered, Listing):
            answered = self._page(_key(request, token), answered, 0, request.query, seconds)
        return Response(200, answered, headers)

    def _spend(self, account_id: str, tier: str, seconds: float) -> dict[str, str] | Response:
        """Count one call against its limits: the headers of an answer, or the 429."""
        options = self.options
        if not options.limits:
            return {}
        most = max(1, int(PER_SECOND[options.plan][tier] * (1 - options.spent_share)))
        second = int(seconds)
        headers = {"X-RateLimit-Category": tier.capitalize(), "X-RateLimit-Type": "QPS", "X-RateLimit-Limit": str(most)}
        day = second // 86_400
        daily = HEAVY_PER_DAY[options.plan] if options.heavy_per_day is None else options.heavy_per_day
        if tier == HEAVY and self._spent[account_id, "day", day] >= daily:
            midnight = datetime.fromtimestamp((day + 1) * 86_400, UTC)
            headers |= {
                "X-RateLimit-Type": "Daily-limit",
                "X-RateLimit-Limit": str(daily),
                "X-RateLimit-Remaining": "0",
            }
            headers["Retry-After"] = f"{midnight:%Y-%m-%dT%H:%M:%SZ}"
            message = "You have reached the maximum daily rate limit for this API. Refer to the response header."
            return Response(429, {"code": 429, "message": message}, headers)
        if self._spent[account_id, tier, second] >= most:
            message = "You have reached the maximum per-second rate limit for this API. Try again later."
            headers |= {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": str(second + 1)}
            return Response(
                429, {"code": 429, "message": message}, headers if self.facts.too_many_a_second == "reset" else {}
            )
        self._spent[account_id, tier, second] += 1
        if tier == HEAVY:
            self._spent[account_id, "day", day] += 1
        return headers | {"X-RateLimit-Remaining": str(most - self._spent[account_id, tier, second])}

    def _next_page(self, request: Request, token: _Token, seconds: float) -> Json:
        """The page a token asks for, of the list as it stood when it was begun."""
        page = self._pages.get(request.query["next_page_token"])
        if page is None or page.until <= seconds or page.key != _key(request, token):
            message = "The next page token is either invalid or has expired."
            raise ApiError(self.facts.page_expired_status, 300, message)
        return self._page(page.key, page.listing, page.first, request.query, seconds)

    def _page(self, key: object, listing: Listing, first: int, query: Mapping[str, str], seconds: float) -> Json:
        """One page of a list, and the token of the next."""
        asked = query.get("page_size") or str(PAGE_SIZE_DEFAULT)
        if not asked.isdigit():
            raise ApiError(400, 300, "Invalid page_size.")
        size = max(1, min(int(asked), PAGE_SIZE_MAX))
        total = len(listing.items)
        stated = total + 1 if self.facts.total_records_wrong else total
        body: Json = {**listing.extra, "page_size": size, "total_records": stated}
        if first + size < total:
            self._issued += 1
            if self._issued % PAGES_PER_SWEEP == 0:
                self._pages = {text: page for text, page in self._pages.items() if page.until > seconds}
            text = request_id(f"{self.seed}/page/{self._issued}").replace("_", "")
            self._pages[text] = _Page(key, listing, first + size, seconds + self.options.page_token_seconds)
            body["next_page_token"] = text
        elif self.facts.last_page_token == "empty":  # noqa: S105 - no password
            body["next_page_token"] = ""
        body[listing.key] = [listing.to_row(item) for item in listing.items[first : first + size]]
        return body


def _key(request: Request, token: _Token) -> object:
    """What a page token belongs to: account, path, and everything asked but the page itself."""
    asked = sorted((k, v) for k, v in request.query.items() if k not in ("next_page_token", "page_size"))
    return token.account_id, request.path, tuple(asked)


_BY_LENGTH: dict[int, list[tuple[list[str], Endpoint]]] = {}
for _endpoint in ENDPOINTS:
    _parts = _endpoint.path[1:].split("/")
    _BY_LENGTH.setdefault(len(_parts), []).append((_parts, _endpoint))


def find_endpoint(path: str) -> tuple[Endpoint | None, str]:
    """The endpoint of a path and the id or uuid in it; (None, "") where there is none.

    Zoom decodes a path once before it looks where it leads: a uuid that begins with `/` or holds `//` and was encoded
    once leads nowhere.
    """
    if not path.startswith(f"{API_PATH}/"):
        return None, ""
    parts = path[len(API_PATH) + 1 :].rstrip("/").split("/")
    for wanted, endpoint in _BY_LENGTH.get(len(parts), ()):
        if all(ours in ("{}", theirs) for ours, theirs in zip(wanted, parts, strict=True)):
            target = percent_decoded(next((t for o, t in zip(wanted, parts, strict=True) if o == "{}"), ""))
            if target.startswith("/") or "//" in target:
                return None, ""
            return endpoint, percent_decoded(target)
    return None, ""


def percent_decoded(text: str) -> str:
    """Text with its percent escapes read, as UTF-8."""
    if "%" not in text:
        return text
    raw = PERCENT.sub(lambda found: chr(int(found[1], 16)), text)
    return raw.encode("latin-1", "replace").decode("utf-8", "replace")


def after_the_world(world: World) -> datetime:
    """A moment at which everything in a world has happened and every report is whole: two hours after its end."""
    last = max((i.ended_at for h in world.histories for i in h.instances), default=None)
    planned = [slot.now.end for h in world.histories for slot in h.slots]
    stated = [world.emissions[-1].at] if world.emissions else []
    moments = [*planned, *stated, *([last] if last is not None else [])]
    return max(moments, default=datetime.now(UTC)) + timedelta(hours=2)
