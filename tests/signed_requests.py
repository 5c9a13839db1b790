"""Posting to the front door as Zoom does: signed over the raw bytes; and as strangers do: any bytes whatever."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from joinlog.fakezoom import sign

SECRET = "secret-token-of-the-fake-app"
PAYLOADS = Path(__file__).parent / "payloads"
WEBHOOK = "/webhook"
JSON_TYPE = "application/json; charset=utf-8"

WsgiApp = Callable[[dict[str, Any], Any], Iterable[bytes]]
Event = Mapping[str, Any]


class Reply(NamedTuple):
    """An answer as the poster sees it."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


def encode(event: Event | bytes) -> bytes:
    """The bytes of an event as Zoom would send them: compact, non-ASCII as UTF-8."""
    return event if isinstance(event, bytes) else json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()


def signed_headers(body: bytes, *, secret: str = SECRET, timestamp: int | None = None) -> dict[str, str]:
    """Zoom's headers for a body, signed now unless told otherwise (epoch seconds)."""
    return {
        "content-type": JSON_TYPE,
        "x-zm-trackingid": "v=2.0;clid=aw1;rid=WEB_test",
        "x-zm-request-id": "6009d653_d487_445d_8406_42b654974899",
        **sign(secret, int(time.time()) if timestamp is None else timestamp, body),
    }


class Door:
    """A WSGI application to post to, without a server in between."""

    def __init__(self, app: WsgiApp) -> None:
        self._app = app

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
        stream: Any = None,
        content_length: str | None = "",
    ) -> Reply:
        """Send any bytes with any headers (text as servers decode it: latin-1), signed or not.

        `content_length` is that of the body when empty; None leaves it out, as chunked bodies do.
        """
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method,
            "SCRIPT_NAME": "",
            "PATH_INFO": path,
            "QUERY_STRING": "",
            "SERVER_NAME": "127.0.0.1",
            "SERVER_PORT": "8000",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "REMOTE_ADDR": "127.0.0.1",
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": BytesIO(body) if stream is None else stream,
            "wsgi.errors": BytesIO(),
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }
        if content_length is None:
            environ["wsgi.input_terminated"] = True
            environ["HTTP_TRANSFER_ENCODING"] = "chunked"
        else:
            environ["CONTENT_LENGTH"] = content_length or str(len(body))
        for name, value in headers.items():
            key = name.upper().replace("-", "_")
            environ[key if key == "CONTENT_TYPE" else f"HTTP_{key}"] = value
        answered: list[tuple[str, list[tuple[str, str]]]] = []
        chunks = self._app(environ, lambda status, fields, _exc=None: answered.append((status, fields)))
        answer = b"".join(chunks)
        status, fields = answered[0]
        return Reply(int(status.split()[0]), answer, {name.lower(): value for name, value in fields})


def read_payload_file(name: str) -> dict[str, Any]:
    """One event of tests/payloads, by event type."""
    event: dict[str, Any] = json.loads((PAYLOADS / f"{name}.json").read_bytes())
    return event


def payload_files() -> list[str]:
    """The event types of tests/payloads that have a file each."""
    return sorted(path.name.removesuffix(".json") for path in PAYLOADS.glob("*.json"))
