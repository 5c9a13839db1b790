"""How far each address of PUSH_URLS has been told: table `push_endpoint`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import datetime, timedelta
from typing import NamedTuple
from urllib.parse import urlsplit

from sqlalchemy import Connection

from schema.push import PushEndpoint, endpoint_name
from schema.store.codec import kinds_of
from schema.store.database import Database
from schema.store.dialect import as_moment, run
from schema.store.feed import read_head, read_oldest

_NAMES = tuple(field.name for field in fields(PushEndpoint))
_MOMENTS = frozenset(name for name, kind in kinds_of("push_endpoint").items() if kind == "moment")


def shown_address(url: str) -> str:
    """The scheme and host of an address; its path and query may carry a token."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname}{port}{'/…' if parts.path.strip('/') else ''}"


def read_endpoints(connection: Connection) -> list[PushEndpoint]:
    """Every address that was ever pushed to, in the order of their names."""
    rows = run(connection, f"SELECT {', '.join(_NAMES)} FROM push_endpoint ORDER BY endpoint")
    return [_endpoint(row) for row in rows]


def read_endpoint(connection: Connection, name: str) -> PushEndpoint | None:
    """One of them."""
    return next((one for one in read_endpoints(connection) if one.endpoint == name), None)


def begin_endpoints(database: Database, urls: Iterable[str], now: datetime) -> None:
    """Have a row for each of these addresses and no other; a new one is told what happens from now on."""
    wanted = {endpoint_name(url): url for url in urls}
    with database.write() as connection:
        head = read_head(connection)
        for name in [one.endpoint for one in read_endpoints(connection) if one.endpoint not in wanted]:
            run(connection, "DELETE FROM push_endpoint WHERE endpoint = ?", (name,))
        for url in wanted.values():
            run(
                connection,
                "INSERT INTO push_endpoint (account_id, endpoint, address, after, tries, delivered, failed, "
                "updated_at) VALUES ('', ?, ?, ?, 0, 0, 0, ?) ON CONFLICT (account_id, endpoint) DO NOTHING",
                (endpoint_name(url), shown_address(url), head, now),
            )


def take_endpoint(database: Database, name: str, holder: str, now: datetime, lasts: timedelta) -> PushEndpoint | None:
    """Have an endpoint to oneself for a while, and what is known of it; None while another worker has it."""
    query = (
        "UPDATE push_endpoint SET held_by = ?, held_until = ?, updated_at = ? WHERE endpoint = ? "
        f"AND (held_by = ? OR held_until IS NULL OR held_until < ?) RETURNING {', '.join(_NAMES)}"
    )
    with database.write() as connection:
        rows = run(connection, query, (holder, now + lasts, now, name, holder, now))
    return _endpoint(rows[0]) if rows else None


def note_endpoint(database: Database, endpoint: PushEndpoint, holder: str, now: datetime) -> bool:
    """Write down how it stands; says whether it is still ours."""
    names = [name for name in _NAMES if name not in ("endpoint", "address", "held_by")]
    query = (
        f"UPDATE push_endpoint SET {', '.join(f'{name} = ?' for name in names)}, updated_at = ? "
        "WHERE endpoint = ? AND held_by = ? RETURNING endpoint"
    )
    values = (*(getattr(endpoint, name) for name in names), now, endpoint.endpoint, holder)
    with database.write() as connection:
        return bool(run(connection, query, values))


def let_go(database: Database, name: str, holder: str) -> None:
    """Leave an endpoint to others."""
    query = "UPDATE push_endpoint SET held_by = NULL, held_until = NULL WHERE endpoint = ? AND held_by = ?"
    with database.write() as connection:
        run(connection, query, (name, holder))


def resume(connection: Connection, name: str, now: datetime) -> None:
    """Try an endpoint again at once, from where it stood."""
    query = (
        "UPDATE push_endpoint SET off_at = NULL, retry_at = NULL, tries = 0, updated_at = ?, held_by = NULL, "
        "held_until = NULL WHERE endpoint = ?"
    )
    run(connection, query, (now, name))


def replay(connection: Connection, name: str, since: datetime, now: datetime) -> int:
    """Tell an endpoint again what changed since a moment; returns the number it is told from."""
    rows = run(connection, "SELECT min(seq) FROM change WHERE changed_at >= ?", (since,))
    after = int(rows[0][0]) - 1 if rows[0][0] is not None else read_head(connection)
    after = max(after, read_oldest(connection) - 1)
    run(connection, "UPDATE push_endpoint SET after = ?, until = NULL WHERE endpoint = ?", (after, name))
    resume(connection, name, now)
    return after


class PushHealth(NamedTuple):
    """An endpoint, how many changes it has not been told, and when the first of them was made."""

    endpoint: PushEndpoint
    behind: int
    behind_since: datetime | None

    def lag_seconds(self, now: datetime) -> float:
        """For how long it has not been told the first of them."""
        return (now - self.behind_since).total_seconds() if self.behind_since is not None else 0.0


def read_push_health(connection: Connection) -> list[PushHealth]:
    """How every endpoint stands."""
    head = read_head(connection)
    return [
        PushHealth(one, max(0, head - one.after), _first_after(connection, one.after))
        for one in read_endpoints(connection)
    ]


def count_off(connection: Connection) -> tuple[int, datetime | None]:
    """How many endpoints are switched off, and since when the first of them is."""
    ((count, since),) = run(connection, "SELECT count(*), min(off_at) FROM push_endpoint WHERE off_at IS NOT NULL")
    return int(count), as_moment(since)


def _first_after(connection: Connection, after: int) -> datetime | None:
    rows = run(connection, "SELECT changed_at FROM change WHERE seq > ? ORDER BY seq LIMIT 1", (after,))
    return as_moment(rows[0][0]) if rows else None


def _endpoint(row: tuple[object, ...]) -> PushEndpoint:
    values = {name: as_moment(value) if name in _MOMENTS else value for name, value in zip(_NAMES, row, strict=True)}
    return PushEndpoint(**values)  # type: ignore[arg-type]
