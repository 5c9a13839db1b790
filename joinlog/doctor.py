"""`joinlog doctor`: what is configured and running, what is not, and how to mend it.

Each check says `ok`, `warn` (works, and somebody should look) or `fail` (events are not taken, or not applied).
"""

from __future__ import annotations

import json
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import click
from redis.exceptions import RedisError
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from joinlog.doctor_api import look_at_api
from joinlog.redis_server import redis_url_of
from joinlog.remedies import explain_database, look_at_file_of, look_at_folder
from joinlog.up import what_is_missing
from schema.alerts import Alert, Observed
from schema.revision import applied_revision, is_later, why_unsuitable
from schema.settings import KEY_FILE, ConfigurationError, Settings, read_settings, without_password
from schema.store.alerts import read_alerts
from schema.store.database import STATEMENT_SECONDS_MAX, Database
from schema.store.health import InboxHealth, last_validation, read_inbox_health, read_validations, server_version
from schema.store.sqlite_file import LONG_READER_REMEDY, WAL_BYTES_WARN
from workers.notify.conditions import BY_NAME, CONDITIONS, judge
from workers.notify.observation import observe
from workers.queue import connect, last_heartbeat, open_queue

OK, WARN, FAIL = "ok", "warn", "fail"
_STYLES = {OK: "green", WARN: "yellow", FAIL: "bold red"}


class Finding(NamedTuple):
    """What one check found; `mend` says what to do unless it is ok."""

    check: str
    level: str
    says: str
    mend: str = ""


@click.command()
@click.option("--json", "as_json", is_flag=True, help="A JSON list of check, level, says and mend.")
def doctor(as_json: bool) -> None:
    """Tell what is misconfigured and how to mend it. Exit code 1 when something fails."""
    findings = list(examine(read_settings(), datetime.now(UTC)))
    if as_json:
        click.echo(json.dumps([finding._asdict() for finding in findings], indent=2, ensure_ascii=False))
    else:
        show(findings, Console(highlight=False, soft_wrap=True))
    sys.exit(1 if any(finding.level == FAIL for finding in findings) else 0)


def examine(settings: Settings, now: datetime) -> Iterator[Finding]:
    """Every check, in the order in which they are worth mending."""
    yield look_at_secrets(settings)
    folder = [Finding("folder", FAIL, *trouble) for trouble in look_at_folder(settings)]
    yield from folder
    if not (folder and settings.secret_key is None and settings.is_loopback):  # no key can be made there: said already
        yield look_at_key(settings)
    yield look_at_address(settings)
    yield look_at_alerts(settings)
    database = list(_look_at_database(settings, now))
    yield from database
    yield from _look_at_redis(settings, now)
    for told in look_at_api(settings):
        level = FAIL if told.is_broken else WARN if told.mend else OK
        yield Finding("Zoom's API", level, told.says, told.mend)
    missing = what_is_missing(settings)
    if missing and missing.startswith(("database:", "migrations:")) and any(one.level == FAIL for one in database):
        missing = "answers, and waits for the database; it goes on by itself once that is mended"
    yield (
        Finding("web", OK, f"answers on port {settings.port}, ready")
        if missing is None
        else Finding("web", WARN, missing, "start `joinlog web` here (or `joinlog up`); elsewhere it may well be fine")
    )


def look_at_secrets(settings: Settings) -> Finding:
    """Is there a secret token to verify with?"""
    count = len(settings.zoom_secrets)
    if count:
        return Finding("secret token", OK, f"{count} set")
    return Finding(
        "secret token",
        WARN if settings.is_loopback else FAIL,
        "ZOOM_WEBHOOK_SECRET_TOKEN is not set: `joinlog up` plays a demo, `joinlog web` refuses to start",
        "copy the Secret Token from the page Access (or Features) of your app in the Zoom Marketplace",
    )


def look_at_key(settings: Settings) -> Finding:
    """Is there a key to sign page links and jobs with?"""
    try:
        keys = settings.signing_keys
    except ConfigurationError as error:
        return Finding("secret key", FAIL, error.says, error.mend)
    if settings.secret_key is None:
        return Finding("secret key", OK, f"{KEY_FILE} in this folder, enough on one machine")
    return Finding("secret key", OK, f"SECRET_KEY, {len(keys)} set")


def look_at_address(settings: Settings) -> Finding:
    """Can Zoom reach this server?"""
    if settings.public_url is None:
        if not settings.zoom_secrets and settings.is_loopback:
            return Finding("address", OK, f"{settings.base_url}, this machine only, which is what a demo wants")
        if settings.trusted_proxies:
            says = f"the page links of `joinlog access` lead to {settings.base_url}, and not to the reverse proxy"
            return Finding("address", WARN, says, "set PUBLIC_URL=https://...")
        return Finding(
            "address",
            WARN,
            f"Zoom cannot reach {settings.base_url}: it wants a public https address",
            "put a reverse proxy or a tunnel in front, and set PUBLIC_URL=https://...",
        )
    if not settings.public_url.startswith("https://"):
        return Finding("address", FAIL, "PUBLIC_URL is not https, and Zoom posts to nothing else", "set https://...")
    return Finding("address", OK, settings.public_url)


