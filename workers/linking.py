"""Which occurrence was this instance? Decided from what was observed, with the reason. Pure.

Zoom's live events do not say it, an occurrence_id is not a time, and hosts start early, drop, rehearse and move dates.
So evidence is weighed in a fixed order of authority: an operator's word, Zoom's word, there being only one possibility,
the people whose registration names particular occurrences, and the schedule as it stood when the instance started.
Same input, same decision, whatever order the input came in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from schema.states import LinkState
from schema.tables import EVERY_OCCURRENCE, SINGLE_OCCURRENCE
from workers.schedule import (
    AVAILABLE,
    NO_SCHEDULE_TYPES,
    SINGLE_SESSION_TYPES,
    Planned,
    Statement,
    schedule_at,
)

EARLY_MAX = timedelta(minutes=60)  # a host opens the room this long before the planned start
LATE_MAX = timedelta(minutes=30)  # or comes back this long after the planned end
CLOSE = timedelta(minutes=15)  # near enough to the planned start to prefer it to an occurrence further away
ENDED_BEFORE_MAX = timedelta(minutes=10)  # an instance over this long before the planned start was not the occurrence
SINGLE_EARLY_MAX = timedelta(hours=3)
SINGLE_LATE_MAX = timedelta(hours=12)
VOTES_REACH_EARLY = timedelta(hours=3)  # how far outside the schedule people can show that it was their occurrence
VOTES_REACH_LATE = timedelta(hours=6)
VOTES_MIN = 2  # one person may be at the wrong door
VOTES_DOMINANCE = 2  # times as many as for any other occurrence
OVERLAP_DOMINANCE = 2
DURATION_DEFAULT_MINUTES = 60
CANDIDATES_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class RunInstance:
    """One running, as far as linking needs it. `ended_at` is None while it runs."""

    uuid: str
    started_at: datetime
    ended_at: datetime | None = None
    is_practice: bool = False
    type: int | None = None
    duration_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Word:
    """What an operator or Zoom said: the occurrence, and who said it when and why."""

    occurrence_id: str
    stated_at: datetime
    stated_by: str | None = None
    because: str | None = None


@dataclass(frozen=True, slots=True)
class Voter:
    """A registrant who was in the instance, and the occurrences the registration names."""

    registrant_id: str
    occurrence_ids: frozenset[str]


@dataclass(frozen=True, slots=True)
class MeetingFacts:
    """What linking knows of the meeting itself; `statements` in order of time, as `read_statements` returns them."""

    type: int | None = None
    duration_minutes: int | None = None
    registration_type: int | None = None
    statements: Sequence[Statement] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """An occurrence, or none, the state that says how sure this is, and what it rests on (fit for JSON)."""

    occurrence_id: str | None
    state: LinkState
    evidence: dict[str, Any] = field(default_factory=dict)


def link_instances(
    instances: Iterable[RunInstance],
    meeting: MeetingFacts,
    voters: Mapping[str, Sequence[Voter]],
    operator: Mapping[str, Word],
    zoom: Mapping[str, Word],
) -> dict[str, Decision]:
    """Decide, for each instance of a meeting, which occurrence it was, or why that cannot be said; by uuid."""
    return {
        instance.uuid: decide(
            instance, meeting, voters.get(instance.uuid, ()), operator.get(instance.uuid), zoom.get(instance.uuid)
        )
        for instance in instances
    }


def decide(
    instance: RunInstance,
    meeting: MeetingFacts,
    voters: Sequence[Voter] = (),
    operator: Word | None = None,
    zoom: Word | None = None,
) -> Decision:
    """Decide one instance, by the first evidence that is enough."""
    if operator is not None:
        evidence = {"rule": "operator", "operator": _shown(operator)}
        if zoom is not None and zoom.occurrence_id != operator.occurrence_id:
            evidence["zoom"] = _shown(zoom)
            evidence["reason"] = "an operator decided; Zoom says otherwise"
        return Decision(operator.occurrence_id, LinkState.CONFIRMED, evidence)
    if instance.is_practice:
        return Decision(
            None, LinkState.REHEARSAL, {"rule": "practice_session", "reason": "Zoom says it was a rehearsal"}
        )
    if zoom is not None:
        return Decision(zoom.occurrence_id, LinkState.CONFIRMED, {"rule": "stated", "zoom": _shown(zoom)})
    type_ = meeting.type if meeting.type is not None else instance.type
    if type_ in NO_SCHEDULE_TYPES:
        return Decision(
            instance.uuid, LinkState.CONFIRMED, {"rule": "only", "reason": "the meeting has no fixed schedule"}
        )
    if type_ in SINGLE_SESSION_TYPES:
        return _decide_single(instance, meeting)
    return _decide_by_observation(instance, meeting, voters)


# --- meetings with one session ----------------------------------------------------------------------------------


def _decide_single(instance: RunInstance, meeting: MeetingFacts) -> Decision:
    """There is one session, unless the running was plainly not at its time: a try-out, or another day's use."""
    planned = known_schedule(meeting.statements, instance.started_at).get(SINGLE_OCCURRENCE)
    evidence: dict[str, Any] = {"rule": "only", "reason": "the meeting has a single session"}
    if planned is None or planned.scheduled_start is None:
        return Decision(SINGLE_OCCURRENCE, LinkState.CONFIRMED, evidence)
    window = _Window.of(planned, instance, meeting)
    is_over_before = instance.ended_at is not None and instance.ended_at < window.start - CLOSE
    if is_over_before or not window.start - SINGLE_EARLY_MAX <= instance.started_at <= window.end + SINGLE_LATE_MAX:
        evidence |= {
            "reason": "the meeting has a single session, and this running was not at its time",
            "candidates": [window.shown(instance, Counter())],
        }
        return Decision(None, LinkState.UNSCHEDULED, evidence)
    return Decision(SINGLE_OCCURRENCE, LinkState.CONFIRMED, evidence)


