"""Several callers at once: bounded, ended by the first failure, and settled by one for all."""

from __future__ import annotations

import threading

import pytest

from workers.zoom.together import Settling, each


def test_as_many_at_once_as_are_allowed_and_no_more() -> None:
    together = threading.Barrier(3, timeout=10)  # opens only for three who are there at once
    done: list[int] = []

    def do(item: int) -> None:
        assert threading.active_count() - before <= 3
        together.wait()
        done.append(item)

    before = threading.active_count()
    assert each(range(9), do, 3) == 9
    assert sorted(done) == list(range(9))


def test_after_a_failure_no_further_item_is_taken() -> None:
    taken: list[int] = []

    def do(item: int) -> None:
        taken.append(item)
        if item == 2:
            raise KeyError(item)

    with pytest.raises(KeyError):
        each(range(1000), do, 2)
    assert len(taken) < 1000


@pytest.mark.parametrize("callers", [1, 4])
def test_nothing_to_do_is_nothing_done(callers: int) -> None:
    assert each((), lambda _: None, callers) == 0


def test_a_pass_that_had_begun_may_have_missed_what_was_kept_since() -> None:
    begun, go_on = threading.Semaphore(0), threading.Semaphore(0)

    def settle() -> None:
        begun.release()
        assert go_on.acquire(timeout=10)

    settling = Settling(settle)
    threads = [threading.Thread(target=settling.settle) for _ in range(2)]
    threads[0].start()
    assert begun.acquire(timeout=10)
    threads[1].start()
    go_on.release()
    assert begun.acquire(timeout=10)  # another pass, for the second
    go_on.release()
    for thread in threads:
        thread.join(10)
    assert not any(thread.is_alive() for thread in threads)
    assert not begun.acquire(blocking=False)


def test_a_pass_that_failed_is_nobodys() -> None:
    answers = iter([OSError("away"), None])
    settled: list[int] = []

    def settle() -> None:
        if (error := next(answers)) is not None:
            raise error
        settled.append(1)

    settling = Settling(settle)
    with pytest.raises(OSError, match="away"):
        settling.settle()
    settling.settle()
    assert settled == [1]
