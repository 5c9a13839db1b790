"""The doorbell: queued jobs that say "drain", "tell" or "ask", and no more. `workers.jobs` is the side that answers.

They carry no event and no message, so a lost or a doubled ring is harmless: inbox, alerts and errands are tables, a
clock rings every minute, and workers look by themselves. No module but these two knows Redis and RQ.
"""

from __future__ import annotations

import contextlib
import json
import threading
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any, NamedTuple

import structlog
from itsdangerous import BadSignature, Signer
from prometheus_client import Counter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError, ResponseError
from redis.retry import Retry
from rq import Queue
from rq.exceptions import NoSuchJobError
from rq.job import Job

from schema.settings import ConfigurationError, Settings

QUEUE_NAME = "joinlog"
DRAIN_JOB = "workers.jobs.drain"
TELL_JOB = "workers.jobs.tell"
ASK_JOB = "workers.jobs.ask"
JOBS = (DRAIN_JOB, TELL_JOB, ASK_JOB)
REDIS_SECONDS_MAX = 1.0  # to connect, and to answer
OUTAGE_PAUSE_SECONDS = 2.0  # between two attempts while Redis does not answer
RESULT_SECONDS = 60  # how long RQ remembers a drain that is over
FAILURE_SECONDS = 3600
HEARTBEAT_KEY = "joinlog:clock"
WAITING_MAX = 100  # jobs that may wait: nobody rings where one does, so that more are not ours
JOB_FIELD_BYTES_MAX = 4096  # of one field of a job, as it is read and as it is unpacked; ours have some 150

RINGS = Counter("joinlog_doorbell_rings", "Drains enqueued")
RING_FAILURES = Counter("joinlog_doorbell_failures", "Attempts to ring while Redis did not answer")

log = structlog.get_logger()


class QueueAway(OSError):
    """Redis does not answer, or not as Redis does."""


class QueueHealth(NamedTuple):
    """How many drains wait, when a clock was last known to be alive, and why Redis does not answer."""

    waiting: int = 0
    clock_at: datetime | None = None
    error: str | None = None


def require_redis(settings: Settings) -> str:
    """REDIS_URL. Raises ConfigurationError when it is not set."""
    if settings.redis_url is None:
        raise ConfigurationError("REDIS_URL is not set. `joinlog up` starts a Redis server of its own.")
    return settings.redis_url


def connect(url: str, *, timeout_seconds: float | None = REDIS_SECONDS_MAX) -> Redis:
    """A Redis client that fails fast: redis-py's own retries would spend seconds per call when Redis is down."""
    return Redis.from_url(
        url,
        socket_connect_timeout=REDIS_SECONDS_MAX,
        socket_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
        health_check_interval=0,
    )


