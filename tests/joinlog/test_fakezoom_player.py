"""The fake Zoom's player against a real HTTP server on loopback: retries, validation, statistics, a clean stop."""

import hashlib
import hmac
import json
import re
import signal
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import CliRunner

from joinlog.fakezoom import (
    EVERY_MIX,
    MIXES,
    NO_FAULTS,
    Attempt,
    EndpointError,
    Faults,
    Pace,
    Rotation,
    Stats,
    Truth,
    Try,
    demo_world,
    generate,
    plan,
    play,
    play_demo,
)
from joinlog.fakezoom.command import simulate
from joinlog.fakezoom.endpoint import Answer, require_loopback
from joinlog.fakezoom.open_facts import list_open_facts

SECRET = "s3cret"
START = datetime(2026, 3, 2, tzinfo=UTC)
AT_ONCE = Pace(speed=None, time_scale=100_000.0)  # retries after 3, 12 and 36 ms
Behaviour = Callable[[int], int]


@dataclass
class Seen:
    """What the server received: tries by tracking id as (timestamp, body), and validations."""

    url: str
    token_suffix: str = ""
    behaviour: Behaviour = lambda nth: 204
    tries: dict[str, list[tuple[str, bytes]]] = field(default_factory=lambda: defaultdict(list))
    validations: int = 0
    unsigned: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    on_validation: Callable[[], None] = lambda: None
    by_tracking: Callable[[str], int] | None = None
    request_ids: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    secrets: list[str] = field(default_factory=lambda: [SECRET])
    unknown_secret_status: int = 401
    on_unknown_secret: Callable[[], None] = lambda: None
    on_event: Callable[[bytes], None] = lambda body: None


@contextmanager
def endpoint() -> Iterator[Seen]:
    seen = Seen("")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: object) -> None:
            pass

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            status, answer = self.judge(body)
            self.send_response(status)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def judge(self, body: bytes) -> tuple[int, bytes]:
            timestamp = self.headers["x-zm-request-timestamp"]
            message = f"v0:{timestamp}:".encode() + body
            digests = {f"v0={hmac.new(s.encode(), message, hashlib.sha256).hexdigest()}" for s in seen.secrets}
            if self.headers["x-zm-signature"] not in digests:
                with seen.lock:
                    seen.unsigned += 1
                    seen.on_unknown_secret()
                return seen.unknown_secret_status, b""
            event = json.loads(body)
            if event["event"] == "endpoint.url_validation":
                token = event["payload"]["plainToken"]
                encrypted = hmac.new(SECRET.encode(), token.encode(), hashlib.sha256).hexdigest()
                with seen.lock:
                    seen.validations += 1
                seen.on_validation()
                return 200, json.dumps({"plainToken": token, "encryptedToken": encrypted + seen.token_suffix}).encode()
            with seen.lock:
                tracking = self.headers["x-zm-trackingid"]
                tries = seen.tries[tracking]
                tries.append((timestamp, body))
                seen.request_ids[tracking].append(self.headers["x-zm-request-id"])
            seen.on_event(body)
            if seen.by_tracking is not None:
                return seen.by_tracking(tracking), b""
            return seen.behaviour(len(tries)), b""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = False
    server.block_on_close = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    seen.url = f"http://127.0.0.1:{server.server_address[1]}/webhook"
    try:
        yield seen
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def attempts(most: int = 40, faults: Faults = NO_FAULTS) -> list[Attempt]:
    return plan(generate(2, 1, MIXES["calm"], start=START, audience=(5, 5)).emissions, faults, 2)[:most]


