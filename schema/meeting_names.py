"""How people name a meeting: its number, that and a planned start as Zoom's dashboard joins them, or a uuid. Pure."""

from __future__ import annotations

import re
from datetime import datetime
from typing import NamedTuple

from schema.zoom.envelope import MEETING_ID_MAX, SHORT_TEXT_CHARACTERS_MAX

SEARCHED_DIGITS_MIN = 9  # a shorter number in a search box may be anything; Zoom's have 9 to 11 digits
FORMS = (
    "A meeting is named by its number (83110000000 or 831 1000 0000), by that and a planned start as Zoom's dashboard "
    "joins them (831100000002020-07-25 19:00:00), or by the uuid of one of its instances."
)

_NUMBER = re.compile(r"(\d[\d -]{0,40}?)\s*(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)?")
_ESCAPE = re.compile(r"%([0-7][0-9A-Fa-f])")
_UUID = re.compile(r"[A-Za-z0-9+/_-]+==|[A-Za-z0-9+/_-]{22}")  # 16 bytes in base64


class MeetingName(NamedTuple):
    """What somebody wrote: a number, perhaps with a planned start in the zone of the meeting, or else a uuid."""

    text: str
    number: int | None = None
    start: datetime | None = None
    uuid: str | None = None


def read_meeting_name(text: str) -> MeetingName | None:
    """Read how a meeting is named; None for what is none of the FORMS. A uuid may be percent-encoded, also twice."""
    text = text.strip()
    if (found := _NUMBER.fullmatch(text)) is not None:
        number = int(re.sub(r"[ -]", "", found[1]))
        start = _start(found[2])
        if 0 < number <= MEETING_ID_MAX and (start is not None or found[2] is None):
            return MeetingName(text, number, start)
        return None
    uuid = _decoded(_decoded(text))
    return MeetingName(text, uuid=uuid) if 0 < len(uuid) <= SHORT_TEXT_CHARACTERS_MAX and " " not in uuid else None


def read_searched_meeting(text: str) -> MeetingName | None:
    """The meeting that a search is for; None for a search for anything else, for most words could be a uuid."""
    name = read_meeting_name(text)
    if name is None or (name.uuid is not None and not _UUID.fullmatch(name.uuid)):
        return None
    return None if name.number is not None and name.number < 10 ** (SEARCHED_DIGITS_MIN - 1) else name


def _decoded(text: str) -> str:
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 16)), text)


def _start(text: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except ValueError:
        return None
