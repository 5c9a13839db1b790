"""What an operator says about links, and audits: events of Joinlog's own. Pure.

They are kept in the inbox beside Zoom's, so that a rebuild knows them, and drained like them.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

LINK_SET = "joinlog.link_set"
LINK_CLEARED = "joinlog.link_cleared"
INSTANCE_AUDITED = "joinlog.instance_audited"


def link_event(
    account_id: str,
    meeting_id: int | None,
    uuid: str,
    occurrence_id: str | None,
    by: str,
    because: str,
    now: datetime,
) -> bytes:
    """The body of `joinlog.link_set`, or of `joinlog.link_cleared` when `occurrence_id` is None."""
    zoom_object = {"id": meeting_id, "uuid": uuid, "occurrence_id": occurrence_id, "by": by, "because": because}
    return _body(LINK_CLEARED if occurrence_id is None else LINK_SET, account_id, zoom_object, now)


def audited_event(
    account_id: str, meeting_id: int | None, uuid: str, audit: Mapping[str, Any], final_at: datetime | None,
    now: datetime,
) -> bytes:  # fmt: skip
    """The body of what webhooks told of an instance against Zoom's report, and since when that is final, if it is."""
    told = {"id": meeting_id, "uuid": uuid, "audit": audit}
    if final_at is not None:
        told["final_at"] = final_at.isoformat()
    return _body(INSTANCE_AUDITED, account_id, told, now)


def _body(event: str, account_id: str, zoom_object: Mapping[str, Any], now: datetime) -> bytes:
    payload = {"account_id": account_id, "object": zoom_object}
    return msgspec.json.encode({"event": event, "event_ts": int(now.timestamp() * 1000), "payload": payload})
