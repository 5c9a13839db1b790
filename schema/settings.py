"""Every setting Joinlog reads from its environment, with its default and its limits.

The names are the environment's; docs/reference/settings.md lists them and a test holds that list against this class.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import secrets
import stat
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit, urlunsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

LOOPBACK_HOSTS = frozenset({"127.0.0.1", "localhost", "::1"})
KEY_FILE = Path(".joinlog-key")
KEY_BYTES_MIN = 16
KEY_COMMAND = "export SECRET_KEY=\"$(python3 -c 'import secrets; print(secrets.token_urlsafe(32))')\""
FINGERPRINT_DIGITS = 12
PUSH_SECRET_BYTES_MIN = 24  # Standard Webhooks, "Signature scheme"
PUSH_COMMAND = (
    "export PUSH_SECRET=\"whsec_$(python3 -c 'import base64, secrets; "
    "print(base64.b64encode(secrets.token_bytes(32)).decode())')\""
)


class ConfigurationError(Exception):
    """The environment does not allow Joinlog to do what was asked: `says` why, and `mend` how to change that."""

    def __init__(self, says: str, mend: str = "") -> None:
        super().__init__(f"{says} {mend}".strip())
        self.says = says
        self.mend = mend


def _blank_is_unset(value: object) -> object:
    return None if isinstance(value, str) and not value.strip() else value


def _with_scheme(text: str | None) -> str | None:
    if text is not None and not text.startswith(("https://", "http://")):
        host = text.rpartition("//")[2]
        raise ValueError(
            f"{text} has no scheme; write PUBLIC_URL=https://{host}, as Zoom and browsers reach the server"
        )
    return text


WEBHOOK, PAGES = "webhook", "pages"
_SERVED = f"{WEBHOOK}|{PAGES}"

OptionalText = Annotated[str | None, BeforeValidator(_blank_is_unset)]
Address = Annotated[str | None, AfterValidator(_with_scheme), BeforeValidator(_blank_is_unset)]
OptionalSecret = Annotated[SecretStr | None, BeforeValidator(_blank_is_unset)]


@dataclass(frozen=True, slots=True)
class ZoomCredentials:
    """A server-to-server app of one account."""

    account_id: str
    client_id: str
    client_secret: str = field(repr=False)
    app_id: str | None = None


class Settings(BaseSettings):
    """The environment, read once at the start of a process."""

    model_config = SettingsConfigDict(env_prefix="", extra="ignore", case_sensitive=False)

    zoom_webhook_secret_token: OptionalSecret = Field(
        None, description="the secret token of the Zoom app; several, comma-separated, while one is rotated"
    )
    database_url: str = Field(
        "sqlite:///joinlog.db", description="sqlite:///file or postgresql://user:password@host/db"
    )
    database_read_url: OptionalText = Field(
        None, description="a standby of that database, from which the pages and exports read; unset: they read from it"
    )
    redis_url: OptionalText = Field(None, description="redis://host:port/0; unset: `joinlog up` starts a server itself")
    secret_key: OptionalSecret = Field(
        None, description="signs page links and jobs; several, comma-separated, newest first; required outside loopback"
    )
    host: str = Field("127.0.0.1", description="address the web process listens on")
    port: int = Field(8000, ge=0, le=65535, description="port the web process listens on")
    public_url: Address = Field(None, description="https://... as Zoom and browsers reach this server")
    trusted_proxies: int = Field(0, ge=0, le=8, description="reverse proxies in front whose X-Forwarded-* is trusted")
    web_serves: str = Field(
        "webhook,pages",
        pattern=f"^({_SERVED})( *, *({_SERVED}))*$",
        description="what a web process serves: webhook, pages, or both",
    )
    web_threads: int = Field(4, ge=1, le=512, description="pages made at the same moment; Zoom's events need no thread")
    web_backlog: int = Field(4096, ge=128, le=65535, description="connections that may wait to be accepted")
    signature_tolerance_seconds: int = Field(
        7200, ge=60, le=86400, description="how old a signed request may be; Zoom's last retry comes after 85 minutes"
    )
    drain_batch_events: int = Field(1000, ge=1, le=10000, description="events applied in one transaction at most")
    clock_seconds: float = Field(60.0, gt=0, le=3600, description="how often the clock rings the doorbell")
    body_retention_days: int = Field(0, ge=0, description="days until raw bodies are removed; 0 keeps them for ever")
    feed_retention_days: int = Field(
        30, ge=1, le=3650, description="days for which the change feed is kept; whoever is further behind reads afresh"
    )
    feed_notify: bool = Field(
        False, description="on Postgres, NOTIFY joinlog_change with each batch; it takes a lock of the whole server"
    )
    deauthorized_grace_days: int = Field(
        10, ge=0, le=3650, description="days between app_deauthorized and the erasure of the account"
    )
    staff_domains: OptionalText = Field(
        None, description="domains, comma-separated, whose people are staff: example.com,example.org; then rebuild"
    )
    zoom_account_id: OptionalText = Field(
        None, description="account of a server-to-server app, to ask Zoom's API; several, comma-separated, in one order"
    )
    zoom_client_id: OptionalText = Field(None, description="its client id; as many as there are accounts")
    zoom_client_secret: OptionalSecret = Field(None, description="its client secret; as many as there are accounts")
    zoom_app_id: OptionalText = Field(
        None, description="app whose delivery log is read after an outage; one for each account, in the same order"
    )
    zoom_api_url: str = Field("https://api.zoom.us/v2", description="where Zoom's API answers")
    zoom_oauth_url: str = Field("https://zoom.us/oauth/token", description="where Zoom gives tokens for it")
    zoom_plan: str = Field(
        "pro",
        pattern="^(free|pro|business)$",
        description="the account's plan, which sets Zoom's limits; no API tells it",
    )
    zoom_rate_share: float = Field(
        0.5, gt=0, le=1, description="share of those limits that Joinlog uses; other apps of the account need the rest"
    )
    joinlog_demo: bool = Field(False, description="the pages say that this is a demo; `joinlog up` sets it for one")
    alert_urls: OptionalSecret = Field(
        None, description="who is told when something is wrong: apprise URLs, comma-separated (mail, Slack, a webhook)"
    )
    push_urls: OptionalSecret = Field(
        None, description="who is told what happens, as Standard Webhooks: http(s) addresses, comma-separated"
    )
    push_secret: OptionalSecret = Field(
        None, description="signs what is pushed: whsec_ and base64 of 24 bytes or more; several while one is rotated"
    )
    push_events: OptionalText = Field(
        None, description="only these notices, comma-separated: instance.linked,occurrence.report; unset: all"
    )
    push_personal_data: bool = Field(False, description="names, addresses and operators stand in what is pushed")
    log_format: str = Field("auto", pattern="^(auto|json|text)$", description="text on a terminal, else json")
    log_level: str = Field(
        "info", pattern="^(debug|info|warning|error)$", description="least severe level that is logged"
    )

    @cached_property
    def zoom_secrets(self) -> tuple[bytes, ...]:
        """The secret tokens, as bytes; an empty one is no secret."""
        return _split(self.zoom_webhook_secret_token)

    @cached_property
    def served(self) -> frozenset[str]:
        """What this web process serves: WEBHOOK, PAGES or both."""
        return frozenset(part.strip() for part in self.web_serves.split(","))

    @cached_property
    def secret_fingerprints(self) -> frozenset[str]:
        """The names of the secret tokens that are set."""
        return frozenset(map(fingerprint, self.zoom_secrets))

    @cached_property
    def alert_targets(self) -> tuple[str, ...]:
        """The apprise URLs, which hold passwords; a comma inside of one is no border."""
        text = self.alert_urls.get_secret_value() if self.alert_urls else ""
        return tuple(part for part in re.split(r"[\s,]+(?=[a-z0-9]+://)", text.strip().rstrip(",")) if part)

    @cached_property
    def push_targets(self) -> tuple[str, ...]:
        """The addresses that are pushed to. Raises ConfigurationError for one that is not http(s)."""
        targets = tuple(part.decode() for part in _split(self.push_urls))
        for target in targets:
            if not target.startswith(("https://", "http://")) or not urlsplit(target).hostname:
                raise ConfigurationError("PUSH_URLS holds an address that is not http(s)://host/...")
        return targets

    @cached_property
    def push_secrets(self) -> tuple[str, ...]:
        """The secrets that sign what is pushed, the first one first. Raises ConfigurationError without a good one."""
        secrets_ = tuple(part.decode() for part in _split(self.push_secret))
        for secret in secrets_:
            try:
                length = len(base64.b64decode(secret.removeprefix("whsec_") + "==", validate=False))
            except ValueError:
                length = 0
            if length < PUSH_SECRET_BYTES_MIN:
                raise ConfigurationError(
                    f"PUSH_SECRET is not whsec_ and the base64 of {PUSH_SECRET_BYTES_MIN} bytes or more.", PUSH_COMMAND
                )
        if self.push_targets and not secrets_:
            raise ConfigurationError("PUSH_URLS is set and PUSH_SECRET is not: nobody could trust it.", PUSH_COMMAND)
        return secrets_

    @cached_property
    def push_event_names(self) -> frozenset[str]:
        """The notices that are chosen; none when all are."""
        return frozenset(name for part in (self.push_events or "").split(",") if (name := part.strip()))

    @cached_property
    def staff_domain_names(self) -> frozenset[str]:
        """The domains whose people are staff, in lower case."""
        names = (name.strip().lstrip("@").lower() for name in (self.staff_domains or "").split(","))
        return frozenset(name for name in names if name)

    @cached_property
    def zoom_credentials(self) -> tuple[ZoomCredentials, ...]:
        """The accounts whose API may be asked; none when nothing is set. Raises ConfigurationError."""
        lists = [
            [part.strip() for part in (text or "").split(",") if part.strip()]
            for text in (
                self.zoom_account_id,
                self.zoom_client_id,
                self.zoom_client_secret.get_secret_value() if self.zoom_client_secret else None,
            )
        ]
        if len({len(names) for names in lists}) > 1:
            raise ConfigurationError(
                "ZOOM_ACCOUNT_ID, ZOOM_CLIENT_ID and ZOOM_CLIENT_SECRET must name as many accounts, in one order."
            )
        apps: list[str | None] = [part.strip() or None for part in (self.zoom_app_id or "").split(",")]
        if self.zoom_app_id is not None and len(apps) != len(lists[0]):
            raise ConfigurationError("ZOOM_APP_ID must name one app for each account; leave a place empty for none.")
        given = apps if self.zoom_app_id is not None else [None] * len(lists[0])
        return tuple(ZoomCredentials(*each) for each in zip(*lists, given, strict=True))

    @cached_property
    def signing_keys(self) -> tuple[bytes, ...]:
        """Keys for page links and jobs, oldest first as itsdangerous wants them.

        Raises ConfigurationError when none is set and the server is reachable from outside.
        """
        keys = _split(self.secret_key)
        for key in keys:
            if len(key) < KEY_BYTES_MIN:
                raise ConfigurationError(
                    f"SECRET_KEY has {len(key)} bytes, and whoever guesses it makes page links of their own: it needs "
                    f"{KEY_BYTES_MIN} or more.",
                    f"Set it to a long random text, the same for every process: {KEY_COMMAND}",
                )
        if keys:
            return tuple(reversed(keys))
        if not self.is_loopback:
            raise ConfigurationError(
                f"SECRET_KEY is not set, and others can reach the server ({self._how_reached}).",
                f"Set it to a long random text, the same for every process: {KEY_COMMAND}",
            )
        return (_key_of_this_folder(KEY_FILE),)

    @property
    def is_loopback(self) -> bool:
        """True while nobody but this machine is meant to reach the server."""
        return self.host in LOOPBACK_HOSTS and self.public_url is None and self.trusted_proxies == 0

    @property
    def _how_reached(self) -> str:
        """Which settings say that others can."""
        said = [f"HOST={self.host}"] if self.host not in LOOPBACK_HOSTS else []
        said += [f"PUBLIC_URL={self.public_url}"] if self.public_url else []
        return ", ".join(said or [f"TRUSTED_PROXIES={self.trusted_proxies}"])

    @property
    def base_url(self) -> str:
        """Where browsers and Zoom reach this server, without a slash at the end."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - a name, nothing binds here
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port}"

    @property
    def health_url(self) -> str:
        """The page that shows whether all is well."""
        return f"{self.base_url}/health"


