"""Which occurrence was this instance? Decided from what was observed, with the reason. Pure.

Zoom's live events do not say it, an occurrence_id is not a time, and hosts start early, drop, rehearse and move dates.
So evidence is weighed in a fixed order of authority: what an operator decided, what Zoom states, there being only one
possibility, the people whose registration names particular occurrences, and the schedule as it stood when the instance
started.
Same input, same decision, whatever order the input came in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from schema.reserved import EVERY_OCCURRENCE, NO_OCCURRENCE, SINGLE_OCCURRENCE
from schema.rows import LinkStatement, ScheduleStatement
from schema.states import LINKED, LinkState
from workers.core.schedule import (
    AVAILABLE,
    NO_SCHEDULE_TYPES,
    SINGLE_SESSION_TYPES,
    Planned,
    schedule_at,
)

EARLY_MAX = timedelta(minutes=60)  # a host opens the room this long before the planned start
CLOSE = timedelta(minutes=15)  # near enough to the planned start to prefer it to an occurrence further away
RESTART_MAX = timedelta(minutes=30)  # an instance this soon after another one may be the same occurrence, restarted
RESTART_AFTER_END_MAX = timedelta(minutes=10)  # this soon, once the planned end has passed
LATE_MAX = timedelta(minutes=60)  # and not later than this after the planned end
ENDED_BEFORE_MAX = timedelta(minutes=5)  # an instance over this long before the planned start was a try-out
ENDED_BEFORE_WITH_PEOPLE_MAX = timedelta(minutes=30)  # unless people who had registered were in it already
DROPPED_MIN = timedelta(minutes=5)  # an instance that ended this long before the planned end was cut short
LATE_UNHELD_MAX = timedelta(hours=2)  # how late after the planned end an occurrence may begin, if people are there
RUN_MAX = timedelta(hours=12)  # how far back the start of another instance can tell the end of one
SINGLE_EARLY_MAX = timedelta(hours=3)
SINGLE_LATE_MAX = timedelta(hours=12)
VOTES_REACH_EARLY = timedelta(hours=3)  # how far outside the schedule people can show that it was their occurrence
VOTES_REACH_LATE = timedelta(hours=6)
VOTES_REACH_UNHELD = timedelta(days=3)  # or, when almost all of several people say so, if it was not held in its time
VOTERS_TO_MOVE = 4
VOTES_MIN = 2  # one person may be at the wrong door
VOTES_DOMINANCE = 2  # times as many as for any other occurrence
VOTERS_TO_CONTRADICT = 3  # that many are needed to contradict a schedule that some of them support
OVERLAP_DOMINANCE = 2
OVERLAP_OVERWHELMING = 4  # times as long as through any other: then the nearness of the start does not matter
DURATION_DEFAULT_MINUTES = 60
CANDIDATES_SHOWN_MAX = 5


@dataclass(frozen=True, slots=True)
class ObservedInstance:
    """One instance, as far as linking needs it. `ended_at` is None while it runs."""

    uuid: str
    started_at: datetime
    ended_at: datetime | None = None
    is_practice: bool = False
    type: int | None = None
    duration_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Voter:
    """A registrant who was in the instance, the occurrences the registration names, and since when it does."""

    registrant_id: str
    occurrence_ids: frozenset[str]
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Seen:
    """Who was in an instance: how many distinct registrants, and those of them whose registration names occurrences."""

    registrants: int = 0
    voters: Sequence[Voter] = ()


NOBODY = Seen()


@dataclass(frozen=True, slots=True)
class MeetingFacts:
    """What linking knows of the meeting itself; `statements` in order of time, as `in_order` returns them.

    `instances` are those of the meeting about the same time, the one to decide among them or not.
    """

    type: int | None = None
    duration_minutes: int | None = None
    registration_type: int | None = None
    statements: Sequence[ScheduleStatement] = ()
    instances: Sequence[ObservedInstance] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """An occurrence, or none, the state that says how sure this is, and what it rests on (fit for JSON)."""

    occurrence_id: str | None
    state: LinkState
    evidence: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.occurrence_id is not None) is not (self.state in LINKED):
            raise ValueError(f"a link that is {self.state} with occurrence {self.occurrence_id}")


def link_instances(
    instances: Iterable[ObservedInstance],
    meeting: MeetingFacts,
    seen: Mapping[str, Seen],
    operator: Mapping[str, LinkStatement],
    zoom: Mapping[str, LinkStatement],
) -> dict[str, Decision]:
    """Decide, for each instance of a meeting, which occurrence it was, or why that cannot be said; by uuid."""
    return {
        instance.uuid: decide(
            instance, meeting, seen.get(instance.uuid, NOBODY), operator.get(instance.uuid), zoom.get(instance.uuid)
        )
        for instance in instances
    }


def decide(
    instance: ObservedInstance,
    meeting: MeetingFacts,
    seen: Seen = NOBODY,
    operator: LinkStatement | None = None,
    zoom: LinkStatement | None = None,
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
    if zoom is not None and zoom.occurrence_id == NO_OCCURRENCE:
        reason = "Zoom's list names occurrences for other instances, and none for this one"
        return Decision(None, LinkState.UNSCHEDULED, {"rule": "stated", "reason": reason})
    if zoom is not None:
        return Decision(zoom.occurrence_id, LinkState.CONFIRMED, {"rule": "stated", "zoom": _shown(zoom)})
    type_ = instance.type if instance.type is not None else meeting.type  # later edits do not rewrite the past
    if type_ in NO_SCHEDULE_TYPES:
        return Decision(
            instance.uuid, LinkState.CONFIRMED, {"rule": "only", "reason": "the meeting has no fixed schedule"}
        )
    if type_ in SINGLE_SESSION_TYPES:
        return _decide_single(instance, meeting)
    return _decide_by_observation(instance, meeting, seen)


# --- personal meeting ids ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Scheduled:
    """A meeting that used a personal meeting id when an instance ran under it, and its schedule."""

    meeting_id: int
    meeting: MeetingFacts


def decide_in_room(
    instance: ObservedInstance, room_id: int, beside: Sequence[ObservedInstance], scheduled: Sequence[Scheduled]
) -> tuple[int, Decision]:
    """Which of the meetings scheduled with a personal meeting id an instance was that ran under it, and why.

    Its events name neither that meeting nor its topic: the host, the number and the time tell it. What ran while none
    was due was nobody's date: an occurrence of its own, of the personal meeting id itself. `beside` are the instances
    that ran under the same number about the same time, `scheduled` the meetings of the same host.
    """
    beside_it = MeetingFacts(instances=tuple(beside))
    instance = _bounded(instance, beside_it)
    dates: dict[str, tuple[int, _Window]] = {}
    for one in scheduled:
        for window in _room_windows(instance, one.meeting):
            name = f"{one.meeting_id}/{window.occurrence_id}"
            dates[name] = one.meeting_id, replace(window, occurrence_id=name)
    windows = [window for _, window in dates.values()]
    due, reason = due_by_schedule(instance, beside_it, windows)
    if len(due) == 1 and _is_another_use(instance, dates[due[0]][1], beside_it):
        due, reason = [], "the one before it had been held to its end"
    evidence: dict[str, Any] = {"rule": "personal meeting id", "pmi": room_id, "reason": reason}
    candidates = _candidates(instance, windows, due, Counter())
    evidence["candidates"] = [_with_meeting(candidate, dates) for candidate in candidates]
    if len(due) == 1:
        evidence["reason"] = f"it ran under the personal meeting id of its host, and {reason}"
        meeting_id, window = dates[due[0]]
        return meeting_id, Decision(_own_name(window), LinkState.INFERRED, evidence)
    if due:
        return room_id, Decision(None, LinkState.AMBIGUOUS, evidence)
    evidence["reason"] = f"it ran under the personal meeting id of its host, and {reason}"
    return room_id, Decision(instance.uuid, LinkState.INFERRED if windows else LinkState.CONFIRMED, evidence)


def _room_windows(instance: ObservedInstance, meeting: MeetingFacts) -> list[_Window]:
    """The planned times of a meeting, also of one with a single session."""
    if meeting.type in NO_SCHEDULE_TYPES:
        return []
    if meeting.type not in SINGLE_SESSION_TYPES:
        return _windows(instance, meeting)
    planned = known_schedule(meeting.statements, instance.started_at).get(SINGLE_OCCURRENCE)
    if planned is None or planned.scheduled_start is None or planned.status != AVAILABLE:
        return []
    return [_Window.of(planned, instance, meeting)]


def _is_another_use(instance: ObservedInstance, window: _Window, beside: MeetingFacts) -> bool:
    """Whether it began once a planned end had passed, after an instance that had not been cut short.

    In a series that is the same session gone on; under a personal meeting id it is the next call of its host.
    """
    before = _instance_before(instance, beside)
    was_cut_short = before is not None and before.ended_at is not None and before.ended_at < window.end - DROPPED_MIN
    return instance.started_at >= window.end and not was_cut_short


def _own_name(window: _Window) -> str:
    return window.occurrence_id.partition("/")[2]


def _with_meeting(candidate: dict[str, Any], dates: Mapping[str, tuple[int, _Window]]) -> dict[str, Any]:
    meeting_id, window = dates[candidate["occurrence_id"]]
    return candidate | {"meeting_id": meeting_id, "occurrence_id": _own_name(window)}


# --- meetings with one session ----------------------------------------------------------------------------------


def _decide_single(instance: ObservedInstance, meeting: MeetingFacts) -> Decision:
    """There is one session, unless the instance was plainly not at its time: a try-out, or another day's use."""
    planned = known_schedule(meeting.statements, instance.started_at).get(SINGLE_OCCURRENCE)
    evidence: dict[str, Any] = {"rule": "only", "reason": "the meeting has a single session"}
    if planned is None or planned.scheduled_start is None:
        return Decision(SINGLE_OCCURRENCE, LinkState.CONFIRMED, evidence)
    window = _Window.of(planned, instance, meeting)
    is_over_before = instance.ended_at is not None and instance.ended_at < window.start - CLOSE
    if instance.ended_at is None and instance.started_at < window.start - CLOSE:
        is_over_before = any(instance.started_at < other.started_at < window.end for other in meeting.instances)
    if is_over_before or not window.start - SINGLE_EARLY_MAX <= instance.started_at <= window.end + SINGLE_LATE_MAX:
        evidence |= {
            "reason": "the meeting has a single session, and this running was not at its time",
            "candidates": [window.shown(instance, Counter())],
        }
        return Decision(None, LinkState.UNSCHEDULED, evidence)
    return Decision(SINGLE_OCCURRENCE, LinkState.CONFIRMED, evidence)


