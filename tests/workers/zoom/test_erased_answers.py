"""What Zoom's API answered about people is erased like what its webhooks told."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schema.store.database import Database
from schema.store.erase import read_departed
from tests.inbox_to_tables import read_table, select, take
from tests.signed_requests import read_payload_file
from workers.erase import erase_account, erase_person
from workers.rebuild import rebuild

ANSWERS = ("zoom.registrants_read", "zoom.participants_read")
PERSONAL = ("jchill@example.com", "Jill", "Chill", "How to use Zoom")


def everything(database: Database) -> str:
    tables = ("inbox_event", "registrant", "connection", "participant", "join_log")
    return "\n".join(str(row) for table in tables for row in read_table(database, table))


def test_a_person_is_erased_from_answers_and_others_stay(database: Database) -> None:
    take(database, *(read_payload_file(name) for name in ANSWERS))
    assert all(text in everything(database) for text in PERSONAL)
    erase_person(database, "jchill@example.com")
    found = everything(database)
    assert [text for text in PERSONAL if text in found] == []
    assert "Waits" in found
    assert rebuild(database, check_only=True).examples == []


def test_an_account_is_erased_from_answers(database: Database) -> None:
    take(database, *(read_payload_file(name) for name in ANSWERS))
    ((account_id,),) = {tuple(row.values()) for row in select(database, "SELECT account_id FROM inbox_event")}
    erase_account(database, account_id)
    found = everything(database)
    assert [text for text in (*PERSONAL, "Waits") if text in found] == []
    assert rebuild(database, check_only=True).examples == []


def test_an_answer_is_no_sign_of_an_account_that_left(database: Database) -> None:
    left = {
        "event": "app_deauthorized",
        "payload": {"account_id": "q1w2E3r4T5y6U7i8O9p0Aa", "event_ts": "1772500000000"},
    }
    take(database, left, *(read_payload_file(name) for name in ANSWERS))
    with database.read() as connection:
        assert read_departed(connection, datetime.now(UTC) + timedelta(days=1)) == ["q1w2E3r4T5y6U7i8O9p0Aa"]
