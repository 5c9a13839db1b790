"""What workers and clocks counted: added up here, because they have no port that anybody could ask."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, bindparam, select, text

from schema.store.database import Database
from schema.store.dialect import UtcDateTime
from schema.tables import TABLES

COUNTER, GAUGE = "counter", "gauge"

_TABLE = TABLES["process_metric"]
_ADD = text(
    "INSERT INTO process_metric (account_id, process, name, labels, kind, help, value, updated_at) "
    "VALUES ('', :process, :name, :labels, :kind, :help, :value, :now) "
    "ON CONFLICT (account_id, process, name, labels) DO UPDATE SET kind = excluded.kind, help = excluded.help, "
    f"value = CASE excluded.kind WHEN '{COUNTER}' THEN process_metric.value ELSE 0 END + excluded.value, "
    "updated_at = excluded.updated_at"
).bindparams(bindparam("now", type_=UtcDateTime()))


class ProcessMetric(NamedTuple):
    """One value. `value` of a counter is what is added when it is written, and the sum when it is read."""

    process: str
    name: str
    labels: str  # JSON text
    kind: str
    help: str
    value: float


def add_process_metrics(database: Database, metrics: Sequence[ProcessMetric], now: datetime) -> None:
    """Add to counters, and set gauges."""
    with database.write() as connection:
        connection.execute(_ADD, [metric._asdict() | {"now": now} for metric in metrics])


def read_process_metrics(connection: Connection) -> list[ProcessMetric]:
    """Every value, in an order that does not change."""
    columns = [_TABLE.c[name] for name in ProcessMetric._fields]
    return [ProcessMetric(*row) for row in connection.execute(select(*columns).order_by(*_TABLE.primary_key.columns))]
