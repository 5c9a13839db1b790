"""The load of a campaign: a fake Zoom that goes on delivering, repeats what was not taken, and knows what was."""

from __future__ import annotations

import itertools
import queue
import threading
import time
from collections import Counter
from collections.abc import Iterator
from random import Random

import httpx2

from tests.signed_requests import encode, signed_headers
from tests.stories import WEEK_MINUTES, Json, Story

SENDERS = 4
ANSWER_SECONDS_MAX = 3.0  # Zoom's
AGAIN_SECONDS = 0.2  # Zoom's are 5, 20 and 60 minutes
REPEATED_SHARE = 0.05
POISON_SHARE = 0.01
MEETINGS = 10
SILENCE_SECONDS = 5.0  # a longer one is listed at the end


def deliveries(random: Random) -> Iterator[tuple[Json, bool]]:
    """Events without an end, and whether each is valid: series, registrations, instances, people; some malformed."""
    stories = [Story(meeting_id=84_000_000_000 + number) for number in range(MEETINGS)]
    dates = {"1001": 60.0, "1002": 60.0 + WEEK_MINUTES}
    for story in stories:
        yield story.created(0, dates), True
    for number in itertools.count():
        story = stories[number % MEETINGS]
        week, person = divmod(number // MEETINGS, 200)
        uuid, began = f"run-{number % MEETINGS}-{week}==", 60.0 + week * WEEK_MINUTES
        minute = began + person / 10
        if person == 0:
            yield story.started(began, uuid), True
        if number % 3 == 0:
            yield story.registration(person / 100, "created", f"r{number}", dates, status="approved"), True
        yield story.person(minute, "joined", str(number), began, uuid, registrant_id=f"r{number}"), True
        if number % 2:
            yield story.person(minute + 5, "left", str(number), began, uuid), True
        if random.random() < POISON_SHARE:
            yield story.event("participant_joined", minute, {"id": number, "uuid": uuid}), False
        if person == 199:
            yield story.ended(began + 60, began, uuid), True


class Load:
    """Several connections that deliver until they are halted; `drift_seconds` is how far Zoom's clock is from ours."""

    def __init__(self, url: str, random: Random, per_second: float, senders: int = SENDERS) -> None:
        self._url = f"{url}/webhook"
        self._source = deliveries(random)
        self._random = Random(random.random())
        self._pause = senders / per_second
        self._again: queue.SimpleQueue[tuple[Json, bool]] = queue.SimpleQueue()
        self._guard = threading.Lock()
        self._halted = threading.Event()
        self._is_giving_up = threading.Event()
        self.drift_seconds = 0
        self.taken: list[tuple[Json, bool]] = []
        self.statuses: Counter[str] = Counter()
        self.waiting = 0  # handed out and not taken yet
        self.longest_seconds = {"any answer": 0.0, "204": 0.0}
        self.silences: list[tuple[float, float]] = []  # since when, on the monotonic clock, and for how many seconds
        self._last = dict.fromkeys(self.longest_seconds, time.monotonic())
        self._threads = [threading.Thread(target=self._send, daemon=True) for _ in range(senders)]

    def measure_anew(self) -> None:
        """Forget how long it was without an answer until now."""
        with self._guard:
            self.longest_seconds = dict.fromkeys(self.longest_seconds, 0.0)
            self._last = dict.fromkeys(self.longest_seconds, time.monotonic())

    def start(self) -> None:
        """Begin."""
        self._last = dict.fromkeys(self.longest_seconds, time.monotonic())
        for thread in self._threads:
            thread.start()

    def halt(self, seconds_max: float) -> None:
        """Hand out nothing new, and return once everything was taken. Raises AssertionError when it is not."""
        self._halted.set()
        deadline = time.monotonic() + seconds_max
        for thread in self._threads:
            thread.join(max(0.0, deadline - time.monotonic()))
        self._is_giving_up.set()
        for thread in self._threads:
            thread.join(2 * ANSWER_SECONDS_MAX)
        assert self.waiting == 0, f"{self.waiting} events were not taken within {seconds_max:g} s"

    def _next(self) -> tuple[Json, bool] | None:
        """What to deliver next: what was not taken comes first now and then, so that order is lost, too."""
        with self._guard:
            if not self._again.empty() and (self._halted.is_set() or self._random.random() < 0.5):
                return self._again.get()
            if self._halted.is_set():
                return None
            self.waiting += 1
            return next(self._source)

    def _send(self) -> None:
        with httpx2.Client(trust_env=False, timeout=ANSWER_SECONDS_MAX) as client:
            while not self._is_giving_up.is_set():
                event = self._next()
                if event is None:
                    if self.waiting == 0:
                        return
                    time.sleep(AGAIN_SECONDS)
                    continue
                if self._deliver(client, event[0]):
                    with self._guard:
                        self.waiting -= 1
                        self.taken.append(event)
                        if self._random.random() < REPEATED_SHARE and not self._halted.is_set():
                            self.waiting += 1
                            self._again.put(event)
                    self._halted.wait(self._pause)
                else:
                    self._again.put(event)
                    time.sleep(AGAIN_SECONDS)

    def _deliver(self, client: httpx2.Client, event: Json) -> bool:
        body = encode(event)
        headers = signed_headers(body, timestamp=int(time.time()) + self.drift_seconds)
        try:
            status = str(client.post(self._url, content=body, headers=headers).status_code)
        except httpx2.HTTPError as error:
            status = type(error).__name__
        with self._guard:
            self.statuses[status] += 1
            now = time.monotonic()
            for kind in self.longest_seconds:
                if status == kind or (kind == "any answer" and status.isdigit()):
                    seconds = now - self._last[kind]
                    self.longest_seconds[kind] = max(self.longest_seconds[kind], seconds)
                    if kind == "any answer" and seconds > SILENCE_SECONDS:
                        self.silences.append((self._last[kind], seconds))
                    self._last[kind] = now
        return status == "204"
