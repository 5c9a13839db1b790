"""The people of an occurrence: who of them somebody asks for, and who was there for long enough. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from schema.states import PersonStanding as Standing

WHO: Mapping[str, frozenset[Standing]] = {
    "all": frozenset(Standing),
    "registrants": frozenset({Standing.REGISTERED, Standing.ATTENDED, Standing.NO_SHOW}),
    "attended": frozenset({Standing.ATTENDED}),
    "no-shows": frozenset({Standing.NO_SHOW}),
    "walk-ins": frozenset({Standing.WALK_IN}),
    "unidentified": frozenset({Standing.UNIDENTIFIED}),
    "staff": frozenset({Standing.STAFF}),
}
"""What a part of the people is called, in addresses and on the command line, and which standings it holds."""


class Person(NamedTuple):
    """One row of view occurrence_person, without the occurrence."""

    person_id: str
    registrant_id: str | None
    name: str | None
    email: str | None
    standing: str
    reason: str
    registered_since: datetime | None
    first_joined_at: datetime | None
    last_left_at: datetime | None
    attended_seconds: float
    attended_share: float | None
    connections: int
    is_present: bool


class Minimum(NamedTuple):
    """How long somebody has to be there to count: minutes, or percent of the time it was held, or both."""

    minutes: float | None = None
    percent: float | None = None

    @property
    def is_set(self) -> bool:
        """Whether anything is asked for."""
        return self.minutes is not None or self.percent is not None

    def shortfall(self, person: Person) -> str | None:
        """Why somebody was not there for long enough; None when they were."""
        if self.minutes is not None and person.attended_seconds < self.minutes * 60:
            return f"{as_hms(person.attended_seconds)} of at least {self.minutes:g} min"
        if self.percent is not None and (share := person.attended_share) is not None and share * 100 < self.percent:
            return f"{as_percent(share)} of at least {self.percent:g} %"
        return None

    def is_enough(self, person: Person) -> bool | None:
        """Whether somebody was there for long enough; None when nothing is asked for or they did not attend."""
        if not self.is_set or person.standing != Standing.ATTENDED:
            return None
        return self.shortfall(person) is None


def as_hms(seconds: float) -> str:
    """Seconds as h:mm:ss."""
    whole = int(seconds)
    return f"{whole // 3600}:{whole // 60 % 60:02}:{whole % 60:02}"


def as_percent(share: float) -> str:
    """A share as percent; never rounded up to what it is not."""
    return f"{int(share * 1000 + 1e-9) / 10:g} %"
