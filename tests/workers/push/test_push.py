"""What is pushed: which notices, signed how, in which order; and what becomes of an endpoint that takes none."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from standardwebhooks import Webhook, WebhookVerificationError

from schema.own_events import link_event
from schema.push import PushEndpoint, endpoint_name
from schema.settings import ConfigurationError
from schema.store.database import Database
from schema.store.inbox import keep_own_event
from schema.store.push import begin_endpoints, read_endpoint, read_endpoints, replay, resume
from tests.conftest import settings_for
from tests.inbox_to_tables import drain, take
from tests.push_receiver import PUSH_SECRET, PushReceiver, pushed_to
from tests.stories import WEEK_MINUTES, Story
from workers.erase import erase_person
from workers.push.assembly import make_pushers, wanted_events
from workers.push.notices import NOTICES, Notices
from workers.push.posting import Poster
from workers.push.pusher import Pusher
from workers.push.retry import RETRY_AFTER_SECONDS

w, other = Story(), Story(meeting_id=84_000_000_001)
WEEKS = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
REGISTERED = w.registration(1, "created", "ann", WEEKS, status="approved", email="ann@example.com")
STARTED = [w.created(0, WEEKS), REGISTERED, w.started(60), w.person(61, "joined", "1", 60, registrant_id="ann")]
ENDED = [w.person(90, "left", "1", 60, registrant_id="ann"), w.ended(91, 60)]


class Clock:
    """The time, which a test moves."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now

    def later(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture(autouse=True)
def _quiet() -> None:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))


@pytest.fixture
def receiver() -> Iterator[PushReceiver]:
    with pushed_to() as opened:
        yield opened


@pytest.fixture
def clock() -> Clock:
    return Clock()


_made: list[Pusher] = []
_urls: list[str] = []


@pytest.fixture(autouse=True)
def _closed(request: pytest.FixtureRequest) -> Iterator[None]:
    if "database" in request.fixturenames:
        request.getfixturevalue("database")  # so that it is closed after them
    yield
    while _made:
        _made.pop().stop()
    _urls.clear()


def pusher(database: Database, receiver: PushReceiver, clock: Clock, *, personal: bool = False, **more: Any) -> Pusher:
    _urls.append(receiver.url)
    begin_endpoints(database, _urls, clock())
    notices = Notices(database, more.pop("events", frozenset(NOTICES)), is_personal=personal)
    _made.append(Pusher(database, receiver.url, notices, Poster(receiver.url, [PUSH_SECRET]), now=clock))
    return _made[-1]


def endpoint(database: Database, receiver: PushReceiver) -> PushEndpoint:
    with database.read() as connection:
        found = read_endpoint(connection, endpoint_name(receiver.url))
    assert found is not None
    return found


# --- which notices ----------------------------------------------------------------------------------------------


