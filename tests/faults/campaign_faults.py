"""What is done to an installation in a campaign: its processes, as a hosting service keeps them, and every fault."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import NamedTuple

import httpx2
import psycopg

from schema.signals import dies_with
from schema.store.database import Database
from tests.conftest import SIGNING_KEY, PostgresServer, RedisServer, free_port
from tests.faults.campaign_load import Load
from tests.page_client import TOKENS
from tests.processes import NO_TLS, descendants, environment, is_alive
from tests.signed_requests import SECRET
from tests.waiting import wait_until
from webhook.tokens import Role, new_pass

ROOT = Path(__file__).parents[2]

PROCESSES = ("web", "worker", "worker-2", "clock", "consumer")
KEEPING_SECONDS = 0.05
START_SECONDS_MAX = 60.0


class Kept:
    """Joinlog's processes, each started again at once when it ends, with its log in a pipe that can be closed."""

    def __init__(self, folder: Path, database_url: str, redis_url: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = environment(
            DATABASE_URL=database_url, REDIS_URL=redis_url, ZOOM_WEBHOOK_SECRET_TOKEN=SECRET, SECRET_KEY=SIGNING_KEY,
            PORT=str(self.port), DRAIN_BATCH_EVENTS="23", CLOCK_SECONDS="5", LOG_FORMAT="json",
        )  # fmt: skip
        self.copy = folder.parent / "copy.db"  # of whoever follows the change feed
        self.ended: list[str] = []  # by itself, or because of a signal of ours
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._guard = threading.Lock()
        self._stopping = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._keep, daemon=True)

    def start(self) -> None:
        """Start them, and return when the web process would take an event."""
        self._thread.start()
        wait_until(self.is_ready, f"{self.url}/readyz", timeout_seconds=START_SECONDS_MAX)

    def is_ready(self) -> bool:
        """Whether the web process says so."""
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/readyz", trust_env=False, verify=NO_TLS, timeout=5).status_code == 200
        return False

    def is_listening(self) -> bool:
        """Whether the web process answers at all."""
        with contextlib.suppress(httpx2.HTTPError):
            return httpx2.get(f"{self.url}/healthz", trust_env=False, verify=NO_TLS, timeout=1).status_code == 200
        return False

    def pids(self) -> dict[int, str]:
        """Every process there is, by what it is; a web process has one that serves below it."""
        with self._guard:
            running = dict(self._running)
        found = {process.pid: name for name, process in running.items()}
        for name, process in running.items():
            found |= {pid: f"{name}'s child" for pid in descendants(process.pid)}
        return {pid: name for pid, name in found.items() if is_alive(pid)}

    def close_log(self, name: str) -> None:
        """Whoever reads the log of this process goes away, until the process is started again."""
        with self._guard:
            process = self._running.get(name)
        if process is not None and process.stdout is not None:
            # Not closed: that would wait for the thread that reads it. Its next line is the last that is read.
            nothing = os.open(os.devnull, os.O_RDONLY)
            os.dup2(nothing, process.stdout.fileno())
            os.close(nothing)

    def stop(self) -> list[str]:
        """Ask all of them to end; returns those that had to be killed."""
        self._stopping.set()
        late = []
        for process in self._running.values():
            process.terminate()
        for name, process in self._running.items():
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                late.append(name)
                for pid in (*descendants(process.pid), process.pid):
                    os.kill(pid, signal.SIGKILL)
                process.wait()
        self._stopped.set()
        self._thread.join()
        return late

    def _keep(self) -> None:
        while not self._stopped.wait(KEEPING_SECONDS):  # they end with this thread, whatever becomes of the campaign
            for name in () if self._stopping.is_set() else PROCESSES:
                process = self._running.get(name)
                if process is not None and process.poll() is None:
                    continue
                if process is not None:
                    self.ended.append(f"{name}: {process.returncode}")
                with self._guard:
                    self._running[name] = self._start(name)

    def _start(self, name: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-P", "-m", "joinlog", name.partition("-")[0]]
        if name == "consumer":
            token = TOKENS.sign_link(new_pass(Role.READER, timedelta(days=1), datetime.now(UTC)))
            command = [sys.executable, "-m", "tests.faults.campaign_consumer", self.url, token, str(self.copy)]
        process = subprocess.Popen(
            command, cwd=ROOT if name == "consumer" else self.folder, env=self.environment,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
        )  # fmt: skip
        threading.Thread(target=self._copy, args=(process, self.folder.parent / f"{name}.log"), daemon=True).start()
        return process

    @staticmethod
    def _copy(process: subprocess.Popen[bytes], path: Path) -> None:
        assert process.stdout is not None
        with path.open("ab", buffering=0) as log, contextlib.suppress(ValueError, OSError):  # it was closed
            for line in process.stdout:
                log.write(line)


Say = Callable[[str], None]


class Stage(NamedTuple):
    """Everything that a fault may touch."""

    random: Random
    kept: Kept
    load: Load
    database_url: str
    redis: RedisServer
    postgres: PostgresServer | None
    disk: Path | None
    say: Say


def kill(stage: Stage) -> None:
    """kill -9 of any process."""
    pid, name = _any_process(stage)
    stage.say(f"kill {name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def terminate(stage: Stage) -> None:
    """SIGTERM to any process."""
    pid, name = _any_process(stage)
    stage.say(f"terminate {name}")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)


def freeze(stage: Stage) -> None:
    """SIGSTOP to any process, and SIGCONT some time later."""
    pid, name = _any_process(stage)
    seconds = stage.random.uniform(0.2, 2.5)
    stage.say(f"freeze {name} for {seconds:.1f} s")
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGSTOP)
        time.sleep(seconds)
        os.kill(pid, signal.SIGCONT)


