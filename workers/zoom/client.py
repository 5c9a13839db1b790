"""A client of Zoom's REST API: token, pages, pace, and what is tried again.

An answer is whole or there is none: a failed call is never counted as an empty answer.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt

from schema.settings import ZoomCredentials
from workers.zoom.endpoints import Endpoint, Tier

CALL_SECONDS_MAX = 30.0
TRIES_MAX = 6
PAUSE_SECONDS_MAX = 60.0
PAGE_SIZE = 300
TOKENS_MAX = 3  # of one call: another process of ours may have ended each of them by fetching its own
LIST_BEGINNINGS_MAX = 3  # a page token lives 15 minutes; a list whose token expired is begun again
TOKEN_SPARE_SECONDS = 60.0
MISSING_SCOPE_CODES = frozenset({4711, 4700})
PAGE_EXPIRED = "page token"
TOO_OLD = 12702
NOT_THERE_CODES = frozenset({3000, 3001, 404, 300})  # https://developers.zoom.us/docs/api/errors/
NO_PERMISSION = 200


class ZoomError(Exception):
    """Zoom did not answer what was asked; the text says why, in one line."""


class NotThere(ZoomError):
    """There is nothing to tell: no such meeting, or no report (yet)."""


class TooOld(NotThere):
    """Zoom tells of it no more."""


class Refused(ZoomError):
    """Wrong credentials, a missing scope, or a plan that does not include it: asking again would not help."""

    is_about_token = False


class NoToken(Refused):
    """Wrong credentials, or an app that may not ask at all."""

    is_about_token = True


class DailyLimit(ZoomError):
    """The account has no calls of this kind left today."""

    def __init__(self, until: datetime) -> None:
        super().__init__(f"Zoom answers no more heavy calls of this account until {until:%Y-%m-%d %H:%M} UTC")
        self.until = until


class _TryAgain(Exception):
    def __init__(self, why: str, pause_seconds: float | None = None) -> None:
        super().__init__(why)
        self.pause_seconds = pause_seconds


class _PageExpired(Exception):
    pass


class Pace(Protocol):
    """Keeps an account's calls below its limits, over all processes of an installation."""

    def wait_seconds(self, account_id: str, tier: Tier) -> float:
        """Take one call, and say how long to wait before making it. Raises DailyLimit."""
        ...


class _Token(NamedTuple):
    text: str
    until: float
    scopes: frozenset[str] = frozenset()


