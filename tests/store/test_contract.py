"""schema/README.md against the databases: every table, view, column, type, nullability and meaning; every example."""

from __future__ import annotations

import csv
import importlib.util
import re
import shutil
import sqlite3
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from joinlog.fakezoom import MIXES, generate
from schema.states import REASONS, EventState, LinkState, OccurrenceState, PersonStanding
from schema.store.database import Database
from schema.tables import OF_FEED, TABLES
from schema.views import VIEWS
from tests.inbox_to_tables import is_postgres, keep_events, select, take
from tests.processes import ROOT, environment
from tests.stories import ACCOUNT, WEEK_MINUTES, ZERO, Json, Story
from workers.drain import Drain

DOCUMENT = (ROOT / "schema" / "README.md").read_text()
INTERNAL = {"alembic_version"}
POSTGRES_NAMES: dict[str, str] = {"timestamp with time zone": "timestamptz"}
SQLITE_TYPES = {
    "text": "TEXT", "timestamptz": "TEXT", "bigint": "BIGINT", "integer": "INTEGER", "boolean": "BOOLEAN",
    "double precision": "REAL",
}  # fmt: skip
STORED_AS = {"TEXT": "text", "BIGINT": "integer", "INTEGER": "integer", "BOOLEAN": "integer", "REAL": "real"}
LENGTH_OF_A_MOMENT = 27


class Column(NamedTuple):
    """One line of the document."""

    name: str
    postgres: str
    sqlite: str
    null: str
    meaning: str


