"""Works out the truth of one series from everything that was made to happen in it."""

from collections.abc import Iterable

from joinlog.fakezoom.events import ROOM_TOPIC
from joinlog.fakezoom.history import SeriesHistory
from joinlog.fakezoom.series import Series, Signup, Slot
from joinlog.fakezoom.sessions import Instance
from joinlog.fakezoom.standings import standings_of
from joinlog.fakezoom.truth import (
    ConnectionTruth,
    InstanceTruth,
    OccurrenceTruth,
    PersonTruth,
    SeriesTruth,
    Status,
    Truth,
    VisitTruth,
)


def truth_of(history: SeriesHistory) -> Truth:
    """What really happened in one series."""
    series, truth = history.series, Truth()
    truth.series.append(
        SeriesTruth(
            series.account_id, series.meeting_id, series.kind, series.type, series.topic, series.timezone,
            series.registration_type, series.pmi,
        )
    )  # fmt: skip
    for i in history.instances:
        truth.instances[i.uuid] = InstanceTruth(
            i.uuid, series.account_id, meeting_of(series, i), occurrence_of(series, i), i.why, i.is_practice,
            i.started_at, i.ended_at, i.pmi or series.meeting_id,
        )  # fmt: skip
    came: dict[str, set[str]] = {i.uuid: set() for i in history.instances}
    registrant_ids = {s.person.key: s.registrant_id for s in history.signups}
    for person in [s.person for s in history.signups] + [c.attendee.person for c in history.connections]:
        if person.key not in truth.people:
            truth.people[person.key] = PersonTruth(
                person.key, person.role, person.name, person.email, person.user_id, registrant_ids.get(person.key)
            )
    for c in history.connections:
        came[c.uuid].add(c.attendee.person.key)
        truth.connections.append(
            ConnectionTruth(
                c.uuid, c.attendee.person.key, c.user_id, c.participant_uuid, c.registrant_id, c.email, c.name,
                c.joined_at, c.left_at, c.left_is_sent, c.shows.zoom_user_id, c.shows.participant_user_id,
                c.shows.customer_key, c.phone_number,
            )
        )  # fmt: skip
    truth.visits = [
        VisitTruth(
            v.connection.uuid, v.connection.attendee.person.key, v.user_id, v.participant_uuid, v.connection.user_id,
            v.room_uuid, v.joined_at, v.left_at,
        )
        for v in history.visits
    ]  # fmt: skip
    truth.occurrences = [o for slot in history.slots for o in occurrences_of(history, slot, came)]
    if not history.slots:
        truth.occurrences = [free_occurrence(history, i, came) for i in history.instances]
    unscheduled = [i for i in history.instances if i.pmi is not None and i.slot is None]
    if unscheduled and series.pmi is not None:
        room = SeriesTruth(series.account_id, series.pmi, "meeting", 4, ROOM_TOPIC, series.timezone, 0)
        truth.series.append(room)
        truth.occurrences += [free_occurrence(history, i, came) for i in unscheduled]
    truth.standings = standings_of(history, truth.occurrences)
    return truth


def meeting_of(series: Series, instance: Instance) -> int:
    """The meeting an instance belongs to: under a personal meeting id that one, unless it was scheduled."""
    return instance.pmi if instance.pmi is not None and instance.slot is None else series.meeting_id


def occurrence_of(series: Series, instance: Instance) -> str | None:
    """The occurrence an instance was: without a schedule it is its own."""
    if instance.slot is not None:
        return instance.slot.now.occurrence_id
    if instance.pmi is not None:
        return instance.uuid
    return instance.uuid if instance.why == "held" and not series.occurrences else None


def occurrences_of(history: SeriesHistory, slot: Slot, came: dict[str, set[str]]) -> list[OccurrenceTruth]:
    """The truth of one session, and of the ids it had before."""
    series = history.series
    ids = list(dict.fromkeys(o.occurrence_id for _, o in slot.versions))
    latest = {o.occurrence_id: o for _, o in slot.versions}
    counted = [s for s in history.signups if s.counts_for(slot, slot.begins, slot.ends)]
    status: Status = "deleted" if slot.is_deleted else "held" if slot.uuids else "skipped"
    known: list[OccurrenceTruth] = []
    for n, occurrence_id in enumerate(ids):
        is_final = n == len(ids) - 1
        known.append(
            OccurrenceTruth(
                account_id=series.account_id,
                meeting_id=series.meeting_id,
                occurrence_id=occurrence_id,
                status=status if is_final else "replaced",
                scheduled_start=latest[occurrence_id].start,
                duration_minutes=latest[occurrence_id].duration_minutes,
                replaced_by=None if is_final else ids[n + 1],
                instances=tuple(slot.uuids) if is_final else (),
                attendees=tuple(sorted(set().union(*(came[u] for u in slot.uuids)))) if is_final else (),
                registered=person_keys(s for s in counted if is_final and s.id_chosen(slot) in (None, occurrence_id)),
                registered_under_old_id=person_keys(
                    s for s in counted if is_final and s.id_chosen(slot) not in (None, occurrence_id)
                ),
            )
        )
    return known


def person_keys(signups: Iterable[Signup]) -> tuple[str, ...]:
    """The person keys of registrants, sorted."""
    return tuple(sorted(s.person.key for s in signups))


def free_occurrence(history: SeriesHistory, instance: Instance, came: dict[str, set[str]]) -> OccurrenceTruth:
    """The truth of an instance of a meeting without a schedule."""
    counted = (s for s in history.signups if s.counts_for(None, instance.started_at, instance.ended_at))
    return OccurrenceTruth(
        account_id=history.series.account_id,
        meeting_id=meeting_of(history.series, instance),
        occurrence_id=instance.uuid,
        status="held",
        scheduled_start=None,
        duration_minutes=history.series.duration_minutes,
        replaced_by=None,
        instances=(instance.uuid,),
        attendees=tuple(sorted(came[instance.uuid])),
        registered=person_keys(counted),
        registered_under_old_id=(),
    )
