"""Somebody who is told: an HTTP server on loopback that keeps what apprise's `json://` posts to it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from tests.loopback_server import LoopbackServer, QuietHandler


class Receiver:
    """The messages that arrived, and the address they arrive at. `status` is what is answered."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.status = 200
        self.server = LoopbackServer(self._handler())
        self.url = f"json://{self.server.place}/told"

    @property
    def titles(self) -> list[str]:
        """Their titles, in the order in which they came."""
        return [message["title"] for message in self.messages]

    def _handler(self) -> type[QuietHandler]:
        receiver = self

        class Handler(QuietHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                if receiver.status == 200:
                    receiver.messages.append(body)
                self.send_response(receiver.status)
                self.end_headers()

        return Handler


@contextmanager
def receiving() -> Iterator[Receiver]:
    """A receiver for the length of a test."""
    receiver = Receiver()
    with closing(receiver.server):
        yield receiver
