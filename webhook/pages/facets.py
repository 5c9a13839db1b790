"""The values of each filter of the join log, with how many lines each would leave. Pure.

A value is counted among the lines that fit every other filter: choosing it shows as many of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from schema.addresses import occurrence_url
from schema.log_kinds import LOG_KINDS
from schema.store.join_log import Line
from webhook.pages.filters import Filters, Occurrence

VALUES_SHOWN = 12  # of each filter; the rarer ones are found in the log itself

Admits = Callable[[Filters, Line], bool]


class Value(NamedTuple):
    """One value of a filter: how the URL writes it, what people read, how many lines have it, whether it is chosen."""

    value: str
    label: str
    start: datetime | None
    colour: str
    lines: int
    is_on: bool
    page: str | None = None  # of an occurrence: the address of its page


class Facet(NamedTuple):
    """A filter with its values, most frequent first."""

    name: str
    label: str
    values: list[Value]


def facets_of(lines: Sequence[Line], filters: Filters, admits: Admits) -> list[Facet]:
    """The filters that have something to choose."""
    found = [_kinds(lines, filters, admits), _meetings(lines, filters, admits), _occurrences(lines, filters, admits)]
    return [facet for facet in found if facet.values]


def _kinds(lines: Sequence[Line], filters: Filters, admits: Admits) -> Facet:
    others = filters._replace(kinds=())
    counted = Counter(line.kind for line in lines if line.kind in LOG_KINDS and admits(others, line))
    counted.update({kind: 0 for kind in filters.kinds})
    values = [
        Value(kind, LOG_KINDS[kind].label, None, LOG_KINDS[kind].colour, count, kind in filters.kinds)
        for kind, count in counted.most_common()
        if kind is not None
    ]
    return Facet("kind", "What happened", values)


def _meetings(lines: Sequence[Line], filters: Filters, admits: Admits) -> Facet:
    others = filters._replace(meetings=())
    fitting = [line for line in lines if line.meeting_id is not None and admits(others, line)]
    topics = {line.meeting_id: line.topic or str(line.meeting_id) for line in fitting}
    values = [
        Value(str(meeting_id), topics[meeting_id], None, "grey", count, meeting_id in filters.meetings)
        for meeting_id, count in Counter(line.meeting_id for line in fitting).most_common(VALUES_SHOWN)
    ]
    return Facet("meeting", "Meeting", values)


def _occurrences(lines: Sequence[Line], filters: Filters, admits: Admits) -> Facet:
    others = filters._replace(occurrences=())
    counted = Counter[Occurrence]()
    starts: dict[Occurrence, datetime | None] = {}
    pages: dict[Occurrence, str] = {}
    for line in lines:
        if line.meeting_id is not None and line.occurrence_id is not None and admits(others, line):
            named = Occurrence(line.meeting_id, line.occurrence_id)
            counted[named] += 1
            starts[named] = line.scheduled_start
            pages[named] = occurrence_url(line.account_id, line.meeting_id, line.occurrence_id)
    values = [
        Value(
            str(named),
            named.occurrence_id,
            starts[named],
            "grey",
            count,
            named in filters.occurrences,
            pages.get(named),
        )
        for named, count in counted.most_common(VALUES_SHOWN)
    ]
    return Facet("occurrence", "Occurrence", values)