# --- series with a fixed schedule -------------------------------------------------------------------------------


def _decide_by_observation(instance: ObservedInstance, meeting: MeetingFacts, seen: Seen) -> Decision:
    instance = _bounded(instance, meeting)
    windows = _windows(instance, meeting)
    voters = telling_voters(
        seen.voters, meeting.registration_type, {window.occurrence_id: window for window in windows}
    )
    votes = count_votes(voters)
    due, reason = due_by_schedule(instance, meeting, windows, seen)
    due_windows = [window for window in windows if window.occurrence_id in due]
    favourite = _favourite(voters, due_windows, _in_reach(instance, meeting, windows, voters))
    evidence: dict[str, Any] = {
        "rule": "schedule",
        "reason": reason,
        "registrants": seen.registrants,
        "voters": len(voters),
        "candidates": _candidates(instance, windows, due, votes),
    }
    against = _contradicts(voters, due_windows, seen.registrants - len(voters))
    if against is not None:
        text = f"{votes[against]} people registered for {against} were in it, and the schedule says otherwise"
        return Decision(None, LinkState.CONFLICT, evidence | {"rule": "registrants against schedule", "reason": text})
    if favourite is not None and (favourite in due or not due):
        rule = "registrants and schedule" if due == [favourite] else "registrants"
        return Decision(favourite, LinkState.OBSERVED, evidence | {"rule": rule})
    if len(due) == 1:
        if _single_out(due[0], voters, votes):
            return Decision(due[0], LinkState.OBSERVED, evidence | {"rule": "registrants and schedule"})
        return Decision(due[0], LinkState.INFERRED, evidence)
    return Decision(None, LinkState.AMBIGUOUS if due else LinkState.UNSCHEDULED, evidence)


