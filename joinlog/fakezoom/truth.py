"""What really happened: which instance was which occurrence, and who was there. Serialisable as JSON."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

import msgspec

Why = Literal["held", "restart", "rehearsal", "unscheduled"]
Status = Literal["held", "skipped", "deleted", "replaced"]
Standing = Literal["registered", "attended", "no_show", "walk_in", "unidentified", "staff"]
Decidable = Literal["webhook", "api", "never"]


@dataclass(frozen=True, slots=True)
class SeriesTruth:
    """One meeting; `registration_type` 0 is none; with a `pmi` its instances ran under that personal meeting id."""

    account_id: str
    meeting_id: int
    kind: str
    type: int
    topic: str
    timezone: str
    registration_type: int
    pmi: int | None = None


@dataclass(frozen=True, slots=True)
class InstanceTruth:
    """One instance; `occurrence_id` is None for rehearsals and where no occurrence was due.

    `meeting_id` is the meeting it belongs to, also where it ran under a personal meeting id (`ran_under`). What ran
    there without being scheduled belongs to that id, each instance an occurrence of its own.
    """

    uuid: str
    account_id: str
    meeting_id: int
    occurrence_id: str | None
    why: Why
    is_practice: bool
    started_at: datetime
    ended_at: datetime
    ran_under: int = 0


@dataclass(frozen=True, slots=True)
class OccurrenceTruth:
    """One scheduled date under one id, and person keys, sorted.

    `scheduled_start` is None for types 6, 3, 1 and 4, whose occurrence id is the uuid of their instance; the id of
    types 5 and 2 is `single`. `attendees` are all who were connected, hosts, panelists and guests among them.
    `registered` are those approved, registered before it ended and not cancelled before it started, under this id or
    for all;
    `registered_under_old_id` chose it while it had another id (`replaced_by` of that one leads here).
    """

    account_id: str
    meeting_id: int
    occurrence_id: str
    status: Status
    scheduled_start: datetime | None
    duration_minutes: int
    replaced_by: str | None
    instances: tuple[str, ...]
    attendees: tuple[str, ...]
    registered: tuple[str, ...]
    registered_under_old_id: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonTruth:
    """One person of one series; the key is stable, everything else is what Zoom may be shown of them."""

    key: str
    role: str
    name: str
    email: str
    user_id: str | None
    registrant_id: str | None


@dataclass(frozen=True, slots=True)
class ConnectionTruth:
    """One connection: whose it was, and the identifiers it showed (empty text where it showed none).

    `left_at` is the leave time Zoom states, or would have stated had `left` been sent (`left_is_stated`).
    """

    uuid: str
    person: str
    user_id: str
    participant_uuid: str
    registrant_id: str
    email: str
    name: str
    joined_at: datetime
    left_at: datetime
    left_is_stated: bool
    zoom_user_id: str = ""
    participant_user_id: str = ""
    customer_key: str = ""
    phone_number: str = ""


@dataclass(frozen=True, slots=True)
class VisitTruth:
    """One visit to a breakout room, under the `user_id` it had there, of the connection `main_user_id`."""

    uuid: str
    person: str
    user_id: str
    participant_uuid: str
    main_user_id: str
    room_uuid: str
    joined_at: datetime
    left_at: datetime


@dataclass(frozen=True, slots=True)
class StandingTruth:
    """What one person was to one occurrence, and the seconds they were there, devices and rooms counted once.

    `registered` stands for an occurrence that was not held. A guest who shows no identifier is `unidentified`.
    `standing_by` and `seconds_by` say from what it can be known, given every event and the right link: the `webhook`,
    only with the `api` besides, or `never` (a registrant who shows nothing, a leave that is never stated).
    """

    account_id: str
    meeting_id: int
    occurrence_id: str
    person: str
    standing: Standing
    attended_seconds: int
    standing_by: Decidable
    seconds_by: Decidable


@dataclass(frozen=True, slots=True)
class LostEvent:
    """An event that never arrived: its place among the world's emissions, and `why`.

    `never sent` (lost on the way out), `before installation`, `switched off`, `answered 401` (or another status that
    Zoom does not try again after), or `given up` after the last retry.
    """

    emission: int
    event: str
    at: datetime
    meeting_id: int
    uuid: str
    why: str


@dataclass(slots=True)
class Truth:
    """Everything Joinlog should find out, people by person key, and the events it never got (once they were played)."""

    series: list[SeriesTruth] = field(default_factory=list)
    occurrences: list[OccurrenceTruth] = field(default_factory=list)
    instances: dict[str, InstanceTruth] = field(default_factory=dict)
    people: dict[str, PersonTruth] = field(default_factory=dict)
    connections: list[ConnectionTruth] = field(default_factory=list)
    visits: list[VisitTruth] = field(default_factory=list)
    standings: list[StandingTruth] = field(default_factory=list)
    lost: list[LostEvent] = field(default_factory=list)

    @property
    def occurrence_of(self) -> Mapping[str, str | None]:
        """Instance uuid -> occurrence id, or None for a rehearsal or where no occurrence was due."""
        return {uuid: instance.occurrence_id for uuid, instance in self.instances.items()}

    def add(self, other: "Truth") -> None:
        """Take in the truth of other series."""
        self.series += other.series
        self.occurrences += other.occurrences
        self.instances |= other.instances
        self.people |= other.people
        self.connections += other.connections
        self.visits += other.visits
        self.standings += other.standings
        self.lost += other.lost

    def to_json(self) -> bytes:
        """The truth as JSON; `Truth.from_json` reads it back equal."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, text: bytes) -> "Truth":
        """Read what `to_json` wrote; `msgspec.ValidationError` if it is something else."""
        return msgspec.json.decode(text, type=cls)
