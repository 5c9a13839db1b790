"""The doorbell: the only module that knows Redis and RQ.

A ring is one queued job that says "drain", nothing else. It carries no event, so a lost or a doubled ring is
harmless: the inbox is a table, and a clock rings every minute.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from itsdangerous import BadSignature, Signer
from prometheus_client import Counter
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry
from rq import Queue, SimpleWorker
from rq.job import Job

QUEUE_NAME = "joinlog"
DRAIN_JOB = "workers.jobs.drain"
REDIS_SECONDS_MAX = 1.0  # to connect, and to answer
OUTAGE_PAUSE_SECONDS = 2.0  # between two attempts while Redis does not answer
RESULT_SECONDS = 60  # how long RQ remembers a drain that is over
FAILURE_SECONDS = 3600
MAINTENANCE_SECONDS = 600
HEARTBEAT_KEY = "joinlog:clock"

RINGS = Counter("joinlog_doorbell_rings", "Drains enqueued")
RING_FAILURES = Counter("joinlog_doorbell_failures", "Attempts to ring while Redis did not answer")

log = structlog.get_logger()


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


class DrainJob(Job):
    """A job that can only ever be a drain, whatever its hash in Redis says.

    RQ keeps callbacks, webhooks, dependencies and repetitions outside the signed part, by name, and would import and
    call them: none of them is read here.
    """

    def restore(self, raw_data: Any) -> Any:
        """Read the job as RQ does, without the fields that could make a worker run something else."""
        trusted = {b"data", b"origin", b"status"}
        kept = {name: value for name, value in raw_data.items() if _as_bytes(name) in trusted}
        super().restore(kept)
        self.timeout, self.result_ttl, self.failure_ttl = -1, RESULT_SECONDS, FAILURE_SECONDS

    @property
    def func(self) -> Any:
        """The drain; importing whatever the job names is not an option here."""
        if self.func_name != DRAIN_JOB or self.args or self.kwargs:
            raise BadSignature(f"the only job is {DRAIN_JOB} without arguments")
        from workers.jobs import drain  # a job is run where the drain is at hand; ringing must not import it

        return drain


def open_queue(connection: Redis, keys: Sequence[bytes]) -> Queue:
    """The one queue there is."""
    return Queue(QUEUE_NAME, connection=connection, serializer=SignedJson(keys), job_class=DrainJob)


def ring(queue: Queue) -> bool:
    """Enqueue a drain, unless one is waiting already; returns whether it did. Raises RedisError when Redis is down.

    A waiting drain starts after this moment and so sees what was committed before it. A drain that has started may
    have had its last empty look already: then another one is enqueued.
    """
    if queue.count:
        return False
    queue.enqueue(DRAIN_JOB, job_timeout=-1, result_ttl=RESULT_SECONDS, failure_ttl=FAILURE_SECONDS)
    RINGS.inc()
    return True


def leave_heartbeat(queue: Queue, gone_milliseconds: int) -> None:
    """Leave the sign that a clock is alive; it goes by itself. Raises RedisError."""
    queue.connection.set(HEARTBEAT_KEY, datetime.now(UTC).isoformat(), px=gone_milliseconds)


def last_heartbeat(queue: Queue) -> datetime | None:
    """When a clock gave its last sign of life; None when there is none any more. Raises RedisError."""
    value = queue.connection.get(HEARTBEAT_KEY)
    try:
        return datetime.fromisoformat(value.decode()) if isinstance(value, bytes) else None
    except ValueError:  # somebody else's value
        return None


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
            except RedisError as error:
                self._note_outage(error)
                self._wanted.set()
                self._closing.wait(self._pause_seconds)
            else:
                self._note_answer()

    def _note_outage(self, error: RedisError) -> None:
        RING_FAILURES.inc()
        if self.is_answered:  # once per outage: events go on being kept, and the clock rings when Redis is back
            log.warning("doorbell_silent", error=type(error).__name__, retry_seconds=self._pause_seconds)
        self.is_answered = False

    def _note_answer(self) -> None:
        if not self.is_answered:
            log.info("doorbell_back")
        self.is_answered = True


class DrainWorker(SimpleWorker):
    """RQ's worker without a fork per job: a ring is answered in milliseconds, with the drain already imported.

    It listens to one queue only, which is what makes RQ's pop reliable.
    """

    def __init__(self, url: str, keys: Sequence[bytes]) -> None:
        connection = connect(url, timeout_seconds=None)
        super().__init__(
            [open_queue(connection, keys)],
            connection=connection,
            serializer=SignedJson(keys),
            job_class=DrainJob,
            maintenance_interval=MAINTENANCE_SECONDS,
            log_job_description=False,
        )
        self.stopping = threading.Event()

    def subscribe(self) -> None:
        """Listen to no commands: whoever can write to Redis could send `shutdown`."""

    def check_for_suspension(self, burst: bool) -> None:
        """Work on: whoever can write to Redis could suspend every worker."""

    def handle_warm_shutdown_request(self) -> None:
        """Let a drain in progress end after the batch it is in."""
        self.stopping.set()
        log.info("worker_stopping")


def _as_bytes(name: Any) -> bytes:
    return name if isinstance(name, bytes) else str(name).encode()
