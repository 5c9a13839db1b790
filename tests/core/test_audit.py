"""What webhooks told of an instance against Zoom's report."""

from __future__ import annotations

from schema.rows import Connection, Leave, ReportedStay
from workers.core.audit import Audit, audit

BEGAN, ENDED = 1_000_000, 4_600_000


def connection(
    name: str, joins: tuple[int, ...] = (), leaves: tuple[int, ...] = (), *, reported: bool = True
) -> Connection:
    return Connection(
        "account", "uuid", name, joins=joins, leaves=tuple(Leave(at, "") for at in leaves),
        reported=(ReportedStay(BEGAN, ENDED),) if reported else (),
    )  # fmt: skip


def found(*connections: Connection, has_started: bool = True, has_ended: bool = True) -> Audit:
    return audit("webinar", connections, has_started, has_ended)


def test_a_stay_that_both_tell_is_one_and_nothing_is_lost() -> None:
    told = found(connection("a", (BEGAN + 900,), (ENDED - 900,)))
    assert told == Audit(1, 0, 0, 4, {})


def test_a_leave_that_never_came_is_lost() -> None:
    assert found(connection("a", (BEGAN,))).webhooks_lost == {"webinar.participant_left": 1}


def test_a_join_that_never_came_is_lost() -> None:
    assert found(connection("a", (), (ENDED,))).webhooks_lost == {"webinar.participant_joined": 1}


def test_a_stay_that_only_the_report_tells_lost_both() -> None:
    told = found(connection("a"))
    assert told.stays_report_only == 1
    assert told.webhooks_lost == {"webinar.participant_joined": 1, "webinar.participant_left": 1}


def test_a_stay_that_only_webhooks_tell_is_counted_and_not_lost() -> None:
    told = found(connection("a", (BEGAN,), (ENDED,), reported=False))
    assert told == Audit(0, 1, 0, 4, {})


def test_a_start_and_an_end_that_never_came_are_lost() -> None:
    told = found(has_started=False, has_ended=False)
    assert told.webhooks_lost == {"webinar.ended": 1, "webinar.started": 1}
    assert told.is_empty


def test_rows_that_overlap_are_one_stay() -> None:
    twice = Connection(
        "account", "uuid", "a", reported=(ReportedStay(BEGAN, ENDED), ReportedStay(BEGAN + 1, ENDED - 1))
    )
    assert found(twice).stays_report_only == 1


def test_a_breakout_room_is_not_counted() -> None:
    room = Connection("account", "uuid", "a", joins=(BEGAN,), leaves=(Leave(ENDED, ""),), room_uuid="room")
    assert found(room).webhooks_expected == 2
