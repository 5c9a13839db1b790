"""From what was reported of one connection to its stays. Pure.

Reports come late, twice or never, and the clocks behind them differ by a second. The whole set of reported joins and
leaves of a connection decides, so the order in which they arrived cannot.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import NamedTuple

from schema.rows import Leave, ReportedStay

SKEW_MS_MAX = 1000  # how far the clocks behind two reports may differ


REPORT_SKEW_MS_MAX = 5000  # how far a webhook and the report may differ about one moment


class Stay(NamedTuple):
    """One stay, ms since 1970. Only one of the two times may be None.

    `is_inferred` says that nobody reported the end: the next join of the same connection ended it, or, where
    `left_ms` is None, the end of the instance will.
    """

    joined_ms: int | None
    left_ms: int | None
    reason: str | None
    is_inferred: bool

    @property
    def first_seen_ms(self) -> int:
        """What identifies the stay within its connection."""
        moment = self.left_ms if self.joined_ms is None else self.joined_ms
        assert moment is not None
        return moment


def pair_stays(joins: Sequence[int], leaves: Sequence[Leave]) -> list[Stay]:
    """Pair the joins and leaves of one connection, in any order, into stays, in order of time.

    - A leave ends the latest join before it.
    - One within SKEW_MS_MAX after a rejoin, when the stay before has no end yet, is the end of that stay.
    - One within SKEW_MS_MAX before a join that has no other end is the end of that join's stay.
    - Two leaves of one stay within SKEW_MS_MAX of each other are one, the earlier.
    - A leave that no join explains is a stay of its own, whose start is unknown.
    """
    if len(joins) == 1 and len(leaves) <= 1 and all(leave.left_ms >= joins[0] for leave in leaves):
        return [_stay(joins, 0, leaves[0] if leaves else None)]  # almost everybody: came once, and left once or not yet
    starts = sorted(set(joins))
    ends: list[Leave | None] = [None] * len(starts)
    unexplained: list[Leave] = []
    for leave in sorted(set(leaves)):
        place = _stay_ended_by(leave, starts, ends)
        if place is None:
            unexplained.append(leave)
        elif ends[place] is None:
            ends[place] = leave
    stays = []
    for leave in _one_per_moment(unexplained):
        following = bisect_right(starts, leave.left_ms)
        if following < len(starts) and ends[following] is None and starts[following] - leave.left_ms <= SKEW_MS_MAX:
            ends[following] = leave
        else:
            stays.append(Stay(None, leave.left_ms, leave.reason or None, False))
    stays += [_stay(starts, place, ends[place]) for place in range(len(starts))]
    return sorted(stays, key=lambda stay: stay.first_seen_ms)


def with_reported(stays: Sequence[Stay], reported: Sequence[ReportedStay]) -> list[Stay]:
    """The stays of one connection with what Zoom's report adds, in order of time.

    A stay known from both is one: the webhook's times are kept, the report's fill what is missing. What the report
    alone knows is a stay of its own. Rows of the report that overlap are one: Zoom lists a failover twice.
    """
    found = list(stays)
    for row in merge_overlapping(reported):
        same = [place for place, stay in enumerate(stays) if is_same(stay, row)]
        if not same:
            found.append(Stay(row.joined_ms, row.left_ms, None, False))
            continue
        first, last = same[0], same[-1]
        left_ms = found[first].left_ms
        if found[first].joined_ms is None and left_ms is not None:
            found[first] = found[first]._replace(joined_ms=min(row.joined_ms, left_ms))
        joined_ms = found[last].joined_ms
        if joined_ms is not None and (found[last].left_ms is None or found[last].is_inferred):
            found[last] = Stay(joined_ms, max(joined_ms, row.left_ms), found[last].reason, False)
    return sorted(found, key=lambda stay: stay.first_seen_ms)


def merge_overlapping(reported: Sequence[ReportedStay]) -> list[ReportedStay]:
    """Reported stays with those that overlap made one."""
    apart: list[ReportedStay] = []
    for row in sorted(reported):
        if apart and row.joined_ms <= apart[-1].left_ms:
            apart[-1] = ReportedStay(apart[-1].joined_ms, max(apart[-1].left_ms, row.left_ms))
        else:
            apart.append(row)
    return apart


def is_same(stay: Stay, row: ReportedStay) -> bool:
    """Whether a stay and a row of the report are about the same time of the same connection."""
    begins, ends = row.joined_ms - REPORT_SKEW_MS_MAX, row.left_ms + REPORT_SKEW_MS_MAX
    if stay.joined_ms is None or stay.left_ms is None:
        return begins <= stay.first_seen_ms <= ends
    return stay.joined_ms <= ends and stay.left_ms >= begins


def _stay_ended_by(leave: Leave, starts: Sequence[int], ends: Sequence[Leave | None]) -> int | None:
    """The place of the stay a leave ends, or has ended already; None when no join before it explains it."""
    place = bisect_right(starts, leave.left_ms) - 1
    if place < 0:
        return None
    if place >= 1 and leave.left_ms - starts[place] <= SKEW_MS_MAX:
        before = ends[place - 1]
        if before is None or leave.left_ms - before.left_ms <= SKEW_MS_MAX:
            return place - 1
    end = ends[place]
    return place if end is None or leave.left_ms - end.left_ms <= SKEW_MS_MAX else None


def _stay(starts: Sequence[int], place: int, end: Leave | None) -> Stay:
    joined_ms = starts[place]
    if end is not None:
        return Stay(joined_ms, max(joined_ms, end.left_ms), end.reason or None, False)
    following = starts[place + 1] if place + 1 < len(starts) else None
    return Stay(joined_ms, following, None, following is not None)


def _one_per_moment(leaves: Sequence[Leave]) -> list[Leave]:
    """Leaves that differ only in their reason are one."""
    return list({leave.left_ms: leave for leave in leaves}.values())
