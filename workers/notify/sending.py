"""Sending a message to every address of ALERT_URLS, with apprise, in a process of its own.

apprise and its services weigh 40 MiB, and are somebody else's code with somebody else's network: neither stays in a
worker. `python -m workers.notify.sending` reads a message and the addresses as JSON, and prints how many it reached.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence

from workers.notify.telling import Message

SEND_SECONDS_MAX = 60.0  # for all addresses together; less than the turn of a worker (SENDING_MAX)


def send(targets: Sequence[str], message: Message) -> str | None:
    """Send to all addresses; returns why nobody could be reached, None when somebody was.

    The text never holds an address: those carry passwords.
    """
    if not targets:
        return "ALERT_URLS is not set"
    asked = json.dumps({"targets": list(targets), "title": message.title, "body": message.body})
    try:
        ended = subprocess.run(
            [sys.executable, "-m", "workers.notify.sending"],
            input=asked, capture_output=True, text=True, timeout=SEND_SECONDS_MAX, check=False,
        )  # fmt: skip
        reached = int(ended.stdout.split()[-1])
    except subprocess.TimeoutExpired:
        return f"no answer within {SEND_SECONDS_MAX:.0f} s"
    except (OSError, ValueError, IndexError):
        return "the process that sends did not start"
    return None if reached else f"none of {len(targets)} addresses took it"


def send_now(targets: Sequence[str], title: str, body: str) -> int:
    """How many addresses took it."""
    import apprise

    sender = apprise.Apprise()
    services = [sender.instantiate(target) for target in targets]
    return sum(bool(service.notify(title=title, body=body)) for service in services if service)


def main() -> None:
    """Send what standard input says."""
    import logging

    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # its lines may hold addresses
    asked = json.load(sys.stdin)
    print(send_now(asked["targets"], asked["title"], asked["body"]))


if __name__ == "__main__":
    main()
