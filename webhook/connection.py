"""The TCP connection of a request, found beside the server that owns it: for answers of unknown length.

granian takes chunks as fast as they are made, however slowly they are read, and has no way to break off an answer: one
that stopped half-way ends like a whole one (an unbounded channel that carries no error:
https://github.com/emmett-framework/granian/blob/master/src/rsgi/io.rs). So whoever streams asks the socket itself
whether it takes more, and ends it when the answer is not whole.
"""

from __future__ import annotations

import os
import select
import socket
import stat
from ipaddress import IPv4Address, IPv6Address, ip_address

OPEN_FILES = "/dev/fd"  # Linux, macOS


class ReaderGone(Exception):
    """Nobody reads the answer any more."""


class Connection:
    """A second handle of a connection; close it, or the connection stays open with it."""

    def __init__(self, handle: socket.socket) -> None:
        self._handle = handle

    def wait_until_writable(self, seconds_max: float) -> None:
        """Return once the reader took what was sent before. Raises ReaderGone when it left, or took nothing so long."""
        poll = select.poll()
        poll.register(self._handle, select.POLLOUT)
        found = poll.poll(seconds_max * 1000)
        if not found or found[0][1] & (select.POLLERR | select.POLLHUP | select.POLLNVAL):
            raise ReaderGone

    def cut(self) -> None:
        """End the connection, so that the reader cannot take what it has for the whole."""
        try:
            self._handle.shutdown(socket.SHUT_RDWR)
        except OSError:  # ended already
            return

    def close(self) -> None:
        """Give the handle back; the connection is the server's again."""
        self._handle.close()


def connection_from(client: str) -> Connection | None:
    """This process's connection from `host:port`, as a server names its client; None when it has ended."""
    host, _, port = client.rpartition(":")
    wanted = _address(host.strip("[]")), int(port)
    for name in os.listdir(OPEN_FILES):
        try:
            copy = os.dup(int(name))  # first a handle of our own: the number may be another file's a moment later
        except OSError:
            continue
        if not stat.S_ISSOCK(os.fstat(copy).st_mode):
            os.close(copy)
            continue
        handle = socket.socket(fileno=copy)
        if _peer(handle) == wanted:
            return Connection(handle)
        handle.close()
    return None


def _peer(handle: socket.socket) -> tuple[IPv4Address | IPv6Address, int] | None:
    if handle.family not in (socket.AF_INET, socket.AF_INET6):
        return None
    try:
        host, port = handle.getpeername()[:2]
    except OSError:  # it listens
        return None
    return _address(host), port


def _address(host: str) -> IPv4Address | IPv6Address:
    return ip_address(host.partition("%")[0])  # without the network card of a local address
