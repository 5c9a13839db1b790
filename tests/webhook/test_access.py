"""Who may look: signed links, cookies, roles, meetings, forms."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import CliRunner

from joinlog.access import access as access_command
from schema.addresses import instance_url
from schema.settings import Settings
from schema.store.page_links import ENDED_DAYS_KEPT, PageLinkRow, read_revoked_links, record_link, revoke_link
from tests.conftest import SIGNING_KEY, settings_for
from tests.inbox_to_tables import one, select, take
from tests.page_client import ORIGIN, TOKENS, Site, Visitor, open_site
from tests.stories import ACCOUNT, Story
from webhook import access
from webhook.pages.formatting import mask_email
from webhook.parts import parts_of
from webhook.tokens import AccessRefused, Refusal, Role, Tokens, new_pass, read_duration

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)
EIGHT_HOURS = timedelta(hours=8)
OPEN = {"/webhook", "/healthz", "/readyz", "/enter"}
STORY = Story()
UUID = "run-1=="


@pytest.fixture(autouse=True)
def _notice_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Revoked links are noticed at once."""
    monkeypatch.setattr(access, "REVOCATION_SECONDS_MAX", -1.0)


@pytest.fixture
def site(sqlite_url: str, redis_url: str) -> Iterator[Site]:
    """The application."""
    with open_site(settings_for(sqlite_url, redis_url)) as opened:
        yield opened


@pytest.fixture
def weekly(web_settings: Settings) -> Iterator[Site]:
    """The application on each database, with a webinar nobody can place: it ran when nothing was due."""
    with open_site(web_settings) as site:
        take(
            site.database,
            STORY.created(-5000, {"w1": 3000, "w2": 3000 + 7 * 1440}),
            STORY.started(0),
            STORY.person(1, "joined", "7", email="jane.doe@example.com"),
            STORY.ended(40, 0),
        )
        yield site


# --- tokens -----------------------------------------------------------------------------------------------------


def test_link_says_what_it_was_made_for() -> None:
    granted = new_pass(Role.OPERATOR, EIGHT_HOURS, NOW, 84512345678)
    assert TOKENS.read_link(TOKENS.sign_link(granted), NOW) == granted


def test_link_expires_to_the_second() -> None:
    granted = new_pass(Role.VIEWER, EIGHT_HOURS, NOW)
    token = TOKENS.sign_link(granted)
    assert TOKENS.read_link(token, NOW + EIGHT_HOURS - timedelta(seconds=1)) == granted
    with pytest.raises(AccessRefused) as refused:
        TOKENS.read_link(token, NOW + EIGHT_HOURS)
    assert refused.value.reason is Refusal.EXPIRED


@pytest.mark.parametrize("token", ["", "x", "a.b", "WyJhIl0.", "é", "." * 50])
def test_what_is_no_link_is_forged(token: str) -> None:
    with pytest.raises(AccessRefused) as refused:
        TOKENS.read_link(token, NOW)
    assert refused.value.reason is Refusal.FORGED


def test_any_changed_character_makes_a_link_forged() -> None:
    token = TOKENS.sign_link(new_pass(Role.VIEWER, EIGHT_HOURS, NOW))
    for place in range(len(token) - 1):  # the last one holds spare bits
        changed = token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :]
        with pytest.raises(AccessRefused):
            TOKENS.read_link(changed, NOW)


def test_a_cookie_is_no_link_and_a_link_no_cookie() -> None:
    granted = new_pass(Role.VIEWER, EIGHT_HOURS, NOW)
    with pytest.raises(AccessRefused):
        TOKENS.read_link(TOKENS.sign_session(granted), NOW)
    with pytest.raises(AccessRefused):
        TOKENS.read_session(TOKENS.sign_link(granted), NOW)


def test_keys_can_be_rotated() -> None:
    granted = new_pass(Role.VIEWER, EIGHT_HOURS, NOW)
    old, both, new = Tokens([b"old"]), Tokens([b"old", b"new"]), Tokens([b"new"])
    assert both.read_link(old.sign_link(granted), NOW) == granted
    assert new.read_link(both.sign_link(granted), NOW) == granted
    with pytest.raises(AccessRefused):
        new.read_link(old.sign_link(granted), NOW)