def _bounded(instance: ObservedInstance, meeting: MeetingFacts) -> ObservedInstance:
    """The instance, ended by the start of the next one where its own end was never reported: no room runs twice."""
    if instance.ended_at is not None:
        return instance
    later = [
        other.started_at
        for other in meeting.instances
        if timedelta(0) < other.started_at - instance.started_at <= RUN_MAX
    ]
    return replace(instance, ended_at=min(later)) if later else instance


def _windows(instance: ObservedInstance, meeting: MeetingFacts) -> list[_Window]:
    """The planned times of what was planned when the instance started."""
    planned = known_schedule(meeting.statements, instance.started_at)
    return [
        _Window.of(occurrence, instance, meeting)
        for occurrence_id, occurrence in planned.items()
        if occurrence_id != SINGLE_OCCURRENCE
        and occurrence.scheduled_start is not None
        and occurrence.status == AVAILABLE
    ]


def known_schedule(statements: Sequence[ScheduleStatement], moment: datetime) -> dict[str, Planned]:
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


def telling_voters(
    voters: Sequence[Voter], registration_type: int | None, planned: Mapping[str, _Window]
) -> list[Voter]:
    """Those people, once each, whose registration tells the planned occurrences apart, with what it says of them.

    Registration type 1 admits to all of them whatever the list says; so does a list of every planned occurrence. What
    a list says of dates that are no longer planned, under ids an edit has replaced, says nothing about the others.
    """
    if registration_type == 1:
        return []
    telling = []
    for voter in {voter.registrant_id: voter for voter in voters}.values():
        named = voter.occurrence_ids & planned.keys() if planned else voter.occurrence_ids
        if named and not (len(planned) > 1 and _names_all(voter, named, planned)):
            telling.append(replace(voter, occurrence_ids=named))
    return telling


