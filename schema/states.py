"""The states of an event in the inbox, of a link and of an occurrence, each with what it means.

ARCHITECTURE.md repeats those of events and links.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import StrEnum


class EventState(StrEnum):
    """Where an accepted event stands."""

    PENDING = "pending"  # kept, and not in the tables yet; the drain takes it
    DONE = "done"  # its facts are in the tables, committed together with this word
    IGNORED = "ignored"  # known, and by decision not projected: the reason is in workers.core.ignored
    UNHANDLED = "unhandled"  # of a type Joinlog does not know; `joinlog replay --state unhandled` after an upgrade
    DEAD = "dead"  # fails whenever it is tried, see its error; `joinlog replay` after mending


TRANSITIONS: Mapping[tuple[EventState, EventState], str] = {
    (EventState.PENDING, EventState.DONE): "projected",
    (EventState.PENDING, EventState.IGNORED): "named in workers.core.ignored",
    (EventState.PENDING, EventState.UNHANDLED): "no projection knows its type",
    (EventState.PENDING, EventState.DEAD): "failed alone, after its batch was split",
    (EventState.DONE, EventState.PENDING): "replayed; facts are idempotent",
    (EventState.IGNORED, EventState.PENDING): "replayed",
    (EventState.UNHANDLED, EventState.PENDING): "replayed",
    (EventState.DEAD, EventState.PENDING): "replayed",
}
"""Every change of state there is, and its reason. The store changes no event in a state that is not named here.

A new event is pending, or dead where its body is no event: trying would not help.
"""


def states_before(after: EventState) -> list[str]:
    """The states from which an event may come into this one."""
    return sorted(before.value for before, to in TRANSITIONS if to is after)


class LinkState(StrEnum):
    """How sure Joinlog is which occurrence an instance was."""

    CONFIRMED = "confirmed"  # an operator or Zoom said so, or there is only one it can be
    OBSERVED = "observed"  # people registered for just that occurrence were in it
    INFERRED = "inferred"  # exactly one occurrence was due when it started
    CONFLICT = "conflict"  # the people and the schedule point to different occurrences
    AMBIGUOUS = "ambiguous"  # several occurrences were due
    UNSCHEDULED = "unscheduled"  # none was due, or no schedule is known
    REHEARSAL = "rehearsal"  # Zoom says it was a practice session


LINKED = (LinkState.CONFIRMED, LinkState.OBSERVED, LinkState.INFERRED)
"""States that carry an occurrence_id, most certain first; no other state does."""

NEEDS_REVIEW = (LinkState.CONFLICT, LinkState.AMBIGUOUS, LinkState.UNSCHEDULED)
"""States shown to operations with their candidates: view needs_review."""


class OccurrenceState(StrEnum):
    """What became of an occurrence: the column `state` of view occurrence_report. The first that fits holds."""

    RUNNING = "running"  # an instance of it runs now
    HELD = "held"  # it had an instance
    UNDECIDED = "undecided"  # its planned start is over, and an instance that may have been it waits for a decision
    DELETED = "deleted"  # Zoom says it was deleted, or the whole series was
    RETIRED = "retired"  # an edit of the series replaced it by another one
    PLANNED = "planned"  # its planned end is yet to come, or it has none
    NOT_HELD = "not_held"  # its planned end is over, and nothing ran that may have been it


class PersonStanding(StrEnum):
    """What somebody is to an occurrence: the column `standing` of view occurrence_person."""

    REGISTERED = "registered"  # their registration counts for it, and it was not held yet
    ATTENDED = "attended"  # their registration counts for it, and they came
    NO_SHOW = "no_show"  # their registration counts for it, and they did not come
    WALK_IN = "walk_in"  # came, and has no registration that counts for it
    UNIDENTIFIED = "unidentified"  # came, and nothing tells who it was
    STAFF = "staff"  # came to run it, without a registration that counts for it


REASONS: Mapping[PersonStanding, Sequence[str]] = {
    PersonStanding.REGISTERED: ("registered for it", "registered for all"),
    PersonStanding.ATTENDED: (
        "registered for it",
        "registered for all",
        "known by address",
        "known by another identifier",
    ),
    PersonStanding.NO_SHOW: ("registered for it", "registered for all"),
    PersonStanding.WALK_IN: (
        "never registered",
        "registered for another occurrence",
        "registered after it ended",
        "cancelled before it started",
        "not approved yet",
        "denied",
    ),
    PersonStanding.UNIDENTIFIED: ("no identifier",),
    PersonStanding.STAFF: ("host", "alternative host", "co-host", "panelist", "staff domain"),
}
"""Why somebody has a standing: every word that `reason` of view occurrence_person may hold."""
