"""Processes under measurement: Joinlog's own commands and the references, each in a group of its own, ended by pid."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

from schema.signals import dies_with
from tests.bench.events import SECRET
from tests.bench.places import pin
from tests.processes import descendants, environment

READY_SECONDS_MAX = 30.0
STOP_SECONDS_MAX = 10.0
SIGNING_KEY = "a-key-for-benchmarks-only"


class Service:
    """One process, what it listens on, and what it holds in memory."""

    def __init__(
        self, name: str, command: list[str], folder: Path, variables: Mapping[str, str], core: int | None = None
    ) -> None:
        self.name = name
        self.port = int(variables.get("PORT", "0"))
        self.log = folder / f"{name}-{os.getpid()}-{self.port}.log"
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                command, cwd=folder, env=environment() | dict(variables), stdin=subprocess.DEVNULL, stdout=output,
                stderr=subprocess.STDOUT, process_group=0, preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
            )  # fmt: skip
        if core is not None:
            pin(self.process.pid, core)

    def wait_until_listening(self) -> None:
        """Return once somebody answers on its port."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} does not listen: {self.log.read_text(errors='replace')[-2000:]}")

    def wait_until_ready(self) -> None:
        """Return once it listens on its port; for one without a port, once it says that it has started."""
        if self.port:
            self.wait_until_listening()
        else:
            self.wait_until_says("_started")

    def wait_until_says(self, text: str) -> None:
        """Return once its log holds this."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self.process.poll() is None:
            if text in self.log.read_text(errors="replace"):
                return
            time.sleep(0.02)
        raise RuntimeError(f"{self.name} did not say {text!r}: {self.log.read_text(errors='replace')[-2000:]}")

    def resident_mib(self) -> float:
        """What the largest process of its family holds: a supervisor's share is small and counted by `supervisor`."""
        return max(resident_mib(pid) for pid in self.family())

    def family(self) -> list[int]:
        """Its pid and those of what it started."""
        return [self.process.pid, *descendants(self.process.pid)]

    def stop(self) -> None:
        """End it, and whatever it started."""
        family = self.family()
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        for pid in family[1:]:
            if Path(f"/proc/{pid}").exists():
                os.kill(pid, signal.SIGKILL)


def resident_mib(pid: int) -> float:
    """Resident memory of one process, MiB; 0 when it is gone."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmRSS")), 0.0)


def cpu_seconds(pid: int) -> float:
    """What a process has worked since it began, its children that ended included; 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(int(field) for field in fields[11:15]) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(*services: Service) -> Iterator[None]:
    """Services for a while, ready; whatever happens they are gone afterwards."""
    with ExitStack() as stack:
        for service in services:
            stack.callback(service.stop)
        for service in services:
            service.wait_until_ready()
        yield


def joinlog(name: str, folder: Path, database_url: str, redis_url: str, core: int | None = None) -> Service:
    """One of Joinlog's own processes: web, worker or clock."""
    variables = settings(database_url, redis_url) | ({} if name == "web" else {"LOG_LEVEL": "info"})
    if name == "web":
        variables["PORT"] = str(free_port())
    return Service(name, [sys.executable, "-P", "-m", "joinlog", name], folder, variables, core)


def settings(database_url: str, redis_url: str) -> dict[str, str]:
    """The environment of a Joinlog process."""
    return {
        "DATABASE_URL": database_url,
        "REDIS_URL": redis_url,
        "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET,
        "SECRET_KEY": SIGNING_KEY,
        "LOG_FORMAT": "json",
        "LOG_LEVEL": "warning",
    }


def free_port() -> int:
    """A loopback port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
