"""One drain, in a process of its own: `python -m tests.bench.drainer drain|idle URL BATCH EVENTS`.

Says `ready`, waits for a line, settles so many events (0: all there are), and prints how many and how long it took.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import threading
import time

import structlog

from schema.gc_tuning import collect_rarely
from schema.store.database import Database
from workers.drain import Drain, pause_seconds


def main() -> None:
    """Drain."""
    url, batch_events, events_max = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    collect_rarely()  # as the worker does
    database = Database(url, durable=False)
    pause = threading.Event()
    drain = Drain(database, batch_events=batch_events, stopping=pause)
    with database.read() as connection:
        connection.exec_driver_sql("SELECT 1")
    print("ready", flush=True)
    sys.stdin.readline()
    begun, total = time.monotonic(), 0
    while not events_max or total < events_max:
        settled = drain.step()
        if settled.total == 0:
            break
        if settled.dead:
            raise RuntimeError(f"an event could not be applied: {_why(database)}")
        total += settled.total
        pause.wait(pause_seconds(settled.total, batch_events))  # as `Drain.drain_all` does
    print(total, begun, time.monotonic(), flush=True)
    database.close()


def _why(database: Database) -> object:
    with database.read() as connection:
        found = connection.exec_driver_sql("SELECT event_type, error FROM inbox_event WHERE state = 'dead' LIMIT 1")
        return found.first()


class Drainer:
    """The process, seen from outside."""

    def __init__(self, url: str, batch_events: int, events_max: int) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.drainer", url, str(batch_events), str(events_max)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, process_group=0,
        )  # fmt: skip
        self._said()

    def _said(self) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("a drain failed; its words are above")
        return line

    def go(self) -> None:
        """Let it begin."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def result(self) -> tuple[int, float, float]:
        """Events settled, begin and end on the monotonic clock."""
        total, begun, ended = self._said().split()
        self.process.wait()
        return int(total), float(begun), float(ended)


def events_per_second(url: str, batch_events: int, events_max: int = 0, workers: int = 1) -> float:
    """Drain with so many workers at once."""
    drainers = [Drainer(url, batch_events, events_max // workers) for _ in range(workers)]
    for drainer in drainers:
        drainer.go()
    results = [drainer.result() for drainer in drainers]
    seconds = max(ended for _, _, ended in results) - min(begun for _, begun, _ in results)
    return sum(total for total, _, _ in results) / seconds


if __name__ == "__main__":
    main()
