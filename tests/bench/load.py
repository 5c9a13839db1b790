"""The load generator: a process of its own, plain sockets, one thread. Reads a `Load` from stdin, writes a `Measured`.

Three ways to load: `closed` (so many clients, each sends when it has its answer), `open` (at fixed times, whatever the
answers do; an answer's time counts from when its request was due) and `herd` (all connections at once, one request
each). Loopback only; bounded in count and in time.
"""

from __future__ import annotations

import errno
import os
import resource
import select
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from itertools import count, islice
from typing import Any, Literal

import msgspec

from tests.bench import events

ANSWER_SECONDS_MAX = 15.0
CONNECTIONS_MAX = 4096
REQUESTS_MAX = 250_000
CLIENT_ADDRESSES = 200  # 127.0.0.2 and on: one address has too few ports for a connection per request
READ_BYTES = 65536


What = Literal["crowd", "mixed", "stripe"]


class Load(msgspec.Struct, frozen=True):
    """What to send to whom."""

    port: int
    way: Literal["closed", "open", "herd"]
    requests: int
    path: str = "/webhook"
    what: What = "crowd"
    clients: int = 1
    keep_alive: bool = True
    per_second: float = 0.0  # of `open`
    seconds_max: float = 60.0  # no request is sent later than this
    first: int = 0  # number of the first person or product: what makes events of two runs different
    places: int = 4
    first_place: int = 0
    core: int | None = None


class Measured(msgspec.Struct):
    """What came back. Times in seconds; `begun` on the monotonic clock all processes share."""

    begun: float = 0.0
    seconds: float = 0.0
    answers: dict[str, int] = {}
    failures: dict[str, int] = {}
    times: list[float] = []
    cpu_seconds: float = 0.0  # of those who answered

    @property
    def per_second(self) -> float:
        """Answers per second."""
        return len(self.times) / self.seconds if self.seconds else 0.0

    @property
    def good(self) -> int:
        """Answers 2xx."""
        return sum(number for status, number in self.answers.items() if status.startswith("2"))

    def at(self, quantile: float) -> float:
        """The time within which this part of the answers came; 1.0 is the slowest."""
        ordered = sorted(self.times)
        return ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] if ordered else float("nan")


def drive(load: Load) -> Measured:
    """Run a load in a process of its own, and wait for it."""
    process = start(load)
    return finish(process)


def start(load: Load) -> subprocess.Popen[bytes]:
    """Start a load; it prints a line with its beginning when it has prepared its requests."""
    assert load.requests <= REQUESTS_MAX
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.load"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, process_group=0
    )
    assert process.stdin is not None
    process.stdin.write(msgspec.json.encode(load))
    process.stdin.close()
    return process


def finish(process: subprocess.Popen[bytes]) -> Measured:
    """What a load measured."""
    assert process.stdout is not None
    text = process.stdout.read()
    if process.wait() != 0:
        raise RuntimeError("the load generator failed; its words are above")
    return msgspec.json.decode(text, type=Measured)


def requests_of(load: Load) -> Iterator[bytes]:
    """The requests, whole and signed."""
    told: dict[str, Any] = {
        "host": f"127.0.0.1:{load.port}",
        "path": load.path,
        "keep_alive": load.keep_alive and load.way != "herd",
    }
    if load.what == "stripe":
        for number in islice(count(load.first), load.requests):
            yield events.stripe_request(events.stripe_body(number), **told)
        return
    for event in islice(events_of(load), load.requests):
        yield events.zoom_request(events.encode(event), **told)