def test_everything_arrives_signed_after_a_validation() -> None:
    told = attempts()
    with endpoint() as seen:
        stats = play(told, url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert (stats.acknowledged, stats.sent, stats.retried, stats.given_up) == (len(told), len(told), 0, 0)
    assert seen.validations >= 1
    assert seen.unsigned == 0
    received = {tracking: json.loads(tries[0][1]) for tracking, tries in seen.tries.items()}
    assert received == {a.tracking_id: a.event for a in told}
    assert 0 < stats.percentile_seconds(0.5) <= stats.percentile_seconds(0.99)


def test_a_refused_event_is_tried_again_until_it_is_taken() -> None:
    told = attempts(faults=Faults(reserialised=0.5, fresh_timestamp=0.0))
    with endpoint() as seen:
        seen.behaviour = lambda nth: 503 if nth <= 2 else 204
        stats = play(told, url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert stats.acknowledged == len(told)
    assert stats.retried == 2 * len(told)
    assert stats.failures["answered 503"] == 2 * len(told)
    assert {len(tries) for tries in seen.tries.values()} == {3}
    for tries in seen.tries.values():
        assert len({timestamp for timestamp, _ in tries}) == 1
        first, *others = [json.loads(body) for _, body in tries]
        assert all(other == first for other in others)
    assert any(tries[0][1] != tries[1][1] for tries in seen.tries.values())


def test_zoom_gives_up_after_three_retries() -> None:
    told = attempts(5)
    with endpoint() as seen:
        seen.behaviour = lambda nth: 500
        stats = play(told, url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert (stats.given_up, stats.acknowledged, stats.sent, stats.left_over) == (5, 0, 20, 0)


@pytest.mark.parametrize("status", [201, 202, 301, 302, 400, 401, 404, 408, 413, 429])
def test_only_200_and_204_count_and_only_5xx_is_tried_again(status: int) -> None:
    planned = attempts(2)
    with endpoint() as seen:
        seen.behaviour = lambda nth: status
        stats = play(planned, url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert (stats.acknowledged, stats.retried, stats.refused, stats.given_up, stats.sent) == (0, 0, 2, 0, 2)
    assert stats.lost == {a.emission: f"answered {status}" for a in planned}
    assert stats.left_over == 0


def test_an_event_is_not_lost_when_another_copy_of_it_arrives() -> None:
    planned = attempts(6, faults=replace(NO_FAULTS, duplicates=1.0, duplicate_delay_seconds_max=0.2))
    originals = {a.tracking_id for a in planned if a.copy == 0}
    copied = {a.emission for a in planned if a.copy == 1}
    with endpoint() as seen:
        seen.by_tracking = lambda tracking: 401 if tracking in originals else 204
        stats = play(planned, url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert stats.refused == len(originals)
    assert set(stats.lost) == {a.emission for a in planned} - copied


def test_a_retry_comes_after_5_20_and_60_scaled_minutes() -> None:
    tries: list[Try] = []
    (first,) = attempts(1)
    with endpoint() as seen:
        seen.behaviour = lambda nth: 503
        play([first], url=seen.url, secret=SECRET, pace=AT_ONCE, on_try=tries.append)
    assert [t.at - first.at for t in tries] == [timedelta(minutes=m) for m in (0, 5, 25, 85)]
    assert [(t.retry, t.status, t.failure) for t in tries] == [(n, 503, "answered 503") for n in range(4)]


@pytest.mark.parametrize("is_new", [True, False])
def test_a_retry_keeps_or_renews_the_request_id(is_new: bool) -> None:
    planned = attempts(3, faults=replace(NO_FAULTS, fresh_request_id=float(is_new)))
    with endpoint() as seen:
        seen.behaviour = lambda nth: 503 if nth == 1 else 204
        play(planned, url=seen.url, secret=SECRET, pace=AT_ONCE)
    for ids in seen.request_ids.values():
        assert len(set(ids)) == (2 if is_new else 1)
        assert all(re.fullmatch(r"[0-9a-f]{8}_[0-9a-f]{4}_4[0-9a-f]{3}_[0-9a-f]{4}_[0-9a-f]{12}", i) for i in ids)


def test_a_rotated_secret_costs_nothing_when_the_endpoint_answers_503_until_it_knows_it() -> None:
    planned = attempts()
    moment = planned[len(planned) // 2].at
    with endpoint() as seen:
        seen.unknown_secret_status = 503
        seen.on_unknown_secret = lambda: seen.secrets.append("new") if seen.unsigned == 3 else None
        stats = play(planned, url=seen.url, secret=SECRET, pace=AT_ONCE, rotations=[Rotation(moment, "new")])
    assert seen.unsigned >= 3
    assert (stats.acknowledged, stats.lost) == (len(planned), {})


def test_a_rotated_secret_costs_every_event_that_is_answered_401() -> None:
    planned = attempts()
    moment = planned[len(planned) // 2].at
    with endpoint() as seen:
        stats = play(planned, url=seen.url, secret=SECRET, pace=AT_ONCE, rotations=[Rotation(moment, "new")])
    assert set(stats.lost) == {a.emission for a in planned if a.at >= moment}
    assert set(stats.lost.values()) == {"answered 401"}


def test_an_answer_after_three_seconds_is_no_answer() -> None:
    assert Answer(204, 2.9).is_acknowledged
    assert not Answer(204, 3.1).is_acknowledged
    assert Answer(204, 3.1).failure == "answered too late"
    assert not Answer(None, 3.0, "no answer within 3 s").is_acknowledged


def test_a_slow_endpoint_is_cut_off_and_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("joinlog.fakezoom.endpoint.ANSWER_SECONDS_MAX", 0.25)
    told = attempts(1)
    released = threading.Event()
    with endpoint() as seen:

        def hang_once(nth: int) -> int:
            if nth == 1:
                released.wait(20)
            else:
                released.set()
            return 204

        seen.behaviour = hang_once
        stats = play(told, url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert stats.acknowledged == 1
    assert stats.retried >= 1


def test_validation_is_repeated_every_72_scaled_hours() -> None:
    stop, every_10_ms = threading.Event(), 72 * 3600 * 100.0
    (first,) = attempts(1)
    with endpoint() as seen:
        seen.on_validation = lambda: stop.set() if seen.validations == 5 else None
        pace = Pace(speed=1.0, time_scale=every_10_ms, origin=first.at - timedelta(days=1))
        stats = play([first], url=seen.url, secret=SECRET, pace=pace, stop=stop)
    assert stats.validations >= 5
    assert (stats.validations_failed, stats.left_over) == (0, 1)


def test_a_wrong_secret_is_told_before_anything_is_sent() -> None:
    with endpoint() as seen, pytest.raises(EndpointError, match="ZOOM_WEBHOOK_SECRET_TOKEN") as told:
        play(attempts(), url=seen.url, secret="another", pace=AT_ONCE)
    assert told.value.reason == "secret"
    assert not seen.tries


def test_a_wrong_token_answer_is_told() -> None:
    with endpoint() as seen:
        seen.token_suffix = "00"
        with pytest.raises(EndpointError) as told:
            play(attempts(), url=seen.url, secret=SECRET, pace=AT_ONCE)
    assert told.value.reason == "token"


def test_nobody_there_is_told() -> None:
    with pytest.raises(EndpointError, match="nobody answers") as told:
        play(attempts(), url="http://127.0.0.1:9/webhook", secret=SECRET, pace=AT_ONCE)
    assert told.value.reason == "unreachable"


@pytest.mark.parametrize(
    "url", ["http://example.com/webhook", "https://192.0.2.1/", "http://[2001:db8::1]/", "nonsense"]
)
def test_only_this_machine_is_played_to(url: str) -> None:
    with pytest.raises(EndpointError, match="--allow-remote"):
        require_loopback(url)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:8000/webhook", "http://127.9.9.9/", "http://[::1]:8000/", "http://localhost/"]
)
def test_this_machine_has_many_names(url: str) -> None:
    require_loopback(url)


def test_a_stop_ends_a_play_in_real_time_and_counts_what_is_left() -> None:
    told, stop = attempts(), threading.Event()
    with endpoint() as seen:
        seen.on_event = lambda body: stop.set()
        stats = play(told, url=seen.url, secret=SECRET, pace=Pace(speed=1.0), stop=stop)
    assert stats.left_over >= 1
    assert stats.acknowledged + stats.left_over == len(told)


def test_an_interrupt_in_the_caller_leaves_no_workers_behind() -> None:
    def interrupt(_stats: Stats) -> None:
        raise KeyboardInterrupt

    before = threading.active_count()
    with endpoint() as seen, pytest.raises(KeyboardInterrupt):
        play(attempts(), url=seen.url, secret=SECRET, pace=Pace(speed=1.0), on_progress=interrupt)
    assert threading.active_count() == before


def test_the_demo_tells_its_past_at_once_and_lets_somebody_in_now() -> None:
    stop = threading.Event()
    with endpoint() as seen:

        def stop_at_first_live_join(body: bytes) -> None:
            event = json.loads(body)
            if event["event"] == "webinar.participant_joined" and is_recent(event):
                stop.set()

        seen.on_event = stop_at_first_live_join
        play_demo(seen.url, SECRET, stop, seed=4)
    assert len(seen.tries) > 300


def is_recent(body: dict[str, Any]) -> bool:
    joined = datetime.fromisoformat(body["payload"]["object"]["participant"]["join_time"])
    return abs((datetime.now(UTC) - joined).total_seconds()) < 60


@pytest.mark.parametrize("hour", range(0, 24, 5))
@pytest.mark.parametrize("month", [3, 11])
def test_the_demo_has_a_story_at_any_time(month: int, hour: int) -> None:
    now = datetime(2026, month, 9, hour, 58, 31, 250_000, tzinfo=UTC)
    w = demo_world(now, seed=month * 100 + hour)
    whys = [i.why for i in w.truth.instances.values()]
    assert sorted(whys) == ["held", "held", "held", "held", "rehearsal", "restart", "unscheduled"]
    assert [o.status for o in w.truth.occurrences].count("skipped") == 1
    live = [e for e in w.emissions if e.at >= now and e.event["event"] == "webinar.participant_joined"]
    assert (live[0].at - now).total_seconds() < 4
    first_minute = [e for e in live if (e.at - now).total_seconds() < 60]
    assert len(first_minute) > 30
    borrowed = w.truth.occurrences[3]
    missed = set(w.truth.occurrences[2].registered) - set(borrowed.registered)
    assert len(missed & set(borrowed.attendees)) > len(set(borrowed.registered) & set(borrowed.attendees))


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(simulate, arguments, env={"ZOOM_WEBHOOK_SECRET_TOKEN": None})
    assert result.exception is None or isinstance(result.exception, SystemExit)
    return result.exit_code, result.output


def test_simulate_plays_and_writes_the_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    with endpoint() as seen:
        common = ("--url", seen.url, "--secret", f"{SECRET},older", "--truth", str(truth), "--audience", "3-5")
        code, output = run(*common, "--mix", "restarts", "--set", "phone=1", "--series", "2")
    assert code == 0, output
    assert "0 refused, 0 given up" in output
    assert "0 events lost" in output
    told = Truth.from_json(truth.read_bytes())
    live = {json.loads(t[0][1])["payload"]["object"]["uuid"] for t in seen.tries.values() if b".started" in t[0][1]}
    assert live == set(told.occurrence_of)


def test_simulate_fails_when_something_was_given_up() -> None:
    with endpoint() as seen:
        seen.behaviour = lambda nth: 500
        code, output = run(
            "--url", seen.url, "--secret", SECRET, "--audience", "1", "--time-scale", "1000000",
            "--set", "skipped=1", "--mix", "calm",
        )  # fmt: skip
    assert code == 1
    assert "answered 500" in output
    assert "given up" in output


def test_simulate_says_what_was_lost_and_why_and_so_does_its_truth(tmp_path: Path) -> None:
    truth = tmp_path / "truth.json"
    whole = generate(1, 1, MIXES["calm"], start=START, audience=(3, 5))
    middle = whole.emissions[len(whole.emissions) // 2].at
    common = ("--secret", SECRET, "--truth", str(truth), "--audience", "3-5", "--mix", "calm", "--duplicates", "0")
    with endpoint() as seen:
        moments = ("--start", START.isoformat(), "--installed-at", middle.isoformat())
        seen.on_event = lambda body: None
        seen.by_tracking = lambda tracking: 400 if len(seen.tries) == 1 else 204
        code, output = run("--url", seen.url, *common, *moments, "--concurrency", "1")
    assert code == 1, output
    told = Truth.from_json(truth.read_bytes())
    before = sum(e.at < middle for e in whole.emissions)
    assert f"{before + 1} events lost; before installation: {before}; answered 400: 1" in output
    assert Counter(lost.why for lost in told.lost) == {"before installation": before, "answered 400": 1}
    for lost in told.lost:
        stated = whole.emissions[lost.emission]
        assert (lost.event, lost.at) == (stated.event["event"], stated.at)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "ZOOM_WEBHOOK_SECRET_TOKEN"),
        (("--secret", "x", "--url", "http://example.com/"), "--allow-remote"),
        (("--secret", "x", "--url", "http://127.0.0.1:9/"), "make run"),
        (("--secret", "x", "--set", "moved=7"), "share"),
        (("--secret", "x", "--set", "nonsense=1"), "no knob"),
        (("--secret", "x", "--audience", "9-3"), "backwards"),
        (("--secret", "x", "--start", "soon"), "not like"),
        (("--secret", "x", "--speed", "0"), "above 0"),
        (("--no-webhook",), "--api-port"),
        (("--secret", "x", "--fact", "nonsense=1"), "no open fact"),
        (("--secret", "x", "--off", "2026-03-02"), "not like"),
        (("--secret", "x", "--rotate-secret", "soon=x"), "not like"),
    ],
)
def test_simulate_says_what_is_wrong(arguments: tuple[str, ...], says: str) -> None:
    code, output = run(*arguments)
    assert code != 0
    assert says in output
    assert "Traceback" not in output


def test_simulate_help_lists_every_knob_mix_and_open_fact() -> None:
    code, output = run("--help")
    assert code == 0
    assert all(name in output for name in EVERY_MIX)
    assert "restart_gap_seconds_max" in output
    assert all(name in output for name, _, _ in list_open_facts())


def test_simulate_serves_the_api_by_itself_until_interrupted() -> None:
    command = [sys.executable, "-m", "joinlog", "simulate", "--no-webhook", "--api-port", "0", "--series", "2"]
    process = subprocess.Popen(
        [*command, "--series-per-account", "1", "--fact", "lists_practice=true"], stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        said = dict(process.stdout.readline().strip().split("=", 1) for _ in range(5))
        account, other = said["ZOOM_ACCOUNT_ID"].split(",")
        assert account != other
        asked = {"grant_type": "account_credentials", "account_id": other}
        pair = (said["ZOOM_CLIENT_ID"], said["ZOOM_CLIENT_SECRET"])
        with httpx2.Client(trust_env=False) as http:
            token = http.post(said["ZOOM_OAUTH_URL"], data=asked, auth=pair).json()["access_token"]
            answer = http.get(said["ZOOM_API_URL"] + "/users", headers={"authorization": f"Bearer {token}"})
        assert len(answer.json()["users"]) == 1
    finally:
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=20)
    assert process.returncode == 0
    assert "API calls answered: 1 token, 1 medium" in rest


def test_simulate_says_when_the_port_of_the_api_is_taken() -> None:
    with endpoint() as seen:
        port = seen.url.split(":")[2].split("/")[0]
        code, output = run("--no-webhook", "--api-port", port)
    assert code == 1
    assert f"port {port}" in output


def test_simulate_plays_and_answers_about_the_same_world(tmp_path: Path) -> None:
    with endpoint() as seen:
        command = [sys.executable, "-m", "joinlog", "simulate", "--url", seen.url, "--secret", SECRET, "--mix", "calm"]
        process = subprocess.Popen(
            [*command, "--api-port", "0", "--audience", "3", "--fact", "log_is_readable=true"],
            stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            assert process.stdout is not None
            said = dict(process.stdout.readline().strip().split("=", 1) for _ in range(5))
            summary = [process.stdout.readline() for _ in range(3)]
            assert "deliveries acknowledged" in summary[0]
            assert "0 events lost" in summary[2]
            asked = {"grant_type": "account_credentials", "account_id": said["ZOOM_ACCOUNT_ID"]}
            pair = (said["ZOOM_CLIENT_ID"], said["ZOOM_CLIENT_SECRET"])
            created = next(b for t in seen.tries.values() for _, b in t if b'"webinar.created"' in b)
            number = json.loads(created)["payload"]["object"]["id"]
            with httpx2.Client(trust_env=False) as http:
                token = http.post(said["ZOOM_OAUTH_URL"], data=asked, auth=pair).json()["access_token"]
                url = f"{said['ZOOM_API_URL']}/past_webinars/{number}/instances"
                told = http.get(url, headers={"authorization": f"Bearer {token}"}).json()
            started = {
                json.loads(b)["payload"]["object"]["uuid"]
                for t in seen.tries.values()
                for _, b in t
                if b'"webinar.started"' in b
            }
            assert {row["uuid"] for row in told["webinars"]} == started
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=20)
    assert process.returncode == 0