def stop_redis(stage: Stage) -> None:
    """Redis is killed, with all it holds, and started again."""
    _during(stage, "Redis is gone", 4.0, stage.redis.stop, stage.redis.start)


def hang_redis(stage: Stage) -> None:
    """Redis stands still, and goes on."""
    _during(stage, "Redis hangs", 8.0, stage.redis.pause, stage.redis.resume)


def crash_postgres(stage: Stage) -> None:
    """kill -9 in Postgres: commits that were not written yet are gone."""
    assert stage.postgres is not None
    stage.say("Postgres crashes")
    stage.postgres.crash()


def restart_postgres(stage: Stage) -> None:
    """Postgres is stopped and started again."""
    assert stage.postgres is not None
    stage.say("Postgres is restarted")
    stage.postgres.restart()


def hang_postgres(stage: Stage) -> None:
    """Postgres stands still, and goes on."""
    assert stage.postgres is not None
    _during(stage, "Postgres hangs", 6.0, stage.postgres.pause, stage.postgres.resume)


def fill_disk(stage: Stage) -> None:
    """No byte is free on the disk of database and key, and then there is room again."""
    assert stage.disk is not None
    filler = stage.disk / "filler"

    def fill() -> None:
        with filler.open("ab", buffering=0) as file, contextlib.suppress(OSError):
            while True:
                file.write(b"." * 65536)

    _during(stage, "the disk is full", 4.0, fill, filler.unlink)


def move_clock(stage: Stage) -> None:
    """Zoom's clock and ours drift apart, within what is tolerated."""
    stage.load.drift_seconds = stage.random.choice((-3600, -600, -5, 5, 250))
    _during(stage, f"the clocks are {stage.load.drift_seconds} s apart", 4.0, lambda: None, lambda: None)
    stage.load.drift_seconds = 0


def hold_snapshot(stage: Stage) -> None:
    """Somebody reads for a long time, in one transaction."""
    with ExitStack() as stack:
        _during(stage, "a reader holds a snapshot", 10.0, lambda: stack.enter_context(_reader(stage)), lambda: None)


def close_log(stage: Stage) -> None:
    """Whoever reads the log of a process goes away."""
    name = stage.random.choice(PROCESSES)
    stage.say(f"the log of {name} is closed")
    stage.kept.close_log(name)


def faults_of(stage: Stage) -> list[Callable[[Stage], None]]:
    """Those that this stage has the means for, besides kills."""
    found: list[Callable[[Stage], None]] = [
        terminate,
        freeze,
        stop_redis,
        hang_redis,
        move_clock,
        hold_snapshot,
        close_log,
    ]
    if stage.postgres is not None:
        found += [restart_postgres, crash_postgres, crash_postgres, hang_postgres]
    if stage.disk is not None:
        found += [fill_disk]
    return found


def _any_process(stage: Stage) -> tuple[int, str]:
    """One of them, drawn by name first: the seed decides, not the process ids."""
    found = stage.kept.pids()
    if not stage.kept.is_listening():  # it starts: killed again and again it would never answer, which proves nothing
        found = {pid: name for pid, name in found.items() if not name.startswith("web")}
    name = stage.random.choice(sorted(set(found.values())) or ["nobody"])
    return next(((pid, of) for pid, of in sorted(found.items()) if of == name), (2**22 + 1, name))


def _during(
    stage: Stage, what: str, seconds_max: float, begin: Callable[[], object], end: Callable[[], object]
) -> None:
    """Have something be so for a while; processes may be killed meanwhile."""
    seconds = stage.random.uniform(0.3, seconds_max)
    stage.say(f"{what} for {seconds:.1f} s")
    begin()
    try:
        if stage.random.random() < 0.5:
            time.sleep(seconds / 2)
            kill(stage)
            time.sleep(seconds / 2)
        else:
            time.sleep(seconds)
    finally:
        end()


@contextmanager
def _reader(stage: Stage) -> Iterator[None]:
    if stage.postgres is None:
        database = Database(stage.database_url)
        with database.read() as connection:
            connection.exec_driver_sql("SELECT count(*) FROM inbox_event")
            yield
        database.close()
        return
    with psycopg.connect(stage.database_url.replace("postgresql+psycopg", "postgresql")) as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        reader.execute("SELECT count(*) FROM inbox_event")
        yield
        reader.rollback()
