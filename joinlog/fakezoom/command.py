"""`joinlog simulate`: delivers the events of an invented world to an endpoint."""

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import FrameType
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from joinlog.fakezoom.api import PER_SECOND, ApiOptions, after_the_world
from joinlog.fakezoom.api_server import ApiServer
from joinlog.fakezoom.delivery import USUAL_FAULTS, Attempt, Faults, lost_events, plan
from joinlog.fakezoom.endpoint import EndpointError, require_loopback
from joinlog.fakezoom.mix import EVERY_MIX, Mix, list_knobs, turn_knob
from joinlog.fakezoom.open_facts import list_open_facts, read_open_fact
from joinlog.fakezoom.player import CONCURRENCY_DEFAULT, Pace, Rotation, Stats, play
from joinlog.fakezoom.series import SERIES_PER_ACCOUNT, SHIFT_WITHIN_DAYS
from joinlog.fakezoom.truth import Truth
from joinlog.fakezoom.world import AUDIENCE_DEFAULT, World, generate

TIME_SCALE_AT_FULL_SPEED = 600.0
HISTORY = timedelta(days=90)
HISTORY_WITH_DST = timedelta(days=SHIFT_WITHIN_DAYS + 90)


# --- how options are written ------------------------------------------------------------------------------------------


def describe_knobs() -> str:
    """The end of `--help`: every mix, every knob with its default, every open fact with its values."""
    lines = ["\b", "Mixes: " + ", ".join(EVERY_MIX), "", "\b", "Knobs, for --set NAME=VALUE (default in brackets):"]
    lines += [f"  {name} [{default}]: {says}" for name, default, says in list_knobs()]
    lines += ["", "\b", "Open questions about Zoom, drawn by seed, for --fact NAME=VALUE:"]
    lines += [f"  {name} ({values}): {says}" for name, values, says in list_open_facts()]
    return "\n".join(lines)


class Speed(click.ParamType[float | None]):
    """`max`, or a positive number."""

    name = "N|max"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float | None:
        """None for `max`."""
        if value == "max":
            return None
        try:
            number = float(str(value))
        except ValueError:
            number = 0.0
        if number <= 0:
            self.fail(f"{value!r} is neither `max` nor a number above 0", param, ctx)
        return number


def read_range(_ctx: click.Context, _param: click.Parameter, text: str) -> tuple[int, int]:
    """`20-40` or `30` as (fewest, most)."""
    fewest, _, most = text.partition("-")
    try:
        bounds = int(fewest), int(most or fewest)
    except ValueError as failure:
        raise click.BadParameter(f"{text!r} is not like 20-40") from failure
    if not 0 <= bounds[0] <= bounds[1]:
        raise click.BadParameter(f"{text!r} runs backwards")
    return bounds


def read_start(_ctx: click.Context, _param: click.Parameter, text: str | None) -> datetime | None:
    """An ISO date or moment; UTC when it names no zone."""
    if text is None:
        return None
    return read_moment(text)


