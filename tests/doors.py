"""The two doors to the one endpoint: the process that production runs, over a socket, and Flask's route, by WSGI."""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from http.client import HTTPResponse
from io import BytesIO
from typing import Any, Literal, Protocol

import httpx2
from flask import Flask
from prometheus_client import REGISTRY

from schema.store.database import Database
from tests.page_client import TOKENS
from tests.processes import NO_TLS
from tests.signed_requests import SECRET, WEBHOOK, Event, Reply, encode, signed_headers
from tests.signed_requests import Door as WsgiDoor
from webhook.parts import parts_of
from webhook.tokens import Role, new_pass

ANSWER_SECONDS_MAX = 10.0
PIECE_BYTES_MIN = 7

Way = Literal["whole", "chunked", "broken off"]


class Door(Protocol):
    """Where anybody posts to."""

    database: Database

    def post(self, event: Event | bytes, *, secret: str = SECRET, timestamp: int | None = None) -> Reply:
        """Deliver an event as Zoom does, signed over its bytes."""

    def send(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        path: str = WEBHOOK,
        way: Way = "whole",
        stated_length: str | None = None,
    ) -> Reply:
        """Send any bytes with any headers. `stated_length` is that of the body unless it is given."""

    def refused(self, reason: str) -> float:
        """How many requests were refused for this reason."""


class RouteDoor:
    """The application's route, called as a WSGI server calls it."""

    def __init__(self, app: Flask) -> None:
        self.database = parts_of(app).database
        self.wsgi = WsgiDoor(app.wsgi_app)

    def post(self, event: Event | bytes, *, secret: str = SECRET, timestamp: int | None = None) -> Reply:
        """Deliver an event as Zoom does, signed over its bytes."""
        return self.wsgi.post(event, secret=secret, timestamp=timestamp)

    def send(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        path: str = WEBHOOK,
        way: Way = "whole",
        stated_length: str | None = None,
    ) -> Reply:
        """Send any bytes with any headers, text as servers decode it."""
        length = None if way == "chunked" else stated_length or str(len(body))
        sent = body[: len(body) // 2] if way == "broken off" else body
        stream = InPieces(sent, _piece_bytes(body))
        return self.wsgi.send(body, headers, method=method, path=path, stream=stream, content_length=length)

    def refused(self, reason: str) -> float:
        """How many requests this process refused for this reason."""
        return REGISTRY.get_sample_value("joinlog_deliveries_refused_total", {"reason": reason}) or 0.0


class InPieces:
    """A body that comes in small pieces and remembers how much was taken."""

    def __init__(self, body: bytes, piece_bytes: int) -> None:
        self._stream, self._piece_bytes, self.taken_bytes = BytesIO(body), piece_bytes, 0

    def read(self, size: int = -1) -> bytes:
        """The next piece."""
        chunk = self._stream.read(self._piece_bytes if size < 0 else min(size, self._piece_bytes))
        self.taken_bytes += len(chunk)
        return chunk

    def readinto(self, buffer: Any) -> int:
        """The next piece, as a raw stream gives it."""
        chunk = self.read(len(buffer))
        buffer[: len(chunk)] = chunk
        return len(chunk)


class ServedDoor:
    """The web process, over sockets."""

    def __init__(self, port: int, database: Database) -> None:
        self.port = port
        self.database = database

    def post(self, event: Event | bytes, *, secret: str = SECRET, timestamp: int | None = None) -> Reply:
        """Deliver an event as Zoom does, signed over its bytes."""
        body = encode(event)
        return self.send(body, signed_headers(body, secret=secret, timestamp=timestamp))

    def send(
        self,
        body: bytes,
        headers: Mapping[str, str],
        *,
        method: str = "POST",
        path: str = WEBHOOK,
        way: Way = "whole",
        stated_length: str | None = None,
    ) -> Reply:
        """Send any bytes with any headers."""
        if way == "chunked":
            size = _piece_bytes(body)
            pieces = [body[place : place + size] for place in range(0, len(body), size)]
            sent = b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in [*pieces, b""])
            fields = {"transfer-encoding": "chunked"}
        else:
            sent = body[: len(body) // 2] if way == "broken off" else body
            fields = {"content-length": str(len(body)) if stated_length is None else stated_length}
        head = [f"{method} {path} HTTP/1.1", "connection: close"]
        head += [f"{name}: {value}" for name, value in ({"host": "joinlog"} | fields | dict(headers)).items()]
        raw = b"\r\n".join(_on_the_wire(line) for line in head) + b"\r\n\r\n" + sent
        return self.exchange(raw, method=method, is_ended=way == "broken off")

    def exchange(self, raw: bytes, *, method: str = "POST", is_ended: bool = False) -> Reply:
        """Send these very bytes, perhaps end sending, and read one answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWER_SECONDS_MAX) as client:
            try:
                client.sendall(raw)
                if is_ended:
                    client.shutdown(socket.SHUT_WR)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has answered already, and reads no further
            answer = HTTPResponse(client, method=method)
            answer.begin()
            body = answer.read()
            return Reply(answer.status, body, {name.lower(): value for name, value in answer.getheaders()})

    def metrics(self) -> str:
        """What the process tells Prometheus."""
        token = TOKENS.sign_link(new_pass(Role.OPERATOR, timedelta(hours=1), datetime.now(UTC)))
        headers = {"Authorization": f"Bearer {token}"}
        answer = httpx2.get(
            f"http://127.0.0.1:{self.port}/metrics", headers=headers, timeout=5, trust_env=False, verify=NO_TLS
        )
        assert answer.status_code == 200
        return answer.text

    def refused(self, reason: str) -> float:
        """How many requests the process refused for this reason."""
        found = re.search(rf'^joinlog_deliveries_refused_total{{reason="{reason}"}} (\S+)$', self.metrics(), re.M)
        return float(found[1]) if found else 0.0


def _piece_bytes(body: bytes) -> int:
    """Small pieces, but no thousands of them."""
    return max(PIECE_BYTES_MIN, len(body) // 100)


def _on_the_wire(line: str) -> bytes:
    """A line of the head: Latin-1 where it fits, else UTF-8; never two lines."""
    line = line.replace("\r", "?").replace("\n", "?")
    try:
        return line.encode("latin-1")
    except UnicodeEncodeError:
        return line.encode("utf-8", "surrogatepass")
