"""The server that production runs: granian's RSGI interface on one side, the endpoint and Flask on the other.

Granian's WSGI mode gives a request a thread as soon as its headers are there, and waits for the body without a limit:
as many unsigned requests as there are threads, each with one byte of its body missing, stopped the web process for
good (measured). So bodies are read here, on the event loop, within BODY_SECONDS_MAX, and a thread is taken only for a
request that is complete. A delivery of Zoom's takes none at all.
https://github.com/emmett-framework/granian/blob/master/docs/spec/RSGI.md
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from webhook.intake import BODY_BYTES_MAX, WEBHOOK_PATH, BodyFault, Endpoint, read_length, refusal_of
from webhook.wsgi import WsgiBridge

BODY_SECONDS_MAX = 5.0  # Zoom's arrive with the headers, and Zoom waits 3 s for the answer
SMALL_BYTES_MAX = 64 * 1024  # bodies up to here are not counted: all connections together cannot hold much of them
HELD_BYTES_MAX = 256 * 1024 * 1024  # of larger bodies that are not complete
_BODILESS = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_NOT_ASCII = "\N{REPLACEMENT CHARACTER}"
_CLOSE = ("Connection", "close")  # the rest of the body is not read; granian ends the connection, and this says so


class RsgiApplication:
    """The web process as granian calls it. Without an `endpoint` every path is Flask's. `on_end` is called last."""

    def __init__(
        self, pages: WsgiBridge, endpoint: Endpoint | None = None, on_end: Callable[[], None] = lambda: None
    ) -> None:
        self._pages = pages
        self._on_end = on_end
        self._endpoint = endpoint
        self._held_bytes = 0

    def __rsgi_del__(self, _loop: asyncio.AbstractEventLoop) -> None:
        """Called by granian after the last request."""
        self._pages.close()
        self._on_end()

    async def __rsgi__(self, scope: Any, protocol: Any) -> None:
        """Answer one request."""
        headers = JoinedHeaders(scope.headers)
        body = await self._read(scope.method, headers, protocol)
        if self._endpoint is not None and scope.path == WEBHOOK_PATH:
            answer = await self._endpoint.answer_async(scope.method, headers, body)
        elif isinstance(body, BodyFault):
            answer = refusal_of(body)
        else:
            await self._pages.answer(scope, body, protocol)
            return
        more = [_CLOSE] if isinstance(body, BodyFault) else []
        protocol.response_bytes(answer.status, [*answer.headers, *more], answer.body)

    async def _read(self, method: str, headers: JoinedHeaders, protocol: Any) -> bytes | BodyFault:
        """The whole body, or why there is none."""
        length = read_length(headers)
        if isinstance(length, BodyFault):
            return length
        if length == 0 or method in _BODILESS:
            return b""
        try:
            async with asyncio.timeout(BODY_SECONDS_MAX):
                if length is not None and length <= SMALL_BYTES_MAX:
                    return bytes(await protocol())
                return await self._read_large(protocol)
        except TimeoutError:
            return BodyFault.TOO_SLOW
        except RuntimeError:  # how granian says that the connection ended early
            return BodyFault.INCOMPLETE

    async def _read_large(self, protocol: Any) -> bytes | BodyFault:
        """A body of unknown or large size, piece by piece.

        Granian's last piece is empty; an empty one before it is what was left when the connection broke.
        """
        chunks: list[bytes] = []
        held = 0
        try:
            async for chunk in protocol:
                if chunks and not chunks[-1]:
                    return BodyFault.INCOMPLETE
                held += len(chunk)
                self._held_bytes += len(chunk)
                if held > BODY_BYTES_MAX:
                    return BodyFault.TOO_LARGE
                if self._held_bytes > HELD_BYTES_MAX:
                    return BodyFault.NO_ROOM
                chunks.append(chunk)
        finally:
            self._held_bytes -= held
        return b"".join(chunks)


class JoinedHeaders:
    """Granian's headers. Several of one name are joined by commas, as RFC 9110 has it; of those that are not ASCII
    granian says only that they are there."""

    __slots__ = ("_headers",)

    def __init__(self, headers: Any) -> None:
        self._headers = headers

    def get(self, name: str, /) -> str | None:
        """The value of a header by its name in lower case."""
        values = self._headers.get_all(name)
        if not values:
            return _NOT_ASCII if name in self._headers else None
        return values[0] if len(values) == 1 else ",".join(values)
