"""Erasing people and accounts: nothing of them anywhere afterwards, and every number as it was."""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from sqlalchemy import Text

from joinlog.command import main
from joinlog.fakezoom import MIXES, generate
from schema.own_events import link_event
from schema.store.database import Database
from schema.store.dialect import UtcDateTime
from schema.tables import TABLES
from tests.conftest import SIGNING_KEY
from tests.inbox_to_tables import Row, drain, keep_events, one, read_table, select, take
from tests.signed_requests import encode
from tests.stories import ACCOUNT, WEEK_MINUTES, ZERO, Json, Story, at
from workers.drain import Drain
from workers.erase import erase_account, erase_person
from workers.rebuild import rebuild
from workers.retention import erase_departed

FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
WEEKS = {"1001": FIRST, "1002": SECOND}
w = Story()
m = Story("meeting", 8)
ANN = {"first_name": "Annabel", "last_name": "Quill", "custom_questions": [{"title": "Diet", "value": "vegan"}]}
TRACES = ("annabel", "quill", "vegan", "ann@example.com", "ann@home.example", "ann@work.example")
"""What must be nowhere, in lower case."""


def texts(database: Database) -> list[str]:
    """Every value of every text column of every table, in lower case, with its place."""
    found = []
    for name, table in TABLES.items():
        if name == "change":
            continue  # it names rows by their keys, so that downstream systems erase them: tests/store/test_feed.py
        columns = [
            c.name for c in table.columns if isinstance(c.type, (Text, UtcDateTime)) or c.type.python_type is str
        ]
        for row in read_table(database, name):
            found += [f"{name}.{column}: {row[column]}".lower() for column in columns if isinstance(row[column], str)]
    return found


def traces(database: Database, words: Iterable[str] = TRACES) -> list[str]:
    """Where anything of the person is still to be found, also where a body spells it with escapes."""
    wanted = [word.lower() for word in words]
    return [text for text in texts(database) if any(word in text or word in _unescaped(text) for word in wanted)]


def _unescaped(text: str) -> str:
    return text.encode("ascii", "backslashreplace").decode("unicode_escape", "replace") if "\\u" in text else text


def counts(database: Database) -> list[Row]:
    """The reports, without what they call the meeting and without minutes that still go on."""
    rows = select(database, "SELECT * FROM occurrence_report ORDER BY account_id, meeting_id, occurrence_id")
    people = select(database, "SELECT * FROM attendance")
    shape = ("account_id", "meeting_id", "occurrence_id", "first_joined_at", "last_left_at", "attended_minutes")
    kept = [{name: row[name] for name in (*shape, "connections", "is_registered")} for row in people]
    for row in (*rows, *kept):
        if row.get("last_left_at", row.get("held_until")) is None:
            row["attended_minutes"] = None
    return [{k: v for k, v in row.items() if k != "topic"} for row in rows] + sorted(kept, key=repr)


def erased(database: Database, email: str) -> None:
    """Erase a person, and hold the promise: traces gone, counts as before, the inbox says what the tables say."""
    assert traces(database) != []
    before, keys = counts(database), _keys(database)
    erase_person(database, email)
    assert traces(database) == []
    assert counts(database) == before
    assert _keys(database) == keys
    assert rebuild(database, check_only=True).examples == []


def _keys(database: Database) -> list[tuple[Any, ...]]:
    columns = ("account_id", "id", "idempotency_key", "event_type", "event_ts", "state")
    return [tuple(row[name] for name in columns) for row in read_table(database, "inbox_event")]


def others() -> list[Json]:
    """A second week and people beside her."""
    return [
        w.created(0, WEEKS), w.registration(1, "created", "ben", WEEKS, status="approved"), w.started(FIRST),
        w.person(61, "joined", "8", FIRST, registrant_id="ben", email="ben@example.com"),
        w.person(62, "joined", "9", FIRST, user_name="Guest"), w.ended(120, FIRST),
    ]  # fmt: skip


def signup(minute: float = 2, what: str = "created", **more: Any) -> Json:
    return w.registration(minute, what, "ann", WEEKS, **(ANN | {"status": "approved"} | more))


