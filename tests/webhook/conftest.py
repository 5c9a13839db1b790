"""Both doors to the endpoint. The served one is one process per database for many tests, and finds empty tables."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from schema.store.database import Database
from schema.tables import TABLES
from tests.conftest import DATABASES, SIGNING_KEY, PostgresServer, settings_for
from tests.doors import Door, RouteDoor, ServedDoor
from tests.processes import START_SECONDS_MAX, running
from tests.signed_requests import SECRET
from tests.waiting import wait_until
from webhook.app import create_app
from webhook.parts import parts_of

NEW_SECRET = "the-secret-it-is-rotated-to"
SECRETS = f"{SECRET},{NEW_SECRET}"
NO_REDIS = "redis://127.0.0.1:1/0"  # the endpoint does not need it
DOORS = ("served", "route")


@contextmanager
def opened_route(database_url: str, **more: Any) -> Iterator[RouteDoor]:
    """The route of an application on this database."""
    app: Flask = create_app(settings_for(database_url, NO_REDIS, zoom_webhook_secret_token=SECRETS, **more))
    try:
        yield RouteDoor(app)
    finally:
        parts_of(app).close()
        logging.getLogger().handlers.clear()


@contextmanager
def opened_server(folder: Path, database_url: str) -> Iterator[ServedDoor]:
    """A web process on this database, as `joinlog web` starts it."""
    variables = {
        "DATABASE_URL": database_url, "REDIS_URL": NO_REDIS, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRETS,
        "SECRET_KEY": SIGNING_KEY, "LOG_LEVEL": "error",
    }  # fmt: skip
    database = Database(database_url)
    with running(folder, "web", **variables) as web:
        wait_until(web.is_listening, "the web process", timeout_seconds=START_SECONDS_MAX)
        yield ServedDoor(web.port, database)
    database.close()


class ServedDoors:
    """One served door per database, started when it is first needed."""

    def __init__(self, folder: Path, sqlite_template: Path, postgres: PostgresServer, stack: ExitStack) -> None:
        self._folder = folder
        self._sqlite_template = sqlite_template
        self._postgres = postgres
        self._stack = stack
        self._doors: dict[str, ServedDoor] = {}

    def get(self, kind: str) -> ServedDoor:
        """The door, with nothing in its tables."""
        if kind not in self._doors:
            (self._folder / kind).mkdir()
            url = self._make_database(kind)
            self._doors[kind] = self._stack.enter_context(opened_server(self._folder / kind, url))
        door = self._doors[kind]
        with door.database.write() as connection:
            for table in TABLES:
                connection.exec_driver_sql(f"DELETE FROM {table}")
        return door

    def _make_database(self, kind: str) -> str:
        if kind == "postgres":
            return self._postgres.create()
        path = self._folder / "served.db"
        shutil.copyfile(self._sqlite_template, path)
        return f"sqlite:///{path}"


@pytest.fixture(scope="session")
def served_doors(
    tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path, postgres: PostgresServer
) -> Iterator[ServedDoors]:
    """The served doors of this pytest worker."""
    with ExitStack() as stack:
        yield ServedDoors(tmp_path_factory.mktemp("served"), sqlite_template, postgres, stack)


def make_door(request: pytest.FixtureRequest, door: str, kind: str) -> Iterator[Door]:
    """One of the doors, on one of the databases."""
    if door == "served":
        doors: ServedDoors = request.getfixturevalue("served_doors")
        yield doors.get(kind)
        return
    with opened_route(request.getfixturevalue(f"{kind}_url")) as opened:
        yield opened


@pytest.fixture(params=[(door, kind) for door in DOORS for kind in DATABASES], ids="-".join)
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Both doors, on both databases."""
    yield from make_door(request, *request.param)


@pytest.fixture(params=DOORS)
def closed_door(request: pytest.FixtureRequest) -> Iterator[Door]:
    """Both doors, for what is refused: nothing may be left in the database."""
    for opened in make_door(request, request.param, "sqlite"):
        yield opened
        with opened.database.read() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM inbox_event").scalar_one() == 0


@pytest.fixture
def served(served_doors: ServedDoors) -> ServedDoor:
    """The served door, on SQLite."""
    return served_doors.get("sqlite")