def _look_at_database(settings: Settings, now: datetime) -> Iterator[Finding]:
    shown = without_password(settings.database_url)
    for trouble in look_at_file_of(settings.database_url):
        yield Finding("database", FAIL, *trouble)
        return
    database = None
    try:
        database = Database(settings.database_url, statement_seconds=STATEMENT_SECONDS_MAX)
        with database.read() as connection:
            yield Finding("database", OK, f"{shown}, {server_version(connection)}")
            if database.dialect.has_one_writer:
                yield from look_at_file(Path(database.url.database or ""))
                yield from look_at_log(database.log_bytes() or 0)
            applied, unsuitable = applied_revision(connection), why_unsuitable(connection)
            if unsuitable is not None:
                mend = "upgrade this Joinlog, too" if is_later(applied) else "run `joinlog migrate`"
                yield Finding("migrations", FAIL, unsuitable, mend)
                return
            yield Finding("migrations", OK, f"at {applied}")
            inbox, validations, alerts = (
                read_inbox_health(connection), read_validations(connection), read_alerts(connection)
            )  # fmt: skip
        yield from look_at_inbox(inbox, now)
        if settings.zoom_secrets:
            yield look_at_validation(last_validation(validations, settings.secret_fingerprints), now)
        yield from look_at_conditions(observe(settings, database, None), alerts.values(), now)
    except ConfigurationError as error:
        yield Finding("database", FAIL, error.says, error.mend)
    except (SQLAlchemyError, OSError) as error:
        yield Finding("database", FAIL, *explain_database(settings.database_url, error))
    finally:
        if database is not None:
            database.close()


def look_at_file(path: Path) -> Iterator[Finding]:
    """Is a SQLite file closed to the other users of this machine?"""
    if path.is_file() and path.stat().st_mode & stat.S_IRWXO:
        says = f"every user of this machine can read {path}, which holds names and addresses"
        yield Finding("database file", WARN, says, f"chmod o= {path}*")


def look_at_log(length: int) -> Iterator[Finding]:
    """Does a reader let SQLite's write-ahead log grow?"""
    if length > WAL_BYTES_WARN:
        says = f"the write-ahead log is {length // 1_000_000} MB long: somebody has been reading for a long time"
        yield Finding("write-ahead log", WARN, says, LONG_READER_REMEDY)


def look_at_conditions(observed: Observed, alerts: Iterable[Alert], now: datetime) -> Iterator[Finding]:
    """Does any of the conditions hold that somebody is told of? And could they be told?"""
    holding = judge(observed, now)
    for name, says in holding.items():
        condition = BY_NAME[name]
        yield Finding(name.replace("_", " "), FAIL, f"{condition.title}. {says}", condition.mend)
    if not holding:
        yield Finding("conditions", OK, f"none of {len(CONDITIONS)} holds; `joinlog alerts` lists them")
    for alert in alerts:
        if alert.error is not None:
            says = f"nobody could be told of {alert.condition.replace('_', ' ')}: {alert.error}"
            yield Finding("alerts", FAIL, says, "run `joinlog alerts --test`, and correct ALERT_URLS")


def look_at_alerts(settings: Settings) -> Finding:
    """Is anybody told when something is wrong?"""
    if settings.alert_targets:
        return Finding("alerts", OK, f"{len(settings.alert_targets)} addresses are told when something is wrong")
    says = "ALERT_URLS is not set: nobody is told when something is wrong"
    mend = "set it to where mail or chat reaches you, and try it with `joinlog alerts --test`"
    return Finding("alerts", OK if settings.is_loopback else WARN, says, "" if settings.is_loopback else mend)


def look_at_inbox(health: InboxHealth, now: datetime) -> Iterator[Finding]:
    """What waits, and what no version of this age knows."""
    oldest = health.oldest_pending_at
    lag_seconds = 0 if oldest is None else int((now - oldest).total_seconds())
    yield Finding(
        "inbox", OK, f"{health.pending} pending" + (f", the oldest for {in_words(lag_seconds)}" if oldest else "")
    )
    if health.unhandled:
        mend = "after an upgrade `joinlog replay --state unhandled` applies those it knows then"
        yield Finding("unhandled", WARN, f"{health.unhandled} events of types this version does not know", mend)


def look_at_validation(last: datetime | None, now: datetime) -> Finding:
    """Did Zoom ever validate the endpoint with a secret that is set?"""
    mend = "open the app's event subscription in the Zoom Marketplace and press Validate"
    if last is None:
        return Finding("validation", WARN, "Zoom never validated this endpoint with the secret token that is set", mend)
    return Finding("validation", OK, f"Zoom validated the endpoint {in_words(int((now - last).total_seconds()))} ago")


def _look_at_redis(settings: Settings, now: datetime) -> Iterator[Finding]:
    url = redis_url_of(settings)
    if url is None:
        says = "REDIS_URL is not set; `joinlog up` starts a server of its own, and none runs in this folder"
        yield Finding("redis", WARN, says, "start `joinlog up`, or set REDIS_URL")
        return
    try:
        client = connect(url)
        client.ping()
        yield Finding("redis", OK, without_password(url))
        last = last_heartbeat(open_queue(client, [b"no job is read"]))
        client.close()
    except (RedisError, OSError, ValueError) as error:
        yield Finding("redis", FAIL, f"{without_password(url)}: {error}", "check REDIS_URL, and that the server runs")
        return
    if last is None:
        yield Finding("clock", FAIL, "no clock rings, so a lost ring stays lost", "start `joinlog clock`")
    else:
        yield Finding("clock", OK, f"last sign of life {in_words(int((now - last).total_seconds()))} ago")


def show(findings: Sequence[Finding], console: Console) -> None:
    """One line a check, and one more for how to mend it."""
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        level = f"[{_STYLES[finding.level]}]{finding.level:4}[/]"
        console.print(f"{level}  {finding.check:{width}}  {_plain(finding.says)}")
        if finding.mend:
            console.print(f"{'':4}  {'':{width}}  -> {_plain(finding.mend)}")


def _plain(text: str) -> str:
    return text.replace("[", r"\[")


def in_words(seconds: int) -> str:
    """A length of time, roughly."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length} {unit}"
    return f"{max(0, seconds)} s"
