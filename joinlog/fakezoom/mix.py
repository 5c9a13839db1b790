"""The knobs of the fake Zoom, and named mixes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any


def knob(default: object, says: str) -> Any:
    """A field of `Mix` that carries its own documentation."""
    return field(default=default, metadata={"says": says})


@dataclass(frozen=True, slots=True)
class Mix:
    """How often each situation happens. A float is a probability from 0 to 1 unless its name says otherwise."""

    # The series
    meetings: float = knob(0.3, "share of series that are meetings; the rest are webinars")
    single: float = knob(0.08, "share of series with one session only (types 5 and 2)")
    no_fixed_time: float = knob(0.08, "share of series without a schedule (types 6, 3, 1 and 4)")
    patterns: tuple[str, ...] = knob(("weekly", "weekly", "daily"), "drawn from: weekly, daily, several_a_day")
    occurrences_min: int = knob(4, "fewest occurrences of a series")
    occurrences_max: int = knob(8, "most occurrences of a series")
    crosses_dst: float = knob(0.2, "series laid across a daylight-saving shift, if their time zone has one")
    created_missing: float = knob(0.05, "series scheduled before Joinlog was installed: no `created` is ever sent")
    uuid_is_next: float = knob(0.3, "series whose schedule-side uuid is that of the first instance to run")
    # Registration
    registration_types: tuple[int, ...] = knob((0, 1, 2, 3), "drawn from: 0 none, 1 once, 2 for each, 3 choose")
    states_registration_type: float = knob(0.5, "series that state their registration type, in an `updated`")
    lists_occurrences: float = knob(0.5, "type 1: registrants whose registration lists all remaining occurrences")
    late_registrants: float = knob(0.2, "people who register after the first session began, some during a session")
    needs_approval: float = knob(0.1, "registrations that begin as pending")
    denied: float = knob(0.2, "pending registrations that are denied instead of approved")
    cancels: float = knob(0.06, "registrations later cancelled")
    cancels_some: float = knob(0.5, "cancellations that name one occurrence instead of everything")
    # The schedule is edited
    moved: float = knob(0.05, "occurrences moved to another time")
    moved_gets_new_id: float = knob(0.5, "moved occurrences that get a new id; the rest keep the old one")
    deleted: float = knob(0.03, "occurrences deleted")
    recovered: float = knob(0.3, "deleted occurrences that are recovered")
    series_edited: float = knob(0.06, "series edited as a whole: every occurrence still to come gets a new id")
    # What the host does
    skipped: float = knob(0.03, "occurrences nobody starts")
    informal_move: float = knob(0.01, "occurrences held a day or two later without telling Zoom")
    early: float = knob(0.7, "sessions started early, up to early_minutes_max; the rest start late")
    early_minutes_max: float = knob(15.0, "minutes")
    very_early: float = knob(0.03, "sessions started up to an hour early")
    late_minutes_max: float = knob(6.0, "minutes")
    very_late: float = knob(0.01, "sessions started up to two hours late")
    overruns: float = knob(0.1, "sessions that run past their planned end")
    overrun_minutes_max: float = knob(40.0, "minutes")
    restarts: float = knob(0.06, "sessions where the host drops and starts again: a new uuid, the same occurrence")
    restart_gap_seconds_max: float = knob(1500.0, "seconds between the two instances, at least 5")
    rehearsals: float = knob(0.1, "occurrences with a rehearsal, days or minutes before")
    rehearsals_unflagged: float = knob(0.3, "rehearsals that do not say practice_session, in recurring series")
    single_rehearsals_unflagged: float = knob(0.0, "the same for types 5 and 2, where no schedule can tell them apart")
    unscheduled: float = knob(0.03, "occurrences after which an instance runs on a day nothing is due")
    started_missing: float = knob(0.01, "instances whose `started` is never sent")
    ended_missing: float = knob(0.01, "instances whose `ended` is never sent")
    # Who comes
    show_up: float = knob(0.65, "registrants who come to an occurrence they registered for")
    without_link: float = knob(0.08, "registrants who come without their own link: by e-mail address, or nameless")
    wrong_door: float = knob(0.02, "registrants who come to an occurrence they did not register for")
    walk_ins: float = knob(
        0.1, "guests who never registered, as a share of the audience (without registration: show_up)"
    )
    walk_in_email: float = knob(0.4, "walk-ins who show an e-mail address")
    two_devices: float = knob(0.05, "people on two devices at once")
    rejoins: float = knob(0.15, "people who leave and come back under new connection ids")
    killed: float = knob(0.05, "people whose client dies: `left` comes 60-90 s late, after the rejoin's `joined`")
    phone: float = knob(0.04, "people who also dial in and are bound to their connection")
    left_missing: float = knob(0.02, "connections whose `left` is never sent")
    role_changes: float = knob(0.02, "people made co-host for a while")
    breakout_rooms: float = knob(0.2, "meetings with breakout rooms")
    waiting_room: float = knob(0.2, "meetings with a waiting room; one in ten there is never admitted")
    strange_names: float = knob(0.15, "people with emoji, right-to-left, very long or hostile names")
    shared_names: float = knob(0.05, "people with the same name as somebody else")
    # By which identifiers people are known
    two_ids: float = knob(0.0, "signed-in people whose id differs from their participant_user_id")
    id_missing_later: float = knob(0.0, "connections whose `left` lacks one identifier that `joined` had")
    sdk_users: float = knob(0.0, "guests who come through an app and show a customer_key only")
    callers: float = knob(0.0, "guests who only dial in and show a phone_number only")
    late_bind: float = knob(0.0, "telephones bound to their person just before they hang up, not at once")
    rejoin_without_link: float = knob(0.0, "rejoins and second devices of registrants without their link")
    shared_accounts: float = knob(0.0, "registrants who share one Zoom account, in pairs")
    kiosks: float = knob(0.0, "instances where six guests or more sit at devices of one account")
    # Staff
    host_by_id: float = knob(0.0, "series whose host shows the host_id; elsewhere only the address tells")
    host_as_registrant: float = knob(0.0, "webinars whose host shows the own user id as registrant_id")
    alternative_hosts: float = knob(0.0, "series with an alternative host, named by address in `created`")
    co_hosts: float = knob(0.0, "series with a guest who is made co-host in every instance")
    staff_register: float = knob(0.0, "hosts and alternative hosts who register as well")
    # Rooms
    room_shapes: tuple[str, ...] = knob(("parent",), "drawn from: parent, same_uuid, no_parent, plain_join")
    second_room: float = knob(0.0, "people in a breakout room who go on to the other one")
    pmi: float = knob(0.0, "meetings of types 2 and 8 that run under the host's personal meeting id")


CHOICES: Mapping[str, tuple[object, ...]] = {
    "patterns": ("weekly", "daily", "several_a_day"),
    "registration_types": (0, 1, 2, 3),
    "room_shapes": ("parent", "same_uuid", "no_parent", "plain_join"),
}
USUAL = Mix()
ODDITIES = (
    "crosses_dst", "created_missing", "late_registrants", "needs_approval", "cancels", "moved", "deleted",
    "series_edited", "skipped", "informal_move", "very_early", "very_late", "overruns", "restarts",
    "rehearsals", "unscheduled", "started_missing", "ended_missing", "without_link", "wrong_door", "walk_ins",
    "two_devices", "rejoins", "killed", "phone", "left_missing", "role_changes", "breakout_rooms",
    "waiting_room", "strange_names", "shared_names", "uuid_is_next",
)  # fmt: skip
NOTHING_ODD: Mapping[str, Any] = dict.fromkeys(ODDITIES, 0.0)
CALM = replace(
    USUAL,
    **NOTHING_ODD,
    meetings=0.0,
    single=0.0,
    no_fixed_time=0.0,
    patterns=("weekly",),
    registration_types=(3,),
)
MIXES: Mapping[str, Mix] = {
    "calm": CALM,
    "usual": USUAL,
    "chaotic": replace(
        USUAL, created_missing=0.15, late_registrants=0.3, needs_approval=0.2, cancels=0.12, moved=0.15, deleted=0.08,
        series_edited=0.25, skipped=0.08, informal_move=0.04, very_early=0.1, very_late=0.05, overruns=0.25,
        restarts=0.25, rehearsals=0.25, rehearsals_unflagged=0.5, unscheduled=0.1, started_missing=0.08,
        ended_missing=0.08, without_link=0.2, wrong_door=0.08, walk_ins=0.25, two_devices=0.12, rejoins=0.3,
        killed=0.15, phone=0.1, left_missing=0.08, role_changes=0.06, strange_names=0.4, shared_names=0.15,
        patterns=("weekly", "daily", "several_a_day"),
    ),
    "several_a_day": replace(USUAL, patterns=("several_a_day",), single=0.0, no_fixed_time=0.0),
    "daily": replace(USUAL, patterns=("daily",), single=0.0, no_fixed_time=0.0),
    "restarts": replace(CALM, restarts=0.8),
    "rehearsals": replace(CALM, rehearsals=0.9, rehearsals_unflagged=0.5),
    "moved": replace(CALM, moved=0.5, series_edited=0.4, deleted=0.1),
    "no_registration": replace(USUAL, registration_types=(0,)),
    "unscheduled": replace(CALM, unscheduled=0.7, informal_move=0.2, skipped=0.1),
    "missing": replace(CALM, started_missing=0.4, ended_missing=0.4, left_missing=0.2, created_missing=0.3),
    "daylight_saving": replace(CALM, crosses_dst=1.0),
    "strangers": replace(CALM, without_link=0.4, wrong_door=0.2, walk_ins=0.6, shared_names=0.4, strange_names=0.6),
    "connections": replace(CALM, two_devices=0.3, rejoins=0.5, killed=0.4, phone=0.3, meetings=0.5, breakout_rooms=0.6),
    "unplanned": replace(USUAL, single=0.5, no_fixed_time=0.5),
}  # fmt: skip

ROOM_SHAPES = ("parent", "same_uuid", "no_parent", "plain_join")
PEOPLE: Mapping[str, Any] = {
    "two_ids": 0.4, "id_missing_later": 0.3, "sdk_users": 0.2, "callers": 0.15, "late_bind": 0.5,
    "rejoin_without_link": 0.5, "shared_accounts": 0.15, "kiosks": 0.3,
}  # fmt: skip
STAFF: Mapping[str, Any] = {
    "host_by_id": 0.7, "host_as_registrant": 0.5, "alternative_hosts": 0.6, "co_hosts": 0.6, "staff_register": 0.3,
}  # fmt: skip
PEOPLE_MIXES: Mapping[str, Mix] = {  # what Joinlog must know of people; `MIXES` are about links
    "people": replace(
        CALM, **PEOPLE, walk_ins=0.4, walk_in_email=0.7, rejoins=0.4, killed=0.1, two_devices=0.2, phone=0.2,
        without_link=0.1, shared_names=0.2, lists_occurrences=1.0, registration_types=(1, 2, 3),
    ),
    "staff": replace(CALM, **STAFF, meetings=0.4, walk_ins=0.1, role_changes=0.1),
    "rooms": replace(
        CALM, meetings=1.0, breakout_rooms=1.0, room_shapes=ROOM_SHAPES, second_room=0.4, waiting_room=0.3,
        walk_ins=0.3, rejoins=0.2, two_devices=0.1,
    ),
    "personal_room": replace(
        CALM, meetings=1.0, single=0.4, pmi=0.8, unscheduled=0.4, walk_ins=0.5, registration_types=(0, 1),
    ),
    "everybody": replace(
        USUAL, **PEOPLE, **STAFF, room_shapes=ROOM_SHAPES, second_room=0.3, pmi=0.3, breakout_rooms=0.5, walk_ins=0.2,
        meetings=0.5,
    ),
}  # fmt: skip
EVERY_MIX: Mapping[str, Mix] = {**MIXES, **PEOPLE_MIXES}


def list_knobs() -> list[tuple[str, str, str]]:
    """Every knob as (name, default, what it says), in the order of `Mix`."""
    return [(f.name, written(f.default), str(f.metadata["says"])) for f in fields(Mix)]


def written(value: object) -> str:
    """A knob's value as `turn_knob` reads it."""
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)


def turn_knob(mix: Mix, name: str, text: str) -> Mix:
    """`mix` with one knob set from text; ValueError says which knobs there are or what was expected."""
    defaults: dict[str, Any] = {f.name: f.default for f in fields(Mix)}
    default = defaults.get(name)
    if default is None:
        raise ValueError(f"there is no knob {name!r}; `joinlog simulate --help` lists them")
    if isinstance(default, tuple):
        one = type(default[0])
        value: Any = tuple(one(part) for part in text.split(","))
        unknown = set(value) - set(CHOICES[name])
        if unknown:
            raise ValueError(f"{name} knows {', '.join(map(str, CHOICES[name]))}; not {', '.join(map(str, unknown))}")
    else:
        value = type(default)(text)
        if isinstance(default, float) and default <= 1 and not 0 <= value <= 1:
            raise ValueError(f"{name} is a share, from 0 to 1, not {text}")
    return replace(mix, **{name: value})
