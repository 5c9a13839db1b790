"""The chart of a meeting's occurrences: who attended, did not come, walked in, stacked. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from schema.store.meetings import OccurrenceRow

BARS_SHOWN = 52


class Bar(NamedTuple):
    """An occurrence in the chart, in percent of its width and height."""

    occurrence: OccurrenceRow
    x: float
    width: float
    attended: float
    no_shows: float
    walk_ins: float
    rate: float | None  # attended of those who had registered, percent


def chart_of(occurrences: Sequence[OccurrenceRow]) -> list[Bar]:
    """The newest BARS_SHOWN occurrences that were held, in order of time."""
    held = [one for one in occurrences if one.instances][-BARS_SHOWN:]
    heights = [(one.registrants or 0) + (one.walk_ins or 0) + (one.unidentified or 0) for one in held]
    most, step = max([*heights, 1]), 100 / max(1, len(held))
    return [
        Bar(
            one,
            round(number * step + step * 0.15, 2),
            round(step * 0.7, 2),
            round(100 * (one.attended or 0) / most, 2),
            round(100 * (one.no_shows or 0) / most, 2),
            round(100 * ((one.walk_ins or 0) + (one.unidentified or 0)) / most, 2),
            round(100 * (one.attended or 0) / one.registrants, 1) if one.registrants else None,
        )
        for number, one in enumerate(held)
    ]
