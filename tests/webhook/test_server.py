"""The server that production runs: what it makes of bytes on a socket before anybody sees a request."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.doors import ServedDoor
from tests.event_loops import run_in_own_thread
from tests.page_client import TOKENS
from tests.signed_requests import JSON_TYPE, encode, read_payload_file, signed_headers
from webhook import server
from webhook.intake import BODY_BYTES_MAX
from webhook.server import RsgiApplication
from webhook.tokens import Role, new_pass
from webhook.wsgi import WsgiBridge

pytestmark = pytest.mark.xdist_group("served")

BODY = encode(read_payload_file("webinar.started"))
SIGNATURE = "v0=" + 64 * "a"


def request(method: str, path: str, headers: Mapping[str, str] | None = None, body: bytes = b"") -> bytes:
    """A request as it is on the wire."""
    lines = [f"{method} {path} HTTP/1.1", "host: joinlog", *(f"{k}: {v}" for k, v in (headers or {}).items())]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


CLOSE = {"connection": "close"}
UNSIGNED = {"content-type": JSON_TYPE, "content-length": "2"}


def test_a_path_is_decoded_exactly_once(served: ServedDoor) -> None:
    before = served.refused("missing_signature")
    once = served.exchange(request("POST", "/%77ebhook", CLOSE | UNSIGNED, b"{}"))
    assert (once.status, once.body) == (401, b"Not signed by Zoom: missing_signature.\n")
    twice = served.exchange(request("POST", "/%2577ebhook", CLOSE | UNSIGNED, b"{}"))
    assert (twice.status, twice.headers["www-authenticate"]) == (401, "Bearer")  # a page, and no link to see it
    assert served.refused("missing_signature") == before + 1


@pytest.mark.parametrize("path", ["/%ff%fe", "/?q=%ff", "/%00", "/?%00=%00", "/?" + "x" * 5000, "//", "/.", "/%2e%2e/"])
def test_no_path_gives_a_500(path: str, served: ServedDoor) -> None:
    assert served.exchange(request("GET", path, CLOSE), method="GET").status < 500


@pytest.mark.parametrize("name", ["cookie", "authorization", "user-agent", "x-joinlog-search", "if-none-match"])
def test_no_header_gives_a_500(name: str, served: ServedDoor) -> None:
    for path in ("/", "/healthz", "/static/joinlog.css"):
        assert served.exchange(request("GET", path, CLOSE | {name: "\xff\xfe=é"}), method="GET").status < 500


@pytest.mark.parametrize("order", [1, -1])
def test_a_body_with_two_lengths_goes_by_its_chunks_and_ends_the_connection(order: int, served: ServedDoor) -> None:
    """What a proxy in front would take for a second request is not answered (RFC 9112, 6.3)."""
    lengths = [f"content-length: {len(BODY)}", "transfer-encoding: chunked"][::order]
    head = [f"{name}: {value}" for name, value in signed_headers(BODY).items()]
    first = "\r\n".join(["POST /webhook HTTP/1.1", "host: joinlog", *head, *lengths]).encode() + b"\r\n\r\n"
    sent = first + b"%x\r\n%b\r\n0\r\n\r\n" % (len(BODY), BODY) + request("GET", "/healthz")
    with socket.create_connection(("127.0.0.1", served.port), timeout=5) as client:
        client.sendall(sent)
        answered = b""
        while chunk := client.recv(65536):
            answered += chunk
    assert answered.startswith(b"HTTP/1.1 204")
    assert answered.count(b"HTTP/1.1") == 1


def test_two_signatures_are_none(served: ServedDoor) -> None:
    before = served.refused("malformed_signature")
    headers = "".join(f"{name}: {value}\r\n" for name, value in signed_headers(BODY).items())
    head = f"POST /webhook HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {len(BODY)}\r\n{headers}"
    assert served.exchange(f"{head}x-zm-signature: {SIGNATURE}\r\n\r\n".encode() + BODY).status == 401
    assert served.refused("malformed_signature") == before + 1


def test_a_chunked_body_that_breaks_off_is_incomplete_and_not_wrongly_signed(served: ServedDoor) -> None:
    before = served.refused("incomplete"), served.refused("unknown_secret")
    headers = signed_headers(BODY) | {"transfer-encoding": "chunked"}
    cut = b"%x\r\n%b\r\n5\r\nab" % (len(BODY), BODY)
    assert served.exchange(request("POST", "/webhook", headers, cut), is_ended=True).status == 503
    assert (served.refused("incomplete"), served.refused("unknown_secret")) == (before[0] + 1, before[1])


@pytest.mark.parametrize("sent_bytes", [10, 200_000])
def test_a_large_body_that_breaks_off_is_incomplete(sent_bytes: int, served: ServedDoor) -> None:
    before = served.refused("incomplete")
    headers = UNSIGNED | {"content-length": "500000"}
    reply = served.exchange(request("POST", "/webhook", headers, b"x" * sent_bytes), is_ended=True)
    assert reply.status == 503
    assert served.refused("incomplete") == before + 1


@pytest.mark.parametrize("is_chunked", [False, True])
def test_what_was_not_read_ends_the_connection(is_chunked: bool, served: ServedDoor) -> None:
    length = {"transfer-encoding": "chunked"} if is_chunked else {"content-length": str(BODY_BYTES_MAX + 1)}
    sent = 17 * (b"10000\r\n" + b"x" * 65536 + b"\r\n") if is_chunked else b""
    reply = served.exchange(request("POST", "/webhook", {"content-type": JSON_TYPE} | length, sent))
    assert (reply.status, reply.headers["connection"]) == (413, "close")


def test_a_body_sent_to_a_page_has_the_same_limits_and_is_no_delivery(served: ServedDoor) -> None:
    before = served.refused("too_large"), served.refused("incomplete")
    headers = {"content-type": "application/x-www-form-urlencoded", "content-length": str(BODY_BYTES_MAX + 1)}
    assert served.exchange(request("POST", "/enter", headers)).status == 413
    assert (
        served.exchange(request("POST", "/enter", headers | {"content-length": "9"}, b"t"), is_ended=True).status == 503
    )
    assert (served.refused("too_large"), served.refused("incomplete")) == before


def test_a_chunked_form_is_read(served: ServedDoor) -> None:
    headers = CLOSE | {"content-type": "application/x-www-form-urlencoded", "transfer-encoding": "chunked"}
    origin = {"origin": f"http://127.0.0.1:{served.port}"}
    form = f"token={TOKENS.sign_link(new_pass(Role.VIEWER, timedelta(hours=1), datetime.now(UTC)))}".encode()
    sent = b"%x\r\n%b\r\n0\r\n\r\n" % (len(form), form)
    assert served.exchange(request("POST", "/enter", headers | origin, sent)).status == 303


# --- bodies that wait -------------------------------------------------------------------------------------------


class Upload:
    """A request to a page, as granian hands it over; its body of 100 KB does not end before it may."""

    method, path = "POST", "/nowhere"
    scheme, http_version, query_string = "http", "1.1", ""
    server, client = "127.0.0.1:80", "127.0.0.1:1"

    def __init__(self, may_end: asyncio.Event) -> None:
        self._may_end = may_end
        self.headers = self
        self.status: int | None = None

    def get_all(self, _name: str) -> list[str]:
        return []

    def items(self) -> list[tuple[str, str]]:
        return []

    def __contains__(self, _name: str) -> bool:
        return False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"x" * 100_000
        await self._may_end.wait()
        yield b""

    def response_bytes(self, status: int, _headers: Any, _body: bytes) -> None:
        self.status = status


def answer_ok(_environ: Any, start_response: Callable[..., Any]) -> list[bytes]:
    """A page."""
    start_response("200 OK", [("Content-Length", "0")])
    return [b""]


def test_large_bodies_that_wait_are_bounded_and_make_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HELD_BYTES_MAX", 250_000)
    bridge = WsgiBridge(answer_ok, threads=1)
    application = RsgiApplication(bridge)

    async def serve() -> list[int | None]:
        may_end = asyncio.Event()
        waiting = [Upload(may_end) for _ in range(3)]
        tasks = [asyncio.create_task(application.__rsgi__(upload, upload)) for upload in waiting]
        await tasks[2]
        may_end.set()
        await asyncio.gather(*tasks)
        later = Upload(may_end)
        await application.__rsgi__(later, later)
        return [upload.status for upload in (*waiting, later)]

    assert run_in_own_thread(serve()) == [200, 200, 503, 200]
    bridge.close()