def test_a_webinar_from_its_start_to_its_report(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    pushing = pusher(database, receiver, clock)
    for event in (*STARTED, *ENDED):
        take(database, event)
        pushing.push()
    told = [pushed.type for pushed in receiver.taken]
    assert told[0] == "registrant.changed"
    assert [name for name in told if name.startswith("instance.")] == [
        "instance.started", "instance.linked", "instance.ended",
    ]  # fmt: skip
    linked = [pushed.data for pushed in receiver.taken if pushed.type == "instance.linked"][-1]
    assert (linked["occurrence_id"], linked["state"]) == ("1001", "inferred")
    assert linked["evidence"]
    report = receiver.taken[-1]
    assert report.type == "occurrence.report"
    assert {name: report.data[name] for name in ("registrants", "attended", "no_shows", "is_final")} == {
        "registrants": 1, "attended": 1, "no_shows": 0, "is_final": False,
    }  # fmt: skip
    assert pushing.push() == 0


def test_what_did_not_change_is_not_told_again(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    pushing = pusher(database, receiver, clock)
    take(database, *STARTED, *ENDED)
    pushing.push()
    before = len(receiver.taken)
    take(database, other.created(0, WEEKS))
    assert pushing.push() == 0
    take(database, w.person(62, "joined", "2", 60), w.person(63, "left", "2", 60))
    pushing.push()
    assert [pushed.type for pushed in receiver.taken[before:]] == ["occurrence.report"]


def test_a_link_a_person_has_to_decide_is_told_and_so_is_the_decision(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    pushing = pusher(database, receiver, clock)
    take(database, w.created(0, WEEKS), w.started(60 + 3 * 24 * 60))
    pushing.push()
    undecided = [pushed for pushed in receiver.taken if pushed.type == "link.needs_decision"]
    assert [pushed.data["state"] for pushed in undecided] == ["unscheduled"]
    keep_own_event(
        database,
        link_event(w.account, w.meeting_id, "run-1==", "1001", by="jill", because="I was there", now=clock()),
    )
    drain(database)
    pushing.push()
    decided = receiver.taken[-1]
    assert (decided.type, decided.data["state"], decided.data["occurrence_id"]) == (
        "instance.linked", "confirmed", "1001",
    )  # fmt: skip
    assert b"jill" not in decided.body


def test_names_and_addresses_only_where_they_are_wanted(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    with pushed_to() as trusted:
        discreet, personal = pusher(database, receiver, clock), pusher(database, trusted, clock, personal=True)
        take(database, *STARTED, *ENDED)
        take(database, w.registration(2, "created", "bob", WEEKS, status="approved", id=None, email="bob@example.com"))
        assert discreet.push()
        assert personal.push()
        assert "@example.com" not in str([pushed.body for pushed in receiver.taken])
        (ann, bob) = [pushed.data for pushed in trusted.taken if pushed.type == "registrant.changed"]
        assert (ann["email"], bob["registrant_id"]) == ("ann@example.com", "email:bob@example.com")


def test_an_erased_person_is_told(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    take(database, *STARTED, *ENDED)
    pushing = pusher(database, receiver, clock, events=frozenset({"person.erased"}))
    erase_person(database, "ann@example.com")
    pushing.push()
    assert set(receiver.types) == {"person.erased"}
    told = [pushed.data for pushed in receiver.taken]
    assert [data["registrants"] for data in told if data["registrants"]] == [["ann"]]
    assert [data["connections"] for data in told if data["connections"]] == [[["run-1==", "1"]]]
    assert {data["meeting_id"] for data in told} == {w.meeting_id}


def test_only_the_events_that_are_chosen(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    pushing = pusher(database, receiver, clock, events=frozenset({"instance.ended"}))
    take(database, *STARTED, *ENDED)
    pushing.push()
    assert receiver.types == ["instance.ended"]


# --- signatures -------------------------------------------------------------------------------------------------


def test_the_official_verifier_accepts_every_push_and_refuses_a_tampered_one(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    pushing = pusher(database, receiver, clock)
    take(database, *STARTED, *ENDED)
    assert pushing.push() == len(receiver.taken) > 4
    for pushed in receiver.taken:
        Webhook(PUSH_SECRET).verify(pushed.body, dict(pushed.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(PUSH_SECRET).verify(pushed.body + b" ", dict(pushed.headers))
        with pytest.raises(WebhookVerificationError):
            Webhook(PUSH_SECRET).verify(pushed.body, {**pushed.headers, "webhook-id": "msg_other"})


def test_while_a_secret_is_rotated_both_verify(receiver: PushReceiver, clock: Clock, database: Database) -> None:
    new = "whsec_" + "bmV3LXNlY3JldC1vZi10ZXN0cy1vZi0yNC1ieXRlcw=="
    begin_endpoints(database, [receiver.url], clock())
    notices = Notices(database, frozenset(NOTICES), is_personal=False)
    take(database, *STARTED)
    _made.append(Pusher(database, receiver.url, notices, Poster(receiver.url, [new, PUSH_SECRET]), now=clock))
    _made[-1].push()
    for pushed in receiver.taken:
        for secret in (new, PUSH_SECRET):
            Webhook(secret).verify(pushed.body, dict(pushed.headers))
    assert receiver.taken


# --- endpoints that do not take them ----------------------------------------------------------------------------


def test_a_notice_that_is_not_taken_is_tried_again_with_the_same_id_and_nothing_overtakes_it(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    pushing = pusher(database, receiver, clock)
    take(database, *STARTED)
    receiver.answer = lambda _pushed: 500
    assert pushing.push() == 0
    assert pushing.push() == 0  # it is not due
    assert len(receiver.attempts) == 1
    take(database, *ENDED)
    receiver.answer = lambda _pushed: 204
    clock.later(RETRY_AFTER_SECONDS[0])
    pushing.push()
    assert receiver.attempts[0].id == receiver.attempts[1].id
    assert receiver.attempts[0].body == receiver.attempts[1].body
    assert [pushed.id for pushed in receiver.taken] == [pushed.id for pushed in receiver.attempts[1:]]
    seqs = [json.loads(pushed.body)["seq"] for pushed in receiver.taken]
    assert seqs == sorted(seqs)
    assert endpoint(database, receiver).tries == 0


def test_another_worker_goes_on_with_the_same_ids(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    first = pusher(database, receiver, clock)
    take(database, *STARTED)
    receiver.answer = lambda pushed: 204 if not receiver.taken else 503
    first.push()  # the first notice was taken, the second was not, and then the worker is killed
    take(database, *ENDED)
    second = pusher(database, receiver, clock)
    receiver.answer = lambda _pushed: 204
    assert second.push() == 0  # the first one may still be at it
    clock.later(60)
    second.push()
    assert receiver.attempts[1].id == receiver.attempts[2].id
    assert len({pushed.id for pushed in receiver.taken}) == len(receiver.taken)
    assert {"occurrence.report", "instance.ended"} <= set(receiver.types)


def test_after_eight_retries_it_is_switched_off_and_goes_on_from_where_it_stood(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    pushing = pusher(database, receiver, clock)
    take(database, *STARTED)
    receiver.answer = lambda _pushed: 500
    for seconds in (*RETRY_AFTER_SECONDS, 10**6):
        pushing.push()
        assert pushing.push() == 0
        clock.later(seconds)
    assert len(receiver.attempts) == 1 + len(RETRY_AFTER_SECONDS)
    assert endpoint(database, receiver).off_at is not None
    receiver.answer = lambda _pushed: 204
    assert pushing.push() == 0
    with database.write() as connection:
        resume(connection, endpoint_name(receiver.url), clock())
    assert pushing.push() > 0
    assert {pushed.id for pushed in receiver.attempts[:9]} == {receiver.taken[0].id}


def test_one_that_says_it_is_gone_is_switched_off_at_once(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    pushing = pusher(database, receiver, clock)
    take(database, *STARTED)
    receiver.answer = lambda _pushed: 410
    pushing.push()
    assert endpoint(database, receiver).off_at is not None


def test_a_redirect_is_not_followed_and_a_long_answer_is_not_read(
    database: Database, receiver: PushReceiver, clock: Clock
) -> None:
    with pushed_to() as elsewhere:
        pushing = pusher(database, receiver, clock)
        take(database, *STARTED[:2])
        receiver.answer, receiver.more_headers = (lambda _pushed: 307), {"location": elsewhere.url}
        pushing.push()
        assert endpoint(database, receiver).error == "answered 307"
        assert elsewhere.attempts == []
    receiver.answer, receiver.more_headers, receiver.sent = (lambda _pushed: 200), {}, b"x" * 5_000_000
    clock.later(5)
    assert pushing.push() == 1


def test_what_is_told_again_has_the_ids_it_had(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    pushing = pusher(database, receiver, clock)
    since = clock()
    take(database, *STARTED, *ENDED)
    pushing.push()
    before = list(receiver.taken)
    with database.write() as connection:
        replay(connection, endpoint_name(receiver.url), since, clock())
    pushing.push()
    assert [pushed.id for pushed in receiver.taken[len(before) :]] == [pushed.id for pushed in before]


def test_a_dead_endpoint_holds_up_no_other(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    _urls.append("http://127.0.0.1:1/")
    dead = Pusher(
        database, "http://127.0.0.1:1/", Notices(database, frozenset(NOTICES), is_personal=False),
        Poster("http://127.0.0.1:1/", [PUSH_SECRET]), now=clock,
    )  # fmt: skip
    _made.append(dead)
    alive = pusher(database, receiver, clock)
    take(database, *STARTED)
    assert dead.push() == 0
    with database.read() as connection:
        assert {one.tries for one in read_endpoints(connection)} == {0, 1}
    assert alive.push() == len(receiver.taken) > 0


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"push_urls": "ftp://example.com/", "push_secret": PUSH_SECRET}, "not http"),
        ({"push_urls": "https://example.com/hook"}, "PUSH_SECRET is not"),
        ({"push_urls": "https://example.com/hook", "push_secret": "whsec_c2hvcnQ="}, "24 bytes"),
        ({"push_events": "instance.begun"}, "instance.begun"),
    ],
)
def test_settings_that_could_not_work_are_refused(sqlite_database: Database, more: dict[str, str], says: str) -> None:
    settings = settings_for(str(sqlite_database.url), "redis://127.0.0.1:1/0", **more)
    with pytest.raises(ConfigurationError, match=says):
        make_pushers(settings, sqlite_database)


def test_every_notice_is_wanted_unless_some_are_chosen(sqlite_database: Database) -> None:
    settings = settings_for(str(sqlite_database.url), "redis://127.0.0.1:1/0")
    assert wanted_events(settings) == frozenset(NOTICES)


# --- the official verifier of npm -------------------------------------------------------------------------------

NPM = Path(__file__).parent / "npm"  # standardwebhooks 1.1.1 and the two modules it needs, as they are published
VERIFY = """
const { Webhook } = require("standardwebhooks");
for (const { body, headers } of JSON.parse(require("fs").readFileSync(0))) {
  try { new Webhook(process.argv[1]).verify(body, headers); console.log("accepted"); }
  catch (error) { console.log("refused"); }
}
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not found; it runs the verifier of npm")
def test_the_verifier_of_npm_agrees(database: Database, receiver: PushReceiver, clock: Clock) -> None:
    pushing = pusher(database, receiver, clock, personal=True)
    take(database, *STARTED, *ENDED, w.registration(2, "created", "j\u00f6rg", WEEKS, status="approved"))
    assert pushing.push() > 4
    whole = [{"body": pushed.body.decode(), "headers": dict(pushed.headers)} for pushed in receiver.taken]
    tampered = [{**one, "body": str(one["body"]).replace("seq", "sep")} for one in whole]
    ended = subprocess.run(
        ["node", "-e", VERIFY, PUSH_SECRET],
        input=json.dumps(whole + tampered), env={**os.environ, "NODE_PATH": str(NPM)},
        capture_output=True, text=True, timeout=30, check=True,
    )  # fmt: skip
    assert ended.stdout.split() == ["accepted"] * len(whole) + ["refused"] * len(tampered)