def sections(title: str) -> dict[str, tuple[str, list[Column]]]:
    """The tables or views of the document: what each holds, and its columns."""
    part = re.split(r"^## ", DOCUMENT, flags=re.MULTILINE)
    (text,) = [section for section in part if section.startswith(f"{title}\n")]
    found = {}
    for section in text.split("\n### ")[1:]:
        name, _, rest = section.partition("\n")
        says, _, _ = rest.strip().partition("\n\n")
        columns = [
            Column(*(cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
            for line in rest.splitlines()
            if line.startswith("| `")
        ]
        found[name.strip("`")] = (says, [column._replace(name=column.name.strip("`")) for column in columns])
    return found


def examples(language: str) -> dict[str, str]:
    """The blocks of one language, by name."""
    return dict(re.findall(rf"<!-- example: ([^>]+) -->\n```{language}\n(.*?)```", DOCUMENT, re.DOTALL))


# --- against Postgres -------------------------------------------------------------------------------------------


def relations(database: Database, kind: str) -> dict[str, str]:
    """Tables ('r') or views ('v') of a Postgres database, with their comments."""
    rows = select(
        database,
        "SELECT relname::text AS name, obj_description(oid, 'pg_class') AS says FROM pg_class "
        "WHERE relkind = ? AND relnamespace = current_schema()::regnamespace",
        (kind,),
    )
    return {row["name"]: row["says"] for row in rows if row["name"] not in INTERNAL}


def postgres_columns(database: Database, relation: str) -> list[tuple[str, str, str, str]]:
    """Name, type, null and comment of each column, as Postgres has them."""
    rows = select(
        database,
        "SELECT attname::text AS name, format_type(atttypid, atttypmod) AS type, attnotnull AS is_set, "
        "col_description(attrelid, attnum) AS says FROM pg_attribute WHERE attrelid = ?::regclass AND attnum > 0 "
        "AND NOT attisdropped ORDER BY attnum",
        (relation,),
    )
    return [
        (
            row["name"],
            POSTGRES_NAMES.get(str(row["type"]), str(row["type"])),
            "no" if row["is_set"] else "yes",
            row["says"],
        )
        for row in rows
    ]


def test_every_table_and_its_columns_stand_in_the_document_as_in_postgres(postgres_database: Database) -> None:
    documented = sections("Tables")
    assert documented.keys() == relations(postgres_database, "r").keys() == TABLES.keys()
    for name, (_, columns) in documented.items():
        described = [(c.name, c.postgres, c.null, c.meaning) for c in columns]
        assert described == postgres_columns(postgres_database, name), name
        assert [(c.name, c.meaning) for c in columns] == [(c.name, c.comment) for c in TABLES[name].columns]


def test_every_view_and_its_columns_stand_in_the_document_as_in_postgres(postgres_database: Database) -> None:
    documented = sections("Views")
    kept = relations(postgres_database, "v")
    assert documented.keys() == kept.keys() == VIEWS.keys()
    for name, (says, columns) in documented.items():
        assert says == kept[name]
        described = [(c.name, c.postgres, c.meaning) for c in columns]
        assert described == [(n, t, says) for n, t, _, says in postgres_columns(postgres_database, name)], name


# --- against SQLite ---------------------------------------------------------------------------------------------


def sqlite_columns(database: Database, relation: str) -> list[tuple[str, str, str]]:
    with database.read() as connection:
        rows = connection.exec_driver_sql(f"PRAGMA table_info({relation})").all()
    return [(row[1], row[2], "no" if row[3] else "yes") for row in rows]


def test_every_table_and_its_columns_stand_in_the_document_as_in_sqlite(sqlite_database: Database) -> None:
    found = select(sqlite_database, "SELECT name FROM sqlite_master WHERE type = 'table'")
    documented = sections("Tables")
    assert documented.keys() == {row["name"] for row in found} - INTERNAL
    for name, (_, columns) in documented.items():
        assert [(c.name, c.sqlite, c.null) for c in columns] == sqlite_columns(sqlite_database, name), name


def test_every_view_and_its_columns_stand_in_the_document_as_in_sqlite(sqlite_database: Database) -> None:
    found = select(sqlite_database, "SELECT name FROM sqlite_master WHERE type = 'view'")
    documented = sections("Views")
    assert documented.keys() == {row["name"] for row in found}
    for name, (_, columns) in documented.items():
        assert [c.name for c in columns] == [column for column, _, _ in sqlite_columns(sqlite_database, name)], name


# --- against the data -------------------------------------------------------------------------------------------


def test_both_types_of_a_column_mean_the_same() -> None:
    for name, (_, columns) in (sections("Tables") | sections("Views")).items():
        for column in columns:
            assert SQLITE_TYPES[column.postgres] == column.sqlite, (name, column)


def world() -> list[Json]:
    """Enough of everything that no view is empty."""
    invented = generate(2, 5, MIXES["chaotic"], start=ZERO, audience=(6, 12))
    open_ended = Story(meeting_id=333)
    return [
        *(dict(emission.event) for emission in invented.emissions),
        open_ended.created(0, {"1": 60}), open_ended.started(60, "live=="), open_ended.started(5000, "odd=="),
        open_ended.person(61, "joined", "1", 60, "live=="), open_ended.person(62, "left", "2", 60, "live=="),
    ]  # fmt: skip


def test_what_the_views_hold_is_what_the_document_says(database: Database) -> None:
    """Every value has its documented type, and is null only where that is said."""
    take(database, *world())
    for name, (_, columns) in sections("Views").items():
        rows = select(database, f"SELECT * FROM {name}")
        assert rows, name
        for column in columns:
            values = [row[column.name] for row in rows]
            assert column.null == "yes" or None not in values, (name, column)
            kinds = {type(value) for value in values if value is not None}
            assert kinds <= {_python_type(column, is_postgres(database))}, (name, column, kinds)
            if column.postgres == "timestamptz" and not is_postgres(database):
                assert {len(value) for value in values if value is not None} <= {LENGTH_OF_A_MOMENT}


def _python_type(column: Column, on_postgres: bool) -> type:
    if on_postgres:
        return {
            "text": str, "timestamptz": datetime, "bigint": int, "integer": int, "boolean": bool,
            "double precision": float,
        }[column.postgres]  # fmt: skip
    return {"text": str, "integer": int, "real": float}[STORED_AS[column.sqlite]]


def test_every_state_is_explained() -> None:
    explained = set(re.findall(r"^\| `([a-z_]+)` \|", DOCUMENT.partition("\n## States")[2], re.MULTILINE))
    assert explained >= {*EventState, *LinkState, "available", "deleted", "retired", "unknown"}
    assert explained >= {*OccurrenceState}
    assert explained >= {"approved", "pending", "denied", "cancelled"} | {*PersonStanding}


def test_every_reason_of_a_standing_is_listed() -> None:
    listed = dict(re.findall(r"^\| `([a-z_]+)` \| [^|]+ \| ([^|]+) \|$", DOCUMENT.partition("Of a person of")[2], re.M))
    assert {standing: reasons.split(", ") for standing, reasons in listed.items()} == {
        standing.value: list(reasons) for standing, reasons in REASONS.items()
    }


def test_the_document_says_what_is_internal() -> None:
    (words,) = re.findall(r"\*\*Internal\*\* (.*?)\n\n", DOCUMENT, re.DOTALL)
    assert {name for name in re.findall(r"`(\w+)`", words)} <= {*TABLES, *INTERNAL}


def test_every_link_within_the_document_leads_somewhere() -> None:
    anchors = {re.sub(r"[` ]", "", title).lower() for title in re.findall(r"^#+ (.*)$", DOCUMENT, re.MULTILINE)}
    assert set(re.findall(r"\]\(#([^)]+)\)", DOCUMENT)) <= anchors


# --- updated_at -------------------------------------------------------------------------------------------------


def test_a_row_that_changes_says_so(database: Database) -> None:
    """Readers who follow changes miss none: whatever differs after an event has a new `updated_at`."""
    events = world()[:400]
    moment = iter(datetime(2027, 1, 1, tzinfo=UTC).replace(minute=n // 60, second=n % 60) for n in range(3000))
    before: dict[str, dict[tuple[Any, ...], dict[str, Any]]] = {name: {} for name in TABLES}
    for place in range(0, len(events), 80):
        keep_events(database, events[place : place + 80])
        now = next(moment)
        Drain(database, now=lambda now=now: now).step()  # type: ignore[misc]
        for name, table in TABLES.items():
            if name in {"inbox_event", "tables_version"} or name in OF_FEED:  # the second is what migrating said
                continue
            keys = [column.name for column in table.primary_key]
            after = {tuple(row[key] for key in keys): row for row in select(database, f"SELECT * FROM {name}")}
            for key, row in after.items():
                if row != before[name].get(key):
                    assert str(row["updated_at"])[:10] == "2027-01-01", (name, row)
                    known = before[name].get(key)
                    assert known is None or row["updated_at"] > known["updated_at"], (name, known, row)
            before[name] = after


# --- the examples -----------------------------------------------------------------------------------------------

EARLY = -4 * WEEK_MINUTES
DATES = {f"177120000000{n}": float(EARLY + n * WEEK_MINUTES) for n in range(1, 5)}


def story() -> list[Json]:
    """Four weeks of the meeting the examples are about: three held, the fourth runs; one was moved."""
    w = Story()
    first, second, third, fourth = DATES.values()
    events = [w.created(EARLY, DATES), w.moved(EARLY + 5, {"1771200000002": second}, {"1771200000002": second + 30})]
    events += [w.registration(EARLY + 9, "created", who, DATES, status="approved") for who in ("ann", "ben", "cyn")]
    for number, start in enumerate((first, second + 30, third)):
        uuid = f"week-{number}=="
        events.append(w.started(start, uuid))
        for user, who in (("1", {"registrant_id": "ann"}), ("2", {"email": "gus@example.com"}), ("3", {})):
            events += [w.person(start + 1, "joined", user, start, uuid, **who)]
            events += [w.person(start + 30, "left", user, start, uuid, **who)]
        events.append(w.ended(start + 60, start, uuid))
    events += [w.started(third + 3000, "odd=="), w.ended(third + 3030, third + 3000, "odd==")]
    return [*events, w.started(fourth, "now=="), w.person(fourth + 1, "joined", "7", fourth, "now==")]


@pytest.mark.parametrize("name", examples("sql"))
def test_an_example_runs_and_finds_something(database: Database, name: str) -> None:
    take(database, *story())
    query = examples("sql")[name].rstrip().rstrip(";")
    rows = select(database, query.replace("%", "%%") if is_postgres(database) else query)  # psycopg's own mark
    assert rows
    if name == "third week":
        assert [(row["email"], row["attended_minutes"]) for row in rows] == [(None, 29.0)]
    if name == "no-shows":
        assert [row["email"] for row in rows] == ["ben@example.com", "cyn@example.com"]
    if name == "walk-ins":
        assert [row["person_id"] for row in rows] == ["email:gus@example.com"]
    if name == "live now":
        assert [(row["present"], row["registrants"]) for row in rows] == [(1, 3)]
    if name == "peak":
        assert [row["peak_concurrent"] for row in rows] == [3, 3, 3]
    if name == "moved":
        assert [row["moves"] for row in rows] == [1]
    if name == "review":
        assert [row["uuid"] for row in rows] == ["odd=="]


def test_there_are_enough_examples() -> None:
    assert len(examples("sql")) >= 8
    assert examples("sh").keys() == {"sqlite3", "psql"}
    assert DOCUMENT.count(ACCOUNT) >= 8


def test_the_sqlite_shell_example(sqlite_database: Database, sqlite_url: str, tmp_path: Path) -> None:
    take(sqlite_database, *story())
    folder = Path(sqlite_url.removeprefix("sqlite:///")).parent
    command = examples("sh")["sqlite3"]
    if shutil.which("sqlite3") is not None:
        subprocess.run(["sh", "-ec", command], cwd=folder, check=True, timeout=20)
        rows = list(csv.DictReader((folder / "report.csv").read_text().splitlines()))
        assert [row["attended"] for row in rows] == ["1", "1", "1", "0"]
    else:  # no shell on this machine: its query at least
        (query,) = re.findall(r'"(SELECT .*)"', command)
        assert len(select(sqlite_database, query)) == 4


def test_the_psql_example(postgres_database: Database, postgres_url: str, tmp_path: Path) -> None:
    from tests.store.test_readers import psql

    take(postgres_database, *story())
    binary = psql()
    assert binary is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "psql").symlink_to(binary)
    variables = environment(DATABASE_URL=postgres_url)
    variables["PATH"] = f"{tmp_path / 'bin'}:{variables['PATH']}"
    command = ["sh", "-ec", examples("sh")["psql"]]
    subprocess.run(command, cwd=tmp_path, env=variables, check=True, timeout=20)
    rows = list(csv.DictReader((tmp_path / "report.csv").read_text().splitlines()))
    assert sorted(row["attended"] for row in rows) == ["0", "1", "1", "1"]


def test_the_pandas_example(sqlite_database: Database, sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pandas is not installed, a stand-in runs its query."""
    take(sqlite_database, *story())
    monkeypatch.chdir(Path(sqlite_url.removeprefix("sqlite:///")).parent)
    if importlib.util.find_spec("pandas") is None:
        monkeypatch.setitem(sys.modules, "pandas", SimpleNamespace(read_sql_query=_read_sql_query))
    names: dict[str, Any] = {}
    exec(examples("python")["pandas"], names)  # noqa: S102 - our own document
    names["connection"].close()
    assert len(names["stays"]) == 10


def _read_sql_query(query: str, connection: sqlite3.Connection, params: Any, parse_dates: list[str]) -> list[Any]:
    found = connection.execute(query, params)
    assert set(parse_dates) <= {column[0] for column in found.description}
    return found.fetchall()