@dataclass(slots=True)
class ZoomClient:
    """Asks Zoom about one account, for any number of threads."""

    credentials: ZoomCredentials
    api_url: str
    oauth_url: str
    pace: Pace
    http: httpx2.Client
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.time
    _token: _Token | None = None
    calls: Counter[str] | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)  # to fetch a token, or to take a call
    _long_list: threading.Lock = field(default_factory=threading.Lock)  # one at a time: their rows fill the memory

    @property
    def account_id(self) -> str:
        """The account that is asked about."""
        return self.credentials.account_id

    def read(self, endpoint: Endpoint, target: str = "", **query: str) -> dict[str, Any]:
        """A document, or a list with all its rows. Raises ZoomError."""
        if not endpoint.is_paged or endpoint.rows is None:
            return self._call(endpoint, target, query)
        for _ in range(LIST_BEGINNINGS_MAX):
            try:
                return self._read_pages(endpoint, endpoint.rows, target, query)
            except _PageExpired:
                continue
        raise _expired(endpoint)

    def read_in_parts(
        self, endpoint: Endpoint, take: Callable[[list[Any]], object], target: str = "", **query: str
    ) -> None:
        """A list of any length, a page at a time; when it has to be begun again, pages come twice. Raises ZoomError."""
        for _ in range(LIST_BEGINNINGS_MAX):
            try:
                for page in self._pages(endpoint, target, query):
                    take(page.get(endpoint.rows or "") or [])
                return
            except _PageExpired:
                continue
        raise _expired(endpoint)

    def granted_scopes(self) -> frozenset[str]:
        """The scopes that the token of this account grants. Raises ZoomError."""
        tries = Retrying(
            retry=retry_if_exception_type(_TryAgain), wait=_pause, stop=stop_after_attempt(2), sleep=self.sleep,
            reraise=True,
        )  # fmt: skip
        try:
            return tries(self._granted).scopes
        except _TryAgain as error:
            raise ZoomError(str(error)) from error

    def _read_pages(self, endpoint: Endpoint, name: str, target: str, query: Mapping[str, str]) -> dict[str, Any]:
        pages = self._pages(endpoint, target, query)
        first = next(pages)
        if not first.get("next_page_token"):
            return {**first, name: first.get(name) or []}
        with self._long_list:
            rows, last = list(first.get(name) or ()), first
            for last in pages:
                rows += last.get(name) or ()
        return {**last, name: rows}

    def _pages(self, endpoint: Endpoint, target: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        page = self._call(endpoint, target, {**query, "page_size": str(PAGE_SIZE)})
        yield page
        while token := page.get("next_page_token"):
            page = self._call(
                endpoint, target, {**query, "page_size": str(PAGE_SIZE), "next_page_token": token}, is_next=True
            )
            yield page

    def _call(
        self, endpoint: Endpoint, target: str, query: Mapping[str, str], *, is_next: bool = False
    ) -> dict[str, Any]:
        """One call, tried again where that may help."""
        tries = Retrying(
            retry=retry_if_exception_type(_TryAgain), wait=_pause, stop=stop_after_attempt(TRIES_MAX), sleep=self.sleep,
            reraise=True,
        )  # fmt: skip
        try:
            return tries(self._authorised, endpoint, target, query, is_next)
        except _TryAgain as error:
            raise ZoomError(f"{endpoint.path}: {error}, {TRIES_MAX} times") from error

    def _authorised(self, endpoint: Endpoint, target: str, query: Mapping[str, str], is_next: bool) -> dict[str, Any]:
        """One try; on 401 with another token, for this one may have been ended by another process's."""
        for _ in range(TOKENS_MAX):
            token = self._granted()
            answer = self._get(endpoint, target, query, token)
            if answer.status_code != 401 or _code(answer) in MISSING_SCOPE_CODES:
                break
            self._drop(token)
        return _judge(endpoint, answer, is_next, self.clock)

    def _get(self, endpoint: Endpoint, target: str, query: Mapping[str, str], token: _Token) -> httpx2.Response:
        with self._turn:
            pause_seconds = self.pace.wait_seconds(self.account_id, endpoint.tier)
            if self.calls is not None:
                self.calls[endpoint.tier.value] += 1
        self.sleep(pause_seconds)
        return self._send(
            "GET", self.api_url + _path_for(endpoint, target), params=query,
            headers={"authorization": f"Bearer {token.text}"},
        )  # fmt: skip

    def _drop(self, token: _Token) -> None:
        with self._turn:
            if self._token is token:  # not one that another thread has fetched since
                self._token = None

    def _granted(self) -> _Token:
        """The token of this account, fetched when there is none or it is about to end."""
        with self._turn:
            if self._token is None or self._token.until <= self.clock():
                self._token = self._fetch_token()
            return self._token

    def _fetch_token(self) -> _Token:
        """https://developers.zoom.us/docs/internal-apps/s2s-oauth/"""
        answer = self._send(
            "POST", self.oauth_url, data={"grant_type": "account_credentials", "account_id": self.account_id},
            auth=(self.credentials.client_id, self.credentials.client_secret),
        )  # fmt: skip
        if answer.status_code == 429 or answer.status_code >= 500:
            raise _TryAgain(f"no token: HTTP {answer.status_code}")
        told = _document(answer)
        if answer.status_code != 200 or not isinstance(told.get("access_token"), str):
            reason = str(told.get("reason") or told.get("error") or f"HTTP {answer.status_code}")[:200]
            raise NoToken(f"Zoom gives no token for account {self.account_id}: {reason}")
        until = self.clock() + float(told.get("expires_in") or 0) - TOKEN_SPARE_SECONDS
        return _Token(told["access_token"], until, frozenset(str(told.get("scope") or "").split()))

    def _send(self, method: str, url: str, **more: Any) -> httpx2.Response:
        try:
            return self.http.request(method, url, **more)
        except httpx2.HTTPError as error:
            raise _TryAgain(f"no answer ({type(error).__name__})") from error


def _expired(endpoint: Endpoint) -> ZoomError:
    return ZoomError(f"{endpoint.path}: the tokens of its pages expired {LIST_BEGINNINGS_MAX} times")


def open_http() -> httpx2.Client:
    """Connections for a `ZoomClient`, to be closed by whoever opened them."""
    return httpx2.Client(timeout=CALL_SECONDS_MAX, follow_redirects=False)


def _path_for(endpoint: Endpoint, target: str) -> str:
    """The path for one id or uuid. A uuid that begins with `/` or holds `//` is encoded twice."""
    encoded = quote(target, safe="")
    is_odd = target.startswith("/") or "//" in target
    return endpoint.path.replace("{}", quote(encoded, safe="") if is_odd else encoded)


def _judge(endpoint: Endpoint, answer: httpx2.Response, is_next: bool, clock: Callable[[], float]) -> dict[str, Any]:
    status, told = answer.status_code, _document(answer)
    code, message = _code(answer), str(told.get("message") or "")[:200]
    if status == 200:
        return told
    if status == 429:
        raise _limited(answer, clock())
    if status >= 500:
        raise _TryAgain(f"HTTP {status}")
    if is_next and code == 300 and PAGE_EXPIRED in message:
        raise _PageExpired
    if code in MISSING_SCOPE_CODES:
        raise Refused(f"{endpoint.path}: the app lacks the scope {endpoint.scope}")
    if code == NO_PERMISSION:
        raise Refused(f"{endpoint.path}: {message}")
    if code == TOO_OLD:
        raise TooOld(f"{endpoint.path}: {message}")
    if status == 404 or code in NOT_THERE_CODES:
        raise NotThere(f"{endpoint.path}: {message or f'HTTP {status}'}")
    if status == 401:
        raise NoToken(f"{endpoint.path}: Zoom refuses a token it has just given: {message}")
    raise Refused(f"{endpoint.path}: HTTP {status} {message}".rstrip())


def _limited(answer: httpx2.Response, now: float) -> Exception:
    """What a 429 asks for: `Retry-After` may be an ISO 8601 time, seconds, or missing."""
    told = answer.headers.get("retry-after", "")
    is_daily = "daily" in answer.headers.get("x-ratelimit-type", "").lower()
    until = _moment(told)
    if until is not None:
        pause = until.timestamp() - now
        return _TryAgain("HTTP 429", max(pause, 0.0)) if pause <= PAUSE_SECONDS_MAX else DailyLimit(until)
    if is_daily:
        midnight = datetime.fromtimestamp(now, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        return DailyLimit(midnight + timedelta(days=1))
    if told.isdigit():
        return _TryAgain("HTTP 429", min(float(told), PAUSE_SECONDS_MAX))
    reset = answer.headers.get("x-ratelimit-reset", "")
    return _TryAgain("HTTP 429", min(max(float(reset) - now, 0.0), PAUSE_SECONDS_MAX) if reset.isdigit() else None)


def _pause(state: RetryCallState) -> float:
    """What Zoom asks for, else 1, 2, 4, ... seconds."""
    error = state.outcome.exception() if state.outcome is not None else None
    named = error.pause_seconds if isinstance(error, _TryAgain) else None
    return float(min(2.0 ** (state.attempt_number - 1), PAUSE_SECONDS_MAX) if named is None else named)


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _document(answer: httpx2.Response) -> dict[str, Any]:
    try:
        told = answer.json()
    except ValueError:
        if answer.status_code == 200:
            raise _TryAgain("an answer that is no JSON") from None
        return {}
    return told if isinstance(told, dict) else {}


def _code(answer: httpx2.Response) -> int | None:
    try:
        told = answer.json()
    except ValueError:
        return None
    code = told.get("code") if isinstance(told, dict) else None
    return code if isinstance(code, int) else None
