"""What an installation over several hosts survives, one function each: it does the harm, and mends it at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from tests.cluster.hosts import Host
from tests.cluster.installation import Installation
from tests.later_version import LATER_TABLES
from tests.waiting import wait_until

GONE_SECONDS = 10.0
CUT_OFF_SECONDS = 60.0
START_SECONDS_MAX = 60.0

Say = Callable[[str], None]


def web_host_killed(there: Installation, say: Say) -> None:
    """One of two web hosts loses its power, and comes back."""
    host = there.webs[0]
    _lose_power(host, say)
    there.start_web(host)
    _await_web(there, host)


def worker_host_killed(there: Installation, say: Say) -> None:
    """One of two worker hosts loses its power in the middle of a batch, and comes back."""
    host = there.workers[0]
    wait_until(lambda: "batch_drained" in (host.folder / "worker.log").read_text(), "it drains", timeout_seconds=60)
    _lose_power(host, say)
    there.start_worker(host)


def worker_host_cut_off(there: Installation, say: Say) -> None:
    """A worker host is cut off for a minute in the middle of its work, and believes that it still holds its locks."""
    host = there.workers[1]
    _cut_off(host, CUT_OFF_SECONDS, say)


def web_host_cut_off(there: Installation, say: Say) -> None:
    """A web host is cut off for a while: the balancer has to notice."""
    host = there.webs[1]
    _cut_off(host, GONE_SECONDS, say)


def pooler_restarted(there: Installation, say: Say) -> None:
    """PgBouncer in front of the primary is ended and started again."""
    host = there.database_hosts[0]
    host.stop("pgbouncer")
    there.start_pooler(host)
    say("PgBouncer is restarted")
    time.sleep(GONE_SECONDS)


def upgraded_host_by_host(there: Installation, say: Say) -> None:
    """A later version adds to the tables while this one serves, then one host after the other is restarted."""
    for statement in LATER_TABLES:
        there.primary.admin(statement)
    say("the tables are those of a later version")
    for host in there.webs:
        host.stop("web")
        there.start_web(host)
        _await_web(there, host)
    for host in there.workers:
        for role in ("worker", "clock"):
            host.stop(role)
        there.start_worker(host)
    say("every process was restarted")


def doorbell_lost(there: Installation, say: Say) -> None:
    """Valkey ends, and does not come back."""
    there.stop_doorbell()
    say("Valkey is gone for good")
    time.sleep(GONE_SECONDS)


def primary_killed(there: Installation, say: Say) -> None:
    """The host of the primary loses its power; the standby, which commits were synchronous to, is promoted."""
    seconds = there.fail_over()
    say(f"the primary has no power; the standby took over {seconds:.1f} s later")
    time.sleep(GONE_SECONDS)


def _lose_power(host: Host, say: Say) -> None:
    host.kill()
    say(f"{host.name} has no power for {GONE_SECONDS:g} s")
    time.sleep(GONE_SECONDS)
    host.plug_cable()


def _cut_off(host: Host, seconds: float, say: Say) -> None:
    host.pull_cable()
    say(f"{host.name} is cut off for {seconds:g} s")
    time.sleep(seconds)
    host.plug_cable()


def _await_web(there: Installation, host: Host) -> None:
    wait_until(lambda: there.is_web_ready(host), f"{host.name} is ready", timeout_seconds=START_SECONDS_MAX)


SCENARIOS: Mapping[str, tuple[Callable[[Installation, Say], None], float]] = {
    "a web host killed": (web_host_killed, 2.0),
    "a web host cut off": (web_host_cut_off, 2.0),
    "a worker host killed in mid-batch": (worker_host_killed, 2.0),
    "a worker host cut off for a minute": (worker_host_cut_off, 2.0),
    "PgBouncer restarted": (pooler_restarted, 2.0),
    "upgraded host by host": (upgraded_host_by_host, 2.0),
    "the doorbell lost for good": (doorbell_lost, 2.0),
    "the primary killed": (primary_killed, 10.0),
}
"""In this order, one after the other on one installation; the seconds without an answer that each may cost."""
