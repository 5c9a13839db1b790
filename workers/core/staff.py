"""Who runs a meeting, as far as a connection itself shows it. Pure.

The host and the alternative hosts are known from the meeting, panelists from Zoom's API: the views look there.
"""

from __future__ import annotations

from collections.abc import Collection

from schema.rows import Connection
from schema.zoom.erasure import STAFF_PSEUDONYMS

CO_HOST, PANELIST, DOMAIN = "co-host", "panelist", "staff domain"
ROLES = {"host": CO_HOST, "co-host": CO_HOST, "cohost": CO_HOST, "panelist": PANELIST}
"""What a role makes of somebody. Who was made host while the host was away helps to run the meeting, like a co-host."""


def staff_as(connection: Connection, staff_domains: Collection[str]) -> str | None:
    """Why this connection is staff's, None when nothing of it says so. `staff_domains` are in lower case."""
    if connection.role is not None and (role := ROLES.get(connection.role.strip().lower())) is not None:
        return role
    domain = connection.email.rpartition("@")[2] if connection.email is not None else None
    if domain is not None and (domain in staff_domains or domain == STAFF_PSEUDONYMS):
        return DOMAIN
    return None