def comes(minute: float, user: str = "1", **who: Any) -> list[Json]:
    told = {"user_name": "Annabel Quill", **who}
    leave = {"leave_reason": f"{told['user_name']} left the meeting.<br>Reason: Host ended the meeting."}
    return [
        w.person(minute, "joined", user, FIRST, **told),
        w.person(minute + 5, "left", user, FIRST, **told, **leave),
    ]


# --- a person ---------------------------------------------------------------------------------------------------


def test_a_registrant_is_erased_by_their_address(database: Database) -> None:
    take(database, *others(), signup(), *comes(63, registrant_id="ann"), signup(130, "cancelled"))
    erased(database, " Ann@Example.COM ")
    row = next(row for row in read_table(database, "registrant") if row["registrant_id"] == "ann")
    assert (row["first_name"], row["last_name"], row["custom_questions"]) == ("(erased)", None, None)
    assert (row["status"], row["email"].endswith("@erased.invalid")) == ("cancelled", True)


def test_the_others_stay_as_they_are(database: Database) -> None:
    take(database, *others(), signup(), *comes(63, registrant_id="ann"))
    before = read_table(database, "registrant")
    erase_person(database, "ann@example.com")
    after = read_table(database, "registrant")
    assert [row for row in after if row["registrant_id"] == "ben"] == [
        row for row in before if row["registrant_id"] == "ben"
    ]
    assert {row["name"] for row in read_table(database, "participant")} == {"(erased)", "Name 8", "Guest"}


def test_a_walk_in_is_erased_by_the_address_they_showed(database: Database) -> None:
    take(database, *others(), *comes(63, email="Ann@example.com"), *comes(70, "2", email="ann@example.com"))
    erased(database, "ann@example.com")
    people = {row["person_id"] for row in read_table(database, "participant") if row["name"] == "(erased)"}
    assert len(people) == 1
    assert all(name.startswith("email:erased-") for name in people)


def test_a_registrant_zoom_gave_no_id(database: Database) -> None:
    """Before 2021 the id was always absent: the address is part of the key."""
    take(database, *others(), signup(id=None), *comes(63, email="ann@example.com"))
    erased(database, "ann@example.com")


def test_a_person_known_by_several_identifiers(database: Database) -> None:
    """A private address as registrant, another one at the door, a Zoom user, and a connection with none of them."""
    take(
        database, *others(), signup(email="ann@example.com"),
        *comes(63, "1", registrant_id="ann", email="ann@work.example", participant_user_id="u-ann"),
        *comes(70, "2", participant_user_id="u-ann"), *comes(76, "3", registrant_id="ann"),
        *comes(82, "1"),
    )  # fmt: skip
    erased(database, "ann@example.com")


def test_the_address_they_came_with_is_enough(database: Database) -> None:
    take(database, *others(), signup(), *comes(63, registrant_id="ann", email="ann@home.example"))
    erased(database, "ann@home.example")


def test_their_telephone_and_their_breakout_room_are_theirs(database: Database) -> None:
    """Neither carries an identifier of the person but what binds it to their other connection."""
    name = {"user_name": "Annabel Quill"}
    room = {"parent_user_id": "1", "room": "room==", **name}
    take(
        database, *others(), signup(), *comes(63, registrant_id="ann"),
        m.person(64, "joined", "2", FIRST, **name), m.person(65, "bind", "2", FIRST, bind_user_id="1", **name),
        m.person(66, "joined_breakout_room", "7", FIRST, **room),
        m.person(67, "left_breakout_room", "7", FIRST, **room),
    )  # fmt: skip
    erased(database, "ann@example.com")


