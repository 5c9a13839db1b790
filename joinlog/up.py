"""`joinlog up`: everything Joinlog needs, started by one command and stopped by one key.

1. See that no other one runs in this folder, and clean up after one that was killed.
   Settle what the environment left open: a Redis server, and without a secret token a demo.
2. Migrate.
3. Start web, worker and clock, say where they are, and start again whichever ends.
4. At Ctrl-C or SIGTERM stop them all. Should this process be killed, the kernel ends them.
"""

from __future__ import annotations

import http.client
import os
import secrets
import signal
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial

import click
import structlog
from rich.console import Console
from sqlalchemy.exc import SQLAlchemyError

from joinlog.database import DEMO_DATABASE_URL
from joinlog.folder_lock import lock_folder
from joinlog.redis_server import URL_FILE, RedisServer
from joinlog.remedies import look_at_file_of, look_at_folder
from joinlog.supervisor import Child, Children, start_process
from joinlog.terminal import Terminal, on_enter
from schema.logs import configure_logs
from schema.settings import ConfigurationError, Settings, read_settings, without_password
from schema.signals import Signals
from webhook.port import require_free_port

WEBHOOK_PATH = "/webhook"
PAGE_LINK_LASTS = timedelta(hours=12)
READY_SECONDS_MAX = 30.0
READY_POLL_SECONDS = 0.1
ANSWER_SECONDS_MAX = 4.0  # of `/readyz`, which waits 2.8 s for a database that stands still
REMAINS_SECONDS_MAX = 10.0  # for the processes of an `up` that was killed; the kernel has told them to stop
PORT_POLL_SECONDS = 0.1

log = structlog.get_logger()


@click.command()
def up() -> None:
    """Migrate, then run web, worker and clock until Ctrl-C. Without a secret token a demo plays."""
    settings = read_settings()
    configure_logs(settings, "up")
    for trouble in (*look_at_folder(settings), *look_at_file_of(settings.database_url)):
        raise ConfigurationError(str(trouble))
    with ExitStack() as stack:
        was_killed = stack.enter_context(lock_folder())
        plan = settle(settings, os.environ, port_seconds_max=REMAINS_SECONDS_MAX if was_killed else 0.0)
        signals = stack.enter_context(Signals(signal.SIGCHLD))
        console = Console(highlight=False, soft_wrap=True)
        if plan.is_quiet:
            terminal = Terminal(console)
            plan.log = terminal.pipe
            terminal.start()
            stack.callback(terminal.close)
        children = []
        if plan.starts_redis:
            server = stack.enter_context(RedisServer(url_file=URL_FILE))
            children.append(Child("redis", server.start, process=server.process, started_at=time.monotonic()))
            plan.environment["REDIS_URL"] = server.url
            server.wait_until_ready(signals)
        _migrate(plan.settings)
        children += [_child(name, plan) for name in ("web", "worker", "clock")]
        run(Children(children), plan, signals, console)


@dataclass
class Plan:
    """What `joinlog up` is going to do; `environment` is the children's."""

    settings: Settings
    environment: dict[str, str]
    is_demo: bool
    starts_redis: bool
    is_quiet: bool = False  # somebody looks: the processes log into `log`, and `joinlog.terminal` says what matters
    log: int | None = None


def settle(settings: Settings, environment: Mapping[str, str], port_seconds_max: float = 0.0) -> Plan:
    """Decide what the environment left open. Raises ConfigurationError when it must not be decided here.

    A taken port may take `port_seconds_max` to become free: the processes of a killed `joinlog up` still end.
    """
    is_demo = not settings.zoom_secrets
    if is_demo and not settings.is_loopback:
        raise ConfigurationError(
            "ZOOM_WEBHOOK_SECRET_TOKEN is not set. A demo, which is what plays without one, stays on this machine: "
            "set the secret token of your Zoom app, or unset HOST and PUBLIC_URL."
        )
    if is_demo and "database_url" in settings.model_fields_set and settings.database_url != DEMO_DATABASE_URL:
        raise ConfigurationError(
            "ZOOM_WEBHOOK_SECRET_TOKEN is not set. A demo, which is what plays without one, keeps a database of its "
            f"own: set the secret token of your Zoom app to use {without_password(settings.database_url)}, or unset "
            "DATABASE_URL."
        )
    settings.signing_keys  # noqa: B018 - says now if SECRET_KEY is missing, and makes the key the processes share
    port = _await_free_port(settings, port_seconds_max)
    own = dict(environment) | {"PORT": str(port), "PYTHONUNBUFFERED": "1"}
    changes: dict[str, object] = {"port": port}
    if is_demo:
        own |= {"ZOOM_WEBHOOK_SECRET_TOKEN": secrets.token_urlsafe(24), "DATABASE_URL": DEMO_DATABASE_URL}
        own["JOINLOG_DEMO"] = "1"
        changes["database_url"] = DEMO_DATABASE_URL
    is_quiet = settings.log_format == "auto" and sys.stderr.isatty()
    if is_quiet:
        own["LOG_FORMAT"] = "json"
    return Plan(settings.model_copy(update=changes), own, is_demo, settings.redis_url is None, is_quiet)


