"""How the processes of Joinlog end: at a signal, and together with whoever started them."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import socket
import sys
import threading
from collections.abc import Callable
from types import FrameType
from typing import Self

_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_ROUSE = signal.SIGURG  # nobody else sends it, and it ends nothing by itself


class Signals:
    """Waits for a signal or for time to pass. Only in the main thread.

    A handler that sets a `threading.Event` can deadlock with the wait it interrupts, so the handlers here do nothing:
    Python writes the number of the signal into a socket, and `wait` reads it there.
    """

    def __init__(self, *more: signal.Signals) -> None:
        self._caught = (signal.SIGTERM, signal.SIGINT, *more)
        self.is_stop_asked = False

    def __enter__(self) -> Self:
        self._reader, self._writer = socket.socketpair()
        self._reader.setblocking(False)
        self._writer.setblocking(False)
        self._fd_before = signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._handlers_before = {number: signal.signal(number, _do_nothing) for number in self._caught}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._handlers_before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        self._reader.close()
        self._writer.close()

    def wait(self, seconds: float) -> bool:
        """Return after a signal or after so many seconds; True when the process was asked to stop."""
        if not self.is_stop_asked and select.select([self._reader], [], [], max(0.0, seconds))[0]:
            numbers = self._reader.recv(4096)
            self.is_stop_asked = bool({signal.SIGTERM, signal.SIGINT} & set(numbers))
        return self.is_stop_asked


def rouse_main_thread() -> None:
    """Have every signal interrupt the main thread, for whoever waits there by other means than `Signals`.

    Python runs handlers in the main thread only. A process that was stopped and is continued may take a signal that
    came meanwhile in any of its threads; then the main one, which waits for a lock, would never know of it.
    """
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    signal.signal(_ROUSE, _do_nothing)
    main = threading.main_thread().ident
    assert main is not None

    def rouse(_kept_open: socket.socket) -> None:
        while numbers := reader.recv(4096):
            if set(numbers) - {_ROUSE}:
                signal.pthread_kill(main, _ROUSE)

    threading.Thread(target=rouse, args=(writer,), name="signals", daemon=True).start()


def _do_nothing(_number: int, _frame: FrameType | None) -> None:
    """The wake-up socket tells `Signals.wait`."""


def dies_with(parent_pid: int, number: signal.Signals = signal.SIGTERM) -> Callable[[], None]:
    """What a new process has to call so that the kernel sends it this signal when its parent ends, even by kill -9.

    Linux only; elsewhere it does nothing. The parent is the thread that started the process: start it in the main one.
    """
    if sys.platform != "linux":
        return _stay
    prctl = ctypes.CDLL(None, use_errno=True).prctl  # found now: there is little one may do between fork and exec

    def die_with_parent() -> None:
        prctl(_PR_SET_PDEATHSIG, int(number), 0, 0, 0)
        if os.getppid() != parent_pid:  # it ended before the kernel knew
            os._exit(1)

    return die_with_parent


def _stay() -> None:
    """Without prctl a process outlives a parent that is killed; one that stops cleanly still stops its children."""