def _names_all(voter: Voter, named: Set[str], planned: Mapping[str, _Window]) -> bool:
    """Whether somebody named all there was to choose from when they registered: known by then, and not over."""
    return all(
        name in named
        for name, window in planned.items()
        if _could_choose(voter, window.known_since) and (voter.since is None or window.end > voter.since)
    )


def count_votes(voters: Iterable[Voter]) -> Counter[str]:
    """How many people name each occurrence."""
    return Counter(name for voter in voters for name in sorted(voter.occurrence_ids))


def _favourite(voters: Sequence[Voter], due: Sequence[_Window], in_reach: set[str]) -> str | None:
    """The occurrence, of those it could have been, that most of several people name, and twice as many as any other.

    Where several were due, only people who could have chosen each of them are asked.
    """
    if len(due) > 1:
        voters = [voter for voter in voters if all(_could_choose(voter, window.known_since) for window in due)]
    votes = count_votes(voters)
    ranked = Counter({name: count for name, count in votes.items() if name in in_reach}).most_common(2)
    if not ranked or ranked[0][1] < VOTES_MIN or 2 * ranked[0][1] <= len(voters):
        return None
    if len(ranked) == 2 and ranked[0][1] < VOTES_DOMINANCE * ranked[1][1]:
        return None
    return ranked[0][0]


def _single_out(occurrence_id: str, voters: Sequence[Voter], votes: Counter[str]) -> bool:
    """Whether all who tell name this occurrence, and no other one is named by all of them, too."""
    return bool(voters) and [name for name, count in votes.items() if count == len(voters)] == [occurrence_id]


def _contradicts(voters: Sequence[Voter], due: Sequence[_Window], for_all: int) -> str | None:
    """The occurrence that the people name instead of what was due; None when they do not speak against it.

    Only people who registered when what was due could be chosen are asked. Where none of them names it, two are
    enough; where some do, two thirds of several have to name another one.
    """
    asked = [voter for voter in voters if all(_could_choose(voter, window.known_since) for window in due)]
    names = {window.occurrence_id for window in due}
    votes = count_votes(asked)
    others = sorted(((count, name) for name, count in votes.items() if name not in names), reverse=True)
    if not due or not others or others[0][0] < VOTES_MIN:
        return None
    supported = max(votes[name] for name in names) + for_all
    count, name = others[0]
    total = len(asked) + for_all
    is_most = total >= VOTERS_TO_CONTRADICT and 3 * count >= 2 * total and 2 * supported <= total
    return name if supported == 0 or is_most else None


def _could_choose(voter: Voter, known_since: datetime | None) -> bool:
    """Whether an occurrence was on offer when somebody registered: an edit of the series issues new ids."""
    return known_since is None or voter.since is None or voter.since >= known_since


def due_by_schedule(
    instance: ObservedInstance, meeting: MeetingFacts, windows: Sequence[_Window], seen: Seen = NOBODY
) -> tuple[list[str], str]:
    """The occurrences the schedule allows for, and the reason in words."""
    if not windows:
        return [], "no schedule is known for the moment it started"
    opened = [window for window in windows if window.is_open_at(instance.started_at)]
    tried_out = [window for window in opened if _was_over_before(instance, window, seen)]
    opened = [window for window in opened if window not in tried_out]
    if not opened:
        if tried_out:
            return [], "it was over before one was due"
        return _due_though_none_was(instance, meeting, windows, seen)
    if len(opened) == 1:
        return _checked_by_overlap(instance, meeting, opened[0], windows)
    return _choose(instance, meeting, opened)