def read_moment(text: str) -> datetime:
    """An ISO date or moment as aware UTC."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as failure:
        raise click.BadParameter(f"{text!r} is not like 2026-03-02 or 2026-03-02T09:00:00+01:00") from failure
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def read_spans(
    _ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]
) -> tuple[tuple[datetime, datetime], ...]:
    """`ISO/ISO` as (since, until), each."""
    return tuple((read_moment(text.partition("/")[0]), read_moment(text.partition("/")[2])) for text in texts)


def read_rotations(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> tuple[Rotation, ...]:
    """`ISO=TOKEN` as a rotation, each."""
    return tuple(Rotation(read_moment(text.partition("=")[0]), text.partition("=")[2]) for text in texts)


def read_facts(_ctx: click.Context, _param: click.Parameter, texts: tuple[str, ...]) -> dict[str, Any]:
    """`NAME=VALUE` of open facts, by name."""
    try:
        return dict(map(read_open_fact, texts))
    except ValueError as failure:
        raise click.BadParameter(str(failure)) from failure


def read_mix(name: str, settings: tuple[str, ...]) -> Mix:
    """A named mix with knobs turned."""
    mix = EVERY_MIX[name]
    for setting in settings:
        knob, _, text = setting.partition("=")
        try:
            mix = turn_knob(mix, knob, text)
        except ValueError as failure:
            raise click.BadParameter(str(failure), param_hint="--set") from failure
    return mix


# --- the command ------------------------------------------------------------------------------------------------------


@click.command("simulate", epilog=describe_knobs())
@click.option(
    "--url",
    default=lambda: f"http://127.0.0.1:{os.environ.get('PORT') or 8000}/webhook",
    show_default="http://127.0.0.1:PORT/webhook",
    help="The endpoint to play to.",
)
@click.option(
    "--secret",
    envvar="ZOOM_WEBHOOK_SECRET_TOKEN",
    show_envvar=True,
    help="Secret token to sign with; of several, comma-separated, the first.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed invents the same world.")
@click.option("--series", type=click.IntRange(1), default=1, show_default=True, help="How many webinars and meetings.")
@click.option("--mix", "mix_name", type=click.Choice(list(EVERY_MIX)), default="usual", show_default=True)
@click.option("--set", "settings", multiple=True, metavar="NAME=VALUE", help="Turn one knob of the mix; see below.")
@click.option(
    "--audience",
    default="{}-{}".format(*AUDIENCE_DEFAULT),
    show_default=True,
    metavar="MIN-MAX",
    callback=read_range,
    help="Registrants of a series (with no registration: its measure of guests).",
)
@click.option(
    "--start",
    metavar="ISO",
    callback=read_start,
    help="When scheduling begins.  [default: now; at max, months ago]",
)
@click.option("--speed", type=Speed(), default="max", show_default=True, help="1 is real time, 60 an hour a minute.")
@click.option(
    "--time-scale",
    type=click.FloatRange(0, min_open=True),
    help="Divides the 5, 20 and 60 minutes before retries and the 72 hours.  [default: --speed; 600 at max]",
)
@click.option("--duplicates", type=click.FloatRange(0, 1), default=USUAL_FAULTS.duplicates, show_default=True,
              help="Share of events delivered twice.")  # fmt: skip
@click.option("--reorder-seconds", type=click.FloatRange(0), default=USUAL_FAULTS.reorder_seconds, show_default=True,
              help="Each delivery is late by up to this much of Zoom's time.")  # fmt: skip
@click.option("--late-left", type=click.FloatRange(0, 1), default=USUAL_FAULTS.late_left, show_default=True,
              help="Share of `left` delivered 60-90 s late.")  # fmt: skip
@click.option("--lose-started", type=click.FloatRange(0, 1), default=USUAL_FAULTS.lose_started, show_default=True,
              help="Share of `started` never delivered.")  # fmt: skip
@click.option("--lose", type=click.FloatRange(0, 1), default=USUAL_FAULTS.lose, show_default=True,
              help="Share of all events never delivered.")  # fmt: skip
@click.option("--installed-at", metavar="ISO", callback=read_start, help="Events before this moment are not delivered.")
@click.option("--off", "off", multiple=True, metavar="ISO/ISO", callback=read_spans,
              help="Switch the webhook off for a while: nothing of it is ever delivered. May be repeated.")  # fmt: skip
@click.option("--rotate-secret", "rotations", multiple=True, metavar="ISO=TOKEN", callback=read_rotations,
              help="Sign with another secret token from this moment on. May be repeated.")  # fmt: skip
@click.option("--api-port", type=click.IntRange(0, 65535),
              help="Also serve Zoom's REST API on this port of loopback (0: any), until Ctrl-C.")  # fmt: skip
@click.option("--no-webhook", is_flag=True, help="Deliver nothing; only serve the API.")
@click.option("--plan", "plan_name", type=click.Choice(list(PER_SECOND)), default="pro", show_default=True,
              help="The plan of the accounts, which sets the API's rate limits.")  # fmt: skip
@click.option("--fact", "facts", multiple=True, metavar="NAME=VALUE", callback=read_facts,
              help="Settle one open question about Zoom instead of drawing it by seed; see below.")  # fmt: skip
@click.option("--series-per-account", type=click.IntRange(1), default=SERIES_PER_ACCOUNT, show_default=True)
@click.option("--concurrency", type=click.IntRange(1, 256), default=CONCURRENCY_DEFAULT, show_default=True)
@click.option("--truth", type=click.Path(path_type=Path, dir_okay=False), help="Write what really happened, as JSON.")
@click.option("--allow-remote", is_flag=True, help="Also play to an endpoint that is not on this machine.")
def simulate(
    url: str,
    secret: str | None,
    seed: int,
    series: int,
    mix_name: str,
    settings: tuple[str, ...],
    audience: tuple[int, int],
    start: datetime | None,
    speed: float | None,
    time_scale: float | None,
    duplicates: float,
    reorder_seconds: float,
    late_left: float,
    lose_started: float,
    lose: float,
    installed_at: datetime | None,
    off: tuple[tuple[datetime, datetime], ...],
    rotations: tuple[Rotation, ...],
    api_port: int | None,
    no_webhook: bool,
    plan_name: str,
    facts: dict[str, Any],
    series_per_account: int,
    concurrency: int,
    truth: Path | None,
    allow_remote: bool,
) -> None:
    """Play a fake Zoom: invented webinars and meetings, signed and delivered as Zoom does.

    As Zoom, it tries again only after an answer of 500 or more, or none: after 5, 20 and 60 minutes, divided by the
    time scale. Ctrl-C stops it. The exit code is 1 when the endpoint lost an event, by answering 3xx or 4xx to it or
    by failing until after the last retry.

    With --api-port it also answers Zoom's REST API about the same world, and with --no-webhook it does only that. At
    --speed max the API answers about a time when everything has happened, else about the present moment of the play.
    """
    if no_webhook and api_port is None:
        raise click.UsageError("--no-webhook leaves nothing to do without --api-port.")
    if not secret and not no_webhook:
        raise click.UsageError(
            "say with what to sign: --secret, or set ZOOM_WEBHOOK_SECRET_TOKEN as for Joinlog itself."
        )
    mix = read_mix(mix_name, settings)
    if not allow_remote and not no_webhook:
        with as_click_errors():
            require_loopback(url)
    console = Console(stderr=True)
    start = start or default_start(datetime.now(UTC), speed, mix)
    with console.status(f"inventing {series} series"):
        world = generate(seed, series, mix, start=start, audience=audience, series_per_account=series_per_account)
        faults = Faults(
            duplicates=duplicates,
            reorder_seconds=reorder_seconds,
            late_left=late_left,
            lose_started=lose_started,
            lose=lose,
            installed_at=installed_at,
            off=off,
            fresh_timestamp=read_share(facts, "retry_renews_timestamp"),
            fresh_request_id=read_share(facts, "retry_renews_request_id"),
        )
        attempts = [] if no_webhook else plan(world.emissions, faults, seed)
    if truth is not None:
        truth.write_bytes(world.truth.to_json())
    pace = Pace(speed, time_scale or speed or TIME_SCALE_AT_FULL_SPEED)
    stop = threading.Event()
    with as_click_errors(), stopping_on_interrupt(stop), ExitStack() as serving:
        zoom = None
        if api_port is not None:
            options = ApiOptions(plan=plan_name, facts=facts, webhook_url=url)
            clock = world_clock(world, speed)
            try:
                zoom = serving.enter_context(ApiServer(world, seed, options, port=api_port, clock=clock))
            except OSError as failure:
                raise click.ClickException(
                    f"the API cannot be served on port {api_port}: {failure.strerror}"
                ) from failure
            click.echo(describe_api(zoom))
        stats = Stats()
        if not no_webhook:
            assert secret is not None
            stats = deliver(
                console, attempts, url=url, secret=secret.split(",")[0].strip(), pace=pace, concurrency=concurrency,
                stop=stop, allow_remote=allow_remote, rotations=rotations, on_try=zoom.log_try if zoom else None,
            )  # fmt: skip
            world.truth.lost = lost_events(world.emissions, attempts, faults, stats.lost)
            if truth is not None:
                truth.write_bytes(world.truth.to_json())  # once more: now it says which events were lost
            click.echo(summary(stats, world.truth, was_stopped=stop.is_set()))
        if zoom is not None:
            stop.wait()
            calls = ", ".join(f"{count} {tier}" for tier, count in zoom.api.calls_by_tier().most_common())
            click.echo(f"API calls answered: {calls or 'none'}")
    if stats.lost:
        raise click.exceptions.Exit(1)


def deliver(console: Console, attempts: Sequence[Attempt], **how: Any) -> Stats:
    """Play the attempts, with a progress bar on stderr."""
    with progress_bar(console, len(attempts)) as bar:

        def show(stats: Stats) -> None:
            done = stats.planned - stats.left_over
            bar.update(bar.task_ids[0], visible=True, completed=done, note=brief(stats))

        stats = play(attempts, on_progress=show, **how)
        show(stats)
    return stats


def read_share(facts: dict[str, Any], name: str) -> float | None:
    """An open fact of deliveries as a share: 1 or 0 where it is settled, None where the seed decides."""
    return float(facts[name]) if name in facts else None


def world_clock(world: World, speed: float | None) -> Callable[[], datetime]:
    """The world's time as the API answers about it: as fast as the play, or after everything at full speed."""
    end = after_the_world(world)
    if speed is None or not world.emissions:
        return lambda: max(end, datetime.now(UTC))
    first, began, pace = world.emissions[0].at, time.monotonic(), speed
    return lambda: first + timedelta(seconds=(time.monotonic() - began) * pace)


