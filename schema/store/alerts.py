"""How each condition stands, and who was told: table `alert`."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, fields
from datetime import datetime

from sqlalchemy import Connection

from schema.alerts import Alert
from schema.store.codec import kinds_of
from schema.store.database import Database
from schema.store.dialect import as_moment, run

_NAMES = tuple(field.name for field in fields(Alert))
_MOMENTS = frozenset(name for name, kind in kinds_of("alert").items() if kind == "moment")
_SAVE = (
    f"INSERT INTO alert (account_id, {', '.join(_NAMES)}, updated_at) "
    f"VALUES ('', {', '.join('?' * len(_NAMES))}, ?) ON CONFLICT (account_id, condition) DO UPDATE SET "
    f"{', '.join(f'{name} = excluded.{name}' for name in (*_NAMES[1:], 'updated_at'))}"
)

Change = Callable[[Mapping[str, Alert]], Iterable[Alert]]


def read_alerts(connection: Connection) -> dict[str, Alert]:
    """Every condition that ever held, by name."""
    rows = run(connection, f"SELECT {', '.join(_NAMES)} FROM alert ORDER BY condition")
    return {row[0]: _alert(row) for row in rows}


def change_alerts(connection: Connection, change: Change, now: datetime) -> list[Alert]:
    """Change them by a function of how they stand, while nobody else changes them; returns what was changed."""
    run(connection, "UPDATE alert SET updated_at = updated_at")  # locks them: clock and workers change them
    changed = list(change(read_alerts(connection)))
    for alert in changed:
        run(connection, _SAVE, (*astuple(alert), now))
    return changed


def change_alerts_of(database: Database, change: Change, now: datetime) -> list[Alert]:
    """The same in a transaction of its own."""
    with database.write() as connection:
        return change_alerts(connection, change, now)


def _alert(row: tuple[object, ...]) -> Alert:
    values = {name: as_moment(value) if name in _MOMENTS else value for name, value in zip(_NAMES, row, strict=True)}
    return Alert(**values)  # type: ignore[arg-type]
