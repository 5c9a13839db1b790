"""Delivers planned events to an endpoint, in real time or faster, and tries again as Zoom does.

Zoom tries again after 5, 20 and 60 minutes, and only after an answer of 500 or more, or none at all.
"""

import heapq
import threading
import time
from array import array
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import httpx2

from joinlog.fakezoom.delivery import Attempt, sign
from joinlog.fakezoom.endpoint import Answer, EndpointError, open_client, post, require_loopback, validate

RETRY_MINUTES = (5, 20, 60)
VALIDATION_HOURS = 72
PROGRESS_SECONDS = 0.1
CONCURRENCY_DEFAULT = 8


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast the world goes by.

    `speed` multiplies the time between events; None is as fast as the endpoint answers. `time_scale` divides the waits
    before retries and between validations. Events before `origin` (aware; None: the first event) are delivered at once.
    """

    speed: float | None = 1.0
    time_scale: float = 1.0
    origin: datetime | None = None


@dataclass(frozen=True, slots=True)
class Rotation:
    """Zoom signs with another `secret` from the moment `at` (aware, in the world's time) on."""

    at: datetime
    secret: str


@dataclass(frozen=True, slots=True)
class Try:
    """One HTTP request of a delivery and how it ended, `at` in the world's time; as Zoom's delivery log keeps it."""

    attempt: Attempt
    retry: int
    at: datetime
    status: int | None
    failure: str


@dataclass(slots=True)
class Stats:
    """Counts so far. A delivery ends acknowledged, refused (never tried again) or given up; the rest is to come.

    `lost` maps the number of an emission, whose every delivery has failed so far, to why.
    """

    planned: int = 0
    sent: int = 0
    acknowledged: int = 0
    retried: int = 0
    refused: int = 0
    given_up: int = 0
    validations: int = 0
    validations_failed: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    seconds: float = 0.0
    lost: dict[int, str] = field(default_factory=dict)
    latencies: "array[float]" = field(default_factory=lambda: array("d"))

    @property
    def left_over(self) -> int:
        """Deliveries neither acknowledged nor failed for good."""
        return self.planned - self.acknowledged - self.refused - self.given_up

    def percentile_seconds(self, share: float) -> float:
        """The latency that this share of the answers was below (0.5 is the median); 0 before the first answer."""
        ordered = sorted(self.latencies)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


@dataclass(order=True, slots=True)
class Due:
    """Something to send `after_seconds` from the beginning of the play; no attempt means a validation."""

    after_seconds: float
    order: int
    attempt: Attempt | None = field(compare=False, default=None)
    retry: int = field(compare=False, default=0)
    timestamp: int = field(compare=False, default=0)


class Player:
    """One play: a heap of what is due, worker threads that take from it, and the counts."""

    def __init__(
        self, attempts: Sequence[Attempt], url: str, secret: str, pace: Pace, stop: threading.Event,
        rotations: Sequence[Rotation] = (), on_try: Callable[[Try], None] | None = None,
    ) -> None:  # fmt: skip
        self.url, self.secret, self.pace, self.stop = url, secret, pace, stop
        self.rotations = sorted(rotations, key=lambda rotation: rotation.at)
        self.latest = attempts[0].at if attempts else None
        self.on_try = on_try
        self.arrived = bytearray(1 + max((a.emission for a in attempts), default=0))
        self.is_halted = False
        self.stats = Stats(planned=len(attempts))
        self.began = time.monotonic()
        self.order = len(attempts)
        self.changed = threading.Condition()
        origin = pace.origin or (attempts[0].at if attempts else None)
        self.heap = [Due(self.offset_seconds(a.at, origin), a.number, a) for a in attempts]
        heapq.heapify(self.heap)

    def offset_seconds(self, at: datetime, origin: datetime | None) -> float:
        """When something is due, in seconds from the beginning of the play."""
        if self.pace.speed is None or origin is None:
            return 0.0
        return max(0.0, (at - origin).total_seconds() / self.pace.speed)

    def is_over(self) -> bool:
        """Whether nothing is left to send, or we were told to stop."""
        return self.is_halted or self.stop.is_set() or self.stats.left_over == 0

    def take(self) -> Due | None:
        """Wait for the next delivery due; None when the play is over."""
        with self.changed:
            while not self.is_over():
                wait = self.heap[0].after_seconds - (time.monotonic() - self.began) if self.heap else PROGRESS_SECONDS
                if self.heap and wait <= 0:
                    return heapq.heappop(self.heap)
                self.changed.wait(min(wait, PROGRESS_SECONDS))
            self.changed.notify_all()
        return None

    def work(self, client: httpx2.Client) -> None:
        """Send what is due until the play is over."""
        while (due := self.take()) is not None:
            if due.attempt is None:
                self.validate_again(client, due)
            else:
                self.deliver(client, due, due.attempt)

    def deliver(self, client: httpx2.Client, due: Due, attempt: Attempt) -> None:
        """One attempt: signed, timed, and put back for later if Zoom would try again."""
        body = attempt.body(due.retry)
        timestamp = int(time.time()) if not due.timestamp or attempt.retry_is_signed_anew else due.timestamp
        at = attempt.at + timedelta(minutes=sum(RETRY_MINUTES[: due.retry]))
        ids = {"x-zm-trackingid": attempt.tracking_id, "x-zm-request-id": attempt.request_id(due.retry)}
        answer = post(client, self.url, body, {**ids, **sign(self.secret_at(at), timestamp, body)})
        with self.changed:
            self.note(due, attempt, answer, timestamp)
            self.latest = at if self.latest is None else max(self.latest, at)
            if self.on_try is not None:
                self.on_try(Try(attempt, due.retry, at, answer.status, answer.failure))

    def secret_at(self, at: datetime | None) -> str:
        """The secret Zoom signs with at a moment of the world's time."""
        in_force = [rotation.secret for rotation in self.rotations if at is not None and rotation.at <= at]
        return in_force[-1] if in_force else self.secret

    def note(self, due: Due, attempt: Attempt, answer: Answer, timestamp: int) -> None:
        """Count an answer, and decide whether there is another attempt."""
        stats = self.stats
        stats.sent += 1
        if answer.status is not None:
            stats.latencies.append(answer.seconds)
        if answer.is_acknowledged:
            stats.acknowledged += 1
            self.arrived[attempt.emission] = 1
            stats.lost.pop(attempt.emission, None)
            return
        stats.failures[answer.failure] += 1
        if not answer.is_retried:
            stats.refused += 1
            self.lose(attempt, answer.failure)
            return
        if due.retry == len(RETRY_MINUTES):
            stats.given_up += 1
            self.lose(attempt, "given up")
            return
        stats.retried += 1
        later = time.monotonic() - self.began + RETRY_MINUTES[due.retry] * 60 / self.pace.time_scale
        heapq.heappush(self.heap, Due(later, due.order, attempt, due.retry + 1, timestamp))

    def lose(self, attempt: Attempt, why: str) -> None:
        """Count an event as lost, unless a copy of it arrived."""
        if not self.arrived[attempt.emission]:
            self.stats.lost[attempt.emission] = why

    def validate_again(self, client: httpx2.Client, due: Due) -> None:
        """The validation of every 72 hours: counted, and the play goes on whatever the answer."""
        try:
            validate(client, self.url, self.secret_at(self.latest))
        except EndpointError as failure:
            with self.changed:
                self.stats.validations_failed += 1
                self.stats.failures[f"validation: {failure.reason}"] += 1
        with self.changed:
            self.stats.validations += 1
            self.plan_validation()

    def plan_validation(self) -> None:
        """Put the next validation on the heap, 72 scaled hours from now."""
        later = time.monotonic() - self.began + VALIDATION_HOURS * 3600 / self.pace.time_scale
        self.order += 1
        heapq.heappush(self.heap, Due(later, self.order))


def play(
    attempts: Sequence[Attempt],
    *,
    url: str,
    secret: str,
    pace: Pace | None = None,
    concurrency: int = CONCURRENCY_DEFAULT,
    stop: threading.Event | None = None,
    on_progress: Callable[[Stats], None] | None = None,
    allow_remote: bool = False,
    rotations: Sequence[Rotation] = (),
    on_try: Callable[[Try], None] | None = None,
) -> Stats:
    """Validate the endpoint, then deliver every attempt; returns when all are settled or `stop` is set.

    Raises `EndpointError` before anything is delivered if the endpoint is remote, unreachable, or answers the first
    validation wrongly. `on_progress` is called about ten times a second, in the calling thread; `on_try` after every
    request, by the thread that made it, one at a time. `rotations` change the secret while the world goes by.
    """
    if not allow_remote:
        require_loopback(url)
    stop = stop or threading.Event()
    with open_client(concurrency) as client:
        validate(client, url, secret)
        player = Player(attempts, url, secret, pace or Pace(), stop, rotations, on_try)
        player.stats.validations = 1
        player.plan_validation()
        workers = [threading.Thread(target=player.work, args=(client,), daemon=True) for _ in range(concurrency)]
        for worker in workers:
            worker.start()
        try:
            for worker in workers:
                while worker.is_alive():
                    worker.join(PROGRESS_SECONDS)
                    player.stats.seconds = time.monotonic() - player.began
                    if on_progress is not None:
                        on_progress(player.stats)
        finally:
            player.is_halted = True  # an exception above must not leave workers behind
            for worker in workers:
                worker.join()
    player.stats.seconds = time.monotonic() - player.began
    return player.stats
