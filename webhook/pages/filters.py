"""The filters of the join log: which lines somebody wants to see. Pure.

Meeting, occurrence, kind and person stand in the query of the URL, so that a view can be shared; a person as an opaque
token, for addresses and names must not be in URLs. Free text is often a name or an address: it stands behind `#` in the
URL, which browsers do not send, and reaches the server in a header or a form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import unquote, urlencode

from schema.log_kinds import LogKind
from schema.meeting_names import read_meeting_name
from schema.store.join_log import Line
from webhook.pages.parameters import read_number

SEARCH_HEADER = "X-Joinlog-Search"  # percent-encoded UTF-8: headers are Latin-1
SEARCH_CHARACTERS_MAX = 200
VALUES_MAX = 50


class Occurrence(NamedTuple):
    """An occurrence as a filter names it: `meeting_id/occurrence_id`."""

    meeting_id: int
    occurrence_id: str

    def __str__(self) -> str:
        return f"{self.meeting_id}/{self.occurrence_id}"


class Filters(NamedTuple):
    """A line must fit every field; it fits a field that is empty, or of which it fits one value."""

    meetings: tuple[int, ...] = ()
    occurrences: tuple[Occurrence, ...] = ()
    kinds: tuple[str, ...] = ()
    people: tuple[str, ...] = ()
    words: tuple[str, ...] = ()

    @property
    def narrows(self) -> bool:
        """Whether any filter is set."""
        return any(self)

    @property
    def sought_meetings(self) -> tuple[int, ...]:
        """The meetings whose lines can fit; empty when those of any meeting can."""
        of_occurrences = {occurrence.meeting_id for occurrence in self.occurrences}
        if self.meetings and of_occurrences:
            return tuple(sorted(of_occurrences.intersection(self.meetings))) or (0,)
        return self.meetings or tuple(sorted(of_occurrences))

    def admits(self, line: Line, token_of: Callable[[Line], str | None], text_of: Callable[[Line], str]) -> bool:
        """Whether a line fits; `token_of` and `text_of` say which person it is about and what a search may find."""
        if self.meetings and line.meeting_id not in self.meetings:
            return False
        if self.occurrences and not any(
            line.meeting_id == wanted.meeting_id and line.occurrence_id == wanted.occurrence_id
            for wanted in self.occurrences
        ):
            return False
        if self.kinds and line.kind not in self.kinds:
            return False
        if self.people and token_of(line) not in self.people:
            return False
        if self.words:
            text = text_of(line).casefold()
            return all(word in text for word in self.words)
        return True

    def query(self) -> str:
        """The URL's query, without free text."""
        return urlencode(self.pairs())

    def pairs(self) -> list[tuple[str, str]]:
        """Name and value of each filter in the URL."""
        return [
            *(("meeting", str(meeting_id)) for meeting_id in self.meetings),
            *(("occurrence", str(occurrence)) for occurrence in self.occurrences),
            *(("kind", kind) for kind in self.kinds),
            *(("person", token) for token in self.people),
        ]


def read_filters(values: Mapping[str, Sequence[str]], search: str = "", only_meeting: int | None = None) -> Filters:
    """What a URL's query asks for. What makes no sense is left out; `only_meeting` is what a link is limited to."""
    numbers = {meeting_of(text) for text in values.get("meeting", ())[:VALUES_MAX]}
    meetings = tuple(sorted(number for number in numbers if number is not None))
    occurrences = set[Occurrence]()
    for text in values.get("occurrence", ())[:VALUES_MAX]:
        number, _, occurrence_id = text.partition("/")
        if occurrence_id and (meeting_id := read_number(number)) is not None:
            occurrences.add(Occurrence(meeting_id, occurrence_id))
    return Filters(
        meetings if only_meeting is None else (only_meeting,),
        tuple(sorted(occurrences)),
        tuple(kind.value for kind in LogKind if kind in values.get("kind", ())),
        tuple(sorted(set(values.get("person", ())[:VALUES_MAX]))),
        words_of(search),
    )


def read_search(header: str | None) -> str:
    """The free text of SEARCH_HEADER."""
    return unquote(header or "", errors="replace")[:SEARCH_CHARACTERS_MAX]


def meeting_of(text: str) -> int | None:
    """The number of a meeting in a URL, in any form that has one."""
    name = read_meeting_name(text)
    return name.number if name is not None else None


def words_of(search: str) -> tuple[str, ...]:
    """The words of a search, each of which must be found."""
    return tuple(search[:SEARCH_CHARACTERS_MAX].casefold().split())