def test_keys_and_telephone_numbers_become_pseudonyms_that_tell_the_same_people(database: Database) -> None:
    """She comes back by a key, a number and custom keys alone; the others who show some of them are who they were."""
    keys, same_keys = [{"key": "crm", "value": "ann-at-home"}], {"crm": "ann-at-home"}
    take(
        database, *others(),
        *comes(63, "1", email="ann@example.com", customer_key="quill-7"), *comes(64, "2", customer_key="quill-7"),
        *comes(65, "3", customer_key="quill-7", phone_number="+49301234"), *comes(66, "4", phone_number="+49301234"),
        *comes(67, "5", phone_number="+49301234", custom_keys=keys), *comes(68, "6", custom_keys=same_keys),
        w.person(69, "joined", "10", FIRST, user_name="Guest", customer_key="another"),
    )  # fmt: skip
    people = {row["connection_id"]: row["person_id"] for row in read_table(database, "participant")}
    assert {people[number] for number in "123456"} == {"email:ann@example.com"}
    erased(database, "ann@example.com")
    assert traces(database, ["quill-7", "4930", "ann-at-home"]) == []
    assert [text for text in traces(database, ["another"]) if text.startswith("participant")] != []


def test_a_person_whom_only_a_key_tells_is_erased_with_their_meetings(database: Database) -> None:
    """In another meeting nothing but the key is known: it is still theirs, and stays one person there."""
    other = Story(meeting_id=85512345678)
    take(
        database, *others(), *comes(63, "1", email="ann@example.com", customer_key="quill-7"),
        *(other.person(63 + n, "joined", f"{n}", FIRST, "run-o==", customer_key="quill-7", user_name="Annabel")
          for n in (1, 2)),
    )  # fmt: skip
    erased(database, "ann@example.com")
    people = {row["person_id"] for row in read_table(database, "participant") if row["uuid"] == "run-o=="}
    assert len(people) == 1
    assert people.pop().startswith("key:erased-")


def test_whoever_else_shows_what_is_not_theirs_alone_is_left_alone(database: Database) -> None:
    """Two registrants on one account and one telephone: erasing one of them is not erasing the other."""
    shared = {"participant_user_id": "u-shared", "phone_number": "+49301234"}
    take(
        database, *others(), signup(), *comes(63, "1", registrant_id="ann", **shared),
        w.person(63, "joined", "2", FIRST, registrant_id="ben", user_name="Ben", **shared),
    )  # fmt: skip
    erased(database, "ann@example.com")
    assert "Ben" in {row["name"] for row in read_table(database, "participant")}
    assert traces(database, ["+4930"]) == []


def test_who_runs_a_meeting_is_erased_and_still_runs_it(database: Database) -> None:
    """The alternative host by address, in any order of addresses; a panelist; and staff by the domain of an address."""
    hosts = w.changed(3, {"settings": {"alternative_hosts": "zoe@example.com;ann@example.com"}}, {}, "all")
    domains = frozenset({"example.com"})
    keep_events(database, [*others(), hosts, *comes(63, email="ann@example.com")])
    Drain(database, staff_domains=domains).drain_all()
    before = counts(database)
    erase_person(database, "ann@example.com", staff_domains=domains)
    assert traces(database) == []
    assert counts(database) == before
    assert {row["staff"] for row in select(database, "SELECT * FROM occurrence_report WHERE instances > 0")} == {1}
    assert rebuild(database, check_only=True, staff_domains=domains).examples == []
    erase_account(database, ACCOUNT, staff_domains=domains)
    assert counts(database) == before
    assert rebuild(database, check_only=True, staff_domains=domains).examples == []


def test_a_changed_address_and_name_go_too(database: Database) -> None:
    take(
        database, *others(), signup(2, email="ann@work.example"), signup(3, first_name="Annabel-Q"),
        *comes(63, registrant_id="ann"),
    )  # fmt: skip
    erased(database, "ann@example.com")


def test_a_registrant_with_one_name_and_answers_told_at_different_times(database: Database) -> None:
    """What is left out of the bodies leaves no trace in the rows either, not even when it was told."""
    dan = {"id": "dan", "email": "ann@example.com", "status": "approved"}
    told = [
        w.registration(2, "created", "ann", WEEKS, **(dan | {"first_name": "", "last_name": "Quill"})),
        w.registration(4, "created", "ann", WEEKS, **(dan | ANN | {"first_name": ""})),
        signup(2, custom_questions=None), signup(3), signup(4, last_name="", custom_questions=[]),
    ]  # fmt: skip
    take(database, *others(), *told)
    erased(database, "ann@example.com")


