"""How people name a meeting."""

from __future__ import annotations

from datetime import datetime

import pytest

from schema.meeting_names import read_meeting_name, read_searched_meeting

STARTED = datetime.fromisoformat("2020-07-25 19:00")  # in whatever zone the meeting has
UUID = "4444AAAiAAAAAiAiAiiAii=="


@pytest.mark.parametrize(
    ("text", "number", "start"),
    [
        ("83110000000", 83110000000, None),
        (" 831 1000 0000 ", 83110000000, None),
        ("831-1000-0000", 83110000000, None),
        ("831100000002020-07-25 19:00:00", 83110000000, STARTED),
        ("831 1000 0000 2020-07-25 19:00", 83110000000, STARTED),
        ("831100000002020-07-25T19:00:00", 83110000000, STARTED),
        ("831100000002020-07-25", 83110000000, datetime.fromisoformat("2020-07-25")),
    ],
)
def test_a_number_in_every_way_zoom_writes_it(text: str, number: int, start: datetime | None) -> None:
    name = read_meeting_name(text)
    assert name is not None
    assert (name.number, name.start, name.uuid) == (number, start, None)


@pytest.mark.parametrize("text", [UUID, "4444AAAiAAAAAiAiAiiAii%3D%3D", "4444AAAiAAAAAiAiAiiAii%253D%253D", f" {UUID}"])
def test_a_uuid_as_it_is_or_as_it_stands_in_an_address(text: str) -> None:
    name = read_meeting_name(text)
    assert name is not None
    assert (name.number, name.uuid) == (None, UUID)


@pytest.mark.parametrize("text", ["", "9" * 30, "0", "831100000002020-13-45 19:00:00", "two words", "x" * 300])
def test_what_names_nothing(text: str) -> None:
    assert read_meeting_name(text) is None


@pytest.mark.parametrize("text", ["Jill", "jill@example.com", "12345", "left", "two words", ""])
def test_a_search_for_something_else_is_none_for_a_meeting(text: str) -> None:
    assert read_searched_meeting(text) is None


@pytest.mark.parametrize("text", ["831 1000 0000", UUID, "/ueZ//gLAfJguIzpZQj3/g=="])
def test_a_search_for_a_meeting(text: str) -> None:
    assert read_searched_meeting(text) is not None
