"""Short stories of meetings that are scheduled with a personal meeting id, and run under it."""

from __future__ import annotations

from typing import Any

from tests.stories import ACCOUNT, WEEK_MINUTES, Json, Story, ms, zoom

PMI = 5551234567
FIRST, SECOND = 60.0, 60.0 + WEEK_MINUTES
SINGLE = Story("meeting", 2, 93333333333)
SMALLER = Story("meeting", 2, 1111111111)
OTHER = Story("meeting", 2, 94444444444)
WEEKLY = Story("meeting", 8, 95555555551)
ROOM = Story("meeting", 4, PMI)  # what the events of its instances name: the number, the type and the topic of the room
ROOM_AS_2 = Story("meeting", 2, PMI)


def scheduled(series: Story, start: float = FIRST, minutes: float = 0, uses: bool = True, **told: Any) -> Json:
    """`created` of a meeting that uses the personal meeting id, or is said not to."""
    if series.type == 8:
        told["occurrences"] = series.dates({"w1": start, "w2": start + WEEK_MINUTES}, duration=60, status="available")
    about = {"start_time": zoom(start), "pmi": str(PMI), "settings": {"use_pmi": uses}}
    return series.scheduled(minutes, "created", about | told)


def switched(series: Story, minutes: float, uses: bool) -> Json:
    """`updated`: it uses the personal meeting id from now on, or does not any more."""
    return series.changed(minutes, {"settings": {"use_pmi": uses}}, {"settings": {"use_pmi": not uses}}, "all")


def put_off(series: Story, minutes: float, old: float, new: float) -> Json:
    """The only session moved."""
    return series.changed(minutes, {"start_time": zoom(new)}, {"start_time": zoom(old)}, "single")


def ran(uuid: str, start: float, end: float, series: Story = ROOM) -> list[Json]:
    """An instance from its start to its end."""
    return [series.started(start, uuid), series.ended(end, start, uuid)]


def said(uuid: str, meeting_id: int, occurrence_id: str | None, minutes: float) -> Json:
    """An operator's word, or its withdrawal."""
    about = {"id": meeting_id, "uuid": uuid, "occurrence_id": occurrence_id, "by": "Ada", "because": "was there"}
    name = "link_cleared" if occurrence_id is None else "link_set"
    payload = {"account_id": ACCOUNT, "object": {key: value for key, value in about.items() if value is not None}}
    return {"event": f"joinlog.{name}", "event_ts": ms(minutes), "payload": payload}


STORIES: dict[str, list[Json]] = {
    "pmi_an_instance_before_its_meeting": [
        *ran("X", FIRST, FIRST + 55),
        ROOM.person(FIRST + 1, "joined", "1", FIRST, "X", email="ann@example.com"),
        SINGLE.registration(5, "created", "ann", status="approved"),
        scheduled(SINGLE),
    ],
    "pmi_moved": [
        scheduled(SINGLE),
        put_off(SINGLE, 30, FIRST, FIRST + 300),
        ROOM.started(FIRST + 298, "X"),
        ROOM.started(FIRST, "Y"),
        ROOM_AS_2.ended(FIRST + 330, FIRST + 298, "X"),
    ],
    "pmi_switched_off_after_the_first_week": [
        scheduled(WEEKLY),
        ROOM.started(FIRST, "X"),
        ROOM.person(FIRST + 1, "joined", "1", FIRST, "X", participant_user_id="u1"),
        switched(WEEKLY, FIRST + 100, uses=False),
        ROOM.started(SECOND, "Y"),
        ROOM.person(SECOND + 1, "joined", "1", SECOND, "Y", participant_user_id="u1"),
    ],
    "pmi_switched_on_and_deleted": [
        scheduled(SINGLE, uses=False),
        switched(SINGLE, 20, uses=True),
        SINGLE.deleted(40),
        ROOM.started(FIRST, "X"),
        SINGLE.recovered(FIRST - 10),
    ],
    "pmi_two_meetings_at_once": [
        scheduled(SINGLE),
        scheduled(OTHER, FIRST + 30),
        *ran("X", FIRST - 5, FIRST + 100),
        put_off(OTHER, 50, FIRST + 30, FIRST + 500),
    ],
    "pmi_before_during_and_after": [
        scheduled(SINGLE),
        *ran("before", FIRST - 50, FIRST - 20),
        *ran("X", FIRST - 2, FIRST + 58),
        ROOM.started(FIRST + 62, "after"),
    ],
    "pmi_an_operator_says_which": [
        ROOM.started(FIRST + 600, "X"),
        ROOM.person(FIRST + 601, "joined", "1", FIRST, "X", email="ann@example.com"),
        SINGLE.registration(5, "created", "ann", status="approved"),
        said("X", SINGLE.meeting_id, "single", 900),
        said("X", SINGLE.meeting_id, None, 1000),
        said("X", PMI, "X", 950),
    ],
    "pmi_an_operator_says_another_meetings": [
        *ran("X", FIRST + 600, FIRST + 640),
        ROOM.person(FIRST + 601, "joined", "1", FIRST, "X", email="ann@example.com"),
        SINGLE.registration(5, "created", "ann", status="approved"),
        said("X", SINGLE.meeting_id, "single", 900),
    ],
    "pmi_greater_than_the_number_of_its_meeting": [
        scheduled(SMALLER),
        *ran("X", FIRST, FIRST + 55),
        ROOM.person(FIRST + 1, "joined", "1", FIRST, "X"),
        put_off(SMALLER, 5, FIRST, FIRST + 10),
    ],
    "pmi_deleted": [scheduled(SINGLE), SINGLE.deleted(40), ROOM.started(FIRST, "X"), ROOM_AS_2.ended(90, FIRST, "X")],
    "pmi_of_another_host": [
        scheduled(SINGLE, host_id="another"),
        ROOM.started(FIRST, "X"),
    ],
    "pmi_two_meetings_due": [scheduled(SINGLE), scheduled(OTHER, FIRST + 5), ROOM.started(FIRST - 5, "X")],
    "pmi_zoom_names_the_occurrence": [
        scheduled(WEEKLY),
        ROOM.live(FIRST, "started", "X", FIRST, occurrence_id="w2"),
        ROOM.started(SECOND, "Y"),
        WEEKLY.deleted(SECOND + 9, {"w2": SECOND}),
        scheduled(OTHER, SECOND),
    ],
}
"""For the law: each has few enough events to be played in every order."""
