"""The rules other systems link instances by, for comparison only. Pure.

Each is given what such a system reads from Zoom's API once everything is over: the dates as the schedule stands in the
end (moved ones at their new time, deleted ones gone) and every instance's true start and end. Meetings with one session
or without a schedule need no rule, and practice sessions Zoom flags are kept from all of them: both in their favour.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

# harvard-dce/zoom-recording-ingester, functions/zoom-downloader.py: BUFFER_MINUTES
HARVARD_BUFFER = timedelta(minutes=30)
# eduhub-org/eduhub, functions/shared_libs/api_clients/zoom_client.py: DEFAULT_PRE_BUFFER_MIN, DEFAULT_POST_BUFFER_MIN
EDUHUB_BEFORE = timedelta(minutes=30)
EDUHUB_AFTER = timedelta(minutes=120)  # after the planned end
MOODLE_WIDER = timedelta(minutes=30)  # issue 4 names the rule, not the width
INSIGHT_STITCH = timedelta(minutes=15)  # issue 4


@dataclass(frozen=True, slots=True)
class Date:
    """One scheduled date, as the API lists it afterwards."""

    occurrence_id: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Run:
    """One instance, as the API lists it afterwards."""

    uuid: str
    started_at: datetime
    ended_at: datetime


Links = dict[str, str | None]  # by uuid
Rule = Callable[[Sequence[Run], Sequence[Date]], Links]


def nearest_start(runs: Sequence[Run], dates: Sequence[Date]) -> Links:
    """Whatever date is nearest, however far: the usual join on timestamps in a spreadsheet or a notebook."""
    return {run.uuid: _nearest(run, dates) for run in runs}


def within_30_minutes(runs: Sequence[Run], dates: Sequence[Date]) -> Links:
    """Less than 30 minutes before or after the planned start (Harvard's ingester, `series_id_from_schedule`)."""
    return {
        run.uuid: _nearest(run, (date for date in dates if abs(run.started_at - date.start) < HARVARD_BUFFER))
        for run in runs
    }


def from_30_before_to_120_after(runs: Sequence[Run], dates: Sequence[Date]) -> Links:
    """Started from 30 minutes before the start until 120 after the end (eduhub, `filter_instances_by_session_window`).

    There an instance may be counted for several dates; here it goes to the nearest of them, in its favour.
    """
    return {
        run.uuid: _nearest(
            run, (date for date in dates if date.start - EDUHUB_BEFORE <= run.started_at < date.end + EDUHUB_AFTER)
        )
        for run in runs
    }


def largest_overlap(runs: Sequence[Run], dates: Sequence[Date]) -> Links:
    """The widened planned time it ran through longest (Moodle's mod_zoom)."""
    links: Links = {}
    for run in runs:
        overlaps = [(_overlap(run, date), date.start, date.occurrence_id) for date in dates]
        longest, _, occurrence_id = max(overlaps, default=(timedelta(0), run.started_at, ""))
        links[run.uuid] = occurrence_id if longest > timedelta(0) else None
    return links


def stitched_within_15_minutes(runs: Sequence[Run], dates: Sequence[Date]) -> Links:
    """Begun within 15 minutes of the end before it: the same session; sessions go by nearest start (insight)."""
    links: Links = {}
    before: Run | None = None
    for run in sorted(runs, key=lambda run: run.started_at):
        continues = before is not None and run.started_at - before.ended_at <= INSIGHT_STITCH
        links[run.uuid] = links[before.uuid] if before is not None and continues else _nearest(run, dates)
        before = run
    return links


def latest(runs: Sequence[Run], dates: Sequence[Date]) -> Links:
    """The date last due when it ended: asked by number, Zoom answers for the latest (Parsons, move-coop PR 1500)."""
    links: Links = {}
    for run in runs:
        begun = [date for date in dates if date.start <= run.ended_at]
        links[run.uuid] = max(begun, key=lambda date: date.start).occurrence_id if begun else None
    return links


RIVALS: Mapping[str, Rule] = {
    "nearest start": nearest_start,
    "within 30 min (Harvard)": within_30_minutes,
    "30 before to 120 after (eduhub)": from_30_before_to_120_after,
    "largest overlap (mod_zoom)": largest_overlap,
    "stitched in 15 min (insight)": stitched_within_15_minutes,
    "latest (Parsons)": latest,
}


def _nearest(run: Run, dates: Iterable[Date]) -> str | None:
    nearest = min(dates, key=lambda date: (abs(run.started_at - date.start), date.start), default=None)
    return nearest.occurrence_id if nearest else None


def _overlap(run: Run, date: Date) -> timedelta:
    return min(run.ended_at, date.end + MOODLE_WIDER) - max(run.started_at, date.start - MOODLE_WIDER)
