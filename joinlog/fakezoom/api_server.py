"""Serves the fake Zoom's API over HTTP on this machine; `api` decides every answer."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec

from joinlog.fakezoom.api import API_PATH, OAUTH_PATH, ApiOptions, Request, ZoomApi, after_the_world
from joinlog.fakezoom.player import Try
from joinlog.fakezoom.world import World

BODY_BYTES_MAX = 65_536
POLL_SECONDS = 0.05
IDLE_SECONDS_MAX = 60.0


class ApiServer:
    """A `ZoomApi` behind an HTTP server on loopback, while the context lasts.

    `now` is the moment of the world's time that is answered about: set it, or set `clock` to let it run.
    `seconds_ahead` is added to the caller's clock: raise it to let tokens and pages grow old without waiting.
    """

    def __init__(
        self, world: World, seed: int = 1, options: ApiOptions | None = None, *, port: int = 0,
        now: datetime | None = None, clock: Callable[[], datetime] | None = None,
    ) -> None:  # fmt: skip
        self._server = _Server(("127.0.0.1", port), _Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.api_url, self.oauth_url = f"{self.url}{API_PATH}", f"{self.url}{OAUTH_PATH}"
        self.api = ZoomApi(world, seed, replace(options or ApiOptions(), api_url=self.url))
        self.now = now or after_the_world(world)
        self.clock = clock
        self.seconds_ahead = 0.0
        self.lock = threading.Lock()
        self._server.owner = self
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": POLL_SECONDS}, name="fake-zoom-api", daemon=True
        )

    def __enter__(self) -> ApiServer:
        """Begin to serve."""
        self._thread.start()
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        """Stop, and free the port."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def advance(self, by: timedelta) -> None:
        """Let the world's time and the caller's clock go on by as much."""
        self.now += by
        self.seconds_ahead += by.total_seconds()

    def log_try(self, tried: Try) -> None:
        """Take one try of a delivery into the delivery log; made to be `play(on_try=...)`."""
        with self.lock:
            self.api.log_try(tried.attempt, tried.retry, tried.at, tried.failure)

    def respond(self, request: Request) -> tuple[int, bytes, dict[str, str]]:
        """(status, body, headers) of one request; one at a time."""
        with self.lock:
            now = self.clock() if self.clock is not None else self.now
            response = self.api.answer(request, now, time.time() + self.seconds_ahead)
        body = msgspec.json.encode(response.body)
        return response.status, body, {"content-type": "application/json;charset=UTF-8", **response.headers}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128
    owner: ApiServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of clients that went away."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # headers and body leave together
    timeout = IDLE_SECONDS_MAX
    server: _Server

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing: `ZoomApi.calls` is the log."""

    def do_GET(self) -> None:
        """Answer."""
        self.answer()

    def do_POST(self) -> None:
        """Answer."""
        self.answer()

    def answer(self) -> None:
        """Read one request, ask the API, write the response."""
        url = urlsplit(self.path)
        length = min(int(self.headers.get("content-length") or 0), BODY_BYTES_MAX)
        form = dict(parse_qsl(self.rfile.read(length).decode("utf-8", "replace"))) if length else {}
        headers = {name.lower(): value for name, value in self.headers.items()}
        query = dict(parse_qsl(url.query, keep_blank_values=True))
        status, body, answered = self.server.owner.respond(Request(self.command, url.path, query, headers, form))
        if not status:
            self.close_connection = True
            return
        self.send_response(status)
        for name, value in answered.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()
