"""Reading the rows a decision needs, in as few round trips as there are rounds of asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection

from schema.known import Known, Lookup, Votes, Which
from schema.reserved import EVERY_OCCURRENCE
from schema.rows import Key, Registration
from schema.store.codec import kinds_of, row_reader, selected
from schema.store.dialect import Dialect, Found, Statement, dialect_of

ROUNDS_MAX = 64  # a plan that asks for more would go on for ever; each step from person to person is one

_VOTES = (
    "SELECT c.registrant_id, r.account_id, r.meeting_id, r.registrant_id, r.occurrence_id, r.status, r.since, r.until "
    "FROM (SELECT DISTINCT account_id, meeting_id, registrant_id FROM connection "
    "WHERE account_id = ? AND uuid = ? AND registrant_id IS NOT NULL "
    "AND (joins IS NOT NULL OR leaves IS NOT NULL OR reported IS NOT NULL) ORDER BY registrant_id LIMIT ?) c "
    "LEFT JOIN registration r ON r.account_id = c.account_id AND r.meeting_id = c.meeting_id "
    "AND r.registrant_id = c.registrant_id AND r.occurrence_id <> ? AND r.status <> 'pending' AND r.since IS NOT NULL"
)
_BOUND = "AND t.bound_to IS NOT NULL"
_STAYLESS = "AND t.joins IS NULL AND t.leaves IS NULL AND t.reported IS NULL AND t.registrant_id IS NOT NULL"
_CLOSING = (
    "AND t.joined_at IS NOT NULL AND (t.left_at IS NULL OR t.left_is_inferred) AND t.meeting_id IS NOT NULL "
    "AND EXISTS (SELECT 1 FROM participant o WHERE o.account_id = t.account_id AND o.meeting_id = t.meeting_id "
    "AND o.person_id = t.person_id AND (o.left_at IS NULL OR o.left_at >= t.joined_at) "
    "AND (o.uuid <> t.uuid OR o.connection_id <> t.connection_id OR o.first_seen_at <> t.first_seen_at))"
)


def load(connection: Connection, plan: Callable[[Known], Sequence[Lookup]], first: Sequence[Statement] = ()) -> Known:
    """Read what the plan asks for until it asks for nothing more; `first` runs before, in the first round trip."""
    known = Known()
    dialect = dialect_of(connection)
    for _ in range(ROUNDS_MAX):
        lookups = plan(known)
        if not lookups:
            return known
        _read_round(connection, dialect, known, lookups, first)
        first = ()
    raise RuntimeError(f"a plan asked for rows more than {ROUNDS_MAX} times")


def read_rows(connection: Connection, table: str, by: tuple[str, ...], keys: Sequence[Key]) -> list[Any]:
    """The rows of a table whose columns `by` equal one of these keys."""
    if not keys:
        return []
    dialect = dialect_of(connection)
    found = dialect.run_all(connection, [_statement(dialect, Lookup(table, by, frozenset(keys)))])
    return row_reader(table, dialect.has_one_writer)(found[0])


def _read_round(
    connection: Connection, dialect: Dialect, known: Known, lookups: Sequence[Lookup], first: Sequence[Statement]
) -> None:
    statements: list[Statement] = list(first)
    places: list[tuple[Lookup, list[Key], int]] = []
    for lookup in lookups:
        places.append((lookup, sorted(lookup.keys) if lookup.which is Which.VOTES else [], len(statements)))
        statements += _statements(dialect, lookup)
    found = dialect.run_all(connection, statements)
    known.first += found[: len(first)]
    for lookup, instances, start in places:
        if lookup.which is Which.VOTES:
            answers = found[start : start + len(instances)]
            known.add_votes(lookup, _votes(dialect, instances, answers))
        else:
            rows = row_reader(lookup.table, dialect.has_one_writer)
            answers = found[start : start + len(_conditions(lookup))]
            known.add(lookup, rows([values for answer in answers for values in answer]))


def _statements(dialect: Dialect, lookup: Lookup) -> list[Statement]:
    if lookup.which is Which.VOTES:
        return [Statement(_VOTES, (*key, lookup.limit, EVERY_OCCURRENCE)) for key in sorted(lookup.keys)]
    return [_statement(dialect, lookup, condition) for condition in _conditions(lookup)]


def _conditions(lookup: Lookup) -> tuple[str, ...]:
    """What rows have to fulfil besides; two conditions are two index ranges, each asked for by itself."""
    if lookup.which is Which.REACHING:
        return ("AND t.left_at >= ?", "AND t.left_at IS NULL")
    return ({Which.BOUND: _BOUND, Which.STAYLESS: _STAYLESS, Which.CLOSING: _CLOSING}.get(lookup.which, ""),)


def _statement(dialect: Dialect, lookup: Lookup, condition: str = "") -> Statement:
    keys = _key_kinds(lookup.table, lookup.by)
    query = _query(dialect, lookup.table, lookup.by, condition)
    more = (dialect.parameter(lookup.since),) if "?" in condition else ()
    return Statement(query, (dialect.pack_keys(keys, lookup.keys), *more))


@cache
def _query(dialect: Dialect, table: str, by: tuple[str, ...], condition: str) -> str:
    return dialect.select_by(selected(table), table, _key_kinds(table, by), condition)


@cache
def _key_kinds(table: str, by: tuple[str, ...]) -> Mapping[str, str]:
    kinds = kinds_of(table)
    return {name: kinds[name] for name in by}


def _votes(dialect: Dialect, instances: Sequence[Key], answers: Sequence[Found]) -> dict[Key, Votes]:
    read = row_reader("registration", dialect.has_one_writer)
    found = {}
    for instance, answer in zip(instances, answers, strict=True):
        registrations: list[Registration] = read([row[1:] for row in answer if row[4] is not None])
        found[instance] = Votes(frozenset(row[0] for row in answer), tuple(registrations))
    return found
