"""From every status Zoom stated of a registrant to their registration for each occurrence. Pure."""

from __future__ import annotations

from collections.abc import Sequence, Set
from datetime import datetime
from typing import NamedTuple

from schema.reserved import EVERY_OCCURRENCE
from schema.rows import StatusEntry
from schema.zoom.payloads import from_milliseconds
from workers.core.schedule import Offer, on_offer

STANDING = frozenset({"approved", "pending"})
ONCE_FOR_ALL = 1  # registration_type: register once, attend any occurrence


class Admission(NamedTuple):
    """What a registration admits to: Zoom's registration type where it is known, else what was on offer, and when."""

    registration_type: int | None = None
    offers: tuple[Offer, ...] = ()

    @classmethod
    def of(cls, registration_type: int | None, offers: tuple[Offer, ...]) -> Admission:
        """Where the type is known it says all there is to say."""
        return cls(registration_type, offers if registration_type is None else ())

    def is_for_all(self, entry: StatusEntry, listed: Set[str] = frozenset()) -> bool:
        """Whether a status is about every occurrence, whatever dates it lists.

        `listed` are the dates that statuses before it registered for: who cancels some of them keeps the others.

        Type 1 (register once, attend any) lists them all; Zoom tells the type in `updated` only. So somebody who lists
        every one of several dates on offer is taken to be registered for all, also for those an edit makes of them.
        """
        if EVERY_OCCURRENCE in entry.occurrence_ids:
            return True
        if self.registration_type is not None:
            ends_some = entry.status not in STANDING and not (listed and listed <= set(entry.occurrence_ids))
            return self.registration_type == ONCE_FOR_ALL and not ends_some
        choice = on_offer(self.offers, from_milliseconds(entry.stated_ms))
        return len(choice) > 1 and choice <= set(entry.occurrence_ids)


class Standing(NamedTuple):
    """How a registration stands: its status, since when, and until when if it was ended."""

    status: str
    since: datetime | None
    until: datetime | None


NOTHING_KNOWN = Admission()


def registrations_of(entries: Sequence[StatusEntry], admission: Admission = NOTHING_KNOWN) -> dict[str, Standing]:
    """A registrant's registration for each occurrence that any status names, and for all (`*`).

    A status that names no occurrence is about all of them: it also ends the registrations for particular ones. A
    registration for `*` that was cancelled for one date has a row for that date, which then speaks for it.
    """
    entries = _read(entries, admission)
    about: dict[str, list[StatusEntry]] = {name: [] for entry in entries for name in entry.occurrence_ids}
    for entry in entries:
        for name in about if EVERY_OCCURRENCE in entry.occurrence_ids else set(entry.occurrence_ids):
            about[name].append(entry)
    registrations = {name: standing_of(told) for name, told in about.items() if name != EVERY_OCCURRENCE}
    for_all = [entry for entry in entries if EVERY_OCCURRENCE in entry.occurrence_ids]
    if for_all and (standing := standing_of(for_all)).since is not None and not _only_confirms(entries, for_all):
        registrations[EVERY_OCCURRENCE] = standing
    return registrations


def _read(entries: Sequence[StatusEntry], admission: Admission) -> list[StatusEntry]:
    """These statuses, which are in order of time, with `*` alone where one is about every occurrence."""
    read, listed = [], set[str]()
    for entry in entries:
        read.append(
            entry._replace(occurrence_ids=(EVERY_OCCURRENCE,)) if admission.is_for_all(entry, listed) else entry
        )
        if entry.status in STANDING:
            listed |= set(entry.occurrence_ids) - {EVERY_OCCURRENCE}
    return read


def standing_of(entries: Sequence[StatusEntry]) -> Standing:
    """How things stand after these statuses, which are in order of time."""
    since: int | None = None
    until: int | None = None
    for entry in entries:
        if entry.status not in STANDING:
            until = entry.stated_ms if until is None else until
        elif since is None or until is not None:
            since, until = entry.stated_ms, None
    return Standing(
        entries[-1].status,
        None if since is None else from_milliseconds(since),
        None if until is None else from_milliseconds(until),
    )


def _only_confirms(entries: Sequence[StatusEntry], for_all: Sequence[StatusEntry]) -> bool:
    """An approval without dates, of somebody who signed up for particular ones, is not a registration for all."""
    signed_up_for_some = any(e.status in STANDING and EVERY_OCCURRENCE not in e.occurrence_ids for e in entries)
    return signed_up_for_some and all(entry.status == "approved" for entry in for_all if entry.status in STANDING)
