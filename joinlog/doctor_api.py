"""What `joinlog doctor` says about Zoom's API: whether it answers, and what it lacks to be of use."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import NamedTuple

from schema.settings import ConfigurationError, Settings, ZoomCredentials
from schema.store.api_access import ApiAccess
from workers.core.projection import PROJECTIONS
from workers.zoom.access import ask
from workers.zoom.client import ZoomClient, ZoomError, open_http
from workers.zoom.endpoints import ENDPOINTS, HEAVY_PER_DAY, WEBHOOK_LOGS, Tier

NOT_SENT = ("joinlog.", "zoom.")
SCOPES_HOW_TO = "add them to the server-to-server app in the Zoom Marketplace, and activate it again"


class Told(NamedTuple):
    """What one look at the API found; `mend` is empty where it is well."""

    says: str
    mend: str = ""
    is_broken: bool = False


class _NoPace:
    """A handful of calls by a person's hand need not wait for each other."""

    def wait_seconds(self, account_id: str, tier: Tier) -> float:
        return 0.0


def look_at_api(settings: Settings) -> Iterator[Told]:
    """Every account whose credentials are set; nothing where none is."""
    try:
        accounts = settings.zoom_credentials
    except ConfigurationError as error:
        yield Told(error.says, error.mend or "correct them", is_broken=True)
        return
    for credentials in accounts:
        with open_http() as http:
            client = ZoomClient(
                credentials, settings.zoom_api_url.rstrip("/"), settings.zoom_oauth_url, _NoPace(), http,
                sleep=lambda _: None,
            )  # fmt: skip
            yield from _look_at_account(settings, credentials, client)


def _look_at_account(settings: Settings, credentials: ZoomCredentials, client: ZoomClient) -> Iterator[Told]:
    account, access = credentials.account_id, ask(client, datetime.now(UTC))
    if access.scopes is None:
        mend = "set ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET as the app's page App Credentials shows them"
        yield Told(access.error or "the token is refused", mend, is_broken=True)
        return
    yield Told(
        f"token of account {account} works; plan {settings.zoom_plan}: "
        f"{int(HEAVY_PER_DAY[settings.zoom_plan] * settings.zoom_rate_share):,} heavy calls a day are Joinlog's share"
    )
    missing = sorted({endpoint.scope for endpoint in ENDPOINTS} - access.scopes)
    if missing:
        yield Told(f"account {account} lacks the scopes {', '.join(missing)}", SCOPES_HOW_TO)
    else:
        yield Told(f"account {account} has every scope that is asked for")
    yield _look_at_subscription(access)
    yield from _look_at_log(credentials, client, access.scopes)


def _look_at_subscription(access: ApiAccess) -> Told:
    """Which of the events Joinlog uses no subscription of the app sends."""
    if access.events is None:
        return Told(f"account {access.account_id}: {access.error}")
    missing = sorted(name for name in PROJECTIONS if not name.startswith(NOT_SENT) and name not in access.events)
    if missing:
        return Told(
            f"account {access.account_id}: the app is not subscribed to {', '.join(missing)}",
            "add these events on the app's page Access (or Features); without them the tables lack what they tell",
        )
    return Told(f"account {access.account_id}: the app is subscribed to every event that is used")


def _look_at_log(credentials: ZoomCredentials, client: ZoomClient, granted: frozenset[str]) -> Iterator[Told]:
    """Whether what Zoom could not deliver can be had from its log."""
    if credentials.app_id is None:
        yield Told("ZOOM_APP_ID is not set: what Zoom could not deliver in an outage cannot be had from its log")
        return
    if WEBHOOK_LOGS.scope not in granted:
        yield Told(f"the delivery log of app {credentials.app_id} needs the scope {WEBHOOK_LOGS.scope}", SCOPES_HOW_TO)
        return
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    try:
        client.read(WEBHOOK_LOGS, credentials.app_id, **{"from": today, "to": today})
    except ZoomError as error:
        yield Told(f"the delivery log of app {credentials.app_id} cannot be read: {error}")
    else:
        yield Told(f"the delivery log of app {credentials.app_id} can be read")
