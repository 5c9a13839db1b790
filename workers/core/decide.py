"""From facts and the rows they touch to every row that changes: one pure function.

1. The facts are merged into the rows they are about (`merge`).
2. What follows from rows is decided: registrations, stays and people, links, occurrences.
3. Everything that changes is one `Change`, which the store saves.

`lookups` says which rows that needs, round by round; nothing is read after the first write.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime

from schema.change import Change
from schema.known import Known, Lookup
from schema.rows import Key, Row
from workers.core import links, placing, presence, registered
from workers.core.batch import Batch, lookups_named
from workers.core.merge import NEVER_KNOWN, Fact

STATED = ("meeting", "occurrence_history", "registrant", "connection", "staff", "link_statement", "account_departure")
"""Tables of which every column is stated by facts; the others follow from them."""


def lookups(facts: Sequence[Fact], known: Known, staff_domains: Collection[str] = ()) -> list[Lookup]:
    """The rows to read next, in one round trip, before these facts can be decided; empty when all are known."""
    if not known.is_begun:  # the first round is what the facts themselves name
        known.is_begun = True
        if missing := known.missing(_named(facts)):
            return missing
    batch = _batch(facts, known, staff_domains)
    batch.needed = []
    if not placing.gather(batch):  # which meeting an instance was of bears on everything else
        return batch.needed
    presence.gather(batch)
    if registered.gather(batch):
        links.gather(batch)
    return batch.needed


def decide(facts: Sequence[Fact], known: Known, now: datetime, staff_domains: Collection[str] = ()) -> Change:
    """Every row that these facts change. Raises NotLookedUp when `lookups` still names rows.

    Whose address is at one of `staff_domains`, in lower case, is staff.
    """
    batch = _batch(facts, known, staff_domains)
    is_known = placing.gather(batch) and registered.gather(batch)
    if not is_known or (batch.people is None and not presence.gather(batch)):
        raise LookupError("rows are missing: read what `lookups` names first")
    people, registrations = presence.decide(batch), batch.registrations
    linked = links.decide(batch, now)
    written: dict[str, Mapping[Key, Row]] = {table: batch.changed(table) for table in STATED}
    written["registration"] = registrations.written
    written["participant"] = people.written
    written["instance"] = batch.changed("instance") | linked.instances
    written["occurrence"] = linked.occurrences
    written["link_history"] = linked.history
    written["join_log"] = batch.rows("join_log") | linked.lines
    deleted = {
        "registration": registrations.deleted,
        "participant": people.deleted,
        "occurrence": linked.occurrences_deleted,
    }
    return Change(
        now=now,
        written={table: rows for table, rows in written.items() if rows},
        known=known.rows,
        deleted={table: keys for table, keys in deleted.items() if keys},
        only_new=frozenset({NEVER_KNOWN}),
        closed=people.closed,
    )


def _named(facts: Sequence[Fact]) -> list[Lookup]:
    """What the facts themselves show to be needed."""
    return lookups_named(facts) + presence.lookups_named(facts) + placing.lookups_named(facts)


def _batch(facts: Sequence[Fact], known: Known, staff_domains: Collection[str]) -> Batch:
    """The facts merged into the rows they are about: made once, asked for by the plan and by the decision."""
    batch = known.merged
    if not isinstance(batch, Batch):
        batch = known.merged = Batch(facts, known, staff_domains)
    return batch
