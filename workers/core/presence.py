"""From connections to the rows of `participant`: stays, the person behind each, and what each adds to their time. Pure.

What a row says rests on more than its own connection: a telephone is bound to another one, an address belongs to a
registrant, a second device must not count twice. So the rows of everybody a batch touches are made anew, and only
those that are not what they were are written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from msgspec.structs import replace

from schema.known import BY_CONNECTION, BY_EMAIL, BY_INSTANCE, BY_PERSON, Lookup, Which
from schema.rows import Key, Participant, key_getter
from workers.core import connected
from workers.core.batch import Batch
from workers.core.connected import Connected
from workers.core.merge import Fact
from workers.core.stays import count_once, participants_of

_stay_key = key_getter("participant")
_connection_key = key_getter("connection")


class Presence(NamedTuple):
    """What becomes of the stays."""

    written: Mapping[Key, Participant]
    deleted: frozenset[Key]
    closed: Mapping[Key, datetime]
    """Instances that ended: stays nobody saw end, other than those written, end with them."""


def lookups_named(facts: Iterable[Fact]) -> list[Lookup]:
    """What the facts themselves show to be needed, so that it is read with the rows they are about."""
    connections, instances, addresses, ended = set(), set(), set(), set()
    for table, key, values, _ in facts:
        if table == "connection":
            connections.add(key)
            instances.add(key[:2])
        elif table == "registrant" and values.get("email"):
            addresses.add((*key[:2], values["email"]))
        elif table == "instance" and values.get("ended_at") is not None:
            ended.add(key)
    lookups = [
        Lookup("participant", BY_CONNECTION, frozenset(connections)),
        Lookup("connection", BY_INSTANCE, frozenset(instances), Which.BOUND),
        Lookup("registrant", BY_EMAIL, frozenset(addresses)),
        Lookup("connection", BY_EMAIL, frozenset(addresses)),
        Lookup("participant", BY_INSTANCE, frozenset(ended), Which.CLOSING),
    ]
    return [lookup for lookup in lookups if lookup.keys] + connected.lookups_named(facts)


def gather(batch: Batch) -> bool:
    """Whether everything is read that presence is decided from."""
    closings = Lookup("participant", BY_INSTANCE, frozenset(batch.ended), Which.CLOSING)
    known_closings = batch.has(closings)
    if batch.people is None and not _gather_people(batch):
        return False
    if not known_closings:
        return False
    after = _stays(batch)
    since = _since(batch, after)
    told = frozenset(person for person in since if not isinstance(person[1], str))
    if not told:
        return True
    return batch.has(Lookup("participant", BY_PERSON, told, Which.REACHING, min(since[person] for person in told)))


def decide(batch: Batch) -> Presence:
    """Bring `participant` up to date."""
    ended = batch.ended
    after = _stays(batch)
    since = _since(batch, after)
    before = _before(batch, ended)
    touched = {key[:3] for key in (*(_stay_key(row) for row in after), *before)}
    context: dict[Key, Participant] = {}
    people = [person for person in since if not isinstance(person[1], str)]
    for row in batch.known.find_all("participant", BY_PERSON, people, Which.REACHING):
        if (key := _stay_key(row))[:3] not in touched:
            context[key] = row
    context = _closed(context, ended)
    counted = _counted(after, context, since)
    known = before | context
    written = {key: row for key, row in counted.items() if row != known.get(key)}
    return Presence(written, frozenset(before.keys() - counted.keys()), ended)


def _gather_people(batch: Batch) -> bool:
    """Whether it is known whose stays have to be made anew, and who each of them is."""
    if batch.connected is None:
        batch.connected = Connected(batch)
    people = batch.connected.find()
    if people is None:
        return False
    if not batch.has(
        Lookup("participant", BY_CONNECTION, frozenset(people)),
        Lookup("instance", BY_INSTANCE, frozenset(key[:2] for key in people) - batch.rows("instance").keys()),
    ):
        return False
    batch.people = [(batch.row("connection", key), person_id) for key, person_id in people.items()]
    return True


def _stays(batch: Batch) -> list[Participant]:
    """The stays of every connection that has to be looked at again, before it is said what counts."""
    if batch.stays is None:
        rows: list[Participant] = []
        for connection, person_id in batch.people:
            instance = batch.row("instance", (connection.account_id, connection.uuid))
            ended_at = None if instance is None else instance.ended_at
            rows += participants_of(connection, person_id, ended_at, batch.staff_domains)
        batch.stays = rows
    stays: list[Participant] = batch.stays
    return stays


def _before(batch: Batch, ended: Mapping[Key, datetime]) -> dict[Key, Participant]:
    """The stays of these connections as they are kept, or as the end of their instance leaves them."""
    kept = {_stay_key(row): row for row in _kept(batch)}
    return _closed(kept, ended)


def _kept(batch: Batch) -> list[Participant]:
    """The stays of every connection that has to be looked at again, as they are kept."""
    connections = [_connection_key(connection) for connection, _ in batch.people]
    stays: list[Participant] = batch.known.find_all("participant", BY_CONNECTION, connections)
    return stays


def _closed(stays: dict[Key, Participant], ended: Mapping[Key, datetime]) -> dict[Key, Participant]:
    """Stays as the store leaves them when it ends those nobody saw end with their instance."""
    if not any(key[:2] in ended for key in stays):
        return stays
    last: dict[Key, datetime] = {}
    for key, row in stays.items():
        if row.joined_at is not None and (key[:3] not in last or row.joined_at > last[key[:3]]):
            last[key[:3]] = row.joined_at
    return {
        key: closed_at(row, ended[key[:2]]) if key[:2] in ended and row.joined_at == last.get(key[:3]) else row
        for key, row in stays.items()
    }


def closed_at(stay: Participant, ended_at: datetime) -> Participant:
    """The last stay of a connection when its instance ended: one that nobody saw end, ends then."""
    if stay.joined_at is None or not (stay.left_at is None or stay.left_is_inferred):
        return stay
    return replace(stay, left_at=max(stay.joined_at, ended_at), left_is_inferred=True)


def _since(batch: Batch, after: Sequence[Participant]) -> dict[Key, datetime]:
    """The people whose stays have to be counted again, and from when on."""
    if batch.since is not None:
        known: dict[Key, datetime] = batch.since
        return known
    since: dict[Key, datetime] = {}
    for row in after:
        _note_earliest(since, _person_key(row), row.first_seen_at)
    for row in _kept(batch):
        _note_earliest(since, _person_key(row), row.first_seen_at)
    for instance in batch.ended:
        for row in batch.known.find("participant", BY_INSTANCE, instance, Which.CLOSING):
            if row.meeting_id is not None:
                _note_earliest(since, _person_key(row), row.first_seen_at)
    batch.since = since
    return since


def _counted(
    after: Sequence[Participant], context: Mapping[Key, Participant], since: Mapping[Key, datetime]
) -> dict[Key, Participant]:
    """The stays of everybody these changes touch, by key, each with what it adds to its person's time.

    A stay bears on those that begin later and before it ends. So, for each person, all stays that reach to the first
    change are looked at, and those that begin after it are counted again.
    """
    changed = {_stay_key(row) for row in after}
    by_person: dict[Key, list[Participant]] = {}
    for row in (*after, *context.values()):
        by_person.setdefault(_person_key(row), []).append(row)
    counted = {}
    for person, stays in by_person.items():
        for row in count_once(stays):
            key = _stay_key(row)
            if key in changed or row.first_seen_at >= since[person]:
                counted[key] = row
    return counted


def _person_key(row: Participant) -> Key:
    """A person is one within a meeting; within the instance where the meeting is not known."""
    return row.account_id, row.uuid if row.meeting_id is None else row.meeting_id, row.person_id


def _note_earliest(since: dict[Key, datetime], key: Key, moment: datetime) -> None:
    known = since.get(key)
    if known is None or moment < known:
        since[key] = moment