def test_an_address_may_look_like_anything(database: Database) -> None:
    people = ["o'neil@example.com", "kim+zoom@example.com", "pat=x@example.com", "n/a (no mail)"]
    for number, email in enumerate(people):
        who = {"email": email, "first_name": "Annabel", "last_name": "Quill", "status": "approved"}
        take(database, w.registration(2, "created", f"p{number}", WEEKS, **who))
    for email in people:
        erase_person(database, email)
    assert traces(database, ("annabel", "quill", "neil", "kim+zoom", "pat=", "no mail")) == []
    assert rebuild(database, check_only=True).examples == []


def test_an_address_shown_as_a_name_or_written_by_somebody_else_goes_too(database: Database) -> None:
    """Zoom shows the address of who has no name; another registrant names the one who invited them."""
    invited = [{"title": "Who invited you?", "value": "ann@example.com"}]
    take(
        database, *others(), signup(), *comes(63, user_name="ann@example.com"),
        w.registration(4, "created", "cyn", WEEKS, status="approved", custom_questions=invited),
        w.retitled(5, "Weekly with ann@example.com"),
    )  # fmt: skip
    erased(database, "ann@example.com")


def test_an_address_in_brackets_goes_too(database: Database) -> None:
    invited = [{"title": "Who invited you?", "value": "my colleague (ann@example.com), mailto:ann@example.com."}]
    take(
        database, signup(), w.registration(4, "created", "cyn", WEEKS, status="approved", custom_questions=invited),
    )  # fmt: skip
    erase_person(database, "ann@example.com")
    assert [text for text in traces(database) if text.startswith("inbox_event.body")] == []


def test_a_person_who_decided_links_goes_too(database: Database) -> None:
    said = link_event(
        ACCOUNT, w.meeting_id, "run-1==", "1002", by="ann@example.com", because="ann@example.com says so", now=at(130)
    )  # fmt: skip
    take(database, *others(), signup(), said)
    erased(database, "ann@example.com")


def test_what_they_said_in_events_that_are_not_projected_goes_too(database: Database) -> None:
    chat = {"sender_name": "Annabel Quill", "sender_email": "ann@example.com", "message_content": "I am vegan"}
    take(
        database, *others(), signup(), m.live(66, "chat_message_sent", "run-1==", FIRST, chat_message=chat),
        w.event("invented", 66, {"id": 1, "people": [{"nick": "Annabel", "mail": "ann@example.com"}]}),
    )  # fmt: skip
    erased(database, "ann@example.com")


def test_a_waiting_room_is_forgotten_by_its_participant_part(database: Database) -> None:
    who = {"user_name": "Annabel Quill", "email": "ann@example.com", "id": "", "user_id": "5"}
    waiting = m.live(60, "participant_joined_waiting_room", "run-1==", FIRST, participant=who)
    take(database, *others(), waiting)
    erased(database, "ann@example.com")


def test_dead_letters_about_them_are_emptied(database: Database) -> None:
    unfinished = encode(signup(7))[:-30]
    without_uuid = signup(8)
    without_uuid["payload"]["object"]["id"] = None
    take(database, *others(), signup(), unfinished, without_uuid)
    assert len([row for row in read_table(database, "inbox_event") if row["state"] == "dead"]) == 2
    erased(database, "ann@example.com")


def test_a_dead_letter_that_names_only_their_id_is_emptied(database: Database) -> None:
    who = {"registrant_id": "ann-4711", "user_name": "Annabel Quill"}
    cut = encode(w.person(70, "joined", "4", FIRST, **who))[:-4]
    registered = w.registration(1, "created", "ann", WEEKS, **(ANN | {"id": "ann-4711", "status": "approved"}))
    take(database, *others(), registered, cut)
    erased(database, "ann@example.com")


def test_a_body_written_with_escapes_is_forgotten(database: Database) -> None:
    written = json.dumps(signup(3)).replace("Annabel", "\\u0041nnabel").replace("@", "\\u0040").encode()
    take(database, *others(), signup(), written)
    erased(database, "ann@example.com")


