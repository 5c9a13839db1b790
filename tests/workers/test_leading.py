"""Of several clocks one leads, and another one takes over when it ends, is killed, or was cut off."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from sqlalchemy.exc import SQLAlchemyError

from schema.store.database import Database
from schema.store.leader import take_lead
from workers.clock import Clock, Duty
from workers.leading import LEAD_SECONDS, Lead


def lead(database: Database) -> Lead:
    found = Lead(database, "clock")
    found.renew()
    return found


def test_the_first_one_leads_and_keeps_the_lead(database: Database) -> None:
    first, second = lead(database), lead(database)
    first.renew()
    second.renew()
    assert (first.is_held, second.is_held) == (True, False)


def test_who_ends_lets_another_one_lead_at_once(database: Database) -> None:
    first, second = lead(database), lead(database)
    first.give_up()
    second.renew()
    assert second.is_held


def test_who_does_not_lead_cannot_give_the_lead_away(database: Database) -> None:
    first, second = lead(database), lead(database)
    second.give_up()
    third = lead(database)
    first.renew()
    assert (first.is_held, third.is_held) == (True, False)


def test_one_that_was_cut_off_finds_that_another_one_leads(database: Database) -> None:
    cut_off = Lead(database, "clock")
    with database.write() as connection:
        assert take_lead(connection, "clock", cut_off.holder, -LEAD_SECONDS)  # its time is over
    assert lead(database).is_held
    cut_off.renew()
    assert not cut_off.is_held


def test_of_many_that_ask_at_the_same_moment_one_leads(database: Database) -> None:
    leads = [Lead(database, "clock") for _ in range(6)]
    gate = threading.Barrier(len(leads))

    def ask(each: Lead) -> None:
        gate.wait()
        each.renew()

    threads = [threading.Thread(target=ask, args=(each,)) for each in leads]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(each.is_held for each in leads) == 1


def test_while_the_database_is_away_who_led_goes_on(tmp_path: Path) -> None:
    away = Lead(Database(f"sqlite:///{tmp_path}/missing/folder.db"), "clock")
    with pytest.raises(SQLAlchemyError):
        away.renew()
    assert away.is_held


def test_one_that_follows_does_only_what_each_clock_does() -> None:
    done: list[str] = []
    leads = [False]
    clock = Clock(
        [Duty("ring", 5, lambda: done.append("ring"), by_all=True), Duty("judge", 5, lambda: done.append("judge"))],
        leads=lambda: leads[0],
        now_seconds=lambda: 0.0,
    )
    assert clock.tick() == 5
    assert done == ["ring"]
    leads[0] = True
    clock.tick()
    assert done == ["ring", "judge"]