# --- series with a fixed schedule -------------------------------------------------------------------------------


def _decide_by_observation(instance: RunInstance, meeting: MeetingFacts, voters: Sequence[Voter]) -> Decision:
    planned = {
        occurrence_id: occurrence
        for occurrence_id, occurrence in known_schedule(meeting.statements, instance.started_at).items()
        if occurrence_id != SINGLE_OCCURRENCE
    }
    windows = [
        _Window.of(occurrence, instance, meeting)
        for occurrence in planned.values()
        if occurrence.scheduled_start is not None and occurrence.status == AVAILABLE
    ]
    votes = count_votes(voters, meeting.registration_type, {window.occurrence_id for window in windows})
    due, reason = due_by_schedule(instance, windows)
    favourite = _favourite(votes)
    evidence: dict[str, Any] = {
        "rule": "schedule",
        "reason": reason,
        "voters": sum(1 for voter in voters if voter.occurrence_ids),
        "candidates": _candidates(instance, windows, due, votes),
    }
    if favourite is None:
        if len(due) == 1 and votes and max(votes.values()) == votes[due[0]] == sum(votes.values()):
            return Decision(due[0], LinkState.OBSERVED, evidence | {"rule": "registrants and schedule"})
        state = (LinkState.UNSCHEDULED, LinkState.INFERRED)[len(due)] if len(due) < 2 else LinkState.AMBIGUOUS
        return Decision(due[0] if state is LinkState.INFERRED else None, state, evidence)
    if favourite in due:
        rule = "registrants and schedule" if len(due) == 1 else "registrants"
        return Decision(favourite, LinkState.OBSERVED, evidence | {"rule": rule})
    if due:
        text = f"{votes[favourite]} people registered for {favourite} were in it, and the schedule says otherwise"
        return Decision(None, LinkState.CONFLICT, evidence | {"rule": "registrants against schedule", "reason": text})
    if _is_in_reach(instance, favourite, planned, windows):
        text = f"none was due, but {votes[favourite]} people registered for {favourite} were in it"
        return Decision(favourite, LinkState.OBSERVED, evidence | {"rule": "registrants", "reason": text})
    return Decision(None, LinkState.UNSCHEDULED, evidence)