def test_an_event_still_pending_is_forgotten_before_it_is_applied(database: Database) -> None:
    take(database, *others(), signup())
    keep_events(database, comes(63, registrant_id="ann", email="ann@example.com"))
    erase_person(database, "ann@example.com")
    drain(database)
    assert traces(database) == []


def test_the_original_delivered_again_changes_nothing_but_deliveries(database: Database) -> None:
    told = [*others(), signup(), *comes(63, registrant_id="ann")]
    take(database, *told)
    erase_person(database, "ann@example.com")
    before = {name: read_table(database, name) for name in TABLES}
    assert take(database, *told).total == 0
    after = {name: read_table(database, name) for name in TABLES}
    counted = ("deliveries", "last_delivered_at", "updated_at")
    inbox_before, inbox_after = before.pop("inbox_event"), after.pop("inbox_event")
    assert after == before
    assert {row["deliveries"] for row in inbox_after} == {2}
    assert [{k: v for k, v in row.items() if k not in counted} for row in inbox_after] == [
        {k: v for k, v in row.items() if k not in counted} for row in inbox_before
    ]


def test_erasing_twice_finds_nothing_the_second_time(database: Database) -> None:
    take(database, *others(), signup(), *comes(63, registrant_id="ann"))
    assert erase_person(database, "ann@example.com").rows > 0
    kept = TABLES.keys() - {"erased_identifier"}  # which says when, and of more than once the last time
    before = {name: read_table(database, name) for name in kept}
    again = erase_person(database, "ann@example.com")
    assert (again.bodies, again.rows) == (0, 0)
    assert {name: read_table(database, name) for name in kept} == before


def test_a_chaotic_world_of_people_is_erased_one_by_one(database: Database) -> None:
    world = generate(3, 2, MIXES["chaotic"], start=ZERO, audience=(6, 10))
    take(database, *(emission.event for emission in world.emissions))
    before = counts(database)
    people = [person for person in world.truth.people.values() if person.email][::4]
    for person in people:
        erase_person(database, person.email)
    assert traces(database, [person.email for person in people]) == []
    assert counts(database) == before
    assert rebuild(database, check_only=True).examples == []


# --- an account -------------------------------------------------------------------------------------------------

OTHER = Story(account="OtherAccount0123456789")


def account_story() -> list[Json]:
    return [*others(), signup(), *comes(63, registrant_id="ann"), w.retitled(80, "Annabel's farewell")]


def elsewhere() -> list[Json]:
    return [
        OTHER.created(0, WEEKS), OTHER.registration(1, "created", "zoe", WEEKS, status="approved"),
        OTHER.started(FIRST, "run-o=="), OTHER.person(61, "joined", "1", FIRST, "run-o==", registrant_id="zoe"),
    ]  # fmt: skip


def of_other(database: Database) -> dict[str, list[Row]]:
    return {name: [row for row in read_table(database, name) if row["account_id"] == OTHER.account] for name in TABLES}


def test_an_account_is_erased_whole_and_another_one_is_left_alone(database: Database) -> None:
    take(database, *account_story(), *elsewhere())
    before, beside = counts(database), of_other(database)
    erase_account(database, ACCOUNT)
    words = (*TRACES, "ben@example.com", "name 8", "guest", "farewell")
    assert [t for t in traces(database, words) if "otheraccount" not in t] == []
    assert of_other(database) == beside
    assert counts(database) == before
    assert {row["topic"] for row in read_table(database, "meeting")} == {"(erased)", "Weekly"}
    assert rebuild(database, check_only=True).examples == []


def test_of_an_erased_account_nothing_stays_in_events_that_are_not_projected(database: Database) -> None:
    chat = {"sender_name": "Annabel Quill", "sender_email": "ann@example.com", "message_content": "I am vegan"}
    take(database, *others(), m.live(66, "chat_message_sent", "run-1==", FIRST, chat_message=chat))
    erase_account(database, ACCOUNT)
    assert traces(database) == []


def test_of_an_erased_account_no_dead_letter_stays(database: Database) -> None:
    """One that was cut off has no account: whose it is, only its text tells."""
    take(database, *others(), encode(signup(7))[:-30])
    erase_account(database, ACCOUNT)
    assert traces(database) == []