class SignedJson:
    """RQ's serializer: JSON signed with the keys of this installation.

    Whoever can write to Redis can put anything into a job; what these keys did not sign is refused before a name in
    it is looked at. There are no pickles anywhere.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        self._signer = Signer(list(keys), salt="joinlog.queue")
        self.__qualname__ = type(self).__qualname__  # RQ's worker names its serializer as if it were a class

    def dumps(self, obj: Any, /) -> bytes:
        """Serialise and sign."""
        return self._signer.sign(json.dumps(obj, separators=(",", ":")).encode())

    def loads(self, data: bytes, /) -> Any:
        """Check and read. Raises itsdangerous.BadSignature for what was not signed with these keys."""
        return json.loads(self._signer.unsign(data))


TRUSTED_FIELDS = ("data", "origin", "status")  # of a job's hash


class KnownJob(Job):
    """A job that can only ever be one of ours, whatever its hash in Redis says.

    RQ keeps callbacks, webhooks, dependencies and repetitions outside the signed part, by name, and would import and
    call them: none of them is read here. And nothing is read before it is known how long it is.
    """

    def refresh(self) -> None:
        """Read the fields that our jobs have. Raises NoSuchJobError for one that is not there, or holds too much."""
        with self.connection.pipeline() as pipeline:
            for name in TRUSTED_FIELDS:
                pipeline.hstrlen(self.key, name)
            lengths = pipeline.execute()
        if not lengths[0] or max(lengths) > JOB_FIELD_BYTES_MAX:
            raise NoSuchJobError("no such job, or one that is too large")
        found = zip(TRUSTED_FIELDS, self.connection.hmget(self.key, TRUSTED_FIELDS), strict=True)
        self.restore({name: value for name, value in found if value is not None})

    def restore(self, raw_data: Any) -> Any:
        """Read the job as RQ does, without the fields that could make a worker run something else."""
        trusted = {name.encode() for name in TRUSTED_FIELDS}
        kept = {_as_bytes(name): value for name, value in raw_data.items() if _as_bytes(name) in trusted}
        if b"data" in kept:
            kept[b"data"] = _unpacked(kept[b"data"])
        super().restore(kept)
        self.timeout, self.result_ttl, self.failure_ttl = -1, RESULT_SECONDS, FAILURE_SECONDS

    @property
    def func(self) -> Any:
        """What the job does; importing whatever it names is not an option here."""
        if self.func_name not in JOBS or self.args or self.kwargs:
            raise BadSignature(f"the only jobs are {', '.join(JOBS)}, without arguments")
        from workers import jobs  # a job is run where its work is at hand; ringing must not import that

        return {DRAIN_JOB: jobs.drain, TELL_JOB: jobs.tell, ASK_JOB: jobs.ask}[self.func_name]


def open_queue(connection: Redis, keys: Sequence[bytes]) -> Queue:
    """The one queue there is."""
    return Queue(QUEUE_NAME, connection=connection, serializer=SignedJson(keys), job_class=KnownJob)


def ring(queue: Queue, job: str = DRAIN_JOB) -> bool:
    """Enqueue a drain, unless a job is waiting already; returns whether it did. Raises QueueAway.

    A waiting job, whichever it is, has the inbox drained after this moment, and so sees what was committed before it. A
    drain that has started may have found the inbox empty already: then another one is enqueued. Any other job is
    always enqueued. What is no queue, or too long to be ours, is removed first.
    """
    with _expecting_answers():
        try:
            waiting = queue.count
        except ResponseError:  # the key holds something else
            waiting = WAITING_MAX + 1
        if waiting > WAITING_MAX:
            log.warning("queue_emptied", waiting=waiting)
            queue.connection.unlink(queue.key)
        elif waiting and job == DRAIN_JOB:
            return False
        queue.enqueue(job, job_timeout=-1, result_ttl=RESULT_SECONDS, failure_ttl=FAILURE_SECONDS)
    RINGS.inc()
    return True


def call_teller(queue: Queue) -> None:
    """Have a worker tell somebody; while Redis is silent it looks by itself."""
    with contextlib.suppress(QueueAway):
        ring(queue, TELL_JOB)


def leave_heartbeat(queue: Queue, expires_milliseconds: int) -> None:
    """Write down that a clock is alive now, under a key that Redis removes after so long. Raises QueueAway."""
    with _expecting_answers():
        queue.connection.set(HEARTBEAT_KEY, datetime.now(UTC).isoformat(), px=expires_milliseconds)


def last_heartbeat(queue: Queue) -> datetime | None:
    """When a clock last wrote that it is alive; None when that has expired. Raises QueueAway."""
    with _expecting_answers():
        value = queue.connection.get(HEARTBEAT_KEY)
    try:
        return datetime.fromisoformat(value.decode()) if isinstance(value, bytes) else None
    except ValueError:  # written by somebody else
        return None


def read_queue_health(url: str, keys: Sequence[bytes]) -> QueueHealth:
    """How the queue stands."""
    try:
        with connect(url) as connection:
            queue = open_queue(connection, keys)
            return QueueHealth(queue.count, last_heartbeat(queue))
    except QueueAway as away:
        return QueueHealth(error=type(away.__cause__).__name__)
    except (RedisError, OSError, ValueError) as error:  # ValueError: the URL is none
        return QueueHealth(error=type(error).__name__)


@contextmanager
def _expecting_answers() -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise QueueAway(f"{type(error).__name__}: {error}") from error


class Doorbell:
    """Rings from a thread of its own, so that no request ever waits for Redis."""

    def __init__(self, url: str, keys: Sequence[bytes], *, pause_seconds: float = OUTAGE_PAUSE_SECONDS) -> None:
        self._queue = open_queue(connect(url), keys)
        self._pause_seconds = pause_seconds
        self._wanted = threading.Event()
        self._closing = threading.Event()
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self.is_answered = True

    def ring(self) -> None:
        """Ask for a drain; returns at once, whatever the state of Redis."""
        self._wanted.set()
        if self._thread is None:
            with self._guard:
                if self._thread is None:
                    thread = threading.Thread(target=self._serve, name="doorbell", daemon=True)
                    thread.start()
                    self._thread = thread

    def close(self) -> None:
        """Stop ringing."""
        self._closing.set()
        self._wanted.set()
        if self._thread is not None:
            self._thread.join(2 * REDIS_SECONDS_MAX)
        self._queue.connection.close()

    def _serve(self) -> None:
        while True:
            self._wanted.wait()
            if self._closing.is_set():
                return
            self._wanted.clear()
            try:
                ring(self._queue)
            except QueueAway as error:
                self._note_outage(error)
                self._wanted.set()
                self._closing.wait(self._pause_seconds)
            else:
                self._note_answer()

    def _note_outage(self, away: QueueAway) -> None:
        RING_FAILURES.inc()
        if self.is_answered:  # once per outage: events go on being kept, and the clock rings when Redis is back
            cause = type(away.__cause__).__name__
            log.warning("doorbell_silent", error=cause, retry_seconds=self._pause_seconds)
        self.is_answered = False

    def _note_answer(self) -> None:
        if not self.is_answered:
            log.info("doorbell_back")
        self.is_answered = True


def _unpacked(data: bytes) -> bytes:
    """A job's data as it was before RQ compressed it, or as it is. Raises BadSignature when it grows too large."""
    unpacking = zlib.decompressobj()
    try:
        unpacked = unpacking.decompress(data, JOB_FIELD_BYTES_MAX)
    except zlib.error:
        return data
    if not unpacking.eof:
        raise BadSignature("a job that is too large, or cut off")
    return unpacked


def _as_bytes(name: Any) -> bytes:
    return name if isinstance(name, bytes) else str(name).encode()