def known_schedule(statements: Sequence[Statement], moment: datetime) -> dict[str, Planned]:
    """The schedule as it stood at `moment`, as far as it is known by now.

    Until Zoom has stated a whole list, dates that become known later are taken to have been planned all along: a
    webinar may be older than Joinlog.
    """
    planned = schedule_at(statements, moment)
    has_whole_list = any(
        s.occurrence_id == EVERY_OCCURRENCE and s.source == "listed" and s.stated_at <= moment for s in statements
    )
    if not has_whole_list:
        for statement in statements:
            if statement.occurrence_id != EVERY_OCCURRENCE and statement.occurrence_id not in planned:
                planned[statement.occurrence_id] = Planned(
                    statement.occurrence_id, statement.scheduled_start, statement.duration_minutes, AVAILABLE, None
                )
    return planned


def count_votes(voters: Sequence[Voter], registration_type: int | None, planned: set[str]) -> Counter[str]:
    """Distinct people per occurrence, of those whose registration tells occurrences apart.

    Registration type 1 admits to all of them whatever the list says; so does a list of every planned occurrence.
    """
    votes: Counter[str] = Counter()
    if registration_type == 1:
        return votes
    for voter in {voter.registrant_id: voter for voter in voters}.values():
        if voter.occurrence_ids and not (len(planned) > 1 and planned <= voter.occurrence_ids):
            votes.update(voter.occurrence_ids)
    return votes


def _favourite(votes: Counter[str]) -> str | None:
    """The occurrence that several people name, and at least twice as many as any other."""
    ranked = votes.most_common(2)
    if not ranked or ranked[0][1] < VOTES_MIN:
        return None
    if len(ranked) == 2 and ranked[0][1] < VOTES_DOMINANCE * ranked[1][1]:
        return None
    return ranked[0][0]


def due_by_schedule(instance: RunInstance, windows: Sequence[_Window]) -> tuple[list[str], str]:
    """The occurrences the schedule allows for, and the reason in words."""
    if not windows:
        return [], "no schedule is known for the moment it started"
    opened = [window for window in windows if window.is_open_at(instance.started_at)]
    if instance.ended_at is not None:
        ran_through = [window for window in windows if window.overlap(instance) * 2 >= window.end - window.start]
        if not opened:
            if len(ran_through) == 1:
                return [ran_through[0].occurrence_id], "it began long before, and ran through its time"
            return [], "none was due when it started"
        over_before = [w for w in opened if instance.ended_at < w.start - ENDED_BEFORE_MAX]
        if len(over_before) == len(opened):
            return [], "it was over before one was due"
        opened = [window for window in opened if window not in over_before]
    if len(opened) == 1:
        return _checked_by_overlap(instance, opened[0], windows)
    if not opened:
        return [], "none was due when it started"
    return _choose(instance, opened)


def _checked_by_overlap(instance: RunInstance, only: _Window, windows: Sequence[_Window]) -> tuple[list[str], str]:
    """One was due when it started; unless it then ran through the time of another one rather than through this."""
    others = [
        window
        for window in windows
        if window is not only
        and window.overlap(instance) * 2 >= window.end - window.start
        and window.overlap(instance) > OVERLAP_DOMINANCE * only.overlap(instance)
    ]
    if others:
        ids = [only.occurrence_id, *(window.occurrence_id for window in others)]
        return ids, "one was due when it started, and it ran through the time of another"
    return [only.occurrence_id], "exactly one was due when it started"


