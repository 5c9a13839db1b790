"""A real PgBouncer in front of a test's Postgres, which gives a session to others after each transaction."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from sqlalchemy.engine import make_url

from tests import not_tested
from tests.conftest import free_port
from tests.waiting import wait_until

SESSIONS = 3


def find_pgbouncer() -> str:
    """The program; the test is skipped where there is none."""
    found = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if found is None:
        not_tested.skip("Postgres behind PgBouncer", "apt-get install pgbouncer")
    return found


def configuration(folder: Path, port: int, server: str, address: str = "127.0.0.1", sessions: int = SESSIONS) -> Path:
    """Its file, with transaction pooling, in a folder that it may be read from; `server` is libpq's words for it."""
    path = folder / "pgbouncer.ini"
    users = folder / "users.txt"
    users.write_text('"postgres" ""\n')
    path.write_text(
        "\n".join(
            [
                "[databases]", f"* = {server}", "[pgbouncer]", f"listen_addr = {address}", f"listen_port = {port}",
                "unix_socket_dir =", "auth_type = any", f"auth_file = {users}", "pool_mode = transaction",
                f"default_pool_size = {sessions}", "max_client_conn = 500", "server_login_retry = 1", "",
            ]
        )
    )  # fmt: skip
    return path


@contextmanager
def pgbouncer(url: str, folder: Path) -> Iterator[str]:
    """The URL of the same database through PgBouncer, on SESSIONS sessions."""
    program, port, direct = find_pgbouncer(), free_port(), make_url(url)
    path = configuration(folder, port, f"host={direct.query['host']} user=postgres dbname={direct.database}")
    output = (folder / "pgbouncer.log").open("wb")
    user: list[str] = []
    if os.geteuid() == 0:  # it does not serve as root, and the server's socket is for its owner only
        owner = Path(str(direct.query["host"])).owner()
        user = ["--user", owner]
        for each in (folder, path, folder / "users.txt"):
            shutil.chown(each, owner)
    process = subprocess.Popen([program, *user, str(path)], stdout=output, stderr=output)
    through = f"postgresql://postgres@127.0.0.1:{port}/{direct.database}"

    def answers() -> bool:
        try:
            psycopg.connect(through, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True

    try:
        wait_until(answers, "PgBouncer answers")
        yield through
    finally:
        process.terminate()
        process.wait(10)
        output.close()