def describe_api(zoom: ApiServer) -> str:
    """Where the API is and what it takes to ask it, in lines that a shell can read."""
    options = zoom.api.options
    return "\n".join(
        (
            f"ZOOM_API_URL={zoom.api_url}",
            f"ZOOM_OAUTH_URL={zoom.oauth_url}",
            f"ZOOM_ACCOUNT_ID={','.join(zoom.api.accounts)}",
            f"ZOOM_CLIENT_ID={options.client_id}",
            f"ZOOM_CLIENT_SECRET={options.client_secret}",
        )
    )


def default_start(now: datetime, speed: float | None, mix: Mix) -> datetime:
    """The present hour; at full speed an hour so long ago that usually the whole world lies in the past."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    if speed is not None:
        return hour
    return hour - (HISTORY_WITH_DST if mix.crosses_dst else HISTORY)


@contextmanager
def as_click_errors() -> Iterator[None]:
    """Turn an endpoint's refusal into a message without a traceback."""
    try:
        yield
    except EndpointError as failure:
        raise click.ClickException(str(failure)) from failure


@contextmanager
def stopping_on_interrupt(stop: threading.Event) -> Iterator[None]:
    """The first Ctrl-C sets `stop`; a second one interrupts as usual."""

    def on_interrupt(_signal: int, _frame: FrameType | None) -> None:
        stop.set()
        signal.signal(signal.SIGINT, before)

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def progress_bar(console: Console, total: int) -> Iterator[Progress]:
    """A bar of deliveries, on stderr, with a word on retries."""
    rate = TextColumn("{task.fields[note]}")
    with Progress(
        TextColumn("delivering"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), rate, console=console
    ) as bar:
        bar.add_task("delivering", total=total, note="", visible=False)
        yield bar


