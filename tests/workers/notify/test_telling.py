"""Once when it begins, again after a day, once when it is over; whatever happens in between."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from schema.alerts import Alert
from workers.notify.telling import SENDING_MAX, Occasion, advance, due, message, not_sent, sending, sent

ZERO = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
NOW_DEAD = {"dead_letters": "3 events could not be applied."}
REDIS = {"redis_silent": "Redis does not answer."}


def at(minutes: float) -> datetime:
    return ZERO + timedelta(minutes=minutes)


class Told:
    """What is told as minutes pass, each step from rows alone, as after a restart."""

    def __init__(self) -> None:
        self.rows: dict[str, Alert] = {}
        self.occasions: list[tuple[float, Occasion]] = []

    def judge(self, minutes: float, holding: dict[str, str]) -> None:
        self.rows |= {alert.condition: alert for alert in advance(self.rows, holding, at(minutes))}
        for name, alert in self.rows.items():
            if (occasion := due(alert, at(minutes))) is not None:
                self.occasions.append((minutes, occasion))
                self.rows[name] = sent(sending(alert, at(minutes)), occasion, at(minutes))


def test_it_is_told_once_when_it_begins_again_after_a_day_and_once_when_it_is_over() -> None:
    told = Told()
    for minutes in range(0, 1500, 10):
        told.judge(minutes, NOW_DEAD)
    for minutes in range(1500, 1600, 10):
        told.judge(minutes, {})
    assert told.occasions == [(0, Occasion.BEGUN), (1440, Occasion.GOES_ON), (1510, Occasion.OVER)]


def test_what_sways_around_its_limit_is_told_of_once() -> None:
    told = Told()
    for minutes in range(0, 60):
        told.judge(minutes, NOW_DEAD if minutes % 4 == 0 else {})
    for minutes in range(60, 70):
        told.judge(minutes, {})
    assert told.occasions == [(0, Occasion.BEGUN), (62, Occasion.OVER)]


def test_what_begins_again_is_told_again() -> None:
    told = Told()
    for minutes, holding in ((0, NOW_DEAD), (10, {}), (20, {}), (30, NOW_DEAD)):
        told.judge(minutes, holding)
    assert told.occasions == [(0, Occasion.BEGUN), (20, Occasion.OVER), (30, Occasion.BEGUN)]


def test_what_was_over_before_it_was_worth_telling_is_never_told() -> None:
    told = Told()
    for minutes in (0.0, 1.0):
        told.judge(minutes, REDIS)
    for minutes in (1.5, 10.0):
        told.judge(minutes, {})
    assert told.occasions == []
    told.judge(20, REDIS)
    told.judge(22, REDIS)
    assert told.occasions == [(22, Occasion.BEGUN)]


def test_the_words_follow_while_it_holds() -> None:
    (alert,) = advance({}, NOW_DEAD, at(0))
    assert list(advance({"dead_letters": alert}, NOW_DEAD, at(1))) == []
    (changed,) = advance({"dead_letters": alert}, {"dead_letters": "4 events"}, at(1))
    assert (changed.says, changed.begun_at) == ("4 events", at(0))


def test_while_a_worker_sends_nobody_else_does_and_after_its_turn_somebody_does() -> None:
    (alert,) = advance({}, NOW_DEAD, at(0))
    taken = sending(alert, at(0))
    assert due(taken, at(1)) is None
    assert due(not_sent(taken, "no answer"), at(1)) is None
    assert due(taken, at(0) + SENDING_MAX) is Occasion.BEGUN


def test_a_message_says_what_since_when_and_what_to_do() -> None:
    (alert,) = advance({}, NOW_DEAD, at(0))
    begun = message(alert, Occasion.BEGUN, "https://a.example/health")
    assert begun.title == "Joinlog: Events could not be applied"
    assert begun.body.split("\n\n") == [
        "3 events could not be applied.",
        "What to do: `joinlog inbox list --state dead` says why; `joinlog replay` applies them again after mending.",
        "https://a.example/health",
    ]
    assert "It began at 2026-11-22 12:00 UTC" in message(alert, Occasion.GOES_ON, "").body
    (over,) = advance({"dead_letters": alert}, {}, at(5))
    assert "was over at 2026-11-22 12:05 UTC" in message(over, Occasion.OVER, "").body


def test_a_condition_that_this_version_does_not_know_is_left_alone() -> None:
    assert due(Alert("of another version", at(0), "?"), at(1)) is None
