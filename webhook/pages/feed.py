"""The change feed over HTTP: changes in their order, as lines of JSON, for readers that remember one number."""

from __future__ import annotations

from http import HTTPStatus

from flask import Blueprint, Response, abort, jsonify, request

from schema.store.feed import READ_CHANGES, FedChange, FeedGone, FeedPart, read_feed
from schema.tables import FED
from webhook.access import granted
from webhook.feed_tail import NEXT, WAITING, Wanted
from webhook.pages.parameters import read_number
from webhook.parts import parts

LIMIT_DEFAULT = 1000
LIMIT_MAX = 10_000
LOOKED_AT_MAX = 20_000  # changes that one request looks at, when few of them are for its reader
WAIT_SECONDS_MAX = 30

blueprint = Blueprint("feed", __name__)


@blueprint.get("/feed")
def feed() -> Response:
    """The changes after a number; with `wait` the answer may come later, when there is one."""
    own = granted()
    if not own.follows:
        abort(HTTPStatus.FORBIDDEN, "Following the change feed needs a link of role reader or operator.")
    after, limit = _number("after", 0, None), _number("limit", LIMIT_DEFAULT, LIMIT_MAX)
    seconds, tables = _number("wait", 0, WAIT_SECONDS_MAX), _tables()
    wanted = Wanted(after, max(1, limit), tables, own.meeting_id, float(seconds))
    try:
        found = _read(wanted)
    except FeedGone as gone:
        answer = jsonify(error=f"Changes after {after} are not kept: {gone}.", go_on_from=gone.go_on_from)
        answer.status_code = HTTPStatus.GONE
        return answer
    waiting = request.environ.get(WAITING)
    if seconds and not found.changes and waiting is not None:
        waiting.append(wanted._replace(after=found.next_after))
    answer = Response(
        b"".join(change.as_line() for change in found.changes), content_type="application/x-ndjson; charset=utf-8"
    )
    answer.headers[NEXT] = str(found.next_after)
    return answer


def _read(wanted: Wanted) -> FeedPart:
    """What there is for this reader, as far as one request looks."""
    changes: list[FedChange] = []
    after = wanted.after
    while len(changes) < wanted.limit and after - wanted.after < LOOKED_AT_MAX:
        size = min(READ_CHANGES, wanted.limit - len(changes))
        part = read_feed(parts().database, after, size, wanted.tables, wanted.meeting_id)
        if part.next_after == after:
            break
        changes += part.changes
        after = part.next_after
    return FeedPart(changes, after)


def _number(name: str, default: int, most: int | None) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    number = read_number(text)
    if number is None or (most is not None and number > most):
        abort(HTTPStatus.BAD_REQUEST, f"`{name}` is a whole number{'' if most is None else f' up to {most}'}.")
    return number


def _tables() -> frozenset[str]:
    names = [name.strip() for name in request.args.get("tables", "").split(",") if name.strip()]
    for name in names:
        if name not in FED:
            abort(HTTPStatus.BAD_REQUEST, f"The feed tells of no table of this name. It tells of {', '.join(FED)}.")
    return frozenset(names or FED)
