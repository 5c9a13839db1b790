"""How values are shown: addresses masked for viewers, moments in the zone of the browser, identifiers in URLs."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache, lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from flask import Flask, Response, abort, g, request
from markupsafe import Markup, escape

from schema.addresses import NO_ACCOUNT, instance_url, meeting_url, occurrence_url, uuid_part
from schema.log_kinds import LOG_KINDS
from schema.people import as_hms, as_percent
from schema.store.join_log import Line
from webhook.pages.filters import Filters
from webhook.pages.fragments import Fragment
from webhook.pages.parameters import can_be_stored
from webhook.tokens import Role, Tokens
from workers.core.ignored import IGNORED
from workers.core.projection import PROJECTIONS

STATE_MEANINGS = {
    "confirmed": "an operator or Zoom said so, or there is only one it can be",
    "observed": "people registered for just that date were in it",
    "inferred": "exactly one date was due when it started",
    "conflict": "the people and the schedule point to different dates",
    "ambiguous": "several dates were due",
    "unscheduled": "no date was due",
    "rehearsal": "Zoom says it was a practice session",
}
OCCURRENCE_MEANINGS = {
    "running": "it runs now",
    "held": "it ran",
    "undecided": "something ran that may have been it, and nobody has decided yet",
    "deleted": "Zoom says it was deleted",
    "retired": "an edit of the series replaced it",
    "planned": "its planned end is yet to come",
    "not_held": "its planned end is over, and nothing ran that may have been it",
}
EVENT_MEANINGS = {
    "pending": "kept, and not in the tables yet: the worker takes it",
    "done": "what it says is in the tables",
    "ignored": "known, and of no use to the tables",
    "unhandled": "of a type this version does not know; replay it after an upgrade",
    "dead": "failed whenever it was tried; its error says why. Replay it after mending",
}


def mask_email(email: str | None) -> str:
    """`jane@example.com` as `j***@e***.com`: enough to tell people apart, not enough to write to them."""
    if not email:
        return ""
    name, separator, domain = email.rpartition("@")
    if not separator:
        return f"{email[:1]}***"
    host, dot, top = domain.rpartition(".")
    return f"{name[:1]}***@{(host or top)[:1]}***{dot}{top if host else ''}"


def email_for(role: Role, email: str | None) -> str:
    """An address as this role may see it."""
    return (email or "") if role is Role.OPERATOR else mask_email(email)


def searched_text(role: Role, line: Line) -> str:
    """The text of a line that a search looks through: nothing that the role may not see."""
    parts = (line.name, email_for(role, line.email), line.topic, line.detail, line.kind, line.meeting_id)
    return " ".join(str(part) for part in parts if part)


@lru_cache(maxsize=20_000)
def person_token(tokens: Tokens, account_id: str, meeting_id: int | None, person_id: str) -> str:
    """An opaque token for a person, for URLs."""
    return tokens.person(account_id, meeting_id, person_id)


def token_of(tokens: Tokens, line: Line) -> str | None:
    """The token of the person a line is about; None when it is about nobody."""
    if line.person_id is None:
        return None
    return person_token(tokens, line.account_id, line.meeting_id, line.person_id)


def read_account(part: str) -> str:
    """An account from a path."""
    return "" if part == NO_ACCOUNT else part


def read_uuid(part: str) -> str:
    """An instance's uuid from a path; 404 when it is none."""
    try:
        uuid = base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode()
    except (binascii.Error, ValueError):
        abort(404)
    return uuid if can_be_stored([uuid]) else abort(404)


def read_occurrence(part: str) -> str:
    """An occurrence from a path; 404 when it is none."""
    return read_uuid(part[1:]) if part.startswith("~") else part