def _was_over_before(instance: ObservedInstance, window: _Window, seen: Seen) -> bool:
    """An instance that was over before the planned start was a try-out, unless registrants were in it already."""
    allowed = ENDED_BEFORE_WITH_PEOPLE_MAX if seen.registrants else ENDED_BEFORE_MAX
    return instance.ended_at is not None and instance.ended_at < window.start - allowed


def _due_though_none_was(
    instance: ObservedInstance, meeting: MeetingFacts, windows: Sequence[_Window], seen: Seen
) -> tuple[list[str], str]:
    """It began outside every window: long before one and ran through it, as a restart, or late, with its people."""
    ran_through = [window for window in windows if window.overlap(instance) * 2 >= window.length]
    if len(ran_through) == 1:
        return [ran_through[0].occurrence_id], "it began long before, and ran through its time"
    before = _instance_before(instance, meeting)
    if before is not None and before.ended_at is not None:
        gap = instance.started_at - before.ended_at
        due, _ = due_by_schedule(before, meeting, windows)
        restarted = [
            w
            for w in windows
            if due == [w.occurrence_id]
            and instance.started_at <= w.end + LATE_MAX
            and (gap <= RESTART_AFTER_END_MAX or before.ended_at < w.end - DROPPED_MIN)
        ]
        if restarted:
            return due, "it began right after another instance of the same occurrence ended"
    late = [w for w in windows if w.end <= instance.started_at <= w.end + LATE_UNHELD_MAX]
    if len(late) == 1 and seen.registrants >= VOTES_MIN and not _was_held(late[0], instance, meeting):
        return [late[0].occurrence_id], "it began late, registrants were in it, and its occurrence was not held before"
    return [], "none was due when it started"


def _had_been_held_to_its_end(instance: ObservedInstance, meeting: MeetingFacts, window: _Window) -> bool:
    """Whether another instance ran through half of it and ended about its planned end, before this one began."""
    return any(
        other.ended_at is not None
        and window.end - CLOSE <= other.ended_at <= instance.started_at
        and 2 * window.overlap(other) >= window.length
        for other in meeting.instances
        if other.uuid != instance.uuid and not other.is_practice
    )


def _instance_before(instance: ObservedInstance, meeting: MeetingFacts) -> ObservedInstance | None:
    """The instance of the meeting that ended last before this one began, if that was shortly before."""
    earlier = [
        (other.ended_at, other.started_at, other)
        for other in meeting.instances
        if other.ended_at is not None
        and other.uuid != instance.uuid
        and not other.is_practice
        and other.started_at < instance.started_at
        and timedelta(0) <= instance.started_at - other.ended_at <= RESTART_MAX
    ]
    return max(earlier, key=lambda found: (found[0], found[1], found[2].uuid))[2] if earlier else None


def _checked_by_overlap(
    instance: ObservedInstance, meeting: MeetingFacts, only: _Window, windows: Sequence[_Window]
) -> tuple[list[str], str]:
    """One was due when it started; unless it then ran through the time of another one rather than through this."""
    others = [
        window
        for window in windows
        if window is not only
        and window.overlap(instance) * 2 >= window.length
        and (
            window.overlap(instance) > OVERLAP_DOMINANCE * only.overlap(instance)
            or not any(window.is_open_at(o.started_at) for o in meeting.instances if o.started_at > instance.started_at)
        )
    ]
    if others:
        ids = [only.occurrence_id, *(window.occurrence_id for window in others)]
        return ids, "one was due when it started, and it ran through the time of another"
    return [only.occurrence_id], "exactly one was due when it started"


def _choose(instance: ObservedInstance, meeting: MeetingFacts, opened: Sequence[_Window]) -> tuple[list[str], str]:
    """Several were due. An instance just before tells a restart; else the nearness of the start and the time it ran."""
    before = _instance_before(instance, meeting)
    if before is not None:
        due, _ = due_by_schedule(before, meeting, opened)
        dropped = [w for w in opened if due == [w.occurrence_id] and _was_dropped(before, w)]
        if dropped and instance.started_at < dropped[0].end:
            return due, "several were due, and one of them had just been dropped"
        opened = [window for window in opened if due != [window.occurrence_id]] or list(opened)
        if len(opened) == 1:
            return [opened[0].occurrence_id], "several were due, and the others had just been held"
    ids = [window.occurrence_id for window in opened]
    close = [window for window in opened if window.is_close_at(instance.started_at)]
    if instance.ended_at is None:
        if len(close) == 1:
            return [close[0].occurrence_id], "several were due, and the start of one was near"
        return ids, "several were due when it started"
    ranked = sorted(opened, key=lambda window: window.overlap(instance), reverse=True)
    first, second = ranked[0], ranked[1]
    is_overwhelming = first.overlap(instance) > OVERLAP_OVERWHELMING * second.overlap(instance)
    is_longer = first.overlap(instance) > OVERLAP_DOMINANCE * second.overlap(instance)
    if is_overwhelming or (is_longer and (first in close or not close)):
        return [first.occurrence_id], "several were due, and it ran through the time of one"
    return ids, "several were due when it started"


