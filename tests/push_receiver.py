"""Somebody who is pushed to: an HTTP server on loopback that verifies with the official library what is posted."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, NamedTuple

from standardwebhooks import Webhook

from tests.loopback_server import LoopbackServer, QuietHandler

PUSH_SECRET = "whsec_" + "c2VjcmV0LW9mLXRlc3RzLTI0LWJ5dGVzLW9yLW1vcmU="


class Pushed(NamedTuple):
    """A notice that arrived, as it stood on the wire."""

    id: str
    headers: Mapping[str, str]
    body: bytes
    at_seconds: float

    @property
    def type(self) -> str:
        """Of what type it is."""
        return str(json.loads(self.body)["type"])

    @property
    def data(self) -> Any:
        """What it tells."""
        return json.loads(self.body)["data"]


class PushReceiver:
    """What it took, and everything that was tried. `answer` says what the next attempt is answered: a status."""

    def __init__(self) -> None:
        self.taken: list[Pushed] = []
        self.attempts: list[Pushed] = []
        self.answer: Callable[[Pushed], int] = lambda _pushed: 204
        self.more_headers: dict[str, str] = {}
        self.sent = b""
        self.server = LoopbackServer(self._handler())
        self.url = f"http://{self.server.place}/told"

    @property
    def types(self) -> list[str]:
        """Of what it took, in order."""
        return [pushed.type for pushed in self.taken]

    def _handler(self) -> type[QuietHandler]:
        receiver = self

        class Handler(QuietHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                pushed = Pushed(headers["webhook-id"], headers, body, time.monotonic())
                Webhook(PUSH_SECRET).verify(body, headers)
                receiver.attempts.append(pushed)
                status = receiver.answer(pushed)
                if 200 <= status < 300:
                    receiver.taken.append(pushed)
                self.send_response(status)
                for name, value in receiver.more_headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(receiver.sent)))
                self.end_headers()
                self.wfile.write(receiver.sent)

        return Handler


@contextmanager
def pushed_to() -> Iterator[PushReceiver]:
    """A receiver for the length of a test."""
    receiver = PushReceiver()
    with closing(receiver.server):
        yield receiver
