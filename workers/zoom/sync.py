"""Asks Zoom about meetings, and keeps every complete answer as events; in one run nothing is asked twice.

What to ask next is read from the tables, so that a run that was killed goes on where it was.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

from schema.own_events import audited_event
from schema.reserved import EVERY_OCCURRENCE
from schema.store.api_calls import (
    KnownInstance,
    KnownMeeting,
    read_meeting,
    read_meetings_held,
    read_panelists,
    read_standing,
)
from schema.store.audit import has_ended_event, read_connections, read_instance
from schema.store.database import Database
from schema.store.inbox import keep_own_event
from workers.core.audit import audit
from workers.core.registrations import ONCE_FOR_ALL
from workers.zoom import answers
from workers.zoom.client import ZoomClient
from workers.zoom.endpoints import (
    ABSENTEES,
    ABSENTEES_READ,
    HISTORY,
    HISTORY_READ,
    INSTANCES_READ,
    MEETING,
    MEETING_READ,
    PANELISTS,
    PANELISTS_READ,
    PARTICIPANTS,
    PARTICIPANTS_READ,
    PAST_INSTANCES,
    REGISTRANTS,
    REGISTRANTS_READ,
    REPORT,
    REPORT_READ,
)
from workers.zoom.questions import Questions
from workers.zoom.readings import GROWS_FOR, do_agree
from workers.zoom.together import CALLERS_MAX, Settling, each

HISTORY_SPAN = timedelta(days=30)  # Zoom tells a month at a time
STATUSES = ("approved", "pending", "denied")
KINDS = ("webinar", "meeting")


@dataclass(slots=True)
class Sync:
    """One run about one account. `settling` brings what was kept to the tables; `now` is the time.

    Several threads may ask about a meeting each, and share `settling`; `callers` ask about one meeting at once.
    """

    database: Database
    client: ZoomClient
    begun_at: datetime
    settling: Settling
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    callers: int = 1
    counted: Counter[str] = field(default_factory=Counter)
    remains: list[str] = field(default_factory=list)
    _questions: Questions = field(init=False)

    def __post_init__(self) -> None:
        """Begin with no question asked."""
        self._questions = Questions(
            self.database, self.client.account_id, self.begun_at, self.now, self.remains, self.settling.writing
        )

    def history(self, since: date, until: date) -> None:
        """Every instance the account held from one day to another, inclusive. Raises ZoomError."""
        for first, last in spans(since, until):
            self._questions.ask(HISTORY_READ, f"{first}/{last}", lambda f=first, t=last: self._history(f, t))  # type: ignore[misc]
        self.settling.settle()

    def held_between(self, since: date, until: date) -> list[int]:
        """The meetings the account held from one day to another, inclusive. Raises ZoomError."""
        self.history(since, until)
        begin = datetime(since.year, since.month, since.day, tzinfo=UTC)
        end = datetime(until.year, until.month, until.day, tzinfo=UTC) + timedelta(days=1)
        return read_meetings_held(self.database, self.client.account_id, begin, end)

    def meetings(self, meeting_ids: Sequence[int], on_done: Callable[[], object] = lambda: None) -> None:
        """Everything about these meetings, several at once. Raises what `meeting` raises."""
        self.callers = max(1, CALLERS_MAX // max(1, len(meeting_ids)))

        def ask(meeting_id: int) -> None:
            self.meeting(meeting_id)
            on_done()

        each(meeting_ids, ask, CALLERS_MAX)

    def meeting(self, meeting_id: int) -> None:
        """Everything about one meeting. Raises Refused without a token, DailyLimit, and ZoomError for no answer."""
        kind = self.series(meeting_id)
        if kind is not None:
            self._records(kind, meeting_id, self._known(meeting_id).instances)
            self._count("meetings", 1)

    def series(self, meeting_id: int) -> str | None:
        """Schedule, instances and registrants of one meeting; returns its kind, None where Zoom knows none."""
        kind = self._known(meeting_id).kind
        for tried in (kind,) if kind else KINDS:
            asked = self._questions.ask(MEETING_READ, str(meeting_id), lambda k=tried: self._series(k, meeting_id))  # type: ignore[misc]
            listed = self._ask_instances(tried, meeting_id)
            if asked or listed:
                kind = tried
                break
        if kind is None:
            self.remains.append(f"meeting {meeting_id}: Zoom knows no webinar and no meeting of this number")
            return None
        self.settling.settle()
        known = self._known(meeting_id)
        self._ask_registrants(kind, meeting_id, known, known.occurrence_ids)
        if kind == "webinar":
            self._questions.ask(PANELISTS_READ, str(meeting_id), lambda: self._panelists(meeting_id))
        self.settling.settle()
        return kind

    def after_end(self, meeting_id: int, uuids: Collection[str]) -> None:
        """What Zoom's record says of these instances, which ended: the occurrence, who was registered, who came."""
        known = self._known(meeting_id)
        if known.kind is None:
            return
        self._ask_instances(known.kind, meeting_id)
        self.settling.settle()
        known = self._known(meeting_id)
        ended = [instance for instance in known.instances if instance.uuid in uuids]
        linked = {instance.occurrence_id for instance in ended}
        self._ask_registrants(str(known.kind), meeting_id, known, [o for o in known.occurrence_ids if o in linked])
        self._records(str(known.kind), meeting_id, ended)

    def _records(self, kind: str, meeting_id: int, instances: Sequence[KnownInstance]) -> None:
        """Zoom's report of each of these instances, and what it proves."""
        each(instances, lambda one: self._ask_report(kind, one.ran_under or meeting_id, one), self.callers)
        self.settling.settle()
        each(instances, lambda one: self._audit(kind, one.ran_under or meeting_id, one.uuid), self.callers)
        self.settling.settle()

    def _count(self, what: str, number: int) -> None:
        with self.settling.writing:
            self.counted[what] += number

    def _known(self, meeting_id: int) -> KnownMeeting:
        return read_meeting(self.database, self.client.account_id, meeting_id)

    def _ask_instances(self, kind: str, meeting_id: int) -> bool:
        return self._questions.ask(INSTANCES_READ, str(meeting_id), lambda: self._instances(kind, meeting_id))

    def _ask_registrants(self, kind: str, meeting_id: int, known: KnownMeeting, occurrence_ids: Sequence[str]) -> None:
        for_all = known.registration_type == ONCE_FOR_ALL or not known.occurrence_ids

        def ask(occurrence_id: str | None) -> None:
            subject = f"{meeting_id}/{occurrence_id or EVERY_OCCURRENCE}"
            self._questions.ask(REGISTRANTS_READ, subject, lambda: self._registrants(kind, meeting_id, occurrence_id))

        each((None,) if for_all else occurrence_ids, ask, self.callers)

    def _ask_report(self, kind: str, meeting_id: int, instance: KnownInstance) -> None:
        uuid, ended_at = instance.uuid, instance.ended_at
        is_read = self._questions.ask(
            PARTICIPANTS_READ, uuid, lambda: self._participants(kind, meeting_id, uuid), is_expected=True
        )
        if ended_at is None or instance.reported_participants is None:
            self._questions.ask(REPORT_READ, uuid, lambda: self._report(kind, meeting_id, uuid))
        if is_read and ended_at is not None and self.now() - ended_at < GROWS_FOR:
            self.remains.append(f"instance {uuid}: ended within the hour, its report may still grow")

    # --- what is asked: each returns the bodies of one complete answer

    def _history(self, first: date, last: date) -> list[answers.Json]:
        answer = self.client.read(HISTORY, meeting_type="all", **{"from": str(first), "to": str(last)})
        return answers.history_read(answer)

    def _series(self, kind: str, meeting_id: int) -> list[answers.Json]:
        answer = self.client.read(MEETING[kind], str(meeting_id), show_previous_occurrences="true")
        return answers.meeting_read(kind, answer)

    def _instances(self, kind: str, meeting_id: int) -> list[answers.Json]:
        bodies = answers.instances_read(kind, meeting_id, self.client.read(PAST_INSTANCES[kind], str(meeting_id)))
        for row in bodies[0]["instances"]:
            self._count("instances", 1)
            self._count("links stated", "occurrence_id" in row)
        return bodies

    def _registrants(self, kind: str, meeting_id: int, occurrence_id: str | None) -> list[answers.Json]:
        begun_at = self.now()
        which = {"occurrence_id": occurrence_id} if occurrence_id else {}
        listed = {
            status: self.client.read(REGISTRANTS[kind], str(meeting_id), status=status, **which) for status in STATUSES
        }
        here = {str(row.get("id")) for answer in listed.values() for row in answer.get("registrants") or ()}
        about = occurrence_id or EVERY_OCCURRENCE
        standing = read_standing(self.database, self.client.account_id, meeting_id, about, begun_at)
        self._count("registrants", len(here))
        return answers.registrants_read(kind, meeting_id, occurrence_id, listed, standing - here)

    def _panelists(self, meeting_id: int) -> list[answers.Json]:
        answer = self.client.read(PANELISTS, str(meeting_id))
        known = read_panelists(self.database, self.client.account_id, meeting_id)
        return answers.panelists_read(meeting_id, answer, known)

    def _report(self, kind: str, meeting_id: int, uuid: str) -> list[answers.Json]:
        return answers.report_read(kind, meeting_id, uuid, self.client.read(REPORT[kind], uuid))

    def _participants(self, kind: str, meeting_id: int, uuid: str) -> list[answers.Json]:
        answer = self.client.read(PARTICIPANTS[kind], uuid, include_fields="registrant_id")
        self._count("connections", len(answer.get("participants") or ()))
        return answers.participants_read(kind, meeting_id, uuid, answer)

    # --- what the record proves

    def _audit(self, kind: str, meeting_id: int, uuid: str) -> None:
        """Say what webhooks told of an instance against its report, and whether that is final; nothing if said."""
        account_id, now = self.client.account_id, self.now()
        task = self._questions.last_answer(PARTICIPANTS_READ, uuid)
        with self.database.read() as connection:
            instance = read_instance(connection, account_id, uuid)
            has_ended = has_ended_event(connection, account_id, uuid)
        if task is None or instance is None or instance.ended_at is None:
            return
        connections = read_connections(self.database, account_id, uuid)
        found = audit(kind, connections, instance.observed_start is not None, has_ended)
        is_final = instance.final_at is not None
        if not is_final and not (found.is_empty and found.stays_webhook_only):
            is_final = do_agree(instance.ended_at, task.said_ms, task.done_at, task.repeats)
        if is_final and instance.final_at is None and kind == "webinar":
            self._questions.ask(ABSENTEES_READ, uuid, lambda: self._absentees(meeting_id, uuid))
        figures = found._asdict() | {"webhooks_lost": dict(found.webhooks_lost)}
        said = (
            instance.stays_both, instance.stays_webhook_only, instance.stays_report_only, instance.webhooks_expected,
            instance.webhooks_lost,
        )  # fmt: skip
        if (*found[:4], sum(found.webhooks_lost.values())) != said or is_final != (instance.final_at is not None):
            final_at = now if is_final and instance.final_at is None else None
            with self.settling.writing:
                keep_own_event(self.database, audited_event(account_id, meeting_id, uuid, figures, final_at, now))
        self._count("stays added", found.stays_report_only)
        self._count("final", is_final)

    def _absentees(self, meeting_id: int, uuid: str) -> list[answers.Json]:
        return answers.absentees_read(meeting_id, uuid, self.client.read(ABSENTEES, uuid))


def spans(since: date, until: date) -> Iterator[tuple[date, date]]:
    """Days as Zoom tells them: spans of at most a month, both ends inclusive."""
    first = since
    while first <= until:
        last = min(first + HISTORY_SPAN, until)
        yield first, last
        first = last + timedelta(days=1)
