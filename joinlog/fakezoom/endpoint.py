"""One endpoint that Zoom delivers to: the HTTP requests and what their answers mean."""

import ipaddress
import secrets
import time
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx2

from joinlog.fakezoom.delivery import expected_token, serialise, sign, validation_event

ANSWER_SECONDS_MAX = 3.0
USER_AGENT = "Zoom Marketplace/1.0a (fake)"


class EndpointError(Exception):
    """Nothing can be delivered to the endpoint; the text says why and what to do, `reason` is for machines."""

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Answer:
    """How one request ended: `status` None means no answer within the limit, `error` then names the failure."""

    status: int | None
    seconds: float
    error: str = ""

    @property
    def is_acknowledged(self) -> bool:
        """Zoom counts only 200 and 204, within three seconds."""
        return self.status in (200, 204) and self.seconds <= ANSWER_SECONDS_MAX

    @property
    def is_retried(self) -> bool:
        """Zoom tries again only after an answer of 500 or more, or none in time; never after 3xx or 4xx.

        https://developers.zoom.us/docs/api/webhooks/#unsuccessful-delivery
        """
        if self.status is None or self.status >= 500:
            return True
        return self.status in (200, 204) and not self.is_acknowledged

    @property
    def failure(self) -> str:
        """Why it does not count, in a few words; empty when it does."""
        if self.is_acknowledged:
            return ""
        return self.error or ("answered too late" if self.status in (200, 204) else f"answered {self.status}")


def require_loopback(url: str) -> None:
    """Raise `EndpointError` unless the URL names this very machine."""
    host = urlsplit(url).hostname or ""
    try:
        is_loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        is_loopback = host == "localhost"
    if not is_loopback:
        text = f"{url} is not on this machine: invented events would mix with real ones. --allow-remote does it anyway."
        raise EndpointError("remote", text)


def open_client(connections: int) -> httpx2.Client:
    """A client that keeps up to `connections` alive and ignores proxies."""
    limits = httpx2.Limits(max_connections=connections, max_keepalive_connections=connections)
    return httpx2.Client(timeout=ANSWER_SECONDS_MAX, limits=limits, trust_env=False)


def post(client: httpx2.Client, url: str, body: bytes, headers: dict[str, str]) -> Answer:
    """Deliver once; never raises for anything the network or the endpoint does."""
    began = time.perf_counter()
    sent = {"content-type": "application/json; charset=utf-8", "user-agent": USER_AGENT, **headers}
    try:
        answer = client.post(url, content=body, headers=sent)
    except httpx2.TimeoutException:
        return Answer(None, time.perf_counter() - began, "no answer within 3 s")
    except httpx2.ConnectError:
        return Answer(None, time.perf_counter() - began, "connection refused")
    except httpx2.HTTPError as failure:
        return Answer(None, time.perf_counter() - began, type(failure).__name__)
    return Answer(answer.status_code, time.perf_counter() - began)


def validate(client: httpx2.Client, url: str, secret: str) -> Answer:
    """Send a signed `endpoint.url_validation` and check its answer; `EndpointError` says what is wrong."""
    token = secrets.token_urlsafe(16)
    now = time.time()
    body = serialise(validation_event(token, int(now * 1000)), is_escaped=False)
    headers = {"content-type": "application/json; charset=utf-8", **sign(secret, int(now), body)}
    began = time.perf_counter()
    try:
        answer = client.post(url, content=body, headers=headers)
    except httpx2.TimeoutException as failure:
        text = f"{url} did not answer within {ANSWER_SECONDS_MAX:g} s. Look at the log of the web process."
        raise EndpointError("slow", text) from failure
    except httpx2.HTTPError as failure:
        text = (
            f"nobody answers at {url}. Start Joinlog there first (`make run` or `joinlog up`), or give another --url."
        )
        raise EndpointError("unreachable", text) from failure
    if answer.status_code == 401:
        text = "the endpoint refuses our signature (401): its ZOOM_WEBHOOK_SECRET_TOKEN is not the --secret given here."
        raise EndpointError("secret", text)
    if answer.status_code == 503:
        text = (
            f"{url} takes nothing now (503): either its ZOOM_WEBHOOK_SECRET_TOKEN is not the --secret given here, or "
            "its database cannot be written. `joinlog doctor` tells."
        )
        raise EndpointError("secret", text)
    if answer.status_code != 200:
        text = f"{url} answered {answer.status_code} to url_validation, where Zoom wants 200. Is it Joinlog's /webhook?"
        raise EndpointError("status", text)
    try:
        tokens = answer.json()
        is_right = tokens["plainToken"] == token and tokens["encryptedToken"] == expected_token(secret, token)
    except (ValueError, KeyError, TypeError):
        is_right = False
    if not is_right:
        raise EndpointError(
            "token", f"{url} answered endpoint.url_validation with the wrong tokens; Zoom would refuse it."
        )
    return Answer(200, time.perf_counter() - began)
