"""Everything that happened in one series: what the truth and the API are made of."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from joinlog.fakezoom.events import InstanceEvents
from joinlog.fakezoom.people import Person
from joinlog.fakezoom.series import Series, Signup, Slot
from joinlog.fakezoom.sessions import Connection, Instance, RoomVisit, Wait


@dataclass(slots=True)
class SeriesHistory:
    """Everything that happened in one series: what Zoom itself knows of it, and more."""

    series: Series
    slots: list[Slot]
    signups: list[Signup]
    instances: list[Instance]
    connections: list[Connection] = field(default_factory=list)
    team: list[Person] = field(default_factory=list)
    visits: list[RoomVisit] = field(default_factory=list)
    waits: list[Wait] = field(default_factory=list)
    co_hosts: list[Connection] = field(default_factory=list)

    def add(self, connections: Sequence[Connection], happened: InstanceEvents) -> None:
        """Take in what happened in one more instance."""
        self.connections += connections
        self.waits += happened.waits
        self.visits += happened.visits
        self.co_hosts += happened.co_hosts
