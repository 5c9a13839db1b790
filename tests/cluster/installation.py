"""An installation over seven hosts: a balancer with Valkey, two for web, two for workers, a primary and its standby."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import httpx2

from joinlog.redis_server import find_binary
from schema.migrate import migrate
from schema.store.database import Database
from tests.cluster.hosts import Host, Network, find
from tests.conftest import SIGNING_KEY
from tests.pooler import configuration
from tests.postgres_pair import ACCOUNT, NAME, PostgresHost
from tests.processes import ROOT, environment
from tests.signed_requests import SECRET
from tests.waiting import wait_until

PORT, POSTGRES_PORT, POOLER_PORT, REDIS_PORT = 8000, 5432, 6432, 6379
START_SECONDS_MAX = 90.0
STANDBY = "standby"
SESSIONS = 40


class Installation:
    """All of it, started; `close` ends everything it started."""

    def __init__(self, folder: Path) -> None:
        folder.chmod(0o755)
        self.network = Network()
        add = self.network.add
        self.balancer = add("balancer", folder)
        self.webs = [add("web-1", folder), add("web-2", folder)]
        self.workers = [add("worker-1", folder), add("worker-2", folder)]
        self.database_hosts = [add("primary", folder), add("standby", folder)]
        primary, standby = (
            PostgresHost(host.folder / "postgres", host.address, POSTGRES_PORT, host.inside, durable=True)
            for host in self.database_hosts
        )
        self.primary, self.standby = primary, standby
        self.url = f"http://{self.balancer.address}:{PORT}"

    @property
    def pooled_url(self) -> str:
        """What Joinlog is told: both poolers, of which one leads to where writes are taken."""
        hosts = ",".join(f"{host.address}:{POOLER_PORT}" for host in self.database_hosts)
        return f"postgresql://postgres@{hosts}/{NAME}?target_session_attrs=read-write"

    @property
    def direct_url(self) -> str:
        """Whichever server takes writes, past the poolers."""
        hosts = ",".join(f"{host.address}:{POSTGRES_PORT}" for host in self.database_hosts)
        return f"postgresql://postgres@{hosts}/{NAME}?target_session_attrs=read-write"

    def start(self) -> None:
        """Start everything, and return when the balancer would hand an event on."""
        self.primary.make()
        database = Database(self.primary.url)
        migrate(database)
        database.close()
        self.standby.follow(self.primary, STANDBY)
        # Only now: the copy, once it is the primary, has no standby to wait for.
        self.primary.admin(f"ALTER SYSTEM SET synchronous_standby_names = '{STANDBY}'")
        self.primary.admin("SELECT pg_reload_conf()")
        for host in self.database_hosts:
            self.start_pooler(host)
        self.start_doorbell()
        for host in self.webs:
            self.start_web(host)
        for host in self.workers:
            self.start_worker(host)
        self._start_balancer()
        wait_until(self.is_ready, f"{self.url}/readyz", timeout_seconds=START_SECONDS_MAX)

    def start_doorbell(self) -> None:
        """Valkey, which keeps nothing."""
        self.balancer.start(
            "valkey",
            [str(find_binary()), "--port", str(REDIS_PORT), "--bind", self.balancer.address, "--save", "",
             "--protected-mode", "no"],
        )  # fmt: skip

    def stop_doorbell(self) -> None:
        """End it, with all it holds."""
        self.balancer.stop("valkey")

    def start_pooler(self, host: Host) -> None:
        """PgBouncer beside the server of this host, in transaction mode."""
        folder = host.folder / "pgbouncer"
        folder.mkdir(exist_ok=True)
        path = configuration(
            folder, POOLER_PORT, f"host={host.address} port={POSTGRES_PORT} user=postgres", host.address, SESSIONS
        )
        for each in (folder, *folder.iterdir()):
            shutil.chown(each, ACCOUNT)
        host.start("pgbouncer", [str(find("pgbouncer")), "--user", ACCOUNT, str(path)])

    def start_web(self, host: Host) -> None:
        """A web process, which reads its pages from the standby while there is one."""
        host.start_joinlog("web", self._variables(HOST=host.address))

    def start_worker(self, host: Host) -> None:
        """A worker and a clock."""
        for role in ("worker", "clock"):
            host.start_joinlog(role, self._variables())

    def is_ready(self) -> bool:
        """Whether an event would be taken."""
        try:
            return httpx2.get(f"{self.url}/readyz", trust_env=False, timeout=5).status_code == 200
        except httpx2.HTTPError:
            return False

    def is_web_ready(self, host: Host) -> bool:
        """The same of one web process, past the balancer."""
        try:
            answer = httpx2.get(f"http://{host.address}:{PORT}/readyz", trust_env=False, timeout=5)
        except httpx2.HTTPError:
            return False
        return answer.status_code == 200

    def fail_over(self) -> float:
        """Kill the host of the primary and promote the standby, as a watchdog does; returns the seconds that took."""
        began = time.monotonic()
        self.database_hosts[0].kill()
        self.standby.promote()
        return time.monotonic() - began

    def close(self) -> None:
        """End everything."""
        self.network.remove()

    def _variables(self, **more: str) -> dict[str, str]:
        standby_first = ",".join(f"{host.address}:{POSTGRES_PORT}" for host in reversed(self.database_hosts))
        return environment(
            DATABASE_URL=self.pooled_url,
            DATABASE_READ_URL=f"postgresql://postgres@{standby_first}/{NAME}?target_session_attrs=prefer-standby",
            REDIS_URL=f"redis://{self.balancer.address}:{REDIS_PORT}/0", ZOOM_WEBHOOK_SECRET_TOKEN=SECRET,
            SECRET_KEY=SIGNING_KEY, PORT=str(PORT), PUBLIC_URL=self.url, CLOCK_SECONDS="5", LOG_FORMAT="json", **more,
        )  # fmt: skip

    def _start_balancer(self) -> None:
        text = (ROOT / "deploy" / "haproxy.cfg").read_text().replace("bind :", f"bind {self.balancer.address}:")
        for host in self.webs:
            text = text.replace(f"{host.name}:{PORT}", f"{host.address}:{PORT}")
        path = self.balancer.folder / "haproxy.cfg"
        path.write_text(text)
        subprocess.run([str(find("haproxy")), "-c", "-f", str(path)], check=True, capture_output=True, timeout=30)
        self.balancer.start("haproxy", [str(find("haproxy")), "-db", "-f", str(path)])
