"""What the figures were measured on."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
import subprocess
import time
from importlib.metadata import version
from pathlib import Path
from statistics import median

PACKAGES = ("granian", "flask", "sqlalchemy", "psycopg", "rq", "redis", "msgspec")
SYNCS = 50


def describe(folder: Path, postgres_version: str, redis: Path) -> list[str]:
    """Machine and versions, one line each; the cost of making a write durable is measured in `folder`."""
    return [
        f"- {cpu_model()}, {os.cpu_count()} cores, {memory_gib():.0f} GiB, load {os.getloadavg()[0]:.1f} at the start",
        f"- Linux {platform.release()}, {filesystem(folder)}; "
        f"4 KiB written and fdatasync'ed: {sync_ms(folder):.2f} ms (median)",
        f"- Python {platform.python_version()}, SQLite {sqlite3.sqlite_version}, Postgres {postgres_version}, "
        f"{redis_version(redis)}",
        "- " + ", ".join(f"{name} {version(name)}" for name in PACKAGES),
        f"- Node {node_version() or 'not installed'}; {time.strftime('%Y-%m-%d')}",
    ]


def cpu_model() -> str:
    """As the kernel names it."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def memory_gib() -> float:
    """Of the whole machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30


def filesystem(folder: Path) -> str:
    """The kind of file system the data is on."""
    best = ("", "?")
    for line in Path("/proc/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if str(folder).startswith(place) and len(place) > len(best[0]):
            best = (place, kind)
    return best[1]


def sync_ms(folder: Path) -> float:
    """How long the disk takes to promise 4 KiB."""
    path = folder / "sync"
    times = []
    with path.open("wb") as file:
        for _ in range(SYNCS):
            begun = time.perf_counter()
            file.write(b"x" * 4096)
            file.flush()
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begun)
    path.unlink()
    return median(times) * 1000


def redis_version(binary: Path) -> str:
    """What the server says of itself."""
    found = subprocess.run([str(binary), "--version"], capture_output=True, text=True, check=False).stdout
    return f"Redis {found.partition('v=')[2].split(' ')[0]}"


def node_version() -> str | None:
    """None where there is none."""
    if shutil.which("node") is None:
        return None
    return subprocess.run(["node", "--version"], capture_output=True, text=True, check=False).stdout.strip()
