"""Events Joinlog knows and does not project, each with the reason. Anything else it does not know is `unhandled`."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache

_MEDIA = "about what is shown or recorded, not about who is there"
_TALK = "about what is said, and private"
_QUALITY = "about how well the line works"
_ASSISTANT = "about what an assistant or another app does with what is said"
_CALLOUT = "an attempt to reach somebody; if they come, a joined event says so"

_BOTH_KINDS = {
    "sharing_started": _MEDIA, "sharing_ended": _MEDIA, "chat_message_sent": _TALK, "chat_message_file_sent": _TALK,
    "chat_message_file_downloaded": _TALK, "alert": _QUALITY, "participant_feedback": _QUALITY,
    "participant_data": _QUALITY, "participant_qos": _QUALITY, "participant_data_summary": _QUALITY,
    "participant_qos_summary": _QUALITY, "participant_data_connection_established": _QUALITY,
    "aic_transcript_completed": _TALK,
}  # fmt: skip

_MEETING_ONLY = {
    "breakout_room_sharing_started": _MEDIA,
    "breakout_room_sharing_ended": _MEDIA, "live_streaming_started": _MEDIA, "live_streaming_stopped": _MEDIA,
    "device_tested": _QUALITY, "risk_alert": _QUALITY, "participant_phone_callout_accepted": _CALLOUT,
    "participant_phone_callout_missed": _CALLOUT, "participant_phone_callout_rejected": _CALLOUT,
    "participant_phone_callout_ringing": _CALLOUT, "participant_room_system_callout_accepted": _CALLOUT,
    "participant_room_system_callout_failed": _CALLOUT, "participant_room_system_callout_missed": _CALLOUT,
    "participant_room_system_callout_rejected": _CALLOUT, "participant_room_system_callout_ringing": _CALLOUT,
    "invitation_accepted": _CALLOUT, "invitation_dispatched": _CALLOUT, "invitation_rejected": _CALLOUT,
    "invitation_timeout": _CALLOUT, "summary_completed": _TALK, "summary_deleted": _TALK,
    "summary_recovered": _TALK, "summary_shared": _TALK, "summary_trashed": _TALK, "summary_updated": _TALK,
}  # fmt: skip

_RECORDING = (
    "archive_files_completed", "batch_deleted", "batch_recovered", "batch_trashed", "cloud_storage_usage_updated",
    "completed", "deleted", "paused", "recovered", "registration_approved", "registration_created",
    "registration_denied", "renamed", "resumed", "started", "stopped", "transcript_completed", "trashed",
)  # fmt: skip

FAMILIES: Mapping[str, str] = {
    "meeting.rtms_": _ASSISTANT, "webinar.rtms_": _ASSISTANT, "meeting.ai_companion_": _ASSISTANT,
    "webinar.ai_companion_": _ASSISTANT, "account.": "about an account, not about a meeting",
    "user.": "about a Zoom user's account or presence, not about a meeting",
    "zoom_events.": "about Zoom Events, whose sessions are webinars and meetings with events of their own",
}  # fmt: skip
"""Whole families of types, by what their names begin with."""

IGNORED: Mapping[str, str] = {
    **{f"{kind}.{name}": reason for kind in ("webinar", "meeting") for name, reason in _BOTH_KINDS.items()},
    **{f"meeting.{name}": reason for name, reason in _MEETING_ONLY.items()},
    **{f"recording.{name}": _MEDIA for name in _RECORDING},
    "app.authorization_request_created": "about who may use the app; nothing happened in a meeting",
}


@lru_cache(1024)
def why_ignored(event_type: str) -> str | None:
    """The reason why events of this type are not projected; None where they are, or where nobody decided."""
    if event_type in IGNORED:
        return IGNORED[event_type]
    return next((reason for start, reason in FAMILIES.items() if event_type.startswith(start)), None)
