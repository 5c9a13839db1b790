"""What the web process is made of, and how its pages find it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from flask import Flask, current_app

if TYPE_CHECKING:
    from markupsafe import Markup

    from schema.settings import Settings
    from schema.store.commit_marker import CommitMarker
    from schema.store.database import Database
    from schema.store.join_log import Line
    from webhook.access import Guard
    from webhook.group_commit import GroupCommitter
    from webhook.intake import Endpoint
    from webhook.pages.fragments import Fragments
    from webhook.pages.tail import LogTail
    from webhook.standby import Standby
    from webhook.tokens import Role
    from webhook.watch import EndpointWatch
    from workers.queue import Doorbell

_EXTENSION = "joinlog"


@dataclass(frozen=True)
class Parts:
    """Everything of one web process that lives as long as it does. `webhook.app.create_app` makes it."""

    settings: Settings
    database: Database
    doorbell: Doorbell
    committer: GroupCommitter
    endpoint: Endpoint
    watch: EndpointWatch
    guard: Guard
    standby: Standby
    marker: CommitMarker
    fragments: Fragments
    tail: LogTail
    rows: Callable[[Role, Line], Markup]  # of the join log, made once for everybody of a role

    def install(self, app: Flask) -> None:
        """Let whoever serves a request of this application find them."""
        app.extensions[_EXTENSION] = self

    def close(self) -> None:
        """Commit what waits, and give every connection back."""
        self.endpoint.close()
        self.doorbell.close()
        self.marker.close()
        self.database.close()


def parts() -> Parts:
    """The parts of the application that serves this request."""
    return parts_of(current_app)


def parts_of(app: Flask) -> Parts:
    """The parts of an application."""
    return cast(Parts, app.extensions[_EXTENSION])
