"""Hosts that are network namespaces of one machine: each has an address, processes, and a cable that can be pulled."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from schema.signals import dies_with

BRIDGE = "joinlog-br"
NETWORK = "10.77.0"
PREFIX = "joinlog-"  # of everything that is named, so that what an ended run left behind is found
STOP_SECONDS_MAX = 15.0


class CannotBeTried(Exception):
    """What this machine lacks, in words."""


def require_machine() -> None:
    """Raise CannotBeTried unless namespaces can be made and the programs are here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        raise CannotBeTried("network namespaces need Linux and root")
    missing = [name for name in ("ip", "setpriv", "haproxy", "pgbouncer") if find(name) is None]
    if missing:
        raise CannotBeTried(f"{', '.join(missing)} missing: apt-get install iproute2 util-linux haproxy pgbouncer")
    made = _ip("netns", "add", f"{PREFIX}try", check=False)
    _ip("netns", "del", f"{PREFIX}try", check=False)
    if made.returncode:
        raise CannotBeTried(f"no network namespace can be made here: {made.stderr.strip()}")


def find(program: str) -> str | None:
    """Where a program is, also where Debian keeps servers."""
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


class Network:
    """A switch, and the hosts at it. The fake Zoom is outside, at its first address."""

    def __init__(self) -> None:
        self.hosts: list[Host] = []
        self.remove()
        _ip("link", "add", BRIDGE, "type", "bridge")
        _ip("addr", "add", f"{NETWORK}.1/24", "dev", BRIDGE)
        _ip("link", "set", BRIDGE, "up")

    def add(self, name: str, folder: Path) -> Host:
        """Another host at the switch."""
        self.hosts.append(Host(name, len(self.hosts) + 2, folder))
        return self.hosts[-1]

    def remove(self) -> None:
        """End every host, and the switch; also those of a run that was killed."""
        for host in self.hosts:
            host.kill()
        listed = _ip("netns", "list", check=False).stdout.split()
        for name in (name for name in listed if name.startswith(PREFIX)):
            for pid in _ip("netns", "pids", name, check=False).stdout.split():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(int(pid), signal.SIGKILL)
            _ip("netns", "del", name, check=False)
        _ip("link", "del", BRIDGE, check=False)


class Host:
    """One of them."""

    def __init__(self, name: str, number: int, folder: Path) -> None:
        self.name = name
        self.address = f"{NETWORK}.{number}"
        self.folder = folder / name
        self.folder.mkdir()
        self.folder.chmod(0o755)
        self.inside = ("ip", "netns", "exec", f"{PREFIX}{name}")
        self._cable = f"jl-{number}"
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        space = f"{PREFIX}{name}"
        _ip("netns", "add", space)
        _ip("link", "del", self._cable, check=False)  # a namespace that is gone lets go of it a little later
        _ip("link", "add", self._cable, "type", "veth", "peer", "name", "eth0", "netns", space)
        _ip("link", "set", self._cable, "master", BRIDGE)
        _ip("link", "set", self._cable, "up")
        for words in (("link", "set", "lo", "up"), ("addr", "add", f"{self.address}/24", "dev", "eth0"),
                      ("link", "set", "eth0", "up")):  # fmt: skip
            _ip("-n", space, *words)

    def start(self, name: str, command: Sequence[str], variables: Mapping[str, str] | None = None) -> None:
        """Start a process on it, whose output goes to a file of that name."""
        with (self.folder / f"{name}.log").open("ab") as output:
            self._processes[name] = subprocess.Popen(
                [*self.inside, *command], cwd=self.folder, env=None if variables is None else dict(variables),
                stdin=subprocess.DEVNULL, stdout=output, stderr=output,
                preexec_fn=dies_with(os.getpid(), signal.SIGKILL),
            )  # fmt: skip

    def start_joinlog(self, role: str, variables: Mapping[str, str]) -> None:
        """Start one of Joinlog's processes."""
        self.start(role, [sys.executable, "-P", "-m", "joinlog", role], variables)

    def stop(self, name: str) -> int:
        """Ask a process to end; returns its exit code."""
        process = self._processes.pop(name)
        process.terminate()
        return process.wait(STOP_SECONDS_MAX)

    def kill(self) -> None:
        """kill -9 of everything on it, as when the power goes: nobody is told, and packets to it are lost."""
        self.pull_cable()
        for pid in _ip("netns", "pids", f"{PREFIX}{self.name}", check=False).stdout.split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        for process in self._processes.values():
            process.wait(STOP_SECONDS_MAX)
        self._processes.clear()

    def pull_cable(self) -> None:
        """Cut it off: its processes run on, and nobody hears of them."""
        _ip("link", "set", self._cable, "down", check=False)

    def plug_cable(self) -> None:
        """Bring it back."""
        _ip("link", "set", self._cable, "up", check=False)


def _ip(*words: str, check: bool = True) -> Any:
    return subprocess.run(["ip", *words], capture_output=True, text=True, check=check, timeout=30)
