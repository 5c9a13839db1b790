"""Whatever somebody with a link puts into a URL, a form or a header: no answer is a 5xx, on either database."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from flask import Request
from werkzeug.datastructures import ImmutableMultiDict
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from schema.addresses import uuid_part
from schema.settings import Settings
from tests.conftest import SIGNING_KEY, settings_for
from tests.inbox_to_tables import one, take
from tests.page_client import ORIGIN, TOKENS, Site, Visitor, open_site
from tests.processes import running
from tests.signed_requests import SECRET
from tests.stories import ACCOUNT, Story
from tests.waiting import wait_until
from webhook.pages.tail import LogTail
from webhook.parts import parts_of
from webhook.tokens import Role, new_pass

STORY = Story()
UUID = "run-1=="

NUMBERS = (
    "-1", "0", "2147483648", "9223372036854775807", "9223372036854775808", "99999999999999999999999", "9" * 5000, "²",
    "٣", "1e9", "0x10", "1_0", "NaN", "+1", " 1",
)  # fmt: skip
MOMENTS = (
    "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00Z", "2026-01-01T00:00:00",
    "2026-01-01T00:00:00.1234567+00:00:01", "10000-01-01T00:00:00Z", "2026-W01-1T00:00:00Z",
)  # fmt: skip
CURSORS = ("EPOCH.²", "EPOCH.", ".", "1~", "1~\x00", "²~a", "9223372036854775808~a", f"{'9' * 5000}~a", "7/", "/7")
TEXTS = (
    "", " ", "\x00", "a\x00b", "\N{FIRE ENGINE}", "\r\nSet-Cookie: a=b", "..", "../../../etc/passwd", "'\"><script>",
    "%s", "%(a)s", "{}", ":x", "?", "-", "x" * 20_000,
)  # fmt: skip
ODD_BYTES = ("%FF", "%ED%A0%80", "%C0%80", "%", "%zz", "%F4%90%80%80")
"""Percent-encoded as they are: no UTF-8, a surrogate, an overlong NUL, no escape, beyond Unicode."""

UUIDS = tuple(base64.urlsafe_b64encode(raw).decode() for raw in (b"\x00", b"a\x00b", b"\xff", b"\xed\xa0\x80", b""))
HOSTILE = tuple(quote(text, safe="") for text in (*NUMBERS, *MOMENTS, *CURSORS, *TEXTS, *UUIDS)) + ODD_BYTES
SHARES = 4  # of the hostile values, so that several test processes take part

USUAL = {
    "account": ACCOUNT, "meeting_id": str(STORY.meeting_id), "part": uuid_part(UUID), "form": "csv",
    "filename": "joinlog.css", "occurrence": "w1",
}  # fmt: skip


@pytest.fixture
def site(web_settings: Settings) -> Iterator[Site]:
    """The application on each database, with a story in its tables."""
    with open_site(web_settings) as opened:
        opened.app.request_class = RecordingRequest
        take(
            opened.database,
            STORY.created(-90, {"w1": 0, "w2": 10080}),
            STORY.started(0),
            STORY.person(1, "joined", "1", email="ann@example.com"),
            STORY.registration(-60, "created", "r1"),
            {"event": "webinar.started", "event_ts": 1, "payload": {"account_id": ACCOUNT}},
        )
        yield opened


asked: set[str] = set()


class _Recorder(dict[str, list[str]]):
    def get(self, name: str, default: Any = None) -> Any:
        asked.add(name)
        return super().get(name, default)


class Recorded(ImmutableMultiDict[str, str]):
    """A query or a form that notes for which names it is asked."""

    def get(self, key: str, *more: Any, **named: Any) -> Any:
        asked.add(key)
        return super().get(key, *more, **named)

    def getlist(self, key: str, *more: Any, **named: Any) -> Any:
        asked.add(key)
        return super().getlist(key, *more, **named)

    def to_dict(self, flat: bool = True) -> Any:
        return _Recorder(super().to_dict(flat=False)) if not flat else super().to_dict()


class RecordingRequest(Request):
    """A request of Flask with such a query and form."""

    parameter_storage_class = Recorded


def names_asked_for(visitor: Visitor, path: str, method: str, form: dict[str, str] | None = None) -> list[str]:
    """The names of the query and the form that a page asks for."""
    asked.clear()
    visitor.client.open(path, method=method, data=form, headers={"Origin": ORIGIN}, buffered=True)
    return sorted(asked - {"form_token"})


def path_of(rule: Rule, **given: str) -> str:
    """The path of a rule; the values are percent-encoded already."""
    return re.sub(r"<(?:[^:>]+:)?(\w+)>", lambda found: given[found[1]], rule.rule)


def rules(site: Site, method: str) -> list[Rule]:
    """The routes for pages that take this method."""
    return [
        rule for rule in site.app.url_map.iter_rules() if method in (rule.methods or ()) and rule.endpoint != "webhook"
    ]


def share_of_values(number: int) -> tuple[str, ...]:
    return HOSTILE[number::SHARES]


def assert_answered(answer: TestResponse, what: object) -> None:
    assert answer.status_code < 500, (what, answer.status_code)


def usual_of(site: Site) -> dict[str, str]:
    newest = one(site.database, "SELECT max(id) AS id FROM inbox_event")["id"]
    return USUAL | {"event_id": str(newest)}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", range(SHARES))
def test_no_path_makes_a_5xx(site: Site, share: int) -> None:
    visitor, usual = site.visitor(), usual_of(site)
    for method in ("GET", "POST"):
        for rule in rules(site, method):
            for name in rule.arguments:
                for value in share_of_values(share):
                    path = path_of(rule, **{**usual, name: value})
                    answer = visitor.client.open(path, method=method, headers={"Origin": ORIGIN})
                    assert_answered(answer, (method, path))
                    answer.close()


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", range(SHARES))
def test_no_query_makes_a_5xx(site: Site, share: int) -> None:
    visitor, usual = site.visitor(), usual_of(site)
    epoch = _epoch(site)
    seen = set()
    for rule in rules(site, "GET"):
        path = path_of(rule, **usual)
        for name in names_asked_for(visitor, path, "GET"):
            seen.add(name)
            for value in share_of_values(share):
                assert_answered(visitor.get(f"{path}?{name}={value.replace('EPOCH', epoch)}"), (path, name, value))
    assert seen >= {
        "after", "before", "kind", "limit", "meeting", "occurrence", "panel", "person", "state", "type", "uuid",
    }  # fmt: skip


@pytest.mark.parametrize("query", ["x=\xff", "x=\xc3\xa9", "\x80\x81"])
def test_no_raw_bytes_in_a_query_make_a_5xx(sqlite_url: str, redis_url: str, query: str) -> None:
    with open_site(settings_for(sqlite_url, redis_url)) as site:
        visitor = site.visitor()
        for rule in rules(site, "GET"):
            path = path_of(rule, **USUAL, event_id="1")
            answer = visitor.client.get(path, environ_overrides={"QUERY_STRING": query}, buffered=True)
            assert_answered(answer, rule.rule)


def _epoch(site: Site) -> str:
    tail: LogTail = parts_of(site.app).tail
    return tail.cursor().partition(".")[0]


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", range(SHARES))
def test_no_form_makes_a_5xx(site: Site, share: int) -> None:
    visitor, usual = site.visitor(), usual_of(site)
    form = {"form_token": _form_token(visitor), "because": "why", "occurrence": "w1", "token": "no"}
    seen = set()
    for rule in rules(site, "POST"):
        if rule.endpoint == "access.leave":
            continue
        path = path_of(rule, **usual)
        for name in names_asked_for(visitor, path, "POST", form):
            seen.add(name)
            others = "&".join(f"{key}={quote(text, safe='')}" for key, text in form.items() if key != name)
            for value in share_of_values(share):
                answer = visitor.client.post(
                    path,
                    data=f"{others}&{name}={value}",
                    content_type="application/x-www-form-urlencoded",
                    headers={"Origin": ORIGIN},
                    buffered=True,
                )
                assert_answered(answer, (path, name, value))
    assert {"because", "by", "occurrence", "q", "token"} <= seen


BODIES = (
    (b"", "multipart/form-data"), (b"--x", "multipart/form-data; boundary=x"),
    (b'--x\r\nContent-Disposition: form-data; name="\xff\x00"; filename="../a"\r\n\r\nb\r\n--x--',
     "multipart/form-data; boundary=x"),
    (b"&" * 5000, "application/x-www-form-urlencoded"), (b"a=b&" * 5000, "application/x-www-form-urlencoded"),
    (b"q=" + b"x" * 200_000, "application/x-www-form-urlencoded"), (b"\xff=%00", "application/x-www-form-urlencoded"),
    (b"{", "application/json"), (b"\x00", "text/plain; charset=utf-16"), (b"q=x", "nonsense"),
)  # fmt: skip


@pytest.mark.parametrize(("body", "content_type"), BODIES)
def test_no_body_makes_a_5xx(sqlite_url: str, redis_url: str, body: bytes, content_type: str) -> None:
    with open_site(settings_for(sqlite_url, redis_url)) as site:
        visitor = site.visitor()
        headers = {"Origin": ORIGIN, "X-Joinlog-Form": _form_token(visitor)}
        usual = USUAL | {"event_id": "1"}
        for rule in rules(site, "POST"):
            if rule.endpoint != "access.leave":
                answer = visitor.client.post(
                    path_of(rule, **usual), data=body, content_type=content_type, headers=headers, buffered=True
                )
                assert_answered(answer, rule.rule)


def _form_token(visitor: Visitor) -> str:
    found = re.search(r'data-form-token="([^"]+)"', visitor.get("/").text)
    assert found is not None
    return found[1]


HEADERS = (
    "Accept-Language", "Authorization", "Cookie", "Host", "HX-Request", "If-Modified-Since", "If-None-Match", "Origin",
    "Range", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Joinlog-Form", "X-Joinlog-Search",
)  # fmt: skip
HEADER_VALUES = (
    "", "\xff", "\xe9\x80", "http://[", "Bearer \xff", "Bearer .", "Basic %", "bytes=5-1,-0,x-",
    "bytes=-99999999999999999999", "Mon, 99 Foo 99999 99:99:99 GMT", 'W/"', "a=b; a=\x7f; =; joinlog-8000=\xff",
    "a b:c:d", "[::1", "%00%FF", "x" * 9000,
)  # fmt: skip


def test_no_header_makes_a_5xx(web_settings: Settings) -> None:
    for proxies in (0, 1):
        with open_site(web_settings.model_copy(update={"trusted_proxies": proxies})) as site:
            visitor = site.visitor()
            for path in ("/", "/static/joinlog.css", "/live?after=", "/enter", "/nowhere"):
                for name in HEADERS:
                    for value in HEADER_VALUES:
                        answer = visitor.client.get(path, headers={name: value}, buffered=True)
                        assert_answered(answer, (path, name, value))


TARGETS = (
    b"/%00", b"/meeting/%00/1", b"/meeting/%FF/1", b"/%2577ebhook", b"//", b"/?%FF=%00&before=\xff", b"/\xc3\xa9",
    b"/instance/-/%2e%2e", b"/static/%2e%2e/%2e%2e/app.py", b"/static/%00", b"http://evil.example/", b"*",
    b"/?x=\xff", b"/inbox?x=\xff", b"/meetings?x=\xff&x=%ff", b"/health?\xe9", b"/inbox?x=\xc3\xa9",
    "/lines?kind=\N{FIRE ENGINE}".encode(),
    b"/" + b"a" * 60_000, b"/?" + b"meeting=1&" * 6000, b"/;a=b", b"/%", b"/#x", b"/%0d%0aX:%20y",
)  # fmt: skip


@pytest.mark.faults
@pytest.mark.xdist_group("processes")
def test_no_request_line_makes_a_5xx_of_the_server_that_production_runs(
    tmp_path: Path, sqlite_url: str, redis_url: str
) -> None:
    link = TOKENS.sign_link(new_pass(Role.OPERATOR, timedelta(hours=1), datetime.now(UTC)))
    variables = {
        "DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET,
        "SECRET_KEY": SIGNING_KEY,
    }  # fmt: skip
    with running(tmp_path, "web", **variables) as web:
        wait_until(web.is_ready, "the web process")
        for method in (b"GET", b"POST", b"HEAD", b"OPTIONS", b"BREW"):
            for target in TARGETS:
                with socket.create_connection(("127.0.0.1", web.port), timeout=20) as client:
                    head = b"%b %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nAuthorization: Bearer %b\r\n\r\n"
                    client.sendall(head % (method, target, link.encode()))
                    status = client.recv(12)
                assert status[9:10] in (b"2", b"3", b"4"), (method, target[:40], status)
        assert web.is_ready()