def _await_free_port(settings: Settings, seconds_max: float) -> int:
    deadline = time.monotonic() + seconds_max
    is_told = False
    while True:
        try:
            return require_free_port(settings.host, settings.port)
        except ConfigurationError:
            if time.monotonic() >= deadline:
                raise
        if not is_told:
            is_told = True
            click.echo(f"A Joinlog that was killed still has port {settings.port}; it ends within {seconds_max:g} s.")
        time.sleep(PORT_POLL_SECONDS)


def run(children: Children, plan: Plan, signals: Signals, console: Console) -> None:
    """Keep the processes running until asked to stop, and say when they are ready."""
    began = time.monotonic()
    link = PageLink(plan.settings)
    is_ready = is_late = False
    try:
        while not signals.is_stop_asked:
            look_again = children.look()
            if not is_ready:
                seconds = time.monotonic() - began
                missing = what_is_missing(plan.settings)
                if missing is None:
                    is_ready = True
                    tell(console, plan, seconds, link)
                    if sys.stdin.isatty():
                        on_enter(lambda: tell_page(console, link))
                    if plan.is_demo:
                        children.add(_child("demo", plan))
                elif seconds > READY_SECONDS_MAX and not is_late:
                    is_late = True
                    console.print(f"\n[bold red]Not ready[/] after {seconds:.0f} s: {missing}. Still trying.\n")
                look_again = min(look_again, READY_POLL_SECONDS)
            signals.wait(look_again)
    finally:
        console.print("Stopping.")
        children.stop(signals)
        console.print("Stopped.")


def what_is_missing(settings: Settings) -> str | None:
    """What `/readyz` says is missing; None when the server is ready."""
    host = "127.0.0.1" if settings.host in {"0.0.0.0", "::"} else settings.host  # noqa: S104 - asks, binds nothing
    connection = http.client.HTTPConnection(host, settings.port, timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
        text = answer.read().decode(errors="replace").strip()
        return None if answer.status == 200 else text
    except (OSError, http.client.HTTPException) as error:
        return f"the web process does not answer ({type(error).__name__})"
    finally:
        connection.close()


def tell(console: Console, plan: Plan, seconds: float, link: PageLink) -> None:
    """Print where everything is."""
    settings = plan.settings
    redis = "a server started for this run" if plan.starts_redis else without_password(settings.redis_url or "")
    console.print(f"\n[bold green]Joinlog is ready[/] ({seconds:.1f} s)\n")
    console.print(f"  endpoint  [bold]{settings.base_url}{WEBHOOK_PATH}[/]   ({what_posts_there(plan)})")
    console.print(f"  database  {without_password(settings.database_url)}")
    console.print(f"  redis     {redis}")
    if plan.is_demo:
        console.print(
            "\n[bold yellow]This is a demo.[/] ZOOM_WEBHOOK_SECRET_TOKEN is not set, so a fake Zoom plays an invented "
            f"weekly webinar into a database of its own.\nFor the commands: [bold]export DATABASE_URL="
            f"{settings.database_url}[/] in a second shell. For the real one: Ctrl-C, then\n"
            "[bold]ZOOM_WEBHOOK_SECRET_TOKEN=... make run[/], with the Secret Token of your app."
        )
    more = " Enter shows the page link again." if sys.stdin.isatty() else ""
    console.print(f"\nCtrl-C stops everything.{more}")
    tell_page(console, link)


def what_posts_there(plan: Plan) -> str:
    """Who can reach the endpoint, and what to do with its address."""
    if plan.is_demo:
        return "the fake Zoom posts here"
    if plan.settings.public_url is None:
        return "this machine only: Zoom needs a public https address, see PUBLIC_URL"
    return "paste it into your Zoom app"


def tell_page(console: Console, link: PageLink) -> None:
    """Print the page link, which must stay one line to be one link."""
    try:
        console.print(f"\n  page      [bold]{link.text()}[/]\n", soft_wrap=True)
    except SQLAlchemyError:
        console.print("\nNo new page link: the database does not answer. Press Enter again.\n")


class PageLink:
    """A signed link to the live page, for whoever reads this terminal: the same one until half of its time is over."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._text = ""
        self._renew_at = datetime.min.replace(tzinfo=UTC)

    def text(self) -> str:
        """The link. Raises SQLAlchemyError when a new one cannot be written down in the list."""
        from joinlog.access import make_link
        from webhook.tokens import Role

        now = datetime.now(UTC)
        if now >= self._renew_at:
            self._text = make_link(self._settings, Role.OPERATOR, PAGE_LINK_LASTS, "joinlog up")
            self._renew_at = now + PAGE_LINK_LASTS / 2
        return self._text


def _child(name: str, plan: Plan) -> Child:
    arguments = ["play-demo", "--url", f"{plan.settings.base_url}{WEBHOOK_PATH}"] if name == "demo" else [name]
    command = [sys.executable, "-P", "-m", "joinlog", *arguments]
    return Child(name, partial(start_process, command, plan.environment, plan.log))


def _migrate(settings: Settings) -> None:
    from schema.migrate import migrate
    from schema.store.database import Database

    database = Database(settings.database_url)
    try:
        migrate(database)
    finally:
        database.close()
