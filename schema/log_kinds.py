"""The kinds of lines in the join log, each with the word and the colour the pages show it in. Pure.

A new kind is one row here and one projection that writes it; a test fails when either is missing.
"""

from __future__ import annotations

from enum import StrEnum


class LogKind(StrEnum):
    """What a line tells. `label` is for people, `colour` a class of webhook/static/joinlog.css."""

    label: str
    colour: str

    def __new__(cls, value: str, label: str, colour: str) -> LogKind:
        """A member, compared and stored as its value."""
        kind = str.__new__(cls, value)
        kind._value_ = value
        kind.label = label
        kind.colour = colour
        return kind

    JOINED = "joined", "joined", "green"
    LEFT = "left", "left", "grey"
    STARTED = "started", "started", "blue"
    ENDED = "ended", "ended", "blue"
    REGISTERED = "registered", "registered", "violet"
    APPROVED = "approved", "approved", "violet"
    DENIED = "denied", "denied", "red"
    CANCELLED = "cancelled", "cancelled", "red"
    SCHEDULED = "scheduled", "scheduled", "teal"
    RESCHEDULED = "rescheduled", "moved", "teal"
    DELETED = "deleted", "deleted", "red"
    RECOVERED = "recovered", "recovered", "teal"
    CONVERTED = "converted", "converted", "teal"
    BOUND = "bound", "phone bound", "grey"
    ROLE = "role", "new role", "grey"
    LINK = "link", "link", "amber"


LOG_KINDS = {kind.value: kind for kind in LogKind}
"""By the value that rows and URLs carry; rows of a later version may carry others."""
