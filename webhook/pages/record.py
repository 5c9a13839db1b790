"""Zoom's own record of an occurrence in words: whether it is final, why not yet, what webhooks missed. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from markupsafe import Markup, escape

from schema.store.audit import Record
from webhook.pages.formatting import moment


class RecordSays(NamedTuple):
    """What a page says of Zoom's record: since when it is final, or why it is not; what it and webhooks told."""

    final_at: datetime | None
    why_not: Markup | None
    stays_both: int | None  # None until a report was laid beside webhooks
    stays_webhook_only: int
    stays_report_only: int
    webhooks_expected: int
    webhooks_lost: int
    lost: Sequence[tuple[str, int]]


def record_says(records: Sequence[Record], has_credentials: bool, is_whole: bool) -> RecordSays | None:
    """What to say of the records of an occurrence's instances; None where there is no instance.

    `is_whole` is whether whoever reads may see what a failed call was answered.
    """
    if not records:
        return None
    finals = [one.final_at for one in records if one.final_at is not None]
    open_ones = [one for one in records if one.final_at is None]
    audited = [one for one in records if one.stays_both is not None]
    lost: Counter[str] = Counter()
    for one in audited:
        lost.update(json.loads(one.webhooks_lost_by_event or "{}"))
    return RecordSays(
        max(finals) if not open_ones else None,
        _why_not(open_ones, len(records), has_credentials, is_whole) if open_ones else None,
        sum(one.stays_both or 0 for one in audited) if audited else None,
        sum(one.stays_webhook_only or 0 for one in audited),
        sum(one.stays_report_only or 0 for one in audited),
        sum(one.webhooks_expected or 0 for one in audited),
        sum(one.webhooks_lost or 0 for one in audited),
        lost.most_common(),
    )


def _why_not(records: Sequence[Record], of: int, has_credentials: bool, is_whole: bool) -> Markup:
    """Why an occurrence is not final yet, in a sentence about the instance that waits for longest."""
    one = records[0]
    many = Markup("{} of its {} instances: ").format(len(records), of) if of > 1 else Markup("")
    again = Markup(" It is read next {}.").format(moment(one.due_at, "day")) if one.due_at else Markup("")
    if any(record.ended_at is None for record in records):
        return many + escape("Zoom has not said that it ended; its record is read 15 minutes after the end.")
    if not has_credentials:
        return many + Markup(
            "Zoom's own record has not been read: no credentials of its API are set for this account "
            "(<code>ZOOM_ACCOUNT_ID</code>). What webhooks told is all there is."
        )
    if one.error:
        cause = f": {one.error}" if is_whole else ""
        return many + Markup("The last try to read Zoom's own record failed{}.{}").format(cause, again)
    if one.read_at is None:
        return many + (
            Markup("Zoom's own record has not been read yet.{}").format(again)
            if one.due_at
            else Markup("Zoom's own record has not been read; <code>joinlog sync</code> asks for it.")
        )
    if not one.due_at:
        again = Markup(" It is not read again by itself; <code>joinlog sync</code> does.")
    read = moment(one.read_at, "day")
    return many + Markup(
        "Zoom's own record was read {}; it is final once two readings of it, far enough apart, say the same.{}"
    ).format(read, again)