def brief(stats: Stats) -> str:
    """The note beside the progress bar: the rate, and how many retries."""
    rate = stats.acknowledged / stats.seconds if stats.seconds else 0.0
    return f"{rate:,.0f}/s" + (f", {stats.retried} retries" if stats.retried else "")


def summary(stats: Stats, truth: Truth, was_stopped: bool) -> str:
    """The last lines: counts, latencies, and what went wrong."""
    p50, p99 = (stats.percentile_seconds(share) * 1000 for share in (0.5, 0.99))
    lines = [
        f"{'stopped: ' if was_stopped else ''}{stats.acknowledged} of {stats.planned} deliveries acknowledged in "
        f"{stats.seconds:.1f} s ({brief(stats)})",
        f"{stats.refused} refused, {stats.given_up} given up, {stats.left_over} not sent or still to be tried again",
        f"{len(truth.lost)} events lost"
        + "".join(f"; {why}: {count}" for why, count in Counter(lost.why for lost in truth.lost).most_common()),
        f"answers: p50 {p50:.1f} ms, p99 {p99:.1f} ms",
        f"validations: {stats.validations}, failed: {stats.validations_failed}",
    ]
    lines += [f"failed attempts, {why}: {count}" for why, count in stats.failures.most_common()]
    return "\n".join(lines)
