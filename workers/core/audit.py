"""What webhooks told of an instance against Zoom's own report of it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from schema.rows import Connection
from workers.core.sessions import Stay, is_same, merge_overlapping, pair_stays


class Audit(NamedTuple):
    """Stays by who tells them, and the webhooks that never came, by event; breakout rooms are not counted."""

    stays_both: int
    stays_webhook_only: int
    stays_report_only: int
    webhooks_expected: int
    webhooks_lost: Mapping[str, int]

    @property
    def is_empty(self) -> bool:
        """Whether Zoom's report tells nobody."""
        return self.stays_both + self.stays_report_only == 0


def audit(kind: str, connections: Iterable[Connection], has_started: bool, has_ended: bool) -> Audit:
    """Compare every connection's joins and leaves with its rows of the report; `kind` is webinar or meeting."""
    stays: Counter[str] = Counter()
    lost: Counter[str] = Counter()
    expected = 2
    lost[f"{kind}.started"] += not has_started
    lost[f"{kind}.ended"] += not has_ended
    for connection in connections:
        if connection.room_uuid is not None:
            continue
        by_webhook = pair_stays(connection.joins, connection.leaves)
        unmatched = set(range(len(by_webhook)))
        for row in merge_overlapping(connection.reported):
            same = [place for place, stay in enumerate(by_webhook) if is_same(stay, row)]
            unmatched.difference_update(same)
            stays["both" if same else "report"] += 1
            expected += 2
            lost[f"{kind}.participant_joined"] += not same or by_webhook[same[0]].joined_ms is None
            lost[f"{kind}.participant_left"] += not same or not _has_end(by_webhook[same[-1]])
        stays["webhook"] += len(unmatched)
        expected += sum(1 + _has_end(by_webhook[place]) for place in unmatched)
    named = {event: count for event, count in sorted(lost.items()) if count}
    return Audit(stays["both"], stays["webhook"], stays["report"], expected, named)


def _has_end(stay: Stay) -> bool:
    return stay.left_ms is not None and not stay.is_inferred
