"""The addresses of pages: of a meeting, an occurrence, an instance. Pure: pages and messages lead to the same."""

from __future__ import annotations

import base64
from urllib.parse import quote

NO_ACCOUNT = "-"  # how a URL names the account of events that named none


def account_part(account_id: str | None) -> str:
    """An account in a path."""
    return quote(account_id or NO_ACCOUNT, safe="")


def uuid_part(uuid: str) -> str:
    """An instance's uuid in a path: it may hold slashes."""
    return base64.urlsafe_b64encode(uuid.encode()).decode().rstrip("=")


def meeting_url(account_id: str, meeting_id: int | None) -> str:
    """The page of a meeting."""
    return "/meetings" if meeting_id is None else f"/meeting/{account_part(account_id)}/{meeting_id}"


def occurrence_part(occurrence_id: str) -> str:
    """An occurrence in a path: its id, or coded where that is an instance's uuid."""
    is_plain = occurrence_id.isascii() and occurrence_id.isalnum()
    return occurrence_id if is_plain else f"~{uuid_part(occurrence_id)}"


def occurrence_url(account_id: str, meeting_id: int | None, occurrence_id: str) -> str:
    """The page of an occurrence."""
    return f"{meeting_url(account_id, meeting_id)}/occurrence/{occurrence_part(occurrence_id)}"


def instance_url(account_id: str, uuid: str) -> str:
    """The page of an instance."""
    return f"/instance/{account_part(account_id)}/{uuid_part(uuid)}"