def events_of(load: Load) -> Iterator[events.Event]:
    """`crowd`: the first half of the requests are joins, the rest leaves. `mixed`: joins, and a tenth `started`."""
    begin_ms = int(time.time() * 1000)
    if load.what == "crowd":
        places = events.webinars(load.places, load.first_place)
        yield from events.crowd(places, (load.requests + 1) // 2, begin_ms, load.first)
        return
    places = events.webinars(load.places, load.first_place)
    for number in range(load.requests):
        at_ms = begin_ms + int(number / load.per_second * 1000)
        if is_start(number):
            yield places[1 + number // STARTS_EVERY].started(at_ms)  # in the first people are already
        else:
            yield places[0].joined(load.first + number, at_ms)


STARTS_EVERY = 10


def is_start(number: int) -> bool:
    """Which events of `mixed` begin an instance."""
    return number % STARTS_EVERY == STARTS_EVERY // 2


class Client:
    """One connection and the request it waits for."""

    __slots__ = ("answer", "is_idle", "is_sent", "request", "since", "socket")

    def __init__(self, port: int, number: int) -> None:
        self.socket = socket.socket()
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if hasattr(socket, "IP_BIND_ADDRESS_NO_PORT"):
            self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
        self.socket.bind((f"127.0.0.{2 + number % CLIENT_ADDRESSES}", 0))
        self.socket.setblocking(False)
        self.request = b""
        self.answer = b""
        self.since = 0.0
        self.is_sent = False
        self.is_idle = False
        status = self.socket.connect_ex(("127.0.0.1", port))
        if status not in (0, errno.EINPROGRESS):
            raise OSError(status, os.strerror(status))


def answer_length(answer: bytes) -> int | None:
    """How long an answer is with its head; None while that is not known."""
    end = answer.find(b"\r\n\r\n")
    if end < 0:
        return None
    head = answer[:end].lower()
    if head[9:12] in (b"204", b"304"):
        return end + 4
    place = head.find(b"content-length:")
    if place >= 0:
        return end + 4 + int(head[place + 15 :].split(b"\r\n", 1)[0])
    if b"transfer-encoding: chunked" in head:
        return len(answer) if answer.endswith(b"0\r\n\r\n") else None
    return None  # until the connection closes


class Generator:
    """Sends the requests of a load and times the answers."""

    def __init__(self, load: Load) -> None:
        self.load = load
        self.requests = deque(requests_of(load))
        self.measured = Measured(answers={}, failures={}, times=[])
        self.poll = select.epoll()
        self.clients: dict[int, Client] = {}
        self.idle: list[Client] = []
        self._made = 0
        self._waiting = 0

    def run(self) -> Measured:
        """Send everything there is to send, in the time there is."""
        begin = self.measured.begun = time.monotonic()
        last_send = begin + self.load.seconds_max
        if self.load.way != "open":
            for _ in range(len(self.requests) if self.load.way == "herd" else self.load.clients):
                self.send(time.monotonic())
        sent = 0
        while self.requests or self._waiting:
            now = time.monotonic()
            if now > last_send and self.requests:
                self.requests.clear()
            if now > last_send + ANSWER_SECONDS_MAX:
                self._note_failure("no answer", self._waiting)
                break
            wait = 0.1
            if self.load.way == "open" and self.requests:
                while self.requests and (due := begin + sent / self.load.per_second) <= now:
                    self.send(due)
                    sent += 1
                wait = max(0.0, min(0.1, due - time.monotonic()))
            for number, happened in self.poll.poll(wait):
                self._serve(self.clients[number], happened)
        self.measured.seconds = time.monotonic() - begin
        return self.measured

    def send(self, since: float) -> None:
        """Send the next request, on a connection that is idle or on a new one."""
        if not self.requests:
            return
        if self.idle:
            client = self.idle.pop()
            client.is_idle = False
            self._waiting += 1
            client.request, client.since, client.is_sent = self.requests.popleft(), since, False
            self._write(client)
            return
        if len(self.clients) >= CONNECTIONS_MAX:
            self.requests.popleft()
            self._note_failure("too many connections")
            return
        self._made += 1
        try:
            client = Client(self.load.port, self._made)
        except OSError as error:
            self.requests.popleft()
            self._note_failure(errno.errorcode.get(error.errno or 0, "?"))
            return
        client.request, client.since = self.requests.popleft(), since
        self.clients[client.socket.fileno()] = client
        self._waiting += 1
        self.poll.register(client.socket.fileno(), select.EPOLLOUT | select.EPOLLIN)

    def _write(self, client: Client) -> None:
        try:
            sent = client.socket.send(client.request)
        except OSError as error:
            self._drop(client, errno.errorcode.get(error.errno or 0, "?"))
            return
        client.is_sent = sent == len(client.request)
        client.request = client.request[sent:]
        client.answer = b""

    def _serve(self, client: Client, happened: int) -> None:
        if happened & select.EPOLLOUT and not client.is_sent:
            self._write(client)
            if client.is_sent:
                self.poll.modify(client.socket.fileno(), select.EPOLLIN)
            return
        if not happened & (select.EPOLLIN | select.EPOLLHUP | select.EPOLLERR):
            return
        try:
            chunk = client.socket.recv(READ_BYTES)
        except OSError as error:
            self._drop(client, errno.errorcode.get(error.errno or 0, "?"))
            return
        if client.is_idle:  # the server closes a connection that nobody uses
            self._drop(client, None)
            return
        client.answer += chunk
        length = answer_length(client.answer)
        if (length is not None and len(client.answer) >= length) or (not chunk and client.answer):
            self._answered(client, is_closed=not chunk)
        elif not chunk:
            self._drop(client, "closed")

    def _answered(self, client: Client, is_closed: bool) -> None:
        now = time.monotonic()
        status = client.answer[9:12].decode("latin-1")
        self.measured.answers[status] = self.measured.answers.get(status, 0) + 1
        self.measured.times.append(now - client.since)
        if is_closed or not self.load.keep_alive or self.load.way == "herd":
            self._drop(client, None)
        else:
            self.idle.append(client)
            client.is_idle = True
            self._waiting -= 1
        if self.load.way == "closed":
            self.send(time.monotonic())

    def _drop(self, client: Client, failure: str | None) -> None:
        self.poll.unregister(client.socket.fileno())
        del self.clients[client.socket.fileno()]
        if client.is_idle:
            self.idle.remove(client)
        else:
            self._waiting -= 1
        client.socket.close()
        if failure:
            self._note_failure(failure)
            if self.load.way == "closed":
                self.send(time.monotonic())

    def _note_failure(self, what: str, times: int = 1) -> None:
        self.measured.failures[what] = self.measured.failures.get(what, 0) + times


def main() -> None:
    """Read the load, run it, write what was measured."""
    load = msgspec.json.decode(sys.stdin.buffer.read(), type=Load)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * CONNECTIONS_MAX)), hard))
    if load.core is not None:
        os.sched_setaffinity(0, {load.core})
    sys.stdout.buffer.write(msgspec.json.encode(Generator(load).run()))


if __name__ == "__main__":
    main()
