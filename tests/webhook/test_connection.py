"""A connection seen beside its server: full, left, cut, gone."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import suppress

import pytest

from webhook.connection import Connection, ReaderGone, connection_from

Ends = tuple[socket.socket, socket.socket, str]


@pytest.fixture(params=[(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")], ids=["IPv4", "IPv6"])
def ends(request: pytest.FixtureRequest) -> Iterator[Ends]:
    """A server's end of a connection, its client's, and what the server calls the client."""
    family, host = request.param
    with socket.socket(family) as listener, socket.socket(family) as client:
        try:
            listener.bind((host, 0))
        except OSError:
            pytest.skip(f"no {host} on this machine")
        listener.listen()
        client.settimeout(5)
        client.connect(listener.getsockname())
        server, _ = listener.accept()
        with server:
            port = client.getsockname()[1]
            yield server, client, f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def found(client_name: str) -> Connection:
    """The connection, which must be there."""
    connection = connection_from(client_name)
    assert connection is not None
    return connection


def test_a_cut_connection_ends_for_its_client(ends: Ends) -> None:
    server, client, name = ends
    connection = found(name)
    connection.cut()
    assert client.recv(1) == b""
    connection.cut()  # once more does no harm
    connection.close()
    assert server.fileno() >= 0  # the server's own handle is the server's


def test_a_full_connection_has_no_reader_in_time_and_an_empty_one_has(ends: Ends) -> None:
    server, client, name = ends
    connection = found(name)
    connection.wait_until_writable(0)
    server.setblocking(False)
    with suppress(BlockingIOError):
        while True:
            server.send(b"x" * 65536)
    with pytest.raises(ReaderGone):
        connection.wait_until_writable(0)
    while True:
        client.recv(1 << 20)
        try:
            connection.wait_until_writable(0)
        except ReaderGone:
            continue
        break
    connection.close()


def test_a_reader_who_left_in_the_middle_is_gone(ends: Ends) -> None:
    server, client, name = ends
    connection = found(name)
    server.sendall(b"not read")
    client.close()  # with something unread: a reset
    with pytest.raises(ReaderGone):
        connection.wait_until_writable(5)
    connection.close()


def test_a_connection_that_has_ended_is_not_found(ends: Ends) -> None:
    server, _, name = ends
    server.close()
    assert connection_from(name) is None
