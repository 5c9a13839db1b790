"""Behind a real nginx and a real Caddy, set up as `deploy/` has them, with nothing but TRUSTED_PROXIES set."""

from __future__ import annotations

import re
import shutil
import signal
import socket
import ssl
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx2
import pytest

from schema.settings import ConfigurationError, Settings
from tests import not_tested
from tests.conftest import SIGNING_KEY, free_port, settings_for
from tests.page_client import TOKENS, open_site
from tests.processes import ROOT, environment, running
from tests.signed_requests import SECRET, encode, read_payload_file, signed_headers
from tests.waiting import wait_until
from webhook.tokens import Role, new_pass

EVIL = "https://evil.example"
DEPLOY = ROOT / "deploy"


def start_nginx(folder: Path, port: int, upstream: int) -> list[str]:
    """Our configuration, and around it what keeps nginx inside a folder; returns its command line."""
    temporary = "".join(
        f"{name}_temp_path {folder}/{name};\n" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    server = (
        (DEPLOY / "nginx.conf")
        .read_text()
        .replace("listen 443", f"listen 127.0.0.1:{port}")
        .replace("joinlog.example.com", "localhost")
        .replace("/etc/ssl/", f"{folder}/")
        .replace(":8000", f":{upstream}")
    )
    root = "user root;\n" if folder.owner() == "root" else ""
    (folder / "nginx.conf").write_text(
        f"{root}daemon off;\npid {folder}/nginx.pid;\nerror_log stderr;\nevents {{}}\n"
        f"http {{\naccess_log off;\n{temporary}{server}}}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(folder / "nginx.conf"), "-e", "stderr"]


def start_caddy(folder: Path, port: int, upstream: int) -> list[str]:
    """The same for Caddy, with a certificate of ours: no authority gives one to a test."""
    site = (
        (DEPLOY / "Caddyfile")
        .read_text()
        .replace(
            "joinlog.example.com {", f"https://localhost:{port} {{\n    tls {folder}/joinlog.pem {folder}/joinlog.key"
        )
        .replace(":8000", f":{upstream}")
    )
    (folder / "Caddyfile").write_text(f"{{\n    admin off\n    auto_https disable_redirects\n}}\n{site}")
    return ["caddy", "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]


def make_certificate(folder: Path) -> None:
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", folder / "joinlog.key",
         "-out", folder / "joinlog.pem"],
        check=True, capture_output=True,
    )  # fmt: skip


def listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(params=[start_nginx, start_caddy], ids=["nginx", "caddy"])
def proxied(request: pytest.FixtureRequest, tmp_path: Path, sqlite_url: str, redis_url: str) -> Iterator[httpx2.Client]:
    """A browser before a proxy before Joinlog."""
    program = str(request.param.__name__).removeprefix("start_")
    for needed in (program, "openssl"):
        if shutil.which(needed) is None:
            not_tested.skip(f"Joinlog behind {program}", "apt-get install nginx-light caddy openssl")
    make_certificate(tmp_path)
    variables = {
        "DATABASE_URL": sqlite_url, "REDIS_URL": redis_url, "ZOOM_WEBHOOK_SECRET_TOKEN": SECRET,
        "SECRET_KEY": SIGNING_KEY, "TRUSTED_PROXIES": "1",
    }  # fmt: skip
    with running(tmp_path, "web", **variables) as web:
        wait_until(web.is_ready, "the web process")
        port = free_port()
        start: Callable[[Path, int, int], list[str]] = request.param
        command = start(tmp_path, port, web.port)
        home = {"HOME": str(tmp_path), "XDG_DATA_HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
        with (tmp_path / "proxy.log").open("wb") as log:
            proxy = subprocess.Popen(command, env=environment(**home), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        try:
            wait_until(lambda: listens(port) or proxy.poll() is not None, program)
            assert proxy.poll() is None, (tmp_path / "proxy.log").read_text()
            trust = ssl.create_default_context(cafile=str(tmp_path / "joinlog.pem"))
            with httpx2.Client(base_url=f"https://localhost:{port}", verify=trust, trust_env=False) as client:
                yield client
        finally:
            proxy.send_signal(signal.SIGTERM)
            proxy.wait(20)


@pytest.mark.faults
@pytest.mark.xdist_group("processes")
def test_pages_and_deliveries_pass_a_real_proxy(proxied: httpx2.Client) -> None:
    own = str(proxied.base_url).rstrip("/")
    token = TOKENS.sign_link(new_pass(Role.OPERATOR, timedelta(hours=1), datetime.now(UTC)))
    spoofed = {"Origin": EVIL, "X-Forwarded-Host": "evil.example", "X-Forwarded-For": "6.6.6.6"}
    assert proxied.post("/enter", data={"token": token}, headers=spoofed).status_code == 403
    entered = proxied.post("/enter", data={"token": token}, headers={"Origin": own})
    assert entered.status_code == 303
    assert entered.headers["Set-Cookie"].startswith("__Host-joinlog=")
    assert "; Secure" in entered.headers["Set-Cookie"]
    assert f"{own}/webhook" in proxied.get("/connect").text
    form = re.search(r'data-form-token="([^"]+)"', proxied.get("/").text)
    assert form is not None
    data = {"form_token": form[1], "confirm": "yes"}
    assert proxied.post("/inbox/replay-dead", data=data, headers=spoofed).status_code == 403
    assert proxied.post("/inbox/replay-dead", data=data, headers={"Origin": own}).status_code == 303
    event = read_payload_file("webinar.started")
    event["payload"]["padding"] = "\N{FIRE ENGINE}" * 100_000
    body = encode(event)
    assert proxied.post("/webhook", content=body, headers=signed_headers(body)).status_code == 204
    assert proxied.get("/inbox.csv").text.count("webinar.started") == 1


# --- without a proxy ----------------------------------------------------------------------------------------------


def enter(settings: Settings, **headers: str) -> int:
    with open_site(settings) as site:
        token = TOKENS.sign_link(new_pass(Role.VIEWER, timedelta(hours=1), datetime.now(UTC)))
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return site.stranger().client.post("/enter", data={"token": token}, headers=names).status_code


@pytest.fixture
def settings(sqlite_url: str, redis_url: str) -> Settings:
    """The environment, without a proxy."""
    return settings_for(sqlite_url, redis_url)


def test_nobody_is_believed_unless_the_settings_say_so(settings: Settings) -> None:
    one, two = (settings.model_copy(update={"trusted_proxies": count}) for count in (1, 2))
    assert enter(settings, Origin=EVIL, X_Forwarded_Host="evil.example") == 403
    assert enter(one, Origin=EVIL, X_Forwarded_Host="evil.example") == 303
    assert enter(one, Origin=EVIL, X_Forwarded_Host="evil.example, joinlog.example.com") == 403
    assert enter(one, Origin="https://joinlog.example.com", X_Forwarded_Host="evil.example, joinlog.example.com") == 303
    assert enter(two, Origin=EVIL, X_Forwarded_Host="evil.example") == 403  # one of the two did not add to it


@pytest.mark.parametrize("origin", ["http://[", "null", "", "//", "https://é", "http://]:", "x" * 5000])
def test_an_origin_that_is_none_is_refused(settings: Settings, origin: str) -> None:
    assert enter(settings, Origin=origin) == 403


def test_behind_a_proxy_others_can_reach_us_and_a_key_is_required() -> None:
    assert Settings().is_loopback
    assert not Settings(trusted_proxies=1).is_loopback
    with pytest.raises(ConfigurationError, match="TRUSTED_PROXIES=1"):
        Settings(trusted_proxies=1).signing_keys  # noqa: B018 - raises