def test_person_tokens_tell_people_apart_and_give_nothing_away() -> None:
    tokens = {TOKENS.person(ACCOUNT, 1, person) for person in ("email:a@b.com", "email:c@b.com", "registrant:a")}
    assert len(tokens) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{16}", token) for token in tokens)
    assert TOKENS.person(ACCOUNT, 1, "x") != TOKENS.person(ACCOUNT, 2, "x") != Tokens([b"k"]).person(ACCOUNT, 2, "x")


@pytest.mark.parametrize(("text", "hours"), [("90m", 1.5), ("8h", 8), ("30d", 720), (" 1h ", 1)])
def test_durations(text: str, hours: float) -> None:
    assert read_duration(text) == timedelta(hours=hours)


@pytest.mark.parametrize("text", ["", "8", "h", "-8h", "0h", "8h30m", "367d", "999999d", "1.5h"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        read_duration(text)


@pytest.mark.parametrize(
    ("email", "shown"),
    [("jane.doe@example.com", "j***@e***.com"), ("a@b.co.uk", "a***@b***.uk"), ("x@localhost", "x***@l***"),
     ("no-address", "n***"), ("", ""), (None, "")],
)  # fmt: skip
def test_masked_addresses(email: str | None, shown: str) -> None:
    assert mask_email(email) == shown


# --- the front door -----------------------------------------------------------------------------------------------


def test_nothing_answers_a_stranger(site: Site) -> None:
    stranger = site.stranger()
    paths = {re.sub(r"<[^>]+>", "1", str(rule.rule)) for rule in site.app.url_map.iter_rules()} - OPEN
    assert len(paths) > 20
    for path in paths:
        for method in ("GET", "POST"):
            answer = stranger.client.open(path, method=method)
            assert answer.status_code in (401, 405), (method, path, answer.status_code)
    assert stranger.get("/no/such/page").status_code == 401
    assert stranger.get("/static/live.js").status_code == 401


def test_what_must_answer_everybody_does(site: Site) -> None:
    stranger = site.stranger()
    assert stranger.get("/healthz").status_code == 200
    assert stranger.get("/readyz").status_code == 200
    assert stranger.get("/enter").status_code == 200
    assert stranger.get("/static/joinlog.css").status_code == 200


def test_refusal_says_how_to_get_in(site: Site) -> None:
    answer = site.stranger().get("/")
    assert answer.status_code == 401
    assert "joinlog access grant" in answer.text
    assert answer.headers["Cache-Control"] == "no-store"


def test_link_is_exchanged_for_a_cookie_and_leaves_the_address(site: Site) -> None:
    token = TOKENS.sign_link(new_pass(Role.VIEWER, EIGHT_HOURS, datetime.now(UTC)))
    answer = site.stranger().enter(token)
    assert (answer.status_code, answer.headers["Location"]) == (303, "/")
    cookie = answer.headers["Set-Cookie"]
    assert token not in cookie
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert "Secure" not in cookie  # loopback
    assert 28_790 <= int(re.search(r"Max-Age=(\d+)", cookie)[1]) <= 28_800  # type: ignore[index]


def test_cookie_is_secure_outside_loopback(sqlite_url: str, redis_url: str) -> None:
    with open_site(settings_for(sqlite_url, redis_url, public_url="https://joinlog.example.com")) as site:
        token = TOKENS.sign_link(new_pass(Role.VIEWER, EIGHT_HOURS, datetime.now(UTC)))
        cookie = site.stranger().enter(token).headers["Set-Cookie"]
    assert cookie.startswith("__Host-joinlog=")
    assert "Secure" in cookie


def test_bearer_token_opens_pages_to_scripts(site: Site) -> None:
    token = TOKENS.sign_link(new_pass(Role.VIEWER, EIGHT_HOURS, datetime.now(UTC)))
    assert site.stranger().get("/metrics", Authorization=f"Bearer {token}").status_code == 200
    assert site.stranger().get("/metrics", Authorization="Bearer nonsense").status_code == 401


def test_expired_link_and_expired_cookie_are_refused(site: Site) -> None:
    expired = new_pass(Role.OPERATOR, timedelta(seconds=-1), datetime.now(UTC))
    answer = site.stranger().enter(TOKENS.sign_link(expired))
    assert answer.status_code == 401
    assert "has expired" in answer.text
    stranger = site.stranger()
    stranger.client.set_cookie("joinlog-8000", TOKENS.sign_session(expired))
    assert "has expired" in stranger.get("/").text


def test_link_called_back_opens_nothing_any_more(site: Site) -> None:
    visitor = site.visitor()
    assert visitor.granted is not None
    assert visitor.get("/").status_code == 200
    for _ in range(2):
        revoke_link(site.database, visitor.granted.link_id, datetime.now(UTC))
    answer = visitor.get("/")
    assert answer.status_code == 401
    assert "was revoked" in answer.text
    assert visitor.enter(TOKENS.sign_link(visitor.granted)).status_code == 401
    assert site.visitor().get("/").status_code == 200


def test_leaving_forgets_the_cookie(site: Site) -> None:
    visitor = site.visitor()
    assert visitor.post("/leave").status_code == 303
    assert visitor.get("/").status_code == 401


def test_link_is_posted_only_from_our_own_page(site: Site) -> None:
    token = TOKENS.sign_link(new_pass(Role.VIEWER, EIGHT_HOURS, datetime.now(UTC)))
    for origin in (None, "null", "https://elsewhere.example"):
        assert site.stranger().post_raw("/enter", {"token": token}, origin).status_code == 403


# --- roles, meetings ------------------------------------------------------------------------------------------------


def decision(occurrence: str = "w1") -> dict[str, str]:
    """The form of a decision."""
    return {"occurrence": occurrence, "because": "the host told me", "by": "Ann"}


def test_operator_decides_and_the_word_is_kept(weekly: Site) -> None:
    answer = weekly.visitor().post(f"{instance_url(ACCOUNT, UUID)}/link", decision())
    assert answer.status_code == 303
    kept = one(weekly.database, "SELECT state, account_id FROM inbox_event WHERE event_type = 'joinlog.link_set'")
    assert kept == {"state": "pending", "account_id": ACCOUNT}
    take(weekly.database)
    link_row = one(weekly.database, "SELECT occurrence_id, link_state FROM instance")
    assert link_row == {"occurrence_id": "w1", "link_state": "confirmed"}
    said = one(weekly.database, "SELECT stated_by, because FROM link_statement")
    assert said["because"] == "the host told me"
    assert said["stated_by"].startswith("Ann (link ")


def test_operator_takes_the_word_back(weekly: Site) -> None:
    visitor = weekly.visitor()
    visitor.post(f"{instance_url(ACCOUNT, UUID)}/link", decision())
    take(weekly.database)
    assert visitor.post(f"{instance_url(ACCOUNT, UUID)}/link", decision("-")).status_code == 303
    take(weekly.database)
    assert one(weekly.database, "SELECT link_state FROM instance") == {"link_state": "unscheduled"}


@pytest.mark.parametrize("form", [decision("no-such-date"), decision() | {"because": " "}, {}])
def test_decision_without_a_date_or_a_reason_is_refused(weekly: Site, form: dict[str, str]) -> None:
    assert weekly.visitor().post(f"{instance_url(ACCOUNT, UUID)}/link", form).status_code == 400
    assert select(weekly.database, "SELECT 1 FROM inbox_event WHERE event_type = 'joinlog.link_set'") == []


def test_viewer_may_not_decide_nor_replay(weekly: Site) -> None:
    viewer = weekly.visitor(Role.VIEWER)
    event = one(weekly.database, "SELECT max(id) AS id FROM inbox_event")["id"]
    for path in (f"{instance_url(ACCOUNT, UUID)}/link", f"/inbox/{ACCOUNT}/{event}/replay", "/inbox/replay-dead"):
        assert viewer.post(path, decision()).status_code == 403, path
    assert viewer.get("/inbox.csv").status_code == 403
    assert viewer.get(f"/meeting/{ACCOUNT}/{STORY.meeting_id}/registrants.csv").status_code == 403
    assert one(weekly.database, "SELECT count(*) AS n FROM inbox_event WHERE state <> 'done'") == {"n": 0}


def test_viewer_sees_no_address_and_no_body(weekly: Site) -> None:
    event = one(weekly.database, "SELECT id FROM inbox_event WHERE event_type = 'webinar.participant_joined'")["id"]
    account = f"/meeting/{ACCOUNT}/{STORY.meeting_id}"
    paths = ["/", "/lines", "/lines.csv", "/lines.json", instance_url(ACCOUNT, UUID), f"/inbox/{ACCOUNT}/{event}",
             "/inbox", account, f"{instance_url(ACCOUNT, UUID)}/people.csv", f"{account}/attendance.csv",
             f"{instance_url(ACCOUNT, UUID)}/people.json"]  # fmt: skip
    viewer, operator = weekly.visitor(Role.VIEWER), weekly.visitor()
    for path in paths:
        assert "jane.doe@example.com" not in viewer.get(path).text, path
        assert "example.com" not in viewer.get(path).text, path
    assert "j***@e***.com" in viewer.get("/").text
    assert "jane.doe@example.com" in operator.get("/").text
    assert "jane.doe@example.com" in operator.get(f"/inbox/{ACCOUNT}/{event}").text


def test_viewer_sees_no_telephone_number_and_operator_what_a_form_asked(weekly: Site) -> None:
    take(
        weekly.database, STORY.person(3, "joined", "77", phone_number="+49301234567"),
        STORY.registration(-5, "created", "dee", org="Corp & Sons"),
    )  # fmt: skip
    files = (f"{instance_url(ACCOUNT, UUID)}/people.csv", f"/meeting/{ACCOUNT}/{STORY.meeting_id}/attendance.csv")
    viewer, operator = weekly.visitor(Role.VIEWER), weekly.visitor()
    for path in (*files, instance_url(ACCOUNT, UUID)):
        assert "4930" not in viewer.get(path).text, path
    assert "phone:…67" in viewer.get(files[0]).text
    assert "phone:+49301234567" in operator.get(files[0]).text
    rows = json.loads(operator.get(f"/meeting/{ACCOUNT}/{STORY.meeting_id}/registrants.json").text)
    (row,) = [row for row in rows if row["registrant_id"] == "dee"]
    assert row["details"] == '{"org": "Corp & Sons"}'


def test_viewer_cannot_search_for_what_is_masked(weekly: Site) -> None:
    found = [
        who.get("/lines", X_Joinlog_Search="jane.doe").text for who in (weekly.visitor(Role.VIEWER), weekly.visitor())
    ]
    assert ["Name 7" in text for text in found] == [False, True]


def test_link_for_one_meeting_opens_only_that(weekly: Site) -> None:
    other = Story(meeting_id=99)
    take(
        weekly.database,
        other.created(-10, {"o1": 0}),
        other.started(0, "run-other=="),
        other.registration(-5, "created", "Zed"),
    )
    guest = weekly.visitor(Role.OPERATOR, meeting_id=STORY.meeting_id)
    text = guest.get("/").text
    assert "Name 7" in text
    assert "Zed" not in text
    assert "Zed" not in guest.get("/lines?meeting=99").text
    assert "Zed" not in guest.get("/lines.csv?meeting=99").text
    assert ",99," not in guest.get("/meetings.csv").text
    assert guest.get(f"/meeting/{ACCOUNT}/{STORY.meeting_id}").status_code == 200
    event = one(weekly.database, "SELECT id FROM inbox_event WHERE event_type = 'webinar.registration_created'")["id"]
    other_instance = instance_url(ACCOUNT, "run-other==")
    refused = [
        *(
            f"/meeting/{ACCOUNT}/99{part}"
            for part in ("", "/occurrences.csv", "/instances.csv", "/attendance.json", "/registrants.csv")
        ),
        *(f"{other_instance}{part}" for part in ("", "/people.csv", "/curve.json")),
        *("/inbox?meeting=99", f"/inbox/{ACCOUNT}/{event}", instance_url(ACCOUNT, "no-such==")),
        *("/health", "/connect", "/metrics"),
    ]
    for path in refused:
        assert guest.get(path).status_code == 403, path
    assert guest.post(f"{instance_url(ACCOUNT, 'run-other==')}/link", decision("o1")).status_code == 403
    assert guest.post(f"/inbox/{ACCOUNT}/{event}/replay").status_code == 403
    assert guest.post("/inbox/replay-dead").status_code == 403
    assert "webinar.registration_created" not in guest.get("/inbox").text.partition("<datalist")[0]


# --- forms ------------------------------------------------------------------------------------------------------------


def forms_of(site: Site) -> list[str]:
    """Every path that takes a form."""
    paths = [str(rule.rule) for rule in site.app.url_map.iter_rules() if "POST" in (rule.methods or ())]
    return [re.sub(r"<[^>]+>", "1", path) for path in paths if path not in OPEN]


def test_every_form_needs_its_token(site: Site) -> None:
    visitor = site.visitor()
    assert len(forms_of(site)) >= 7
    for path in forms_of(site):
        assert visitor.post_raw(path, {}).status_code == 403, path
        assert visitor.post_raw(path, {"form_token": "x"}).status_code == 403, path


def test_a_token_of_another_session_does_not_do(site: Site) -> None:
    mine, theirs = site.visitor(), site.visitor()
    assert theirs.granted is not None
    stolen = TOKENS.sign_form(theirs.granted)
    assert mine.post_raw("/leave", {"form_token": stolen}).status_code == 403
    assert theirs.post_raw("/leave", {"form_token": stolen}).status_code == 303


def test_a_form_in_a_part_that_many_share_carries_the_token_of_whoever_looks(weekly: Site) -> None:
    path = f"/meeting/{ACCOUNT}/{STORY.meeting_id}"
    for visitor in (weekly.visitor(), weekly.visitor()):
        assert visitor.granted is not None
        tokens = re.findall(r'name="form_token" value="([^"]+)"', visitor.get(path).text)
        assert len(tokens) > 1  # to leave, and to decide
        assert all(TOKENS.is_own_form(token, visitor.granted) for token in tokens)


@pytest.mark.parametrize("origin", [None, "null", "https://elsewhere.example", "http://localhost.elsewhere.example"])
def test_every_form_must_come_from_our_own_pages(site: Site, origin: str | None) -> None:
    visitor = site.visitor()
    for path in forms_of(site):
        assert visitor.post(path, origin=origin).status_code == 403, path


def test_basic_credentials_are_no_way_around_the_token(site: Site) -> None:
    visitor = site.visitor()
    answer = visitor.client.post("/leave", headers={"Authorization": "Basic eDp5", "Origin": ORIGIN})
    assert answer.status_code == 403


# --- headers, logs ----------------------------------------------------------------------------------------------------


def test_every_answer_is_protected(weekly: Site) -> None:
    visitor = weekly.visitor()
    for path in ("/", "/meetings", "/health", "/connect", "/inbox", "/no-such", "/enter", "/static/live.js", "/live"):
        headers = visitor.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "same-origin"
        assert "Cache-Control" in headers


def test_no_page_holds_inline_script_or_style(weekly: Site) -> None:
    visitor = weekly.visitor()
    paths = ["/", "/meetings", f"/meeting/{ACCOUNT}/{STORY.meeting_id}", instance_url(ACCOUNT, UUID), "/inbox",
             "/health", "/connect", "/enter"]  # fmt: skip
    for path in paths:
        text = visitor.get(path).text
        assert not re.search(r"<script(?![^>]*\bsrc=)", text), path
        assert not re.search(r"\s(on[a-z]+|style)=", text), path
        assert "<style" not in text, path


def test_no_person_is_in_any_link(weekly: Site) -> None:
    visitor = weekly.visitor()
    for path in ("/", instance_url(ACCOUNT, UUID), "/inbox"):
        for url in re.findall(r'(?:href|action|data-open)="([^"]+)"', visitor.get(path).text):
            assert "jane" not in url
            assert "Name" not in url


def test_names_are_escaped_everywhere(site: Site) -> None:
    nasty = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
    story = Story()
    take(
        site.database,
        story.retitled(-10, nasty),
        story.started(0),
        story.person(1, "joined", "7", user_name=nasty, email=nasty, leave_reason=nasty),
        story.person(2, "left", "7", user_name=nasty, leave_reason=nasty),
        story.registration(-5, "created", nasty),
    )
    visitor = site.visitor()
    event = one(site.database, "SELECT max(id) AS id FROM inbox_event")["id"]
    meeting = f"/meeting/{ACCOUNT}/{story.meeting_id}"
    paths = ["/", "/lines", "/meetings", meeting, instance_url(ACCOUNT, UUID), "/inbox", f"/inbox/{ACCOUNT}/{event}"]
    for path in paths:
        answer = visitor.get(path)
        assert answer.status_code == 200, path
        assert "<img" not in answer.text, path
        assert "<script>alert" not in answer.text, path


# --- joinlog access ---------------------------------------------------------------------------------------------------


def run_access(monkeypatch: pytest.MonkeyPatch, url: str, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setenv("DATABASE_URL", url)
    monkeypatch.setenv("SECRET_KEY", SIGNING_KEY)
    result = CliRunner().invoke(access_command, arguments)
    return result.exit_code, result.stdout, result.stderr


def test_command_prints_a_link_that_opens_the_pages(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str, redis_url: str
) -> None:
    code, text, beside = run_access(
        monkeypatch, sqlite_url, "grant", "--role", "operator", "--expires", "2h", "--meeting", "77"
    )
    assert code == 0
    address, _, token = text.strip().partition("#")
    assert address == "http://127.0.0.1:8000/enter"
    granted = TOKENS.read_link(token, datetime.now(UTC))
    assert (granted.role, granted.meeting_id) == (Role.OPERATOR, 77)
    assert granted.link_id in beside
    with open_site(settings_for(sqlite_url, redis_url)) as site:
        visitor = Visitor(site.app.test_client())
        assert visitor.enter(text.strip()).status_code == 303  # the whole link may be pasted
        code, text, _ = run_access(monkeypatch, sqlite_url, "revoke", text.strip())
        assert (code, granted.link_id in text) == (0, True)
        with site.database.read() as connection:
            assert list(read_revoked_links(connection)) == [granted.link_id]
    (line,) = run_access(monkeypatch, sqlite_url, "list")[1].splitlines()
    made_by = f"joinlog access grant, {getpass.getuser()}"
    assert line.split("\t")[:4] == [granted.link_id, "revoked", "operator", "meeting 77"]
    assert line.split("\t")[5] == made_by
    assert token not in line


def test_the_list_shows_what_opens_pages_now_and_what_was_revoked(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str, redis_url: str
) -> None:
    old = new_pass(Role.VIEWER, EIGHT_HOURS, datetime.now(UTC))  # of a version that kept no list
    with open_site(settings_for(sqlite_url, redis_url)) as site:
        assert site.stranger().enter(TOKENS.sign_link(old)).status_code == 303
        moments = {"ended": timedelta(hours=-1), "forgotten": timedelta(days=-ENDED_DAYS_KEPT - 1)}
        for link_id, ends in moments.items():
            now = datetime.now(UTC)
            record_link(
                site.database, PageLinkRow(link_id, "viewer", made_by="joinlog up", made_at=now, expires_at=now + ends)
            )
    assert run_access(monkeypatch, sqlite_url, "list")[:2] == (0, "")
    assert run_access(monkeypatch, sqlite_url, "grant")[0] == 0
    (line,) = run_access(monkeypatch, sqlite_url, "list")[1].splitlines()
    assert line.split("\t")[1:4] == ["open", "viewer", "all meetings"]
    assert run_access(monkeypatch, sqlite_url, "revoke", old.link_id)[0] == 0
    lines = run_access(monkeypatch, sqlite_url, "list", "--all")[1].splitlines()
    assert [line.split("\t")[1] for line in lines] == ["open", "ended", "revoked"]
    assert lines[2].split("\t")[:4] == [old.link_id, "revoked", "?", "?"]


def test_a_link_to_one_date_needs_its_meeting_and_the_date(monkeypatch: pytest.MonkeyPatch, weekly: Site) -> None:
    url = parts_of(weekly.app).settings.database_url
    _, text, _ = run_access(
        monkeypatch, url, "grant", "--meeting", str(STORY.meeting_id), "--occurrence", "w1", "--role", "operator"
    )
    granted = TOKENS.read_link(text.strip().partition("#")[2], datetime.now(UTC))
    assert (granted.meeting_id, granted.occurrence_id) == (STORY.meeting_id, "w1")
    assert "needs --meeting" in run_access(monkeypatch, url, "grant", "--occurrence", "w1")[2]
    refused = run_access(monkeypatch, url, "grant", "--meeting", str(STORY.meeting_id), "--occurrence", "w9")
    assert "has no occurrence w9" in refused[2]


@pytest.mark.parametrize(
    "arguments",
    [["grant", "--expires", "soon"], ["grant", "--role", "owner"], ["grant", "--meeting", "x"], ["revoke", "a.b"]],
)
def test_command_refuses_what_makes_no_sense(
    monkeypatch: pytest.MonkeyPatch, sqlite_url: str, arguments: list[str]
) -> None:
    code, text, beside = run_access(monkeypatch, sqlite_url, *arguments)
    assert code != 0
    assert text == ""
    assert beside


def test_vendored_files_are_what_their_list_says() -> None:
    import hashlib

    folder = Path(access.__file__).parent / "static" / "vendor"
    listed = dict(re.findall(r"^\| (\S+) \|.*\| ([0-9a-f]{64}) \|$", (folder / "README.md").read_text(), re.MULTILINE))
    files = {path.name for path in folder.iterdir()} - {"README.md"}
    assert {name for name in files if "LICENSE" not in name} == set(listed)
    for name, digest in listed.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest
        assert f"{name.split('-')[0]}-LICENSE.txt" in files
