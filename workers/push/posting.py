"""Posting one notice, signed as Standard Webhooks has it: https://github.com/standard-webhooks/standard-webhooks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx2
from standardwebhooks import Webhook

POST_SECONDS_MAX = 10.0
ANSWER_BYTES_MAX = 4096  # read of an answer; the connection is closed on whoever sends more


@dataclass(frozen=True)
class Notice:
    """What is told: an id that stays the same whenever it is sent, and the text that is signed."""

    id: str
    type: str
    seq: int  # of the change it is about
    body: str
    remembered: tuple[Any, str] | None = None  # what is not told again while it stays the same


@dataclass(frozen=True)
class Answer:
    """What became of an attempt; without an `error` it was taken."""

    status: int | None
    error: str | None


class Poster:
    """Posts to one address over connections that are kept. Never follows a redirect; speaks http and https only."""

    def __init__(self, url: str, secrets: Sequence[str]) -> None:
        self._url = url
        self._signers = [Webhook(secret) for secret in secrets]
        self._client = httpx2.Client(timeout=POST_SECONDS_MAX, follow_redirects=False, trust_env=False)

    def post(self, notice: Notice) -> Answer:
        """One attempt, in POST_SECONDS_MAX. Never raises for what a receiver does."""
        deadline = time.monotonic() + POST_SECONDS_MAX
        try:
            with self._client.stream("POST", self._url, content=notice.body, headers=self.headers(notice)) as answer:
                read = 0
                for chunk in answer.iter_raw(ANSWER_BYTES_MAX):
                    read += len(chunk)
                    if read >= ANSWER_BYTES_MAX or time.monotonic() > deadline:
                        break
                status = answer.status_code
        except httpx2.TimeoutException:
            return Answer(None, f"no answer within {POST_SECONDS_MAX:.0f} s")
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError) as error:
            return Answer(None, type(error).__name__)
        return Answer(status, None if 200 <= status < 300 else f"answered {status}")

    def headers(self, notice: Notice) -> dict[str, str]:
        """Its headers, with a signature by each secret, signed now."""
        now = datetime.now(UTC)
        signatures = [signer.sign(notice.id, now, notice.body) for signer in self._signers]
        return {
            "content-type": "application/json",
            "user-agent": "joinlog",
            "webhook-id": notice.id,
            "webhook-timestamp": str(int(now.timestamp())),
            "webhook-signature": " ".join(signatures),
        }

    def close(self) -> None:
        """Close its connections."""
        self._client.close()
