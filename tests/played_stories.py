"""Many stories in one database: each in several orders, in an account of its own, from signed POSTs to the tables."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from schema.store.database import Database
from tests.inbox_to_tables import Row, select
from tests.stories import Json
from tests.webhook.conftest import opened_route
from workers.drain import Drain
from workers.rebuild import rebuild

ORDERS = ("of time", "backwards", "shuffled")
EVENTS_AT_ONCE = 3  # of a story that is not told in order: the tables are brought up to date between


class Played:
    """What stories left in the tables; `of` names the account of one that was told in one order."""

    def __init__(self, database: Database, staff_domains: Collection[str]) -> None:
        self.database = database
        self._staff_domains = staff_domains

    @staticmethod
    def of(name: str, order: str) -> str:
        """The account in which this story was told in this order."""
        return f"{name} | {order}"

    def rows(self, name: str, order: str, query: str) -> list[Row]:
        """What a query finds in that account, given as its only parameter."""
        return select(self.database, query, (self.of(name, order),))

    def rows_not_as_rebuilt(self) -> Sequence[Any]:
        """Rows that a rebuild would change."""
        return rebuild(self.database, check_only=True, staff_domains=self._staff_domains).examples


@contextmanager
def played(
    database_url: str, stories: Mapping[str, Sequence[Json]], staff_domains: Collection[str] = ()
) -> Iterator[Played]:
    """Post the events of every story, signed, in every order, and drain now and then."""
    told = {
        Played.of(name, order): _ordered([_of_account(event, Played.of(name, order)) for event in events], order, name)
        for name, events in stories.items()
        for order in ORDERS
    }
    with opened_route(database_url) as door:
        drain = Drain(door.database, staff_domains=staff_domains)
        while told:
            for account, rest in list(told.items()):
                many = len(rest) if account.endswith(ORDERS[0]) else EVENTS_AT_ONCE
                for event in rest[:many]:
                    assert door.post(event).status == 204
                told[account] = rest[many:]
                if not told[account]:
                    del told[account]
            drain.drain_all()
        assert select(door.database, "SELECT * FROM inbox_event WHERE state IN ('dead', 'unhandled')") == []
        yield Played(door.database, staff_domains)


def module_database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a migrated database for the tests of one module; `request.param` says which kind."""
    if request.param == "postgres":
        server = request.getfixturevalue("postgres")
        url = server.create()
        yield url
        server.drop(url)
        return
    path = tmp_path_factory.mktemp("stories") / "joinlog.db"
    path.write_bytes(request.getfixturevalue("sqlite_template").read_bytes())
    yield f"sqlite:///{path}"


def _of_account(event: Json, account: str) -> Json:
    return event | {"payload": event["payload"] | {"account_id": account}}


def _ordered(events: list[Json], order: str, name: str) -> list[Json]:
    if order == "backwards":
        return events[::-1]
    if order == "shuffled":
        random.Random(name).shuffle(events)
    return events
