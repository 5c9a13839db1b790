"""Several callers at once: an account's limits allow more calls than one that waits for each answer can make."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Literal, TypeVar

CALLERS_MAX = 16
"""Threads that ask: at half the limits of a business plan, where answers take half a second. Each holds an answer."""

T = TypeVar("T")


def each(items: Iterable[T], do: Callable[[T], object], callers_max: int) -> int:
    """Do something for each item, in up to so many threads; returns for how many.

    An item is taken when there is a thread for it. After a failure no further one is; those under way end first, then
    the first failure is raised. With one thread it is the caller's.
    """
    if callers_max == 1:
        return sum(1 for _ in map(do, items))
    free = threading.Semaphore(callers_max)
    failures: list[BaseException] = []
    threads: list[threading.Thread] = []

    def run(item: T) -> None:
        with _Handed(failures, free):
            do(item)

    taken = 0
    remaining = iter(items)
    while True:
        free.acquire()
        threads = [thread for thread in threads if thread.is_alive()]
        try:
            if failures:
                break
            item = next(remaining)
        except StopIteration:
            break
        taken += 1
        threads.append(threading.Thread(target=run, args=(item,), name=f"caller-{taken}", daemon=True))
        threads[-1].start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return taken


@dataclass(frozen=True, slots=True)
class _Handed:
    """Hands what a thread fails with to the one that waits for it."""

    failures: list[BaseException]
    free: threading.Semaphore

    def __enter__(self) -> None:
        """Nothing is to be done first."""

    def __exit__(
        self, _type: type[BaseException] | None, error: BaseException | None, _trace: TracebackType | None
    ) -> Literal[True]:
        """The thread ends here, whatever happened in it."""
        if error is not None:
            self.failures.append(error)
        self.free.release()
        return True


class Settling:
    """Has what was kept brought to the tables, by one thread for all that wait for it.

    Who keeps an answer takes `writing`: a process is one writer, however many ask. On SQLite threads that poll for its
    write lock beside each other would keep each other, and whoever takes in webhooks, waiting.
    """

    def __init__(self, settle: Callable[[], object]) -> None:
        self._settle = settle
        self.writing = threading.Lock()
        self._changed = threading.Condition()
        self._begun = self._done = 0  # passes; one that failed is never done
        self._is_busy = False

    def settle(self) -> None:
        """Return once everything is in the tables that was kept before this was called. Raises what settling raises."""
        with self._changed:
            wanted = self._begun + 1  # a pass that has begun may have missed what was just kept
            while self._done < wanted:
                if self._is_busy:
                    self._changed.wait()
                else:
                    self._pass()

    def _pass(self) -> None:
        """Settle once, while others may come to wait."""
        self._is_busy, self._begun = True, self._begun + 1
        is_done = False
        self._changed.release()
        try:
            with self.writing:
                self._settle()
            is_done = True
        finally:
            self._changed.acquire()
            self._is_busy = False
            self._done = self._begun if is_done else self._done
            self._changed.notify_all()