def _choose(instance: RunInstance, opened: Sequence[_Window]) -> tuple[list[str], str]:
    """Several were due. Nearness of the start decides, and how long it then ran through each, if both agree."""
    close = [window for window in opened if window.is_close_at(instance.started_at)]
    ranked = sorted(opened, key=lambda window: window.overlap(instance), reverse=True)
    first, second = ranked[0].overlap(instance), ranked[1].overlap(instance)
    by_overlap = ranked[0] if first > OVERLAP_DOMINANCE * second else None
    ids = [window.occurrence_id for window in opened]
    if instance.ended_at is None:
        if len(close) == 1:
            return [close[0].occurrence_id], "several were due, and the start of one was near"
        return ids, "several were due when it started"
    if by_overlap is not None and (by_overlap in close or not close):
        return [by_overlap.occurrence_id], "several were due, and it ran through the time of one"
    return ids, "several were due when it started"


def _is_in_reach(
    instance: RunInstance, occurrence_id: str, planned: Mapping[str, Planned], windows: Sequence[_Window]
) -> bool:
    """Whether people alone can show it: a host hours late is believable, another day is not."""
    if occurrence_id not in planned:
        return True
    return any(
        window.occurrence_id == occurrence_id
        and window.start - VOTES_REACH_EARLY <= instance.started_at <= window.end + VOTES_REACH_LATE
        and not (instance.ended_at is not None and instance.ended_at < window.start)
        for window in windows
    )


def _candidates(
    instance: RunInstance, windows: Sequence[_Window], due: Sequence[str], votes: Counter[str]
) -> list[dict[str, Any]]:
    """The occurrences an operator would choose from: those due, those voted for, and the nearest."""
    ranked = sorted(
        windows,
        key=lambda w: (
            w.occurrence_id not in due,
            -votes[w.occurrence_id],
            abs(w.start - instance.started_at),
            w.start,
        ),
    )
    shown = [window.shown(instance, votes) | {"due": window.occurrence_id in due} for window in ranked]
    unknown = sorted(set(votes) - {window.occurrence_id for window in windows})
    shown += [{"occurrence_id": name, "votes": votes[name], "due": False} for name in unknown]
    return shown[:CANDIDATES_SHOWN_MAX]


@dataclass(frozen=True, slots=True)
class _Window:
    """The planned time of an occurrence, and how a running lies to it."""

    occurrence_id: str
    start: datetime
    end: datetime

    @classmethod
    def of(cls, planned: Planned, instance: RunInstance, meeting: MeetingFacts) -> _Window:
        assert planned.scheduled_start is not None
        minutes = (
            planned.duration_minutes
            or meeting.duration_minutes
            or instance.duration_minutes
            or DURATION_DEFAULT_MINUTES
        )
        return cls(planned.occurrence_id, planned.scheduled_start, planned.scheduled_start + timedelta(minutes=minutes))

    def is_open_at(self, moment: datetime) -> bool:
        return self.start - EARLY_MAX <= moment <= self.end + LATE_MAX

    def is_close_at(self, moment: datetime) -> bool:
        return self.start - CLOSE <= moment < self.end

    def overlap(self, instance: RunInstance) -> timedelta:
        end = instance.ended_at
        if end is None:
            return timedelta(0)
        return max(timedelta(0), min(end, self.end) - max(instance.started_at, self.start))

    def shown(self, instance: RunInstance, votes: Counter[str]) -> dict[str, Any]:
        return {
            "occurrence_id": self.occurrence_id,
            "scheduled_start": self.start.isoformat().replace("+00:00", "Z"),
            "started_minutes_after": round((instance.started_at - self.start).total_seconds() / 60),
            "overlap_minutes": round(self.overlap(instance).total_seconds() / 60),
            "votes": votes[self.occurrence_id],
        }


def _shown(word: Word) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "occurrence_id": word.occurrence_id,
        "stated_at": word.stated_at.isoformat().replace("+00:00", "Z"),
    }
    if word.stated_by is not None:
        shown |= {"by": word.stated_by, "because": word.because}
    return shown
