"""Web servers to measure beside Joinlog's: the same granian and bridge, another application behind them.

`python -m tests.bench.servers bare|alone|textbook`, with PORT, DATABASE_URL and REDIS_URL in the environment.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask, Response, abort, request

from schema.settings import read_settings
from schema.signals import dies_with
from tests.bench.processes import Service, free_port, settings
from webhook.app import make_server
from webhook.server import RsgiApplication
from webhook.wsgi import WsgiBridge

TEXTBOOK_QUEUE = "textbook"
THREADS = 32  # of every application Joinlog is measured beside


def bare() -> RsgiApplication:
    """(a) Flask that answers 204 to a POST without looking."""
    app = Flask("bare")

    @app.post("/webhook")
    def webhook() -> Response:
        return Response(status=204)

    return RsgiApplication(WsgiBridge(app.wsgi_app, THREADS))


def alone() -> RsgiApplication:
    """Joinlog with one transaction per event instead of one per group."""
    from webhook import app as product
    from webhook.group_commit import GroupCommitter
    from webhook.parts import parts_of

    setattr(product, "GroupCommitter", partial(GroupCommitter, group_events=1))  # noqa: B010 - the product has no setting for it
    app = product.create_app(read_settings())
    return RsgiApplication(WsgiBridge(app.wsgi_app, THREADS), parts_of(app).endpoint)


def textbook() -> RsgiApplication:
    """(c) Flask verifies and hands each event to RQ. Nothing durable: Redis is as `joinlog up` starts it."""
    from redis import Redis
    from rq import Queue

    from tests.bench.textbook import handle
    from webhook.signature import SignatureRefused, verify

    found = read_settings()
    queue = Queue(TEXTBOOK_QUEUE, connection=Redis.from_url(found.redis_url or ""))
    app = Flask("textbook")

    @app.post("/webhook")
    def webhook() -> Response:
        body = request.get_data()
        signature = request.headers.get("x-zm-signature", "").encode()
        timestamp = request.headers.get("x-zm-request-timestamp", "").encode()
        try:
            verify(
                found.zoom_secrets, signature, timestamp, body,
                now_seconds=time.time(), tolerance_seconds=found.signature_tolerance_seconds,
            )  # fmt: skip
        except SignatureRefused:
            abort(401)
        queue.enqueue(handle, request.get_json())
        return Response(status=204)

    return RsgiApplication(WsgiBridge(app.wsgi_app, THREADS))


APPLICATIONS = {"bare": bare, "alone": alone, "textbook": textbook}


def reference(name: str, folder: Path, database_url: str, redis_url: str, core: int | None = None) -> Service:
    """One of these servers."""
    variables = settings(database_url, redis_url) | {"PORT": str(free_port())}
    return Service(name, [sys.executable, "-m", "tests.bench.servers", name], folder, variables, core)


def _load(server_pid: int, name: str) -> Any:
    dies_with(server_pid, signal.SIGKILL)()
    return APPLICATIONS[name]()


def serve(name: str) -> None:
    """Serve one of them, with the server's settings of `joinlog web`."""
    found = read_settings()
    server = make_server("tests.bench.servers", found, found.port)
    server.serve(target_loader=partial(_load, os.getpid(), name), wrap_loader=False)


if __name__ == "__main__":
    serve(sys.argv[1])