def test_of_an_erased_account_the_operators_words_stay_equal_to_the_inbox(database: Database) -> None:
    said = link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", by="ops@corp.example", because="x", now=at(130))
    take(database, *others(), said)
    erase_account(database, ACCOUNT)
    assert traces(database, ["ops@corp.example"]) == []
    assert rebuild(database, check_only=True).examples == []


def test_a_chaotic_account_is_erased_and_the_inbox_says_what_the_tables_say(database: Database) -> None:
    world = generate(5, 2, MIXES["chaotic"], start=ZERO, audience=(6, 10))
    take(database, *(emission.event for emission in world.emissions))
    before = counts(database)
    for account_id in {series.account_id for series in world.truth.series}:
        erase_account(database, account_id)
    people = world.truth.people.values()
    assert traces(database, [person.email for person in people if person.email]) == []
    assert counts(database) == before
    assert rebuild(database, check_only=True).examples == []


# --- accounts that left -----------------------------------------------------------------------------------------


def leaves(minute: float = 5000, account: str = ACCOUNT) -> Json:
    text = str(int(at(minute).timestamp() * 1000))
    return {"event": "app_deauthorized", "payload": {"account_id": account, "user_id": "u", "event_ts": text}}


def test_an_account_that_left_is_erased_once_the_grace_period_is_over(database: Database) -> None:
    take(database, *account_story(), *elsewhere(), leaves())
    beside = of_other(database)
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=9)) == []
    assert traces(database) != []
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=10, seconds=1)) == [ACCOUNT]
    assert traces(database) == []
    assert of_other(database) == beside
    assert one(database, "SELECT erased_at FROM account_departure")["erased_at"] is not None
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=30)) == []


def test_an_account_heard_of_since_is_left_alone(database: Database) -> None:
    take(database, *account_story(), leaves(), w.retitled(5001, "We are back"))
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=30)) == []
    assert traces(database) != []


def test_a_late_event_from_before_it_left_does_not_keep_an_account(database: Database) -> None:
    take(database, *account_story(), leaves(), w.retitled(4999, "Told late"))
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=30)) == [ACCOUNT]


def test_an_operators_word_after_it_left_does_not_keep_an_account(database: Database) -> None:
    said = link_event(ACCOUNT, w.meeting_id, "run-1==", "1002", by="ops", because="tidy", now=at(6000))
    take(database, *account_story(), leaves(), said)
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=30)) == [ACCOUNT]


def test_an_account_that_came_back_and_left_again_is_erased_again(database: Database) -> None:
    take(database, *account_story(), leaves())
    assert erase_departed(database, 10, now=at(5000) + timedelta(days=30)) == [ACCOUNT]
    back = 5 * 365 * 1440.0  # after the moment at which it was erased, which the clock of this machine tells
    take(database, signup(back), leaves(back + 1))
    assert erase_departed(database, 10, now=at(back) + timedelta(days=30)) == [ACCOUNT]
    assert traces(database) == []


# --- the command ------------------------------------------------------------------------------------------------


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, database_url: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)


@pytest.mark.usefixtures("_here")
def test_the_command_asks_first_and_says_what_it_did(database: Database) -> None:
    take(database, *account_story())
    asked = CliRunner().invoke(main, ["erase", "--person", "ann@example.com"], input="n\n")
    assert (asked.exit_code, traces(database) != []) == (1, True)
    assert "cannot be undone" in asked.output
    done = CliRunner().invoke(main, ["erase", "--person", "ann@example.com", "--yes"])
    assert done.exit_code == 0, done.output
    assert "Erased the person behind ann@example.com from 3 events" in done.output
    done = CliRunner().invoke(main, ["erase", "--account", ACCOUNT], input="y\n")
    assert (done.exit_code, traces(database)) == (0, [])


@pytest.mark.usefixtures("_here")
def test_the_command_wants_a_person_or_an_account() -> None:
    for arguments in ([], ["--person", "a@b.example", "--account", ACCOUNT]):
        ended = CliRunner().invoke(main, ["erase", *arguments, "--yes"])
        assert ended.exit_code == 2
        assert "either --account ID or --person EMAIL" in ended.output
