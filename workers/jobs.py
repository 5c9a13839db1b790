"""The jobs there are, and the worker that runs them, whatever else Redis holds and however often it is away."""

from __future__ import annotations

import logging
import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from types import FrameType

import structlog
from prometheus_client import Counter
from redis.exceptions import RedisError
from rq import SimpleWorker
from rq.exceptions import StopRequested
from rq.worker import WorkerStatus

from workers.queue import KnownJob, SignedJson, connect, open_queue

PAUSE_SECONDS = 2.0  # before a worker that lost Redis tries again
MAINTENANCE_SECONDS = 600
STOP_AGAIN_SECONDS = 1.5  # RQ ignores a second signal within one second
OUTAGE_QUIET_SECONDS = 30.0  # a failure after so long without one is another outage

REDIS_FAILURES = Counter("joinlog_worker_redis_failures", "Times a worker found Redis not answering")

log = structlog.get_logger()

Ring = Callable[[], None]

_rings: tuple[Ring, Ring, Ring] | None = None


def prepare(ring_drain: Ring, ring_teller: Ring, ring_errands: Ring) -> None:
    """Give this worker process what rouses its drain, whoever tells of alerts, and whoever asks Zoom's API."""
    global _rings
    _rings = ring_drain, ring_teller, ring_errands


def drain() -> None:
    """Have the inbox emptied, by the thread whose work that is: nothing is drained where RQ handles signals."""
    _prepared()[0]()


def tell() -> None:
    """Have alerts sent, and the inbox looked into: nobody rings for a drain while this job waits."""
    _prepared()[1]()
    _prepared()[0]()


def ask() -> None:
    """Have Zoom asked what is due, and the inbox looked into: nobody rings for a drain while this job waits."""
    _prepared()[2]()
    _prepared()[0]()


def _prepared() -> tuple[Ring, Ring, Ring]:
    if _rings is None:
        raise RuntimeError("workers.jobs.prepare has not been called: start workers with `joinlog worker`")
    return _rings


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
            job_class=KnownJob,
            maintenance_interval=MAINTENANCE_SECONDS,
            log_job_description=False,
        )
        self.stopping = threading.Event()

    def subscribe(self) -> None:
        """Listen to no commands: whoever can write to Redis could send `shutdown`."""

    def check_for_suspension(self, burst: bool) -> None:
        """Work on: whoever can write to Redis could suspend every worker."""

    def request_stop(self, signum: int, frame: FrameType | None) -> None:
        """End at once: RQ would tell Redis first, and wait for it, and raise what it answers."""
        self.stopping.set()
        log.info("worker_stopping")
        raise StopRequested


class OutageFilter(logging.Filter):
    """Logs an outage of Redis once, whoever notices it: RQ logs it every two seconds, with tracebacks."""

    def __init__(self) -> None:
        super().__init__()
        self._quiet_until = 0.0

    def note(self, error: BaseException | None) -> None:
        """Redis did not answer."""
        REDIS_FAILURES.inc()
        if time.monotonic() >= self._quiet_until:
            reason = "ConnectionError" if error is None else type(error).__name__
            log.warning("redis_away", error=reason, retry_seconds=PAUSE_SECONDS)
        self._quiet_until = time.monotonic() + OUTAGE_QUIET_SECONDS

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a line of RQ is logged as it is."""
        error = record.exc_info[1] if record.exc_info else None
        if not isinstance(error, RedisError) and "could not connect to Redis" not in str(record.msg):
            return True
        self.note(error)
        return False


class Answering:
    """Answers rings with the drain of `prepare`, again and again for the life of a worker process."""

    def __init__(self, url: str, keys: Sequence[bytes], stopping: threading.Event) -> None:
        self._url = url
        self._keys = keys
        self._stopping = stopping
        self._outage = OutageFilter()
        logging.getLogger("rq.worker").addFilter(self._outage)

    def run(self) -> None:
        """Work until asked to stop, or until RQ gives up: over Redis, or over a job nobody can read.

        RQ installs signal handlers of its own and leaves them there.
        """
        worker = None
        try:
            worker = DrainWorker(self._url, self._keys)
            worker.stopping = self._stopping
            worker.max_connection_wait_time = PAUSE_SECONDS
            threading.Thread(target=stop_idle_worker, args=(worker, self._stopping), daemon=True).start()
            worker.work(with_scheduler=False, logging_level=None)
        except StopRequested:
            self._stopping.set()
        except (RedisError, OSError) as error:
            self._outage.note(error)
        finally:
            if worker is not None and worker.pubsub_thread is not None:
                worker.pubsub_thread.stop()


def stop_idle_worker(worker: DrainWorker, stopping: threading.Event) -> None:
    """Signal an idle worker that was asked to stop, again and again, until the process ends.

    RQ's handler raises an exception to leave whatever it interrupted, and some code swallows that, logging for one:
    a worker that is told to stop in the moment Redis goes away went on for ever.
    """
    stopping.wait()
    while True:
        time.sleep(STOP_AGAIN_SECONDS)
        if worker.get_state() != WorkerStatus.BUSY:
            os.kill(os.getpid(), signal.SIGTERM)
