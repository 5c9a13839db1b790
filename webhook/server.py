"""What stands between the network and the application: a slow client waits here, and holds up nobody.

Granian's WSGI mode gives a request a thread as soon as its headers are there, and has no limit on how long a body may
take: as many unsigned requests as there are threads, each with one byte of its body missing, stopped the web process
for good (measured). So bodies are read here, on the event loop, within BODY_SECONDS_MAX, and a thread is taken only
for a request that is complete. A delivery of Zoom's takes none at all: it is believed here and kept at the desk.
https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Any
from urllib.parse import unquote_to_bytes

from webhook.desk import Desk
from webhook.group_commit import CommitFailed
from webhook.intake import BODY_BYTES_MAX, URL_VALIDATION, Answer, Intake, check_request, kept, not_kept

BODY_SECONDS_MAX = 5.0  # Zoom's arrive with the headers, and Zoom waits 3 s for the answer
SMALL_BYTES_MAX = 64 * 1024  # bodies up to here are not counted: all connections together cannot hold much of them
HELD_BYTES_MAX = 256 * 1024 * 1024  # of larger bodies that are not complete
_CLOSE = [("connection", "close"), ("content-type", "text/plain; charset=utf-8")]
PROBES = frozenset({"/healthz", "/readyz"})  # have a thread of their own, for when all others wait for a database
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


class _Refused(Exception):
    """The body was not taken; `status` and `text` are the answer."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class Front:
    """Serves a WSGI application to granian's RSGI interface, with `threads` requests inside at the same moment.

    With an `intake`, POST `intake_path` is answered without the application.
    """

    def __init__(
        self,
        application: Wsgi,
        threads: int,
        *,
        intake: Intake | None = None,
        desk: Desk | None = None,
        intake_path: str = "",
    ) -> None:
        self._application = application
        self._intake = intake
        self._desk = desk
        self._intake_path = intake_path
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="web")
        self._probes = ThreadPoolExecutor(1, thread_name_prefix="probe")
        self._held_bytes = 0

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian before the first request."""
        self._loop = loop
        if self._desk is not None:
            self._desk.open(loop)

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian after the last request."""
        self._pool.shutdown(wait=False)
        self._probes.shutdown(wait=False)
        if self._desk is not None:
            self._desk.close()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        try:
            body = b"" if scope.method in _BODILESS else await self._read(scope, protocol)
        except _Refused as refused:
            protocol.response_str(refused.status, _CLOSE, f"{refused.text}\n")
            return
        if self._intake is not None and scope.path == self._intake_path and scope.method == "POST":
            answer = await self._take(self._intake, scope.headers, body)
            protocol.response_bytes(int(answer.status[:3]), list(answer.headers), answer.body)
            return
        pool = self._probes if scope.path in PROBES else self._pool
        status, headers, chunks = await self._loop.run_in_executor(pool, self._call, environ_of(scope, body))
        if isinstance(chunks, bytes):
            protocol.response_bytes(status, headers, chunks)
        else:
            await self._stream(protocol.response_stream(status, headers), chunks)

    async def _stream(self, transport: Any, chunks: Iterable[bytes]) -> None:
        """Send an answer of unknown length as it is made; a reader that goes away ends the making."""
        iterator = iter(chunks)
        try:
            while (chunk := await self._loop.run_in_executor(self._pool, next, iterator, None)) is not None:
                if chunk:
                    await transport.send_bytes(chunk)
        except RuntimeError:  # how granian says that nobody reads any more
            return
        finally:
            await self._loop.run_in_executor(self._pool, _close, chunks)

    async def _take(self, intake: Intake, headers: Any, body: bytes) -> Answer:
        """Answer a delivery as `Intake.answer` does, but wait for its commit on the event loop."""
        refusal = check_request("POST", headers.get("content-type") or "")
        if refusal is not None:
            return refusal
        signature, timestamp = headers.get("x-zm-signature"), headers.get("x-zm-request-timestamp")
        if URL_VALIDATION.encode() in body:  # rare, noted in the database: a thread's work
            believed = await self._loop.run_in_executor(None, intake.believe, signature, timestamp, None, body)
        else:
            believed = intake.believe(signature, timestamp, headers.get("x-zm-trackingid"), body)
        if isinstance(believed, Answer):
            return believed
        assert self._desk is not None
        try:
            await self._desk.keep(believed)
        except CommitFailed as error:
            return not_kept(error.__cause__ or error)
        return kept()

    async def _read(self, scope: Any, protocol: Any) -> bytes:
        """The whole body. Raises _Refused when it is too large, too slow or broken off."""
        declared = scope.headers.get("content-length") or ""
        length = int(declared[:20]) if declared.isascii() and declared.isdigit() else None
        if length is not None and length > BODY_BYTES_MAX:
            raise _Refused(413, f"The body may have {BODY_BYTES_MAX} bytes at most.")
        if length == 0:
            return b""
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                if length is not None and length <= SMALL_BYTES_MAX:
                    return bytes(await protocol())
                return await self._read_large(protocol)
        except TimeoutError:
            raise _Refused(408, f"The body did not arrive within {BODY_SECONDS_MAX:g} s.") from None
        except RuntimeError:  # how granian says that the connection ended early
            raise _Refused(400, "The body ended early.") from None

    async def _read_large(self, protocol: Any) -> bytes:
        held = 0
        chunks = []
        try:
            async for chunk in protocol:
                held += len(chunk)
                self._held_bytes += len(chunk)
                if held > BODY_BYTES_MAX:
                    raise _Refused(413, f"The body may have {BODY_BYTES_MAX} bytes at most.")
                if self._held_bytes > HELD_BYTES_MAX:
                    raise _Refused(503, "Too many large bodies at once; send it again.")
                chunks.append(chunk)
        finally:
            self._held_bytes -= held
        return b"".join(chunks)

    def _call(self, environ: dict[str, Any]) -> tuple[int, list[tuple[str, str]], bytes | Iterable[bytes]]:
        """Run the application in a thread of the pool; what has no length is left to be streamed."""
        started: list[tuple[str, list[tuple[str, str]]]] = []
        chunks = self._application(environ, lambda status, headers, _error=None: started.append((status, headers)))
        if not started:  # a generator begins with its first chunk
            chunks = _begun(chunks)
        status, headers = started[-1]
        if not any(name.lower() == "content-length" for name, _ in headers) and environ["REQUEST_METHOD"] != "HEAD":
            return int(status[:3]), headers, chunks
        try:
            return int(status[:3]), headers, b"".join(chunks)
        finally:
            _close(chunks)


def _begun(chunks: Iterable[bytes]) -> Iterable[bytes]:
    iterator = iter(chunks)
    first = next(iterator, b"")
    return itertools.chain([first], iterator)


def _close(chunks: Iterable[bytes]) -> None:
    if (close := getattr(chunks, "close", None)) is not None:
        close()


def environ_of(scope: Any, body: bytes) -> dict[str, Any]:
    """The request as WSGI describes it (PEP 3333)."""
    server_name, _, server_port = scope.server.rpartition(":")
    environ = {
        "REQUEST_METHOD": scope.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(scope.path).decode("latin-1"),
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
        elif name != "content-length":
            key = "HTTP_" + name.upper().replace("-", "_")
            environ[key] = f"{environ[key]}{'; ' if name == 'cookie' else ','}{value}" if key in environ else value
    return environ
