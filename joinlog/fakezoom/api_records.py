"""What Zoom keeps of a world and its API can show: meetings, instances and the rows of their reports. Pure."""

from __future__ import annotations

import zlib
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import NamedTuple

from joinlog.fakezoom.history import SeriesHistory
from joinlog.fakezoom.open_facts import OpenFacts
from joinlog.fakezoom.people import Person
from joinlog.fakezoom.series import Signup, Slot
from joinlog.fakezoom.sessions import Connection, Instance, RoomVisit, Wait

INSTANCES_KEPT = timedelta(days=456)  # fifteen months
IN_MEETING, IN_WAITING_ROOM = "in_meeting", "in_waiting_room"
EARLY_REPORTS = ("missing", "empty", "partial")


def chance(*parts: object) -> float:
    """A number from 0 to below 1 that depends on these parts only; quicker than seeding a random source."""
    return zlib.crc32("/".join(map(str, parts)).encode()) / 2**32


class ReportEntry(NamedTuple):
    """One row of a participants report; `connection` is None for somebody who was never admitted."""

    connection: Connection | None
    user_id: str
    participant_uuid: str
    name: str
    joined_at: datetime
    left_at: datetime
    room_uuid: str = ""
    status: str = IN_MEETING
    is_failover: bool = False


@dataclass(slots=True)
class Held:
    """One instance, the series it belongs to, the id it ran under, and everything its report is made of."""

    history: SeriesHistory
    instance: Instance
    meeting_id: int
    connections: list[Connection] = field(default_factory=list)
    visits: list[RoomVisit] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    _entries: list[ReportEntry] | None = None

    def entries(self, failover_share: float) -> Sequence[ReportEntry]:
        """The rows of the whole report in order of joining; worked out once."""
        if self._entries is None:
            made = [
                ReportEntry(c, c.user_id, c.participant_uuid, c.name, c.joined_at, c.left_at) for c in self.connections
            ]
            made += [_failover(e) for e in made if chance(self.instance.uuid, e.user_id, "failover") < failover_share]
            made += [
                ReportEntry(v.connection, v.user_id, v.participant_uuid, v.connection.name, v.joined_at, v.left_at,
                            v.room_uuid)
                for v in self.visits
            ]  # fmt: skip
            made += [
                ReportEntry(w.connection, w.user_id, "", w.name, w.since, w.until, status=IN_WAITING_ROOM)
                for w in self.waits
            ]
            made.sort(key=lambda entry: entry.joined_at)
            self._entries = made
        return self._entries

    @property
    def participants_count(self) -> int:
        """How many participants Zoom counts: by identifier where there is one, else by connection."""
        return len({c.registrant_id or c.email or c.zoom_user_id or c.user_id for c in self.connections})


def _failover(entry: ReportEntry) -> ReportEntry:
    quarter = (entry.left_at - entry.joined_at) / 4
    inside = (entry.joined_at + quarter).replace(microsecond=0)
    return entry._replace(joined_at=inside, left_at=max(inside, entry.left_at - quarter), is_failover=True)


