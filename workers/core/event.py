"""One event of the inbox as projections see it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import NamedTuple

from schema.zoom.payloads import ObjectPart, PayloadError, PayloadPart, read_identifier, read_whole_number
from workers.core.merge import Fact


class Event(NamedTuple):
    """One event of the inbox, read and ready to be projected."""

    account_id: str
    event_type: str
    key: str
    seq: int
    at: datetime
    at_ms: int  # the same, ms since 1970
    payload: PayloadPart

    @property
    def kind(self) -> str:
        """`webinar` or `meeting`."""
        return self.event_type.partition(".")[0]

    @property
    def zoom_object(self) -> ObjectPart:
        """`payload.object`. Raises PayloadError when it is missing."""
        if self.payload.object is None:
            raise PayloadError("payload has no object")
        return self.payload.object

    @property
    def meeting_id(self) -> int:
        """The meeting it is about. Raises PayloadError when it does not say."""
        meeting_id = read_whole_number(self.zoom_object.id)
        if meeting_id is None:
            raise PayloadError("payload.object has no id")
        return meeting_id

    @property
    def uuid(self) -> str:
        """The instance it is about. Raises PayloadError when it does not say."""
        uuid = read_identifier(self.zoom_object.uuid)
        if uuid is None:
            raise PayloadError("payload.object has no uuid")
        return uuid


Facts = Iterator[Fact]
Projection = Callable[[Event], Facts]
