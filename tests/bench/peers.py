"""(d) and (e): what others publish for keeping a vendor's webhooks in Postgres. Installed for the run, never kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from psycopg.conninfo import conninfo_to_dict

from tests.bench.events import STRIPE_SECRET
from tests.bench.places import POSTGRES, Places
from tests.bench.processes import Service, free_port
from tests.bench.servers import THREADS
from tests.processes import ROOT, environment

FILES = Path(__file__).parent / "peer_files"
UV = ROOT / ".bootstrap" / "bin" / "uv"
INSTALL_SECONDS_MAX = 240
NODE_PACKAGES = ("@supabase/stripe-sync-engine@0.48.5", "fastify@5", "stripe@20")
PYTHON_PACKAGES = ("dj-stripe==2.11.0", "psycopg[binary]", f"granian=={version('granian')}")


@dataclass
class Peer:
    """Somebody else's server, listening."""

    name: str
    service: Service
    path: str


def peers(places: Places, stack: ExitStack, core: int | None, other_core: int | None) -> tuple[list[Peer], list[str]]:
    """Those that could be installed, and why the others could not."""
    found: list[Peer] = []
    notes: list[str] = []
    for make in (_stripe_sync_engine, _dj_stripe):
        name, about = NOTES[make]
        try:
            found.append(make(places, stack, core, other_core))
            notes.append(about)
        except (OSError, subprocess.SubprocessError, RuntimeError) as error:
            text = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            notes.append(f"{name} SKIPPED: {text[-1] if text else type(error).__name__}")
            print(f"!!! {notes[-1]}", file=sys.stderr, flush=True)
    return found, notes


def _stripe_sync_engine(places: Places, stack: ExitStack, core: int | None, _other: int | None) -> Peer:
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise RuntimeError("node and npm are not installed")
    folder = places.folder / "node"
    folder.mkdir()
    (folder / "package.json").write_text('{"private": true}')
    _run(["npm", "install", "--no-audit", "--no-fund", "--no-save", *NODE_PACKAGES], folder)
    shutil.copy(FILES / "fastify.mjs", folder / "server.mjs")
    url = stack.enter_context(places.temporary(POSTGRES))
    variables = {"DATABASE_URL": _over_a_socket(url), "PORT": str(free_port()), "STRIPE_SECRET": STRIPE_SECRET}
    service = Service("stripe-sync-engine", ["node", "server.mjs"], folder, variables, core)
    stack.callback(service.stop)
    service.wait_until_ready()
    return Peer("(d) stripe-sync-engine + Fastify, Postgres", service, "/webhook")


def _dj_stripe(places: Places, stack: ExitStack, core: int | None, other_core: int | None) -> Peer:
    uv = str(UV) if UV.exists() else shutil.which("uv")
    if uv is None:
        raise RuntimeError("uv is not installed")
    folder = places.folder / "django"
    folder.mkdir()
    python = str(folder / "venv" / "bin" / "python")
    _run([uv, "venv", "--quiet", "--python", sys.executable, "venv"], folder)
    _run([uv, "pip", "install", "--quiet", "--python", python, *PYTHON_PACKAGES], folder)
    shutil.copy(FILES / "dj_stripe_site.txt", folder / "dj_stripe_site.py")
    api = Service(
        "stripe-api", [sys.executable, "-m", "tests.bench.stripe_api", port := str(free_port())], folder,
        {"PORT": port}, other_core,
    )  # fmt: skip
    stack.callback(api.stop)
    api.wait_until_ready()
    told = conninfo_to_dict(stack.enter_context(places.temporary(POSTGRES)))
    variables = {
        "PGDATABASE": str(told["dbname"]), "PGUSER": str(told["user"]), "PGHOST": str(told["host"]),
        "PGPORT": str(told.get("port", "")), "STRIPE_SECRET": STRIPE_SECRET, "PORT": str(free_port()),
        "STRIPE_API": f"http://127.0.0.1:{api.port}", "THREADS": str(THREADS),
    }  # fmt: skip
    _run([python, "dj_stripe_site.py", "setup"], folder, variables)
    service = Service("dj-stripe", [python, "dj_stripe_site.py", "serve"], folder, variables, core)
    stack.callback(service.stop)
    service.wait_until_ready()
    return Peer("(e) dj-stripe, Postgres", service, "/stripe/webhook/3f2b8f0c-8a57-4d5e-9a54-6a1d8f6f0b11/")


NOTES: dict[Callable[[Places, ExitStack, int | None, int | None], Peer], tuple[str, str]] = {
    _stripe_sync_engine: (
        "(d) stripe-sync-engine",
        "(d) gets product.updated, verifies it and upserts one row of the object's table before it answers. It does "
        "more than Joinlog's intake (the final row is written) and less: the event itself is not kept, a repeat is "
        "not noticed, and a failure is the vendor's to send again",
    ),
    _dj_stripe: (
        "(e) dj-stripe",
        "(e) gets product.updated, keeps body and event, then by design fetches the object from Stripe's API (here "
        "from memory on the generator's core, which is kinder than the internet) and writes it before it answers: "
        "more work than Joinlog's intake does, in the answer's time",
    ),
}


def _over_a_socket(url: str) -> str:
    """The URL as node-postgres wants one of a socket."""
    told = conninfo_to_dict(url)
    return f"postgresql://{told['user']}@localhost/{told['dbname']}?host={told['host']}"


def _run(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> None:
    subprocess.run(
        command, cwd=folder, env=environment() | (variables or {}), check=True, capture_output=True, text=True,
        timeout=INSTALL_SECONDS_MAX, stdin=subprocess.DEVNULL,
    )  # fmt: skip
