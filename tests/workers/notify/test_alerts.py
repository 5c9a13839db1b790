"""From what is wrong to somebody who is told: the clock's judge, the worker's teller, the table between them."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError

from schema.addresses import occurrence_url
from schema.alerts import Alert, Observed
from schema.store.alerts import change_alerts_of, read_alerts
from schema.store.database import Database
from schema.store.observations import read_judged_at, read_places
from tests.conftest import SIGNING_KEY, settings_for
from tests.inbox_to_tables import select, take
from tests.processes import running
from tests.receiver import Receiver, receiving
from tests.signed_requests import SECRET
from tests.stories import ACCOUNT, Story
from tests.waiting import wait_until
from workers.notify.judging import Judge
from workers.notify.observation import observe
from workers.notify.sending import send
from workers.notify.teller import Teller
from workers.notify.telling import SENDING_MAX, Message, Occasion, message

START = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HEALTH = "https://joinlog.example.com/health"
POISON = (
    b'{"event":"webinar.participant_joined","event_ts":1,"payload":{"account_id":"a","object":{"id":1,"uuid":"u"}}}'
)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


class Installation:
    """A clock and a worker that are made anew for every step, as after a restart."""

    def __init__(self, database: Database, targets: list[str]) -> None:
        self.database = database
        self.settings = settings_for(str(database.url), "redis://127.0.0.1:1/0")
        self.send = partial(send, targets)
        self.now = START
        self.rung = 0
        self.observed: Observed | None = None

    def judge(self) -> None:
        def ring() -> None:
            self.rung += 1

        seen = self.observed
        look = (lambda: observe(self.settings, self.database, None)) if seen is None else (lambda: seen)
        Judge(self.database, look, ring, self.send, HEALTH, now=lambda: self.now).judge()

    def tell(self) -> int:
        return Teller(self.database, self.send, HEALTH, now=lambda: self.now).tell()

    def pass_minutes(self, minutes: float) -> int:
        """Judge and tell after so many minutes; returns how many messages arrived."""
        self.now += timedelta(minutes=minutes)
        self.judge()
        return self.tell()


def test_a_dead_letter_is_told_once_whatever_restarts_again_after_a_day_and_when_it_is_over(
    database: Database, receiver: Receiver
) -> None:
    installation = Installation(database, [receiver.url])
    assert installation.pass_minutes(0) == 0
    assert take(database, POISON).dead == 1
    assert [installation.pass_minutes(minutes) for minutes in (1, 1, 1400)] == [1, 0, 0]
    assert installation.pass_minutes(45) == 1
    with database.write() as connection:
        connection.exec_driver_sql("UPDATE inbox_event SET state = 'done'")
    assert [installation.pass_minutes(minutes) for minutes in (1, 4, 2, 60)] == [0, 0, 1, 0]
    assert receiver.titles == [
        "Joinlog: Events could not be applied",
        "Joinlog: Events could not be applied",
        "Joinlog: over: Events could not be applied",
    ]
    assert "What to do: `joinlog inbox list --state dead`" in receiver.messages[0]["message"]
    assert "goes on" in receiver.messages[1]["message"]


class Recorded(Installation):
    """The same, with messages that stay in this process."""

    def __init__(self, database: Database) -> None:
        super().__init__(database, [])
        self.messages: list[Message] = []
        self.error: str | None = None
        self.send = self._record  # type: ignore[assignment]

    def _record(self, message: Message) -> str | None:
        if self.error is None:
            self.messages.append(message)
        return self.error


def test_what_is_told_leads_to_the_occurrence_it_is_about(database: Database) -> None:
    story = Story()
    take(database, story.created(0, {"1001": 60}), story.started(60), story.started(5000, "stray=="))
    told: list[Message] = []
    now = datetime.now(UTC)
    with database.read() as connection:
        places = {
            name: read_places(connection, name, now) for name in ("no_delivery", "link_undecided", "dead_letters")
        }
    page = f"https://joinlog.example.com{occurrence_url(ACCOUNT, story.meeting_id, '1001')}"
    body = message(Alert("no_delivery", START, "An instance runs."), Occasion.BEGUN, HEALTH, places["no_delivery"]).body
    assert page in body
    assert [one.uuid for one in places["link_undecided"]] == ["stray=="]
    assert places["dead_letters"] == []

    def note(known: Mapping[str, Alert]) -> list[Alert]:
        return [Alert("no_delivery", START, "An instance runs.")]

    change_alerts_of(database, note, START)
    teller = Teller(database, lambda one: told.append(one), HEALTH, now=lambda: START + timedelta(hours=1))
    assert teller.tell() == 1
    assert page in told[0].body


def test_two_workers_that_look_at_once_tell_once(database: Database) -> None:
    installation = Recorded(database)
    take(database, POISON)
    installation.judge()
    assert installation.rung == 1
    gate = threading.Barrier(4)
    tellers = [Teller(database, installation.send, HEALTH, now=lambda: START) for _ in range(4)]
    threads = [threading.Thread(target=lambda one=one: (gate.wait(), one.tell())) for one in tellers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(installation.messages) == 1


def test_what_could_not_be_sent_is_tried_again_and_said(database: Database) -> None:
    installation = Recorded(database)
    take(database, POISON)
    installation.error = "none of 1 addresses took it"
    assert installation.pass_minutes(1) == 0
    with database.read() as connection:
        assert read_alerts(connection)["dead_letters"].error == installation.error
    installation.error = None
    assert installation.pass_minutes(1) == 0  # another worker may be at it
    assert installation.pass_minutes(SENDING_MAX.total_seconds() / 60) == 1
    with database.read() as connection:
        assert read_alerts(connection)["dead_letters"].error is None


def test_nobody_is_rung_for_while_all_is_well(database: Database) -> None:
    installation = Recorded(database)
    installation.judge()
    assert installation.rung == 0
    with database.read() as connection:
        assert read_judged_at(connection) == START
        assert read_alerts(connection) == {}


def test_while_the_database_takes_no_writes_the_clock_tells_by_itself_and_a_worker_when_it_is_over(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation = Recorded(database)
    judge = Judge(  # one clock that goes on
        database, Observed, lambda: None, installation.send, HEALTH, now=lambda: installation.now
    )

    def refuse(*_: object) -> None:
        raise OperationalError("INSERT", {}, Exception("disk full"))

    with monkeypatch.context() as patch:
        patch.setattr("workers.notify.judging.note_judged", refuse)
        for minutes in (0, 1, 2):
            installation.now = START + timedelta(minutes=minutes)
            with pytest.raises(OperationalError):
                judge.judge()
    assert [message.title for message in installation.messages] == [
        "Joinlog: The database is full, nearly full, or takes no writes"
    ]
    for minutes in (3, 9):
        installation.now = START + timedelta(minutes=minutes)
        judge.judge()
        installation.tell()
    assert installation.messages[1].title.startswith("Joinlog: over: The database")
    assert len(installation.messages) == 2


def test_no_address_stands_in_what_a_failed_attempt_says(capfd: pytest.CaptureFixture[str]) -> None:
    error = send(["json://joe:hunter2@127.0.0.1:1/x", "nosuch://hunter2"], Message("title", "body"))
    assert error == "none of 2 addresses took it"
    assert "hunter2" not in "".join(capfd.readouterr())


@pytest.mark.faults
def test_a_clock_and_a_worker_that_are_killed_and_started_again_tell_once(
    tmp_path: Path, sqlite_url: str, redis_url: str, receiver: Receiver
) -> None:
    database = Database(sqlite_url)
    take(database, POISON)
    variables = {
        "DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "SECRET_KEY": SIGNING_KEY,
        "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET, "ALERT_URLS": receiver.url, "LOG_FORMAT": "json",
    }  # fmt: skip

    def judged() -> list[object]:
        return [row["last_at"] for row in select(database, "SELECT last_at FROM endpoint_observation")]

    def told() -> list[object]:
        return [row["told_at"] for row in select(database, "SELECT told_at FROM alert WHERE told_at IS NOT NULL")]

    with running(tmp_path, "worker", **variables) as worker, running(tmp_path, "clock", **variables) as clock:
        wait_until(lambda: bool(told()), "somebody to be told", timeout_seconds=60)
        for process in (worker, clock):
            process.process.kill()
            process.process.wait()
    before = judged()
    with running(tmp_path, "worker", **variables) as worker, running(tmp_path, "clock", **variables):
        wait_until(lambda: judged() != before, "a clock that judges again", timeout_seconds=60)
        worker.says("worker_started", times=2)
        assert worker.stop() == 0
    assert receiver.titles == ["Joinlog: Events could not be applied"]
    database.close()
