"""A Stripe API that answers any GET of one object from memory: dj-stripe asks it for every event, by design.

`python -m tests.bench.stripe_api PORT`. It is on the generator's core, and much nearer than the real one.
"""

from __future__ import annotations

import asyncio
import sys

import msgspec

from tests.bench.events import stripe_body


class Answer(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to answer."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._received = b""

    def data_received(self, data: bytes) -> None:
        """Answer every whole request; a GET has no body."""
        self._received += data
        while (end := self._received.find(b"\r\n\r\n")) >= 0:
            path = self._received.split(b" ", 2)[1].decode()
            self._received = self._received[end + 4 :]
            body = msgspec.json.encode(thing_at(path))
            head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            self._transport.write(head.encode() + body)


def thing_at(path: str) -> dict[str, object]:
    """The product whose number the path ends with, or the account."""
    name = path.partition("?")[0].rpartition("/")[2]
    if name.startswith("prod_"):
        found: dict[str, object] = msgspec.json.decode(stripe_body(int(name[5:])))["data"]["object"]
        return found
    if name == "features":
        return {"object": "list", "data": [], "has_more": False, "url": path}
    return {"id": "acct_benchmark", "object": "account", "type": "standard", "country": "DE", "livemode": False}


async def serve(port: int) -> None:
    """Until it is ended."""
    server = await asyncio.get_running_loop().create_server(Answer, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(int(sys.argv[1])))
