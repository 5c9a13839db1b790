"""The demo's one page: what matching by start time alone would say, beside what Joinlog says and why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from flask import Blueprint, abort, render_template

from schema.store.meetings import (
    InstanceRow,
    OccurrenceRow,
    count_participants,
    read_instances,
    read_meetings,
    read_occurrences,
    read_reported_only,
    when,
)
from webhook.access import all_meetings_only
from webhook.pages.meeting import read_evidence
from webhook.parts import parts

blueprint = Blueprint("demo", __name__)


class Compared(NamedTuple):
    """An instance: the occurrence that was planned nearest to its start, and the one that Joinlog links it to."""

    instance: InstanceRow
    nearest: OccurrenceRow | None
    linked: OccurrenceRow | None
    evidence: dict[str, Any]
    came: int
    is_reported: bool  # no webhook told of it: only Zoom's record did

    @property
    def differs(self) -> bool:
        """Whether start time alone is wrong, or surer than it may be."""
        return self.linked is None or self.nearest is None or self.linked.occurrence_id != self.nearest.occurrence_id


@blueprint.get("/demo")
@all_meetings_only
def demo() -> str:
    """The page; there is none unless a demo plays."""
    if not parts().settings.joinlog_demo:
        abort(404, "No demo plays here.")
    with parts().database.read() as connection:
        (meeting,) = read_meetings(connection, None, 1) or (None,)
        if meeting is None:
            return render_template("demo.html", meeting=None, compared=[], starts={})
        key = (meeting.account_id, meeting.meeting_id)
        occurrences = read_occurrences(connection, *key)
        instances = read_instances(connection, *key)
        came = count_participants(connection, *key)
        reported = read_reported_only(connection, *key)
    compared = [
        Compared(
            one,
            nearest(one, occurrences),
            next((date for date in occurrences if date.occurrence_id == one.occurrence_id), None),
            read_evidence(one),
            came.get(one.uuid, 0),
            one.uuid in reported,
        )
        for one in instances
    ]
    starts = {one.occurrence_id: one.scheduled_start for one in occurrences}
    return render_template("demo.html", meeting=meeting, compared=compared, starts=starts)


def nearest(instance: InstanceRow, occurrences: Sequence[OccurrenceRow]) -> OccurrenceRow | None:
    """The occurrence whose planned start is nearest to an instance's: what people match by."""
    planned = [one for one in occurrences if one.scheduled_start is not None]
    if instance.started_at is None or not planned:
        return None
    started = when(instance.started_at)
    return min(planned, key=lambda one: abs(when(one.scheduled_start) - started))
