"""Rebuilding the tables from the inbox: what it finds, what it mends, and what others see meanwhile."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import Connection

from joinlog.command import main
from joinlog.fakezoom import MIXES, generate
from schema.change import RowChange
from schema.migrate import migrate
from schema.own_events import link_event
from schema.store import shadow
from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.store.inbox_pages import Choice, set_pending_again
from schema.store.shadow import Difference
from schema.tables import DERIVED
from schema.zoom.envelope import read_envelope
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import Row, drain, one, read_table, take
from tests.signed_requests import encode
from tests.stories import ACCOUNT, WEEK_MINUTES, ZERO, Json, Story, at
from workers import rebuild as rebuilding
from workers.rebuild import BodiesMissing, rebuild
from workers.retention import remove_bodies

FIRST = 60.0
WEEKS = {"1001": FIRST, "1002": FIRST + WEEK_MINUTES}
w = Story()
Tables = dict[str, list[tuple[Any, ...]]]


def week() -> list[Json]:
    """A first week with two people."""
    return [
        w.created(0, WEEKS), w.registration(1, "created", "ann", WEEKS, status="approved"), w.started(FIRST),
        w.person(61, "joined", "1", FIRST, registrant_id="ann"), w.person(62, "joined", "2", FIRST),
        w.person(70, "left", "1", FIRST), w.ended(120, FIRST),
    ]  # fmt: skip


def chaos(seed: int, series: int = 3) -> list[Json]:
    """What a fake Zoom says on a bad day."""
    world = generate(seed, series, MIXES["chaotic"], start=ZERO, audience=(6, 14))
    return [dict(emission.event) for emission in world.emissions]


def derived(database: Database) -> Tables:
    """Every derived table, but for the moment its rows changed."""
    return {
        name: [tuple(v for column, v in row.items() if column != "updated_at") for row in read_table(database, name)]
        for name in DERIVED
    }


def link_history(database: Database) -> list[Row]:
    """`link_history`, oldest first."""
    return sorted(read_table(database, "link_history"), key=lambda row: (row["decided_at"], row["uuid"]))


def change(database: Database, *statements: str) -> None:
    """What no code of ours would do."""
    with database.write() as connection:
        for statement in statements:
            assert connection.exec_driver_sql(statement).rowcount > 0


def settled(database: Database) -> int:
    """Events that are applied or, by decision, are not."""
    query = "SELECT count(*) AS n FROM inbox_event WHERE state IN ('done', 'ignored')"
    return int(one(database, query)["n"])


def found(examples: Sequence[Difference]) -> set[tuple[str, str]]:
    return {(difference.table, difference.kind) for difference in examples}


@pytest.mark.parametrize("seed", [11, 12])
def test_after_a_chaotic_world_a_check_finds_nothing(database: Database, seed: int) -> None:
    events = chaos(seed)
    for place in range(0, len(events), 97):
        take(database, *events[place : place + 97])
    before, past = derived(database), link_history(database)
    checked = rebuild(database, check_only=True)
    assert (checked.examples, checked.rows_differing) == ([], 0)
    assert settled(database) == len(events)
    assert 0 < checked.events <= len(events)
    assert rebuild(database).rows_differing == 0
    assert derived(database) == before
    assert link_history(database) == past


DAMAGE: dict[str, tuple[str, tuple[str, str]]] = {
    "a row changed": ("UPDATE registrant SET first_name = 'Nobody'", ("registrant", "different")),
    "a row emptied": ("UPDATE participant SET left_at = NULL", ("participant", "different")),
    "a row missing": ("DELETE FROM occurrence WHERE occurrence_id = '1002'", ("occurrence", "missing")),
    "a row too many": (
        "INSERT INTO meeting (account_id, meeting_id, topic) VALUES ('nobody', 1, 'x')", ("meeting", "extra"),
    ),
    "a link changed": ("UPDATE instance SET occurrence_id = '1002'", ("instance", "different")),
    "a line of the log lost": ("DELETE FROM join_log WHERE kind = 'left'", ("join_log", "missing")),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_found_and_mended(database: Database, damage: str) -> None:
    take(database, *week())
    right = derived(database)
    statement, expected = DAMAGE[damage]
    change(database, statement)
    wrong = derived(database)
    checked = rebuild(database, check_only=True)
    assert found(checked.examples) == {expected}
    assert derived(database) == wrong  # looking changes nothing
    assert rebuild(database).rows_differing == checked.rows_differing
    assert derived(database) == right
    assert rebuild(database, check_only=True).rows_differing == 0


def test_every_table_emptied_comes_back(database: Database) -> None:
    take(database, *chaos(13, 2))
    right = derived(database)
    with database.write() as connection:
        for table in DERIVED:
            connection.exec_driver_sql(f"DELETE FROM {table} WHERE {_is_derived(table)}")
    assert rebuild(database).rows_differing > 100
    assert derived(database) == right


def _is_derived(table: str) -> str:
    return "kind <> 'link'" if table == "join_log" else "1 = 1"


def test_rows_that_are_right_are_not_touched(database: Database) -> None:
    take(database, *week())
    before = read_table(database, "participant")
    change(database, "UPDATE registrant SET first_name = 'Nobody'")
    rebuild(database)
    assert read_table(database, "participant") == before


# --- the link history -------------------------------------------------------------------------------------------------


def test_the_diary_keeps_its_past_and_tells_of_a_link_that_a_rebuild_changes(database: Database) -> None:
    take(database, *week())
    take(database, link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", by="ops", because="x", now=at(200)))
    past = link_history(database)
    assert [(row["from_occurrence_id"], row["to_occurrence_id"]) for row in past] == [(None, "1001"), ("1001", "1002")]
    assert rebuild(database).rows_differing == 0
    assert link_history(database) == past
    change(database, "UPDATE instance SET occurrence_id = '1001', link_state = 'inferred'")
    now = datetime(2027, 1, 1, tzinfo=UTC)
    rebuild(database, now=lambda: now)
    after = link_history(database)
    assert after[:-1] == past
    told = after[-1]
    assert (told["decided_at"], told["from_occurrence_id"], told["to_occurrence_id"]) == (now, "1001", "1002")
    assert (told["state"], "operator" in told["evidence"]) == ("confirmed", True)


def test_an_operators_word_survives_a_rebuild(database: Database) -> None:
    take(database, *week())
    take(database, link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", by="ops", because="x", now=at(200)))
    with database.write() as connection:
        for table in ("instance", "link_statement"):
            connection.exec_driver_sql(f"DELETE FROM {table}")
    past = link_history(database)
    rebuild(database)
    assert one(database, "SELECT occurrence_id, link_state FROM instance") == {
        "occurrence_id": "1002", "link_state": "confirmed",
    }  # fmt: skip
    (told,) = link_history(database)[len(past) :]
    assert (told["from_occurrence_id"], told["to_occurrence_id"]) == (None, "1002")


# --- while others work ------------------------------------------------------------------------------------------


def arrive_out_of_order(database: Database, events: Sequence[Json]) -> None:
    """Events that were accepted before all others and reach the tables only now, by another worker."""
    received = datetime(2026, 1, 1, tzinfo=UTC)
    keep(database, [Arrival(n, read_envelope(encode(event)), received, None) for n, event in enumerate(events, 1)])
    drain(database)


def in_a_thread(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_events_that_arrive_during_a_rebuild_are_in_the_result(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker drains between two batches of the rebuild, and another one waits while it swaps."""
    events = chaos(14)
    begun, later, last = events[:-120], events[-120:-60], events[-60:]
    take(database, *begun)
    change(database, "UPDATE meeting SET topic = 'damaged'")
    monkeypatch.setattr(rebuilding, "BATCH_EVENTS", len(begun) // 3)
    waiting: list[threading.Thread] = []
    fresh, swap = iter([later]), shadow.swap

    def arrive(_done: int, _total: int) -> None:
        for batch in fresh:
            in_a_thread(partial(arrive_out_of_order, database, batch)).join()

    def swap_while_one_waits(connection: Connection, now: datetime) -> list[RowChange]:
        changed = swap(connection, now)
        waiting.append(in_a_thread(lambda: take(database, *last)))
        return changed

    monkeypatch.setattr(rebuilding, "swap", swap_while_one_waits)
    rebuild(database, on_progress=arrive)
    for thread in waiting:
        thread.join()
    monkeypatch.setattr(rebuilding, "swap", swap)
    assert settled(database) == len(events)
    assert rebuild(database, check_only=True).examples == []


def test_events_drained_during_a_check_are_no_differences(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    events = chaos(15, 2)
    take(database, *events[:-80])
    monkeypatch.setattr(rebuilding, "BATCH_EVENTS", 100)
    fresh = iter([events[-80:]])

    def arrive(_done: int, _total: int) -> None:
        for batch in fresh:
            in_a_thread(partial(arrive_out_of_order, database, batch)).join()

    checked = rebuild(database, check_only=True, on_progress=arrive)
    assert checked.examples == []


def test_a_reader_sees_the_tables_as_they_were_or_as_they_are(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(database, *week())
    right = derived(database)
    change(
        database, "UPDATE meeting SET topic = 'damaged'", "DELETE FROM participant", "DELETE FROM registration",
        "UPDATE instance SET link_state = 'conflict'",
    )  # fmt: skip
    wrong = derived(database)
    seen: list[Tables] = []
    swap = shadow.swap

    def swap_watched(connection: Connection, now: datetime) -> list[RowChange]:
        seen.append(derived(database))
        changed = swap(connection, now)
        seen.append(derived(database))  # all of it is written, and nothing committed
        return changed

    monkeypatch.setattr(rebuilding, "swap", swap_watched)
    rebuild(database)
    assert seen == [wrong, wrong]
    assert derived(database) == right


def test_progress_is_told(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    take(database, *week())
    monkeypatch.setattr(rebuilding, "BATCH_EVENTS", 3)
    told: list[tuple[int, int]] = []
    rebuild(database, check_only=True, on_progress=lambda done, total: told.append((done, total)))
    assert told == [(3, 7), (6, 7), (7, 7)]


def test_nothing_of_a_rebuild_stays_behind(database: Database) -> None:
    take(database, *week())
    for _ in range(2):
        rebuild(database, check_only=True)
    take(database, w.started(FIRST + WEEK_MINUTES, "run-2=="))
    assert len(read_table(database, "instance")) == 2


def test_a_rebuild_that_fails_leaves_everything_as_it_was(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    take(database, *week())
    change(database, "DELETE FROM participant")
    wrong = derived(database)
    swap = shadow.swap

    def swap_and_fail(connection: Connection, now: datetime) -> list[RowChange]:
        swap(connection, now)
        raise RuntimeError("the power went")

    with monkeypatch.context() as patch:
        patch.setattr(rebuilding, "swap", swap_and_fail)
        with pytest.raises(RuntimeError, match="the power went"):
            rebuild(database)
    assert derived(database) == wrong
    assert rebuild(database).rows_differing == 2


def test_without_bodies_it_is_refused(database: Database) -> None:
    take(database, *week())
    before = derived(database)
    assert remove_bodies(database, 1, now=datetime(2126, 1, 1, tzinfo=UTC)) == 7
    with pytest.raises(BodiesMissing, match="7 events have no body"):
        rebuild(database)
    assert derived(database) == before


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> Callable[..., Result]:
    """`joinlog rebuild` on this test's database."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    return lambda *arguments: CliRunner().invoke(main, ["rebuild", *arguments])


def test_the_command_prints_differences_and_mends_them(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    change(database, "DELETE FROM registrant", "UPDATE meeting SET topic = 'damaged'")
    checked = run("--check")
    assert checked.exit_code == 1
    assert f"different  meeting  {ACCOUNT}, {w.meeting_id}" in checked.output
    assert f"missing  registrant  {ACCOUNT}, {w.meeting_id}, ann" in checked.output
    assert "7 events; 2 rows differ." in checked.output
    mended = run()
    assert (mended.exit_code, "2 rows differed and were put right." in mended.output) == (0, True)
    again = run("--check")
    assert (again.exit_code, "the tables are what the inbox says" in again.output) == (0, True)


def test_the_command_counts_what_it_does_not_print(database: Database, run: Callable[..., Result]) -> None:
    take(database, *(w.registration(n, "created", f"p{n:02}", WEEKS, status="approved") for n in range(30)))
    change(database, "DELETE FROM registrant")
    checked = run("--check")
    assert checked.output.count("missing  registrant") == 20
    assert "... and 10 more" in checked.output


def test_the_command_says_why_it_refuses(database: Database, run: Callable[..., Result]) -> None:
    take(database, *week())
    remove_bodies(database, 1, now=datetime(2126, 1, 1, tzinfo=UTC))
    refused = run()
    assert refused.exit_code == 1
    assert "7 events have no body any more (BODY_RETENTION_DAYS)" in refused.output
    assert "nothing was done" in refused.output


def test_an_event_waiting_to_be_applied_again_is_no_difference(database: Database) -> None:
    """`joinlog replay` sets events pending whose facts are in the tables already."""
    take(database, *week())
    with database.write() as connection:
        replayed, _ = set_pending_again(connection, Choice(meeting_id=w.meeting_id), 0, 100, datetime.now(UTC))
    assert replayed > 0
    assert rebuild(database, check_only=True).examples == []


def test_a_database_that_version_0_1_0_filled_gains_what_is_new_and_loses_nothing(tmp_path: Path) -> None:
    """`tests/store/written_by_0_1_0.db.gz`: worlds of the fake Zoom, shuffled, drained by that version's own drain."""
    file = tmp_path / "old.db"
    file.write_bytes(gzip.decompress((Path(__file__).parents[1] / "store" / "written_by_0_1_0.db.gz").read_bytes()))
    database = Database(f"sqlite:///{file}")
    migrate(database)
    before = {name: read_table(database, name) for name in DERIVED}
    assert rebuild(database).events > 400
    after = {name: read_table(database, name) for name in DERIVED}
    for name, rows in before.items():
        assert len(after[name]) == len(rows)
        for row, again in zip(rows, after[name], strict=True):
            known = {column for column, value in row.items() if value is not None} - {"stamps", "updated_at"}
            if row.get("role") == "attendee":  # that version forgot who had been co-host for a while
                known -= {"role"}
            assert {column: again[column] for column in known} == {column: row[column] for column in known}
    assert rebuild(database, check_only=True).examples == []
    database.close()