def read_settings() -> Settings:
    """Read the environment. Raises ConfigurationError that names the variable and what it may be."""
    try:
        return Settings()
    except ValidationError as error:
        lines = [
            f"{'.'.join(str(part) for part in fault['loc']).upper()}: {fault['msg'].removeprefix('Value error, ')}"
            for fault in error.errors()
        ]
        raise ConfigurationError("The environment is not usable. " + "; ".join(lines)) from None


def fingerprint(secret: bytes) -> str:
    """A name for a secret that does not give it away."""
    return hashlib.sha256(secret).hexdigest()[:FINGERPRINT_DIGITS]


def without_password(url: str) -> str:
    """The URL with its password replaced, fit for a log or a terminal."""
    parts = urlsplit(url)
    if parts.password is None and "password=" not in parts.query:
        return url
    user = f"{parts.username}:***@" if parts.password is not None else ""
    place = parts.netloc.rpartition("@")[2]
    query = "&".join("password=***" if p.startswith("password=") else p for p in parts.query.split("&"))
    return urlunsplit((parts.scheme, user + place, parts.path, query, ""))


def _split(secret: SecretStr | None) -> tuple[bytes, ...]:
    if secret is None:
        return ()
    return tuple(part.strip().encode() for part in secret.get_secret_value().split(",") if part.strip())


def _key_of_this_folder(path: Path) -> bytes:
    """Read the key that the processes started from this folder share, or make it, readable by its owner only."""
    if not path.exists():
        try:
            _make_key(path)
        except OSError as error:
            raise ConfigurationError(
                f"SECRET_KEY is not set, and no key can be kept in {path.absolute()}: {error.strerror}.",
                f"Start Joinlog in a folder that this user may write to, or set it: {KEY_COMMAND}",
            ) from None
    key = path.read_bytes().strip()
    if len(key) < KEY_BYTES_MIN:
        raise ConfigurationError(f"{path} holds no key.", "Remove it, and a new one is made.")
    return key


def _make_key(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, stat.S_IRUSR | stat.S_IWUSR), "wb") as file:
        file.write(secrets.token_urlsafe(32).encode())
    with contextlib.suppress(FileExistsError):  # another process of this folder was first: its key is the key
        os.link(draft, path)
    draft.unlink()