def iso(moment: datetime) -> str:
    """A moment as `<time datetime>` wants it, to the millisecond."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


FORMATS = {"time": "%H:%M:%S", "day": "%d %b %Y %H:%M", "full": "%d %b %Y %H:%M:%S", "short": "%H:%M"}


def moment(value: datetime | str | None, style: str = "full", missing: str = "–") -> Markup:
    """A `<time>` that reads UTC until the browser puts it into its own zone."""
    at = datetime.fromisoformat(value) if isinstance(value, str) else value
    if at is None:
        return Markup('<span class="none">{}</span>').format(missing)
    at = at.astimezone(UTC)
    text = Markup('<time datetime="{}" data-style="{}" title="{} UTC">{}<span class="zone"> UTC</span></time>')
    return text.format(iso(at), style, at.strftime(FORMATS["full"]), at.strftime(FORMATS[style]))


def pretty_json(text: str | None) -> str:
    """JSON, indented; anything else as it is."""
    try:
        return json.dumps(json.loads(text or ""), indent=2, ensure_ascii=False)
    except ValueError:
        return text or ""


def without(filters: Filters, name: str, value: str) -> str:
    """The query of these filters without one value."""
    return urlencode([pair for pair in filters.pairs() if pair != (name, value)])


def with_before(before: int) -> str:
    """The query of this request, with another place to begin at."""
    pairs = [(name, value) for name, value in request.args.items(multi=True) if name not in ("before", "replayed")]
    return urlencode([*pairs, ("before", str(before))])


def with_value(name: str, value: str) -> str:
    """The query of this request, with this value of a filter and from its beginning."""
    kept = [pair for pair in request.args.items(multi=True) if pair[0] not in (name, "before", "replayed")]
    return urlencode([*kept, (name, value)])


def filter_label(name: str, value: str, lines: Sequence[Line]) -> str | Markup:
    """The label of a filter's value; a person's name is taken from the lines that are shown."""
    if name == "meeting":
        return next((line.topic for line in lines if line.topic and str(line.meeting_id) == value), value)
    if name == "person":
        return next((line.name for line in lines if line.name), "one person")
    if name == "occurrence":
        wanted = value.partition("/")[2]
        starts = (line.scheduled_start for line in lines if line.occurrence_id == wanted)
        start = next((start for start in starts if start), None)
        return moment(start, "day") if start else wanted
    kind = LOG_KINDS.get(value)
    return kind.label if kind else value


def with_dates(text: str, starts: Mapping[str, datetime | None], account_id: str, meeting_id: int | None) -> Markup:
    """A sentence of a link's evidence, beginning with a capital; occurrence ids are dates that lead to their pages."""

    def shown(word: str) -> Markup:
        name = word.rstrip(".,;:")
        if (start := starts.get(name)) is None:
            return escape(word)
        link = Markup('<a href="{}">{}</a>{}')
        return link.format(occurrence_url(account_id, meeting_id, name), moment(start, "day"), word[len(name) :])

    return Markup(" ").join(shown(word) for word in (text[:1].upper() + text[1:]).split(" "))


def offset_label(minutes: object) -> str:
    """How far an actual start was from the planned one: `3 min early`, `2 d late`."""
    if not isinstance(minutes, int):
        return "–"
    size, late = abs(minutes), "late" if minutes > 0 else "early"
    if size == 0:
        return "on time"
    if size < 120:
        return f"{size} min {late}"
    return f"{round(size / 60)} h {late}" if size < 60 * 48 else f"{round(size / 1440)} d {late}"


@cache
def _version(path: Path) -> str:
    """A short hash of a file, for its URL: browsers fetch it again once it changed."""
    return hashlib.blake2s(path.read_bytes(), digest_size=4).hexdigest()


def fragment_answer(fragment: Fragment) -> Response:
    """The answer to a request for a part of a page; 304 when the browser has it."""
    headers = {"ETag": f'"{fragment.tag}"', "Cache-Control": "no-store"}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return Response(status=304, headers=headers)
    return Response(fragment.html, headers=headers)


def prepare_templates(app: Flask, tokens: Tokens) -> None:
    """Give the templates their functions and labels."""

    def shown_email(email: str | None) -> str:
        return email_for(g.granted.role, email)

    def person(line: Line) -> str | None:
        return token_of(tokens, line)

    def asset(name: str) -> str:
        return f"/static/{name}?v={_version(Path(app.static_folder or '') / name)}"

    known: dict[str, Any] = {
        "meeting_url": meeting_url, "instance_url": instance_url, "occurrence_url": occurrence_url,
        "person_token": person, "asset": asset,
        "LOG_KINDS": LOG_KINDS, "STATE_MEANINGS": STATE_MEANINGS, "EVENT_MEANINGS": EVENT_MEANINGS,
        "OCCURRENCE_MEANINGS": OCCURRENCE_MEANINGS,
        "EVENT_TYPES": sorted({*PROJECTIONS, *IGNORED}),
        "without": without, "with_before": with_before,
        "with_value": with_value, "filter_label": filter_label, "with_dates": with_dates,
        "offset_label": offset_label,
    }  # fmt: skip
    app.jinja_env.globals.update(known)
    app.jinja_env.filters.update(
        moment=moment,
        email=shown_email,
        pretty_json=pretty_json,
        uuid_part=uuid_part,
        from_part=read_uuid,
        hms=as_hms,
        percent=as_percent,
    )
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
