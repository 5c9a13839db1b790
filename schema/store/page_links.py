"""Page links: those that were made, and those that were revoked. What opens a page is kept nowhere."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection

from schema.store.database import Database
from schema.store.dialect import as_moment, run

ENDED_DAYS_KEPT = 90  # how long the list knows a link that has ended


class PageLinkRow(NamedTuple):
    """A page link as the list knows it; of one that an older version made only the id and the revocation."""

    link_id: str
    role: str | None = None
    meeting_id: int | None = None
    occurrence_id: str | None = None
    made_by: str | None = None
    made_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    is_revoked: bool = False

    def is_open(self, now: datetime) -> bool:
        """Whether it still opens pages."""
        return not self.is_revoked and self.expires_at is not None and self.expires_at > now


_MADE = PageLinkRow._fields[:7]
_LISTED = ", ".join(f"p.{name}" for name in _MADE[1:])


def record_link(database: Database, link: PageLinkRow) -> None:
    """Write down a page link that is made, and forget those that ended ENDED_DAYS_KEPT before it."""
    columns = ("account_id", *_MADE, "updated_at")
    values = ("", *link[: len(_MADE)], link.made_at)
    with database.write() as connection:
        run(
            connection,
            f"INSERT INTO page_link ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})",
            values,
        )
        if link.made_at is not None:
            ended = link.made_at - timedelta(days=ENDED_DAYS_KEPT)
            run(connection, "DELETE FROM page_link WHERE expires_at < ?", (ended,))


def read_links_made(connection: Connection) -> list[PageLinkRow]:
    """Every page link the list knows, those that end last first; then those of which only the revocation is known."""
    made = _rows(connection, "")
    known = {one.link_id for one in made}
    revoked = read_revoked_links(connection)
    older = [
        PageLinkRow(link_id, revoked_at=at, is_revoked=True) for link_id, at in revoked.items() if link_id not in known
    ]
    return made + sorted(older, key=lambda one: one.link_id)


def read_open_links(connection: Connection, now: datetime, meeting_id: int, *, with_whole: bool) -> list[PageLinkRow]:
    """The page links that open a meeting now; with `with_whole` also those that open all meetings."""
    whole = " OR p.meeting_id IS NULL" if with_whole else ""
    where = f"WHERE p.expires_at > ? AND r.link_id IS NULL AND (p.meeting_id = ?{whole})"
    return _rows(connection, where, now, meeting_id)


def read_link_made(connection: Connection, link_id: str) -> PageLinkRow | None:
    """One page link of the list, or None."""
    found = _rows(connection, "WHERE p.link_id = ?", link_id)
    return found[0] if found else None


def read_revoked_links(connection: Connection) -> dict[str, datetime | None]:
    """The ids of every page link that was revoked, and when."""
    return {link_id: as_moment(at) for link_id, at in run(connection, "SELECT link_id, revoked_at FROM revoked_link")}


def revoke_link(database: Database, link_id: str, now: datetime) -> None:
    """Revoke a page link; its sessions end within seconds. Doing it twice changes nothing."""
    query = (
        "INSERT INTO revoked_link (account_id, link_id, revoked_at, updated_at) VALUES ('', ?, ?, ?) "
        "ON CONFLICT (account_id, link_id) DO NOTHING"
    )
    with database.write() as connection:
        run(connection, query, (link_id, now, now))


def _rows(connection: Connection, where: str, *values: Any) -> list[PageLinkRow]:
    query = (
        f"SELECT p.link_id, {_LISTED}, r.revoked_at, r.link_id IS NOT NULL FROM page_link p "
        f"LEFT JOIN revoked_link r ON r.account_id = p.account_id AND r.link_id = p.link_id {where} "
        "ORDER BY p.expires_at DESC, p.link_id"
    )
    found = [PageLinkRow(*row) for row in run(connection, query, values)]
    return [
        one._replace(
            made_at=as_moment(one.made_at),
            expires_at=as_moment(one.expires_at),
            revoked_at=as_moment(one.revoked_at),
            is_revoked=bool(one.is_revoked),
        )
        for one in found
    ]
