"""A signal that comes while a process is stopped is not lost, whichever thread takes it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from tests.processes import ROOT

TRIES = 5
PROGRAM = """
import signal, threading
from schema.signals import rouse_main_thread

ended = threading.Event()
signal.signal(signal.SIGTERM, lambda *_: threading.Thread(target=ended.set).start())
for _ in range(8):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
rouse_main_thread()
print("ready", flush=True)
ended.wait()
"""


def test_a_process_that_is_told_to_stop_while_it_is_stopped_ends_once_it_goes_on() -> None:
    for _ in range(TRIES):
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": str(ROOT)}
        )
        with process:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            process.send_signal(signal.SIGSTOP)
            process.send_signal(signal.SIGTERM)
            process.send_signal(signal.SIGCONT)
            try:
                assert process.wait(20) == 0
            finally:
                process.kill()
