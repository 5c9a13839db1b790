"""Where every changed row is handed over, in the transaction that changes it. The change feed will stand here."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from schema.change import RowChange

Listener = Callable[[Connection, Sequence[RowChange]], None]
"""Who is told of changed rows, with the connection whose transaction changes them."""


class Changes:
    """The listeners of one database. The drain, a rebuild and an erasure hand over what they changed."""

    def __init__(self) -> None:
        self._listeners: list[Listener] = []

    def listen(self, listener: Listener) -> None:
        """Tell this listener of every change from now on. What it raises takes the transaction back."""
        self._listeners.append(listener)

    def hand_over(self, connection: Connection, changes: Sequence[RowChange]) -> None:
        """Tell every listener what changed, once per transaction and row."""
        if changes:
            for listener in self._listeners:
                listener(connection, changes)