def _was_dropped(before: ObservedInstance, window: _Window) -> bool:
    """Whether an instance of an occurrence ended well before its planned end."""
    return before.ended_at is not None and before.ended_at < window.end - CLOSE


def _in_reach(
    instance: ObservedInstance, meeting: MeetingFacts, windows: Sequence[_Window], voters: Sequence[Voter]
) -> set[str]:
    """The occurrences that registrants alone may point to: a host may be hours late, rarely a day."""
    if not windows:
        return set(count_votes(voters))  # where no schedule is known at all, people are all there is
    reached = {
        window.occurrence_id
        for window in windows
        if window.start - VOTES_REACH_EARLY <= instance.started_at <= window.end + VOTES_REACH_LATE
        and not (instance.started_at >= window.end and _had_been_held_to_its_end(instance, meeting, window))
        and not (instance.ended_at is not None and instance.ended_at < window.start - ENDED_BEFORE_WITH_PEOPLE_MAX)
    }
    return reached | _moved_informally(instance, meeting, windows, voters)


def _moved_informally(
    instance: ObservedInstance, meeting: MeetingFacts, windows: Sequence[_Window], voters: Sequence[Voter]
) -> set[str]:
    """The occurrence that was not held in its time, and whose people, nearly all of several, came days later."""
    votes = count_votes(voters)
    return {
        window.occurrence_id
        for window in windows
        if window.end < instance.started_at <= window.end + VOTES_REACH_UNHELD
        and len(voters) >= VOTERS_TO_MOVE
        and 10 * votes[window.occurrence_id] >= 9 * len(voters)
        and not _was_held(window, instance, meeting)
    }


def _was_held(window: _Window, instance: ObservedInstance, meeting: MeetingFacts) -> bool:
    """Whether another instance ran through half of an occurrence's planned time."""
    return any(
        2 * window.overlap(other) >= window.length
        for other in meeting.instances
        if other.uuid != instance.uuid and not other.is_practice
    )


def _candidates(
    instance: ObservedInstance, windows: Sequence[_Window], due: Sequence[str], votes: Counter[str]
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
    """The planned time of an occurrence, and how an instance lies to it."""

    occurrence_id: str
    start: datetime
    end: datetime
    known_since: datetime | None = None

    @classmethod
    def of(cls, planned: Planned, instance: ObservedInstance, meeting: MeetingFacts) -> _Window:
        assert planned.scheduled_start is not None
        minutes = (
            planned.duration_minutes
            or meeting.duration_minutes
            or instance.duration_minutes
            or DURATION_DEFAULT_MINUTES
        )
        end = planned.scheduled_start + timedelta(minutes=minutes)
        return cls(planned.occurrence_id, planned.scheduled_start, end, planned.known_since)

    @property
    def length(self) -> timedelta:
        return self.end - self.start

    def is_open_at(self, moment: datetime) -> bool:
        return self.start - EARLY_MAX <= moment < self.end

    def is_close_at(self, moment: datetime) -> bool:
        return self.start - CLOSE <= moment < self.end

    def overlap(self, instance: ObservedInstance) -> timedelta:
        end = instance.ended_at
        if end is None:
            return timedelta(0)
        return max(timedelta(0), min(end, self.end) - max(instance.started_at, self.start))

    def shown(self, instance: ObservedInstance, votes: Counter[str]) -> dict[str, Any]:
        return {
            "occurrence_id": self.occurrence_id,
            "scheduled_start": self.start.isoformat().replace("+00:00", "Z"),
            "started_minutes_after": round((instance.started_at - self.start).total_seconds() / 60),
            "overlap_minutes": round(self.overlap(instance).total_seconds() / 60),
            "votes": votes[self.occurrence_id],
        }


def _shown(statement: LinkStatement) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "occurrence_id": statement.occurrence_id,
        "stated_at": statement.stated_at.isoformat().replace("+00:00", "Z") if statement.stated_at else None,
    }
    if statement.stated_by is not None:
        shown |= {"by": statement.stated_by, "because": statement.because}
    return shown
