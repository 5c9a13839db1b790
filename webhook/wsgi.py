"""The bridge from the server to Flask: requests become WSGI's, and answers are sent in whole or as a stream.

Why it is ours and no library's stands in ARCHITECTURE.md, "Decisions", 7.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from io import BytesIO
from typing import Any

from webhook.connection import Connection, ReaderGone, connection_from
from webhook.feed_tail import NEXT, WAITING, FeedWaiters, Told, Wanted

PROBES = frozenset({"/healthz", "/readyz"})  # have a thread of their own, for when all others wait for a database
STREAMS_MAX = 4  # as many as exports at once; they have threads of their own, for a slow reader must hold up no page
READER_SECONDS_MAX = 30.0  # whoever takes nothing of a streamed answer for so long is cut off

Headers = list[tuple[str, str]]
Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class WsgiBridge:
    """Serves a WSGI application, with `threads` requests inside at the same moment.

    The application must call `start_response` before it returns, as Flask does.
    """

    def __init__(self, application: Wsgi, threads: int, waiters: FeedWaiters | None = None) -> None:
        self._application = application
        self._waiters = waiters
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._streams = ThreadPoolExecutor(STREAMS_MAX, thread_name_prefix="stream")
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")

    def close(self) -> None:
        """Take no more requests."""
        self._pool.shutdown(wait=False)
        self._streams.shutdown(wait=False)
        self._probes.shutdown(wait=False)
        if self._waiters is not None:
            self._waiters.close()

    async def answer(self, scope: Any, body: bytes, protocol: Any) -> None:
        """Answer one request of granian's; all of it happens in one context."""
        loop = asyncio.get_running_loop()
        context, environ = copy_context(), environ_of(scope, body)
        waiting: list[Wanted] = []
        if self._waiters is not None and not self._waiters.is_full:
            environ[WAITING] = waiting
        pool = self._probes if scope.path in PROBES else self._pool
        status, headers, chunks = await loop.run_in_executor(pool, context.run, self._call, environ)
        if waiting and self._waiters is not None:
            told = await self._waiters.wait(waiting[0])
            headers, chunks = _told_instead(headers, told), b"".join(told.lines)
        if isinstance(chunks, bytes):
            protocol.response_bytes(status, headers, chunks)
            return
        begin = partial(protocol.response_stream, status, headers)
        await loop.run_in_executor(self._streams, context.run, _stream, loop, scope.client, begin, chunks)

    def _call(self, environ: dict[str, Any]) -> tuple[int, Headers, bytes | Iterable[bytes]]:
        """Run the application; what has no length is left to be streamed."""
        started: list[tuple[str, Headers]] = []
        chunks = self._application(environ, lambda status, headers, _error=None: started.append((status, headers)))
        status, headers = started[-1]
        if not any(name.lower() == "content-length" for name, _ in headers) and environ["REQUEST_METHOD"] != "HEAD":
            return int(status[:3]), headers, chunks
        try:
            return int(status[:3]), headers, b"".join(chunks)
        finally:
            _close(chunks)


def _told_instead(headers: Headers, told: Told) -> Headers:
    """The headers of an answer that was waited for."""
    kept = [(name, value) for name, value in headers if name.lower() not in ("content-length", NEXT.lower())]
    return [*kept, ("Content-Length", str(sum(map(len, told.lines)))), (NEXT, str(told.next_after))]


def environ_of(scope: Any, body: bytes) -> dict[str, Any]:
    """The request as WSGI describes it (PEP 3333). Granian has decoded the path already: once is enough."""
    server_name, _, server_port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),  # bytes as WSGI has them: they may be UTF-8
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "SERVER_NAME": server_name.strip("[]"),
        "SERVER_PORT": server_port,
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": scope.scheme,
        "wsgi.input": BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in scope.headers.items():
        if name == "content-type":
            environ["CONTENT_TYPE"] = value
        elif name not in ("content-length", "transfer-encoding"):  # the body is whole, and its length is known
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}" if key in environ else value
    return environ


def _stream(loop: asyncio.AbstractEventLoop, client: str, begin: Callable[[], Any], chunks: Iterable[bytes]) -> None:
    """Send an answer of unknown length as fast as it is read, in one thread from its first chunk to its last."""
    connection = connection_from(client)
    try:
        if connection is not None:
            _send_all(loop, connection, begin(), chunks)
    except ReaderGone:
        return
    finally:
        _close(chunks)
        if connection is not None:
            connection.close()


def _send_all(loop: asyncio.AbstractEventLoop, connection: Connection, transport: Any, chunks: Iterable[bytes]) -> None:
    """Send every chunk, or end the connection: nobody shall take a part for the whole."""
    is_whole = False
    try:
        for chunk in chunks:
            if chunk:
                connection.wait_until_writable(READER_SECONDS_MAX)
                asyncio.run_coroutine_threadsafe(_send(transport, chunk), loop).result(READER_SECONDS_MAX)
        is_whole = True
    finally:
        if not is_whole:
            connection.cut()


async def _send(transport: Any, chunk: bytes) -> None:
    try:
        await transport.send_bytes(chunk)
    except RuntimeError:  # how granian says that nobody reads any more
        raise ReaderGone from None


def _close(chunks: Iterable[bytes]) -> None:
    if (close := getattr(chunks, "close", None)) is not None:
        close()