class Records:
    """Every meeting and instance of a world, found by account and id or by uuid."""

    def __init__(self, histories: Iterable[SeriesHistory], seed: int, facts: OpenFacts) -> None:
        self.seed, self.facts = seed, facts
        self.meetings: dict[tuple[str, int], SeriesHistory] = {}
        self.held: dict[str, Held] = {}
        self.held_under: dict[tuple[str, int], list[Held]] = {}
        self.by_account: dict[str, list[SeriesHistory]] = {}
        self.rooms: dict[tuple[str, int], SeriesHistory] = {}
        for history in histories:
            series = history.series
            self.meetings[series.account_id, series.meeting_id] = history
            self.by_account.setdefault(series.account_id, []).append(history)
            if series.pmi is not None:
                self.rooms[series.account_id, series.pmi] = history
            for instance in history.instances:
                held = Held(history, instance, instance.pmi or series.meeting_id)
                self.held[instance.uuid] = held
                self.held_under.setdefault((series.account_id, held.meeting_id), []).append(held)
            for connection in history.connections:
                self.held[connection.uuid].connections.append(connection)
            for visit in history.visits:
                self.held[visit.connection.uuid].visits.append(visit)
            for wait in history.waits:
                self.held[wait.uuid].waits.append(wait)
        self.ended = sorted(self.held.values(), key=lambda held: held.instance.started_at)
        self.ids_since = self._begin_of_ids()

    def _begin_of_ids(self) -> datetime | None:
        """From which start on instances have an occurrence id; None: all of them."""
        if not self.facts.old_share or not self.ended:
            return None
        first, last = self.ended[0].instance.started_at, self.ended[-1].instance.started_at
        return first + (last - first) * self.facts.old_share

    def span(self) -> tuple[datetime, datetime] | None:
        """From the first meeting's creation to the end of the last instance or occurrence."""
        moments = [h.series.created_at for h in self.meetings.values()]
        ends = [held.instance.ended_at for held in self.ended]
        ends += [slot.now.end for h in self.meetings.values() for slot in h.slots]
        return (min(moments), max([*moments, *ends])) if moments else None

    def stated_occurrence_id(self, held: Held) -> str | None:
        """The occurrence Zoom's list of past instances names beside this uuid; None where it names none."""
        instance, series = held.instance, held.history.series
        if instance.slot is None or instance.pmi is not None or not series.is_recurring_at_fixed_times:
            return None
        if self.ids_since is not None and instance.started_at < self.ids_since:
            return None
        return instance.slot.at(instance.started_at).occurrence_id

    def past_instances(self, account_id: str, meeting_id: int, now: datetime) -> list[Held]:
        """The instances Zoom lists as past at a moment, in order of time."""
        kept_since = now - INSTANCES_KEPT
        return [
            held
            for held in self.held_under.get((account_id, meeting_id), ())
            if kept_since <= held.instance.ended_at <= now
            and (self.facts.lists_practice or not held.instance.is_practice)
        ]

    def report_state(self, held: Held, now: datetime) -> tuple[str, float]:
        """(`running`, `missing`, `empty`, `partial` or `whole`, share of the rows to be seen) of a report."""
        elapsed = (now - held.instance.ended_at).total_seconds()
        if elapsed < 0:
            return "running", 0.0
        delay = 60 * self.facts.report_delay_minutes_max * chance(self.seed, held.instance.uuid, "delay")
        if elapsed >= delay:
            return "whole", 1.0
        kind = self.facts.early_report
        if kind == "mixed":
            kind = EARLY_REPORTS[int(3 * chance(self.seed, held.instance.uuid, "early"))]
        return kind, elapsed / delay if kind == "partial" else 0.0

    def visible_entries(self, held: Held, now: datetime) -> Sequence[ReportEntry]:
        """The rows of a report that can be seen at a moment; a partial one grows."""
        entries = held.entries(self.facts.failover_rows)
        share = self.report_state(held, now)[1]
        return entries if share == 1.0 else entries[: int(len(entries) * share)]

    def started_between(self, account_id: str, since: datetime, until: datetime) -> list[Held]:
        """The account's instances that started within a span, in order of time."""
        first = bisect_right(self.ended, since, key=lambda held: held.instance.started_at)
        found = []
        for held in self.ended[max(0, first - 1) :]:
            if held.instance.started_at >= until:
                break
            if held.history.series.account_id == account_id and held.instance.started_at >= since:
                found.append(held)
        return found

    def users(self, account_id: str) -> Mapping[str, tuple[Person, datetime, int | None]]:
        """The Zoom users of an account by id: its hosts, when each is known from, and the personal meeting id."""
        found: dict[str, tuple[Person, datetime, int | None]] = {}
        for history in self.by_account.get(account_id, ()):
            series = history.series
            found.setdefault(series.host_id, (history.team[0], series.created_at, series.pmi))
        return found


def registrations_of(
    history: SeriesHistory, slot: Slot | None, occurrence_id: str | None, now: datetime, facts: OpenFacts
) -> list[tuple[datetime, str, Signup]]:
    """(when registered, `approved`, `pending` or `denied`, who) as Zoom lists them at a moment.

    With a slot for that occurrence under that id; without one everybody who registered for anything.
    """
    found = []
    for signup in history.signups:
        moment = _registered_at(signup, slot, occurrence_id)
        if moment is None or moment > now or _is_cancelled(signup, slot, now, facts):
            continue
        answered = signup.answered.get(moment)
        status = (
            "pending" if answered is not None and now < answered else "approved" if signup.is_approved else "denied"
        )
        found.append((moment, status, signup))
    found.sort(key=lambda row: (row[0], row[2].registrant_id))
    return found


def _registered_at(signup: Signup, slot: Slot | None, occurrence_id: str | None) -> datetime | None:
    if signup.chosen is None or slot is None:
        return signup.registered_at
    moment, chosen_id = signup.chosen.get(slot.index, (None, ""))
    return moment if chosen_id == occurrence_id else None


def _is_cancelled(signup: Signup, slot: Slot | None, now: datetime, facts: OpenFacts) -> bool:
    whole = signup.cancelled.get(None)
    if whole is not None and whole <= now:
        return facts.cancelled == "gone" or slot is None or slot.begins > whole
    one = signup.cancelled.get(slot.index) if slot is not None else None
    return one is not None and one <= now
